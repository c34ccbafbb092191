"""What the experiments' files ask for, read once for each: nodes' facts, links' rows, the map."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2s
from typing import Any

from benito.drawing.scene import does
from benito.embedding.model import Assignment, cut
from benito.plan.fabric import combine
from benito.plan.model import Direction
from benito.services.web.drawn import drawn, encode
from benito.testbed.store import ExperimentRecord, NodeRecord
from benito.testbed.testbed import Testbed, submitted
from benito.topology.model import Interface, Lan, Topology

KEPT = 32
"""Experiments whose files are remembered."""
WAYS_SHOWN = 4


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One link or LAN for the table."""

    name: str
    between: str
    asked: tuple[str, ...]
    """One text for each direction, or one when they are alike."""
    rtt: str


@dataclass(frozen=True, slots=True)
class Asked:
    """What one experiment's file asks for and where its nodes go."""

    version: str
    text: str
    topology: Topology
    assignment: Assignment
    links: tuple[LinkRow, ...]

    def map(self) -> bytes:
        """Return the map as JSON; takes a second for a thousand nodes."""
        return encode(drawn(self.topology, self.assignment))


class AskedFor:
    """The experiments' files, as far as somebody has looked at them."""

    def __init__(self, bed: Testbed) -> None:
        self.bed = bed
        self._kept: OrderedDict[str, Asked] = OrderedDict()
        self._maps: OrderedDict[str, asyncio.Task[bytes]] = OrderedDict()

    async def of(self, record: ExperimentRecord, nodes: Sequence[NodeRecord]) -> Asked:
        """Return what the experiment's file asks for; `nodes` are those that run, if any."""
        version = _version(self.bed, record, nodes)
        kept = self._kept.get(version)
        if kept is None:
            kept = await asyncio.to_thread(_read, self.bed.again(), record, nodes, version)
            self._kept[version] = kept
            _limit(self._kept)
        return kept

    async def map(self, asked: Asked) -> bytes:
        """Return the experiment's map, drawn once for all who look."""
        task = self._maps.get(asked.version)
        if task is None:
            task = self._maps[asked.version] = asyncio.create_task(asyncio.to_thread(asked.map))
            _limit(self._maps)
        return await asyncio.shield(task)


def _limit(kept: OrderedDict[str, Any]) -> None:
    while len(kept) > KEPT:
        kept.popitem(last=False)


def _version(bed: Testbed, record: ExperimentRecord, nodes: Sequence[NodeRecord]) -> str:
    """Return a digest of all that the answer is made from."""
    try:
        stamp = submitted(bed.home.place(record.id), record.settings).stat().st_mtime_ns
    except OSError:
        stamp = 0
    places = [(node.node, node.pnode, node.kind) for node in nodes]
    return blake2s(repr((record.id.key, record.created, record.settings, stamp, places)).encode()).hexdigest()[:16]


def _read(bed: Testbed, record: ExperimentRecord, nodes: Sequence[NodeRecord], version: str) -> Asked:
    place = bed.home.place(record.id)
    topology, assignment = bed.placed(place, record.settings)
    places = {node.node: node.pnode for node in nodes}
    if {node.name for node in topology.nodes} == set(places):
        kinds = {node.node: node.kind for node in nodes}
        topology = replace(topology, nodes=tuple(replace(node, kind=kinds[node.name]) for node in topology.nodes))
        there = {node.name: places[node.name] for node in topology.nodes}
        assignment = Assignment(there, cut(topology, there))
    text = submitted(place, record.settings).read_bytes().decode("utf-8", errors="replace")
    return Asked(version, text, topology, assignment, tuple(link_rows(topology, assignment)))


def link_rows(topology: Topology, assignment: Assignment) -> Iterable[LinkRow]:
    """Yield the links and LANs with what is asked of them, ends in the order in which wires have them."""
    order = {pnode: place for place, pnode in enumerate(assignment.pnodes)}
    nodes = {node.name: node for node in topology.nodes}
    for lan in topology.lans:
        members = sorted(lan.members, key=lambda member: order.get(assignment.places.get(member.node, ""), 0))
        ends = [(member.node, nodes[member.node].interfaces[member.port]) for member in members]
        yield _pair(lan, ends) if len(ends) == 2 else _lan(lan, ends)


def _pair(lan: Lan, ends: Sequence[tuple[str, Interface]]) -> LinkRow:
    (a, here), (b, there) = ends
    forth, back = combine(here, there), combine(there, here)
    ways = (_does(forth),) if _does(forth) == _does(back) else (f"→ {_does(forth)}", f"← {_does(back)}")
    return LinkRow(lan.name, f"{a} – {b}", ways, f"{forth.delay_ms + back.delay_ms:g} ms")


def _lan(lan: Lan, ends: Sequence[tuple[str, Interface]]) -> LinkRow:
    names = [node for node, _ in ends]
    between = ", ".join(names[:WAYS_SHOWN]) + (
        f" and {len(names) - WAYS_SHOWN} more" if len(names) > WAYS_SHOWN else ""
    )
    ways = list(dict.fromkeys(_does(combine(end, end)) for _, end in ends))
    shown = tuple(ways) if len(ways) <= 2 else (*ways[:2], f"and {len(ways) - 2} more")
    rtts = [2 * combine(end, end).delay_ms for _, end in ends]
    same = len(set(rtts)) <= 1
    return LinkRow(lan.name, between, shown, f"{max(rtts, default=0):g} ms" if same else f"up to {max(rtts):g} ms")


def _does(way: Direction) -> str:
    return does(way) or "unshaped"
