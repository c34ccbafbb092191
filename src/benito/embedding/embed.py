"""Decides what each node is made as and where it goes: by hand where the file has partitions, packed otherwise.

Pnodes are numbered in the order of the partitions, then of the physical nodes; where nodes are packed, in the order
of the first node that each holds. Pnodes with nothing but ghosts come last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from benito.embedding.ghosts import without
from benito.embedding.model import Assignment, cut, pnode_name
from benito.embedding.options import DEFAULTS, EmbeddingOptions
from benito.embedding.packing import split
from benito.embedding.partition import by_hand
from benito.embedding.roles import Role, roles
from benito.topology.model import Topology
from benito.topology.placement import PHYSICAL


def embed(topology: Topology, options: EmbeddingOptions = DEFAULTS) -> tuple[Topology, Assignment]:
    """Return the topology as it is made, and the place of each of its nodes.

    In the topology every node has its kind, ghosts are left out, and warnings say what may surprise. Give addresses
    before, so that ghosts have theirs. The same values give the same result. InputError with everything wrong in
    options, kinds, partitions, passes and ghosts.
    """
    made, warnings = roles(topology, options)
    hand = any(role.partition is not None for role in made)
    parts = by_hand(made) if hand else _packed(topology, made, options)
    order = sorted(set(parts)) if hand else list(dict.fromkeys(parts))
    names = _names(order, parts, made)
    places: dict[str, str] = {}
    ghosts: dict[str, str] = {}
    for node, role, part in zip(topology.nodes, made, parts, strict=True):
        (ghosts if role.ghost else places)[node.name] = names[part]
    kinds = tuple(
        node if node.kind == role.kind else replace(node, kind=role.kind)
        for node, role in zip(topology.nodes, made, strict=True)
    )
    said = replace(topology, nodes=kinds, warnings=(*topology.warnings, *warnings))
    living = without(said, ghosts.keys())
    return living, Assignment(places, cut(living, places), ghosts)


def _packed(topology: Topology, made: Sequence[Role], options: EmbeddingOptions) -> list[int]:
    """Return each node's part: every pass has its own, and so has every physical node."""
    parts = [0] * len(made)
    used = 0
    for number in sorted({role.number for role in made if role.kind != PHYSICAL}):
        places = [place for place, role in enumerate(made) if role.kind != PHYSICAL and role.number == number]
        count, most = options.parts(number, len(places))
        nodes_only = options.nodes_only or number in options.pass_nodes_only
        names = [topology.nodes[place].name for place in places]
        for place, part in zip(places, split(topology, names, count, most, nodes_only=nodes_only), strict=True):
            parts[place] = used + part
        used += count
    for place, role in enumerate(made):
        if role.kind == PHYSICAL:
            parts[place] = used
            used += 1
    return parts


def _names(order: Sequence[int], parts: Sequence[int], made: Sequence[Role]) -> dict[int, str]:
    """Name the parts in this order, those with nothing but ghosts last."""
    living = {part for part, role in zip(parts, made, strict=True) if not role.ghost}
    ranked = sorted(order, key=lambda part: part not in living)
    return {part: pnode_name(number) for number, part in enumerate(ranked)}
