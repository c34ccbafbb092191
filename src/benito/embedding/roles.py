"""What each node is when it is placed: its kind, its partition or pass, and whether it is only a ghost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from benito.embedding.options import EmbeddingOptions
from benito.errors import Fault, InputError
from benito.topology import placement
from benito.topology.model import Node, Topology
from benito.topology.placement import PHYSICAL

DEFAULT_PASS = {"container": 0, "qemu": 1}
MADE = frozenset(placement.KINDS.values())

Read = TypeVar("Read")


@dataclass(frozen=True, slots=True)
class Role:
    """One node's part in the placing."""

    kind: str
    partition: int | None
    number: int
    """Of the pass in which it is packed."""
    ghost: bool


@dataclass(frozen=True, slots=True)
class Said:
    """What the file says of one node."""

    kind: str | None
    partition: int | None
    number: int | None
    ghost: bool


def roles(topology: Topology, options: EmbeddingOptions) -> tuple[Sequence[Role], Sequence[Fault]]:
    """Return each node's role, in order, and what the person should know; InputError with all faults.

    When any node has a partition, those without one are physical, whatever kind they were given (Containers:
    reference of `containers:partition`).
    """
    faults = [*options.faults()]
    placed = any(node.partition is not None for node in topology.nodes)
    said = [_said(node, placed, faults) for node in topology.nodes]
    if faults:
        raise InputError(faults[0].message, faults=faults)
    by_hand = not options.force_partition and any(each.partition is not None for each in said)
    made: list[Role] = []
    warnings: list[Fault] = [*_useless(options)] if by_hand else []
    for node, each in zip(topology.nodes, said, strict=True):
        kind = each.kind or options.default_kind
        partition = each.partition if by_hand else None
        if by_hand and partition is None and kind != PHYSICAL:
            if each.kind:
                warnings.append(_made_physical(node, each.kind))
            kind = PHYSICAL
        elif partition is not None and kind == PHYSICAL:
            warnings.append(Fault(f"the partition of `{node.name}` means nothing, it is a physical node", node.where))
            partition = None
        number = DEFAULT_PASS.get(kind, 0) if each.number is None else each.number
        made.append(Role(kind, partition, number, each.ghost))
    if not by_hand:
        warnings += _unused(options, made)
    return made, warnings


def _said(node: Node, placed: bool, faults: list[Fault]) -> Said:
    """Read a node's attributes; what is wrong with them goes to the faults.

    `placed`: whether the file gives any node a partition, so that a silent node has been read as a physical one.
    """

    def read(reader: Callable[[Mapping[str, str]], Read], message: str, hint: str) -> Read | None:
        try:
            return reader(node.attributes)
        except ValueError as error:
            faults.append(Fault(f"`{node.name}` has the {message} `{str(error)[:60]}`", node.where, hint))
            return None

    kind = read(placement.kind, "unknown node type", f"known types are {', '.join(placement.KINDS)}")
    if kind is None and node.kind not in (placement.DEFAULT_KIND, placement.default_kind(placed, node.partition)):
        kind = node.kind
        if kind not in MADE:
            hint = f"known kinds are {', '.join(sorted(MADE))}"
            faults.append(Fault(f"`{node.name}` has the unknown kind `{kind[:60]}`", node.where, hint))
    partition = read(placement.partition, "partition", "write a whole number")
    number = read(placement.packing_pass, "packing pass", "write a whole number")
    ghost = read(placement.ghost, "ghost attribute", "write true or false")
    return Said(kind, partition if node.partition is None else node.partition, number, bool(ghost))


def _made_physical(node: Node, kind: str) -> Fault:
    return Fault(
        f"`{node.name}` is made a physical node, not {kind}: other nodes have a partition and it has none",
        node.where,
        "give it a partition, or pack all nodes with `--force-partition`",
    )


def _useless(options: EmbeddingOptions) -> Sequence[Fault]:
    """Tell that options for packing do nothing where nodes are placed by hand."""
    if options.size is None and not options.nodes_only and not options.passes():
        return ()
    message = "the file places its nodes by hand, so sizes, passes and `--nodes-only` mean nothing"
    return (Fault(message, hint="`--force-partition` packs them instead"),)


def _unused(options: EmbeddingOptions, made: Sequence[Role]) -> Sequence[Fault]:
    """Tell of passes that have options and no node."""
    used = {role.number for role in made if role.kind != PHYSICAL}
    hint = f"passes here are {', '.join(map(str, sorted(used)))}" if used else "there is nothing to pack"
    return [
        Fault(f"no node is packed in pass {number}, its options mean nothing", hint=hint)
        for number in sorted(options.passes() - used)
    ]
