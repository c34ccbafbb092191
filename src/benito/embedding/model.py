"""Where each node of an experiment goes, and what that costs in traffic between the pnodes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from benito.topology.model import Interface, Shape, Topology

UNLIMITED_KBPS = 10_000_000
"""What an interface without a bandwidth counts as when traffic is weighed: 10 Gb/s, the most that Emulab accepts."""


@dataclass(frozen=True, slots=True)
class Cut:
    """What crosses between pnodes."""

    lans: int = 0
    """Links and LANs with members on more than one pnode."""
    bandwidth_kbps: int = 0
    """Sum of the bandwidths asked for of the members that are away from most of their LAN."""
    unlimited: int = 0
    """How many such members have no bandwidth asked for; they are not in the sum."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Each node's pnode, in the order of the file."""

    places: Mapping[str, str]
    cut: Cut = Cut()
    ghosts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Pnodes of the nodes that only take room: what they would need is kept free, nothing of them is started.

    A pnode that has nothing but ghosts appears here alone.
    """

    @property
    def pnodes(self) -> tuple[str, ...]:
        """The pnodes in the order of their numbers (`pnode-9999` before `pnode-10000`)."""
        return tuple(sorted(set(self.places.values()), key=lambda name: (len(name), name)))

    @property
    def nodes(self) -> Mapping[str, tuple[str, ...]]:
        """The nodes of each pnode, both in order."""
        held: dict[str, list[str]] = {pnode: [] for pnode in self.pnodes}
        for node, pnode in self.places.items():
            held[pnode].append(node)
        return {pnode: tuple(nodes) for pnode, nodes in held.items()}


def pnode_name(number: int) -> str:
    """Return a pnode's name, `pnode-0000` for the first."""
    return f"pnode-{number:04d}"


def assignment(topology: Topology, parts: Sequence[int]) -> Assignment:
    """Name the parts in order of the first node that they hold; `parts` has one number for each node of the file."""
    names: dict[int, str] = {}
    for part in parts:
        names.setdefault(part, pnode_name(len(names)))
    places = {node.name: names[part] for node, part in zip(topology.nodes, parts, strict=True)}
    return Assignment(places, cut(topology, places))


def member_kbps(outward: Shape, inward: Shape) -> int:
    """Return the larger of a member's two bandwidths; 0 when either is unlimited."""
    if not outward.bandwidth_kbps or not inward.bandwidth_kbps:
        return 0
    return max(outward.bandwidth_kbps, inward.bandwidth_kbps)


def lan_kbps(interfaces: Sequence[Interface]) -> tuple[int, ...]:
    """Return the bandwidth of each member towards the rest of its LAN, 0 where there is no limit.

    On a link either end's limit holds for both.
    """
    rates = tuple(member_kbps(interface.outward, interface.inward) for interface in interfaces)
    if len(rates) == 2:
        limit = min((rate for rate in rates if rate), default=0)
        return (limit, limit)
    return rates


def away(places: Iterable[str | int], rates: Iterable[int]) -> list[int]:
    """Return the rates of a LAN's members that aren't where most of the LAN's bandwidth is (first place wins a tie)."""
    held: dict[str | int, list[int]] = {}
    for place, rate in zip(places, rates, strict=True):
        held.setdefault(place, []).append(rate)
    if len(held) < 2:
        return []
    home = max(held, key=lambda place: sum(rate or UNLIMITED_KBPS for rate in held[place]))
    return [rate for place, group in held.items() if place != home for rate in group]


def cut(topology: Topology, places: Mapping[str, str]) -> Cut:
    """Measure what crosses between pnodes when the nodes are at these places."""
    nodes = {node.name: node for node in topology.nodes}
    lans = bandwidth = unlimited = 0
    for lan in topology.lans:
        here = [places[member.node] for member in lan.members]
        if len(set(here)) < 2:
            continue
        crossing = away(here, lan_kbps([nodes[member.node].interfaces[member.port] for member in lan.members]))
        lans += 1
        bandwidth += sum(crossing)
        unlimited += crossing.count(0)
    return Cut(lans, bandwidth, unlimited)
