"""Every node reaches every address by a shortest path, under longest prefix match, with few routes."""

from __future__ import annotations

import heapq
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import chain, grid, network, single_lan, star, tree

from benito.errors import InputError, Where
from benito.topology.model import ManualRoute, Routing, Topology
from benito.topology.routing import forwards, routes

Address = tuple[str, str, str]  # LAN, node, address


class Oracle:
    """Shortest paths by plain Dijkstra, one destination at a time."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.nodes = {node.name: node for node in topology.nodes}
        self.lans = {lan.name: lan for lan in topology.lans}
        self.forwarding = {node.name for node in topology.nodes if len(node.interfaces) > 1}
        self._known: dict[tuple[str, str], dict[str, float]] = {}

    def cost(self, lan: str, node: str) -> float:
        return self.topology.costs.get((lan, node), 1)

    def on(self, lan: str, node: str) -> bool:
        return any(member.node == node for member in self.lans[lan].members)

    def distances(self, lan: str, node: str) -> dict[str, float]:
        """Distance of every node to a forwarding node, else to the LAN that a single-homed node is on."""
        if (lan, node) in self._known:
            return self._known[lan, node]
        if node in self.forwarding:
            found, todo = {}, [(0.0, node)]
        else:
            here = {member.node for member in self.lans[lan].members}
            found, todo = {}, [(self.cost(lan, name), name) for name in here]
        heapq.heapify(todo)
        while todo:
            distance, name = heapq.heappop(todo)
            if name in found:
                continue
            found[name] = distance
            if name not in self.forwarding:
                continue
            for interface in self.nodes[name].interfaces:
                for member in self.lans[interface.lan].members:
                    if member.node in found:
                        continue
                    if node not in self.forwarding and self.on(lan, member.node):
                        continue
                    heapq.heappush(todo, (distance + self.cost(interface.lan, member.node), member.node))
        return self._known.setdefault((lan, node), found)

    def addresses(self) -> list[Address]:
        return [
            (interface.lan, node.name, interface.address or "")
            for node in self.topology.nodes
            for interface in node.interfaces
        ]

    def subnet(self, lan: str) -> IPv4Network:
        member = self.lans[lan].members[0]
        address = self.nodes[member.node].interfaces[member.port].address
        return IPv4Network(f"{address}/{self.lans[lan].netmask}", strict=False)


def longest_match(
    table: list[tuple[IPv4Network, str]], connected: list[tuple[IPv4Network, str]], to: str
) -> tuple[str, str] | None:
    """Return ("via", address) or ("lan", name), as a kernel would choose."""
    address = IPv4Address(to)
    matches = [(net.prefixlen, 1, "lan", lan) for net, lan in connected if address in net]
    matches += [(net.prefixlen, 0, "via", via) for net, via in table if address in net]
    return max(matches)[2:] if matches else None


def check(topology: Topology) -> None:
    """Assert that each node's routes lead to each address by a shortest path, and nowhere else."""
    oracle = Oracle(topology)
    found = routes(topology)
    assert set(found) == set(oracle.nodes)
    for name, node in oracle.nodes.items():
        connected = [(oracle.subnet(interface.lan), interface.lan) for interface in node.interfaces]
        table = [(IPv4Network(cidr), via) for cidr, via in found[name]]
        assert len({net for net, _ in table}) == len(table), "one route for each destination"
        for lan, owner, address in oracle.addresses():
            if owner == name:
                continue
            match = longest_match(table, connected, address)
            if oracle.on(lan, name):
                assert match == ("lan", lan), (name, address)
                continue
            distances = oracle.distances(lan, owner)
            if distances.get(name, inf) == inf:
                assert match is None or match[0] == "lan", (name, address)
                continue
            assert match is not None, (name, address)
            assert match[0] == "via", (name, address)
            best = {
                (interface.lan, member.node)
                for interface in node.interfaces
                for member in oracle.lans[interface.lan].members
                if member.node in oracle.forwarding
                and member.node != name
                and distances.get(member.node, inf) + oracle.cost(interface.lan, name)
                == pytest.approx(min_hop(oracle, name, distances))
            }
            hop = next((lan, node) for lan, node, via in oracle.addresses() if via == match[1])
            assert hop in best, (name, address, match, best)


