"""Topologies for tests and benchmarks: plain shapes, and any shape at all by hypothesis."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from benito.topology.model import EMPTY, Interface, Lan, Member, Node, Queue, Routing, Shape, Topology

UNSHAPED = (Shape(), Shape(), Queue())


def network(
    nodes: int | Sequence[str],
    lans: Iterable[Sequence[int]],
    *,
    shapes: Mapping[tuple[int, int], tuple[Shape, Shape, Queue]] | None = None,
    routing: Routing = Routing.STATIC,
    costs: Mapping[tuple[str, str], float] = EMPTY,  # type: ignore[assignment]
    kinds: Mapping[str, str] = EMPTY,
) -> Topology:
    """Return nodes n0, n1, ... joined by LANs l0, l1, ...; each LAN is given as its members' numbers.

    `shapes` holds (outward, inward, queue) by (LAN, place of the member in it). LAN i has 10.0.i.0/24, or a /16 of
    its own when it is large.
    """
    names = [f"n{i}" for i in range(nodes)] if isinstance(nodes, int) else list(nodes)
    interfaces: list[list[Interface]] = [[] for _ in names]
    made: list[Lan] = []
    for i, members in enumerate(lans):
        wide = len(members) > 250
        subnet = IPv4Network((f"11.{i}.0.0", 16)) if wide else IPv4Network((10 << 24 | i << 8, 24))
        joined: list[Member] = []
        for place, node in enumerate(members):
            joined.append(Member(names[node], len(interfaces[node])))
            outward, inward, queue = (shapes or {}).get((i, place), UNSHAPED)
            address = str(IPv4Address(int(subnet.network_address) + place + 1))
            interfaces[node].append(Interface(f"l{i}", address=address, outward=outward, inward=inward, queue=queue))
        made.append(Lan(f"l{i}", tuple(joined), netmask=str(subnet.netmask)))
    return Topology(
        tuple(
            Node(name, tuple(ports), kind=kinds.get(name, "qemu"))
            for name, ports in zip(names, interfaces, strict=True)
        ),
        tuple(made),
        routing=routing,
        costs=costs,
    )


def grid(width: int, height: int) -> Topology:
    """Return a grid of links."""
    along = [(y * width + x, y * width + x + 1) for y in range(height) for x in range(width - 1)]
    down = [(y * width + x, (y + 1) * width + x) for y in range(height - 1) for x in range(width)]
    return network(width * height, along + down)


def star(nodes: int) -> Topology:
    """Return n0 with a link to every other node."""
    return network(nodes, [(0, i) for i in range(1, nodes)])


def tree(nodes: int, children: int = 3) -> Topology:
    """Return a tree of links, filled level by level."""
    return network(nodes, [((i - 1) // children, i) for i in range(1, nodes)])


def chain(nodes: int) -> Topology:
    """Return a row of links."""
    return network(nodes, [(i - 1, i) for i in range(1, nodes)])


def single_lan(nodes: int) -> Topology:
    """Return one LAN of all nodes."""
    return network(nodes, [tuple(range(nodes))])
