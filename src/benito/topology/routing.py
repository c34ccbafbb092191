"""Routes of an experiment's nodes: shortest paths (`$ns rtproto Static`) and those the file asks for (`add-route`).

A route is (CIDR, address of the next hop on a LAN of the node's own). The rules of the paths and of ties stand in
`paths`, those of aggregation in `prefixes`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cache
from ipaddress import IPv4Network

from benito.errors import Fault, InputError
from benito.topology.model import Interface, Lan, ManualRoute, Node, Routing, Topology
from benito.topology.paths import Cost, Paths
from benito.topology.prefixes import End, Segment, address

DEFAULT_PREFIX = 24

Routes = tuple[tuple[str, str], ...]


def prefix_length(lan: Lan) -> int:
    """Return the length of a LAN's prefix; 24 where nobody gave a netmask."""
    return _length(lan.netmask) if lan.netmask else DEFAULT_PREFIX


@cache
def _length(netmask: str) -> int:
    return IPv4Network(f"0.0.0.0/{netmask}").prefixlen


def forwards(topology: Topology) -> set[str]:
    """Return the nodes that forward: next hops of manual routes, and all multi-homed nodes once anybody routes."""
    forwarding = {route.next_hop for route in topology.routes}
    if topology.routing is not Routing.NONE:
        forwarding |= {node.name for node in topology.nodes if len(node.interfaces) > 1}
    return forwarding


def routes(topology: Topology) -> Mapping[str, Routes]:
    """Return the routes of every node; addresses must have been given. InputError for impossible manual ones.

    Manual routes come first, in the file's order; computed ones that they contain are left out.
    """
    asked = manual_routes(topology)
    computed = static_routes(topology) if topology.routing in (Routing.STATIC, Routing.SESSION) else {}
    both: dict[str, Routes] = {}
    for node in topology.nodes:
        by_hand, by_path = asked.get(node.name, ()), computed.get(node.name, ())
        if by_hand and by_path:
            covering = [IPv4Network(destination) for destination, _ in by_hand]
            by_path = tuple(
                route for route in by_path if not any(IPv4Network(route[0]).subnet_of(wide) for wide in covering)
            )
        both[node.name] = by_hand + by_path
    return both


def static_routes(topology: Topology) -> Mapping[str, Routes]:
    """Return shortest-path routes of every node to every address that it can reach and isn't connected to."""
    segments = _segments(topology)
    forwarding = {place for place, node in enumerate(topology.nodes) if len(node.interfaces) > 1}
    paths = Paths(segments, forwarding, _Costs(topology))
    found: dict[str, Routes] = {topology.nodes[place].name: tuple(paths.of(place)) for place in sorted(forwarding)}
    for place, segment in enumerate(segments):
        shared = tuple(paths.of_single(place))
        for end in segment.ends:
            if end.node not in forwarding:
                found[topology.nodes[end.node].name] = shared
    return found


def manual_routes(topology: Topology) -> Mapping[str, Routes]:
    """Return the routes that the file asks for; the first to a destination counts. InputError with every bad one."""
    nodes = {node.name: node for node in topology.nodes}
    lans = {lan.name: lan for lan in topology.lans}
    order = {lan.name: place for place, lan in enumerate(topology.lans)}
    found: dict[str, dict[str, str]] = {}
    faults: list[Fault] = []
    for route in topology.routes:
        fault = _fault(route, nodes, lans)
        via = None if fault else _shared_address(nodes[route.node], nodes[route.next_hop], order)
        if fault is None and via is None:
            fault = Fault(
                f"{route.next_hop} can't be {route.node}'s next hop to {route.destination}: they share no LAN",
                route.where,
                "name a node on one of its links or LANs",
            )
        if fault is not None:
            faults.append(fault)
        elif via is not None:
            for destination in _destinations(route, nodes, lans):
                found.setdefault(route.node, {}).setdefault(destination, via)
    if faults:
        raise InputError(faults[0].message, faults=faults)
    return {node: tuple(routes.items()) for node, routes in found.items()}


def _fault(route: ManualRoute, nodes: Mapping[str, Node], lans: Mapping[str, Lan]) -> Fault | None:
    """Return what names nothing in a manual route."""
    for name in (route.node, route.next_hop):
        if name not in nodes:
            return Fault(f"the route to {route.destination} names {name}, which is no node", route.where)
    if route.destination not in nodes and route.destination not in lans:
        return Fault(f"the route's destination {route.destination} is no node, link or LAN", route.where)
    return None


def _shared_address(node: Node, hop: Node, order: Mapping[str, int]) -> str | None:
    """Return the next hop's address on the first LAN in the file that both are on."""
    own = {interface.lan for interface in node.interfaces}
    shared: list[Interface] = [i for i in hop.interfaces if i.lan in own and i.address is not None]
    if node is hop or not shared:
        return None
    return min(shared, key=lambda interface: order[interface.lan]).address


def _destinations(route: ManualRoute, nodes: Mapping[str, Node], lans: Mapping[str, Lan]) -> Iterator[str]:
    """Yield the CIDRs a manual route is for: a node's addresses, or a LAN's subnet unless the node is on it."""
    if route.destination in nodes:
        for interface in nodes[route.destination].interfaces:
            if interface.address is not None:
                yield f"{interface.address}/32"
        return
    lan = lans[route.destination]
    if any(member.node == route.node for member in lan.members):
        return
    for member in lan.members:
        given = nodes[member.node].interfaces[member.port].address
        if given is not None:
            yield str(IPv4Network(f"{given}/{prefix_length(lan)}", strict=False))


def _segments(topology: Topology) -> list[Segment]:
    """Return the subnets of each LAN with its members there, in the file's order."""
    index = {node.name: place for place, node in enumerate(topology.nodes)}
    segments: list[Segment] = []
    for place, lan in enumerate(topology.lans):
        prefix = prefix_length(lan)
        mask = (1 << 32) - (1 << (32 - prefix))
        members: dict[int, list[End]] = {}
        for member in lan.members:
            node = index[member.node]
            given = topology.nodes[node].interfaces[member.port].address
            if given is not None:
                number = address(given)
                members.setdefault(number & mask, []).append(End(node, number))
        segments.extend(Segment(place, network, prefix, tuple(ends)) for network, ends in members.items())
    return segments


class _Costs:
    """What it costs a node to send into a LAN, both given by their places in the file; exact, so that ties are ties."""

    def __init__(self, topology: Topology) -> None:
        lans = {lan.name: place for place, lan in enumerate(topology.lans)}
        nodes = {node.name: place for place, node in enumerate(topology.nodes)}
        self._given: dict[tuple[int, int], Cost] = {}
        for (lan, node), cost in topology.costs.items():
            if not cost > 0:
                raise InputError(f"the cost of {node} on {lan} is {cost:g}", hint="costs must be above 0")
            if lan in lans and node in nodes:
                exact = Fraction(str(cost))
                self._given[lans[lan], nodes[node]] = int(exact) if exact.denominator == 1 else exact

    def __call__(self, lan: int, node: int) -> Cost:
        return self._given.get((lan, node), 1)