def min_hop(oracle: Oracle, name: str, distances: dict[str, float]) -> float:
    return min(
        distances.get(member.node, inf) + oracle.cost(interface.lan, name)
        for interface in oracle.nodes[name].interfaces
        for member in oracle.lans[interface.lan].members
        if member.node in oracle.forwarding and member.node != name
    )


@st.composite
def any_network(draw: st.DrawFn, *, costs: bool = False) -> Topology:
    count = draw(st.integers(1, 9))
    members = st.lists(st.integers(0, count - 1), min_size=1, max_size=5, unique=True)
    lans = draw(st.lists(members, max_size=10))
    topology = network(count, lans)
    if costs:
        pairs = [(lan.name, member.node) for lan in topology.lans for member in lan.members]
        cost = st.sampled_from([1, 2, 3, 10, 0.1, 0.2, 0.3])
        topology = replace(topology, costs={pair: draw(cost) for pair in pairs if draw(st.booleans())})
    return topology


@given(any_network())
@settings(max_examples=80)
def test_every_address_is_reached_by_a_shortest_path(topology: Topology) -> None:
    check(topology)


@given(any_network(costs=True))
@settings(max_examples=80)
def test_costs_are_minded(topology: Topology) -> None:
    check(topology)


@st.composite
def overlapping_network(draw: st.DrawFn) -> Topology:
    """Any network with addresses given by hand: subnets that equal or hold each other, no address twice."""
    topology = draw(any_network())
    free = [f"10.0.{third}.{last}" for third in (0, 1) for last in (*range(1, 8), *range(129, 136))]
    for lan in topology.lans:
        size = draw(st.sampled_from([16, 24, 25]))
        subnet = IPv4Network((draw(st.sampled_from(["10.0.0.0", "10.0.1.0", "10.0.1.128"])), size), strict=False)
        here = [address for address in free if IPv4Address(address) in subnet]
        if len(here) < len(lan.members):
            continue
        nodes = {node.name: list(node.interfaces) for node in topology.nodes}
        for member in lan.members:
            address = draw(st.sampled_from([a for a in here if a in free]))
            free.remove(address)
            nodes[member.node][member.port] = replace(nodes[member.node][member.port], address=address)
        topology = replace(
            topology,
            nodes=tuple(replace(node, interfaces=tuple(nodes[node.name])) for node in topology.nodes),
            lans=tuple(
                replace(other, netmask=str(subnet.netmask)) if other is lan else other for other in topology.lans
            ),
        )
    return topology


@given(overlapping_network())
@settings(max_examples=80)
def test_overlapping_subnets_are_told_apart_by_host_routes(topology: Topology) -> None:
    oracle = Oracle(topology)
    subnets = {lan.name: oracle.subnet(lan.name) for lan in topology.lans}
    for node in topology.nodes:
        own = [subnets[interface.lan] for interface in node.interfaces]
        if any(a.overlaps(b) for i, a in enumerate(own) for b in own[i + 1 :]):
            return  # nobody can be on both of two subnets that overlap
    check(topology)


@given(any_network())
@settings(max_examples=50)
def test_routes_cover_experimental_subnets_and_nothing_else(topology: Topology) -> None:
    oracle = Oracle(topology)
    subnets = {lan.name: oracle.subnet(lan.name) for lan in topology.lans}
    for node in topology.nodes:
        own = {subnets[interface.lan] for interface in node.interfaces}
        for cidr, _ in routes(topology)[node.name]:
            net = IPv4Network(cidr)
            assert not any(net.subnet_of(subnet) for subnet in own)
            inside = sum(subnet.num_addresses for subnet in subnets.values() if subnet.subnet_of(net))
            assert inside == net.num_addresses or any(net.subnet_of(subnet) for subnet in subnets.values())


@given(any_network(costs=True))
@settings(max_examples=30)
def test_the_same_topology_gives_the_same_routes(topology: Topology) -> None:
    assert routes(topology) == routes(topology)


@pytest.mark.parametrize("topology", [grid(5, 4), tree(25), chain(12), star(9), single_lan(5)])
def test_plain_shapes_are_routed(topology: Topology) -> None:
    check(topology)


def test_a_leaf_of_a_large_star_has_few_routes() -> None:
    found = routes(star(1000))
    assert len(found["n500"]) == 8
    assert {via for _, via in found["n1"]} == {"10.0.0.1"}
    assert found["n0"] == ()


def test_an_aggregate_may_cover_the_own_subnet_but_not_be_it() -> None:
    found = routes(star(5))
    assert found["n1"] == (("10.0.0.0/22", "10.0.0.1"),)
    assert found["n4"] == (("10.0.0.0/22", "10.0.3.1"),)
    assert routes(star(4))["n3"] == (("10.0.0.0/23", "10.0.2.1"),)


def test_ties_go_to_the_first_neighbour_and_then_to_the_first_lan() -> None:
    square = network(["d", "a", "b", "c"], [(0, 2), (0, 1), (1, 3), (2, 3), (3,)])
    assert ("10.0.4.0/24", "10.0.1.2") in routes(square)["d"]  # by a, which comes before b in the file
    twice = network(3, [(0, 1), (0, 1), (1, 2)])
    assert routes(twice)["n0"] == (("10.0.2.0/24", "10.0.0.2"),)


def test_an_address_that_its_lans_way_is_a_detour_to_gets_a_route_of_its_own() -> None:
    triangle = network(3, [(0, 1), (1, 2), (0, 2)])
    assert routes(triangle)["n0"] == (("10.0.0.0/23", "10.0.0.2"), ("10.0.1.2/32", "10.0.2.2"))


def test_without_routing_there_are_no_routes_and_nobody_forwards() -> None:
    for routing in (Routing.NONE, Routing.MANUAL):
        assert set(routes(replace(chain(4), routing=routing)).values()) == {()}
    assert forwards(replace(chain(4), routing=Routing.NONE)) == set()
    assert forwards(replace(chain(4), routing=Routing.MANUAL)) == {"n1", "n2"}
    assert forwards(chain(4)) == {"n1", "n2"}


def test_session_routing_is_given_the_static_routes() -> None:
    assert routes(replace(chain(4), routing=Routing.SESSION)) == routes(chain(4))


def test_manual_routes_go_to_nodes_and_lans() -> None:
    asked = (
        ManualRoute("n0", "n3", "n1"),
        ManualRoute("n0", "l1", "n1"),
        ManualRoute("n0", "l0", "n1"),  # connected already
        ManualRoute("n0", "l1", "n1"),  # said twice
    )
    topology = replace(chain(4), routing=Routing.MANUAL, routes=asked)
    assert routes(topology)["n0"] == (("10.0.2.2/32", "10.0.0.2"), ("10.0.1.0/24", "10.0.0.2"))
    assert routes(topology)["n1"] == ()
    assert forwards(replace(topology, routing=Routing.NONE)) == {"n1"}


def test_a_manual_route_wins_over_the_computed_one() -> None:
    ring = network(5, [(0, 1), (0, 4), (1, 2), (2, 3), (3, 0), (2, 1)])
    assert ("10.0.2.0/24", "10.0.0.2") in routes(ring)["n0"]
    asked = replace(ring, routes=(ManualRoute("n0", "l2", "n3"),))
    assert routes(asked)["n0"][0] == ("10.0.2.0/24", "10.0.4.1")
    assert ("10.0.2.0/24", "10.0.0.2") not in routes(asked)["n0"]


def test_impossible_manual_routes_are_all_told() -> None:
    asked = (
        ManualRoute("n0", "n3", "n2", Where("a.ns", 3)),
        ManualRoute("n0", "moon", "n1", Where("a.ns", 4)),
        ManualRoute("n9", "n3", "n1", Where("a.ns", 5)),
    )
    with pytest.raises(InputError) as raised:
        routes(replace(chain(4), routes=asked))
    assert str(raised.value) == (
        "a.ns:3: n2 can't be n0's next hop to n3: they share no LAN (name a node on one of its links or LANs)\n"
        "a.ns:4: the route's destination moon is no node, link or LAN\n"
        "a.ns:5: the route to n3 names n9, which is no node"
    )


def test_a_cost_must_be_positive() -> None:
    with pytest.raises(InputError, match="the cost of n0 on l0 is 0"):
        routes(replace(chain(3), costs={("l0", "n0"): 0}))
