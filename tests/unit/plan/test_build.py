"""Plans join what the file joins, shape it as asked and once, and name everything uniquely."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import isclose

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import chain, network, single_lan, star

from benito.embedding.model import Assignment, assignment, cut
from benito.errors import CapacityError
from benito.plan import identity
from benito.plan.allocations import Allocations, example, number
from benito.plan.build import plan
from benito.plan.model import Account, Bridge, Direction, Patch, PnodePlan, Red, Remote, Tunnel, Wire, decode, encode
from benito.topology.model import Discipline, Interface, Lan, Member, Node, Queue, Routing, Shape, Topology

SHAPES = st.builds(
    Shape,
    delay_ms=st.sampled_from([0.0, 0.15, 5.0, 20.5]),
    bandwidth_kbps=st.sampled_from([0, 100, 54_000, 2_000_000]),
    loss=st.sampled_from([0.0, 0.01, 0.5]),
)
UNSHAPED = Shape()


@st.composite
def placed_network(draw: st.DrawFn) -> tuple[Topology, Assignment]:
    """Any network anywhere."""
    count = draw(st.integers(1, 8))
    members = st.lists(st.integers(0, count - 1), min_size=1, max_size=6, unique=draw(st.booleans()))
    lans = draw(st.lists(members, max_size=6))
    side = st.one_of(st.just(UNSHAPED), SHAPES)
    shapes = {
        (i, place): (draw(side), draw(side), Queue(limit=draw(st.sampled_from([10, 50]))))
        for i, joined in enumerate(lans)
        for place in range(len(joined))
    }
    topology = network(count, lans, shapes=shapes)
    return topology, assignment(topology, [draw(st.integers(0, 3)) for _ in range(count)])


@dataclass(frozen=True)
class Way:
    """What a frame meets between two taps."""

    end: str
    directions: tuple[Direction, ...]


class Network:
    """Walks the plans as frames do: a device is joined to a wire or bridge, and leads to what is behind it."""

    def __init__(self, plans: Sequence[PnodePlan]) -> None:
        self.plans = {p.pnode: p for p in plans}
        self.at = {p.underlay.address: p.pnode for p in plans}
        self.taps = {nic.name: p.pnode for p in plans for machine in p.machines for nic in machine.nics}
        self.macs = {nic.name: nic.mac for p in plans for machine in p.machines for nic in machine.nics}

    def ways(self, tap: str) -> list[Way]:
        return list(self._from(self.taps[tap], tap, self.macs[tap], ()))

    def _from(self, pnode: str, device: str, mac: str, met: tuple[Direction, ...]) -> Iterator[Way]:
        assert len(met) < 10, "a loop"
        plan = self.plans[pnode]
        for wire in plan.wires:
            if device == wire.a:
                yield from self._to(pnode, wire.b, mac, (*met, wire.forward))
            if device == wire.b:
                yield from self._to(pnode, wire.a, mac, (*met, wire.backward))
        for bridge in plan.bridges:
            if device in bridge.ports:
                for port in bridge.ports:
                    if port != device:
                        yield from self._to(pnode, port, mac, met)

    def _to(self, pnode: str, device: str, mac: str, met: tuple[Direction, ...]) -> Iterator[Way]:
        if device in self.taps:
            assert self.taps[device] == pnode
            yield Way(device, met)
        for patch in self.plans[pnode].patches:
            if device in (patch.name, patch.peer):
                yield from self._from(pnode, patch.peer if device == patch.name else patch.name, mac, met)
        for tunnel in self.plans[pnode].tunnels:
            if device == tunnel.name:
                for remote in tunnel.remotes:
                    (there,) = (t for t in self.plans[self.at[remote.address]].tunnels if t.vni == tunnel.vni)
                    ends = [way.end for way in self._from(self.at[remote.address], there.name, mac, ())]
                    assert sorted(remote.macs) == sorted(self.macs[end] for end in ends)
                    yield from self._from(self.at[remote.address], there.name, mac, met)


def asked(sender: Interface, receiver: Interface) -> tuple[float, int, float]:
    rates = [r for r in (sender.outward.bandwidth_kbps, receiver.inward.bandwidth_kbps) if r]
    loss = 1 - (1 - sender.outward.loss) * (1 - receiver.inward.loss)
    return sender.outward.delay_ms + receiver.inward.delay_ms, min(rates, default=0), loss


@given(placed_network())
@settings(max_examples=120)
def test_any_two_members_have_one_way_that_is_shaped_as_asked(placed: tuple[Topology, Assignment]) -> None:
    topology, where = placed
    given = example(topology, where)
    walker = Network(plan(topology, where, given))
    nodes = {node.name: node for node in topology.nodes}
    for lan in topology.lans:
        taps = {identity.tap(given.nodes[m.node].number, m.port): nodes[m.node].interfaces[m.port] for m in lan.members}
        for tap, sender in taps.items():
            ways = walker.ways(tap)
            assert sorted(way.end for way in ways) == sorted(set(taps) - {tap})
            for way in ways:
                delay, rate, loss = asked(sender, taps[way.end])
                kept = 1.0
                for direction in way.directions:
                    kept *= 1 - direction.loss
                rates = [direction.rate_kbps for direction in way.directions if direction.rate_kbps]
                assert isclose(sum(direction.delay_ms for direction in way.directions), delay)
                assert min(rates, default=0) == rate
                assert isclose(1 - kept, loss, abs_tol=1e-9)
                if len(lan.members) == 2:
                    assert sum(direction.shaped for direction in way.directions) <= 1


@given(placed_network())
@settings(max_examples=80)
def test_names_are_unique_and_short_and_each_device_is_joined_once(placed: tuple[Topology, Assignment]) -> None:
    topology, where = placed
    plans = plan(topology, where, example(topology, where))
    macs: list[str] = []
    for p in plans:
        taps = [nic.name for machine in p.machines for nic in machine.nics]
        ends = [end for patch in p.patches for end in (patch.name, patch.peer)]
        tunnels = [tunnel.name for tunnel in p.tunnels]
        control = [machine.control.name for machine in p.machines]
        bridges = [bridge.name for bridge in p.bridges]
        wires = [wire.name for wire in p.wires]
        names = taps + ends + tunnels + control + bridges + wires
        assert len(set(names)) == len(names)
        assert all(len(name) <= 15 for name in names)
        joined = [end for wire in p.wires for end in (wire.a, wire.b)]
        joined += [port for bridge in p.bridges for port in bridge.ports]
        assert Counter(joined) == Counter(taps + ends + tunnels)
        macs += [nic.mac for machine in p.machines for nic in machine.nics]
        macs += [machine.control.mac for machine in p.machines]
    assert len(set(macs)) == len(macs)
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs)


@given(placed_network())
@settings(max_examples=30)
def test_plans_are_the_same_bytes_and_come_back_as_they_went(placed: tuple[Topology, Assignment]) -> None:
    topology, where = placed
    plans = plan(topology, where, example(topology, where))
    assert [p.pnode for p in plans] == list(where.pnodes)
    for p, again in zip(plans, plan(topology, where, example(topology, where)), strict=True):
        assert encode(p) == encode(again)
        assert decode(encode(p)) == p


def put(topology: Topology, *parts: int) -> tuple[PnodePlan, ...]:
    where = assignment(topology, parts)
    return plan(topology, where, example(topology, where))


def shaped_pair(**kwargs: object) -> Topology:
    half = Shape(delay_ms=5, bandwidth_kbps=1000, loss=1 - 0.99**0.5)
    a = (half, half, Queue(limit=20))
    b = (replace(half, bandwidth_kbps=500), replace(half, bandwidth_kbps=2000), Queue(limit=30, in_bytes=True))
    return network(2, [(0, 1)], shapes={(0, 0): a, (0, 1): b})


def test_a_link_inside_a_pnode_is_one_wire() -> None:
    (p,) = put(shaped_pair(), 0, 0)
    assert p.wires == (
        Wire("l0", "n0p0", "n1p0", Direction(10, 1000, 0.01, 20), Direction(10, 500, 0.01, 30, True), "l0"),
    )
    assert (p.bridges, p.patches, p.tunnels) == ((), (), ())


def test_a_link_across_pnodes_is_shaped_by_the_lower_one() -> None:
    lower, upper = put(shaped_pair(), 0, 1)
    assert lower.wires == (
        Wire("l0", "n0p0", "x0", Direction(10, 1000, 0.01, 20), Direction(10, 500, 0.01, 30, True), "l0"),
    )
    assert upper.wires == (Wire("l0", "n1p0", "x0", lan="l0"),)
    assert lower.tunnels == (Tunnel("x0", 4096, (Remote("100.64.0.2", ("02:00:00:00:01:01",)),), "l0"),)
    assert upper.tunnels == (Tunnel("x0", 4096, (Remote("100.64.0.1", ("02:00:00:00:00:01",)),), "l0"),)


def test_the_lower_pnode_shapes_even_when_the_second_member_is_on_it() -> None:
    topology = network(3, [(2, 1)], shapes={(0, 0): (Shape(delay_ms=7), Shape(), Queue())})
    lower, upper = put(topology, 0, 0, 1)
    assert lower.wires == (Wire("l0", "n1p0", "x0", backward=Direction(delay_ms=7), lan="l0"),)
    assert not upper.wires[0].shaped


def test_bandwidth_is_not_enforced_where_the_file_says_so() -> None:
    pair = shaped_pair()
    free = replace(pair, lans=tuple(replace(lan, attributes={"noshaping": "1"}) for lan in pair.lans))
    (wire,) = put(free, 0, 0)[0].wires
    assert (wire.forward.delay_ms, wire.forward.rate_kbps) == (put(pair, 0, 0)[0].wires[0].forward.delay_ms, 0)
    assert put(pair, 0, 0)[0].wires[0].forward.rate_kbps > 0


def test_an_unshaped_lan_is_a_bridge_on_each_pnode() -> None:
    first, second = put(single_lan(4), 0, 1, 0, 1)
    assert first.bridges == (Bridge("b0", ("n0p0", "n2p0", "x0"), "l0"),)
    assert second.bridges == (Bridge("b0", ("n1p0", "n3p0", "x0"), "l0"),)
    assert first.tunnels[0].remotes == (Remote("100.64.0.2", ("02:00:00:00:01:01", "02:00:00:00:03:01")),)
    assert not first.wires
    assert not first.patches


def test_only_the_shaped_members_of_a_lan_have_wires() -> None:
    out, into = Shape(delay_ms=5, bandwidth_kbps=1000), Shape(loss=0.1, bandwidth_kbps=2000)
    (p,) = put(network(3, [(0, 1, 2)], shapes={(0, 1): (out, into, Queue(limit=7))}), 0, 0, 0)
    assert p.bridges == (Bridge("b0", ("n0p0", "v1p0", "n2p0"), "l0"),)
    assert p.patches == (Patch("w1p0", "v1p0", "l0"),)
    assert p.wires == (Wire("m1p0", "n1p0", "w1p0", Direction(5, 1000, 0, 7), Direction(0, 2000, 0.1, 7), "l0"),)


def test_one_member_alone_has_a_bridge() -> None:
    (p,) = put(network(1, [(0,)]), 0)
    assert p.bridges == (Bridge("b0", ("n0p0",), "l0"),)
    assert not p.tunnels


def test_red_queues_carry_their_parameters() -> None:
    queue = Queue(Discipline.RED, limit=60, threshold=3, max_threshold=9, weight=0.1, linterm=20, mean_packet_size=100)
    (p,) = put(network(2, [(0, 1)], shapes={(0, 0): (Shape(bandwidth_kbps=10), Shape(), queue)}), 0, 0)
    assert p.wires[0].forward == Direction(0, 10, 0, 60, False, Red(3, 9, 0.1, 20, 100))
    assert not p.wires[0].backward.shaped


@pytest.mark.parametrize(
    ("shape", "large"),
    [
        (Shape(), True),
        (Shape(delay_ms=10), True),
        (Shape(loss=0.1), False),
        (Shape(bandwidth_kbps=1000), False),
    ],
)
def test_a_frame_is_a_packet_where_frames_are_lost_or_queued(shape: Shape, large: bool) -> None:
    (p,) = put(network(3, [(0, 1), (1, 2)], shapes={(0, 1): (Shape(), shape, Queue())}), 0, 0, 0)
    assert [[nic.large_frames for nic in machine.nics] for machine in p.machines] == [[large], [large, True], [True]]


def test_a_machine_is_told_what_it_was_given() -> None:
    topology = chain(3)
    nodes = (replace(topology.nodes[0], start_command="./go"), *topology.nodes[1:])
    topology = replace(topology, nodes=nodes)
    where = assignment(topology, (0, 0, 0))
    account = Account("ada", ("ssh-ed25519 AAAA ada",))
    given = replace(example(topology, where, memory_mib=512, cpus=2), accounts=(account,), mac_prefix=0xABCD)
    (p,) = plan(topology, where, given)
    first, middle, _ = p.machines
    assert (first.memory_mib, first.cpus, first.start_command, first.host_key) == (512, 2, "./go", "n0")
    assert [(route.destination, route.via) for route in first.routes] == [("10.0.0.0/23", "10.0.0.2")]
    assert (first.forwarding, middle.forwarding) == (False, True)
    assert first.control.address == "172.16.0.2"
    assert (first.control.prefix, first.control.gateway) == (24, "172.16.0.1")
    assert first.control.mac == "02:ab:cd:00:00:00"
    assert [(nic.name, nic.lan, nic.port, nic.address, nic.prefix) for nic in middle.nics] == [
        ("n1p0", "l0", 0, "10.0.0.2", 24),
        ("n1p1", "l1", 1, "10.0.1.1", 24),
    ]
    assert p.accounts == (account,)


def test_what_stays_keeps_its_names_when_others_come_and_go() -> None:
    before = number(["a", "b", "c"])
    assert number(["c", "d", "a"], before) == {"c": 2, "d": 3, "a": 0}
    assert number([]) == {}


def test_mac_addresses_go_on_after_255_ports() -> None:
    assert identity.mac(0x0102, 0x0304, 0) == "02:01:02:03:04:01"
    assert identity.mac(0x0102, 0x0304, 254) == "02:01:02:03:04:ff"
    assert identity.mac(0x0102, 0x0304, 255) == "06:01:02:03:04:01"
    macs = {identity.mac(1, 1, port) for port in (None, *range(identity.MOST_PORTS))}
    assert len(macs) == identity.MOST_PORTS + 1
    assert all(int(mac[:2], 16) & 3 == 2 for mac in macs)


def test_numbers_that_fit_no_mac_address_are_refused() -> None:
    with pytest.raises(CapacityError, match="at most 65536 nodes"):
        identity.mac(0, 65536, 0)
    with pytest.raises(CapacityError, match="at most 16320 interfaces"):
        identity.mac(0, 0, 16320)


def test_allocations_that_fit_no_frame_are_refused() -> None:
    given = example(chain(3), assignment(chain(3), (0, 0, 0)))
    with pytest.raises(ValueError, match="MAC prefix 65536"):
        replace(given, mac_prefix=65536)
    with pytest.raises(ValueError, match="VNIs from 16777215 on"):
        replace(given, vni_base=2**24 - 1)


def test_an_empty_experiment_has_no_plans() -> None:
    topology = network(0, [])
    assert plan(topology, assignment(topology, ()), example(topology, assignment(topology, ()))) == ()


def test_the_example_network_holds_every_node() -> None:
    topology = star(300)
    where = assignment(topology, [0] * 300)
    given = example(topology, where)
    assert given.control.network == "172.16.0.0/23"
    assert len({node.control_address for node in given.nodes.values()}) == 300


def lines(nodes: tuple[Node, ...], lans: tuple[Lan, ...]) -> list[str]:
    topology = Topology(nodes, lans, Routing.NONE)
    places = {node.name: "pnode-0000" for node in nodes}
    where = Assignment(places, cut(topology, places))
    given: Allocations = example(topology, where, experiment="DeterTest/Star")
    (p,) = plan(topology, where, given)
    return p.hosts.splitlines()[4:]


def node(name: str, *ports: tuple[str, str]) -> Node:
    return Node(name, tuple(Interface(lan, address=address) for lan, address in ports))


def test_the_canonical_name_is_first_and_the_plain_name_is_on_the_lowest_lan() -> None:
    found = lines(
        (node("node-1", ("side", "10.0.1.1"), ("big-lan", "10.0.0.1")), node("node-2", ("big-lan", "10.0.0.2"))),
        (
            Lan("big-lan", (Member("node-1", 1), Member("node-2", 0))),
            Lan("side", (Member("node-1", 0),)),
        ),
    )
    assert found == [
        "10.0.1.1 node-1-side node-1-0",
        "10.0.0.1 node-1-big-lan node-1-1 node-1",
        "10.0.0.2 node-2-big-lan node-2-0 node-2",
        "172.16.0.2 node-1.star.detertest",
        "172.16.0.3 node-2.star.detertest",
    ]


def test_a_name_stands_on_one_line_only() -> None:
    found = lines(
        (
            node("a", ("b-c", "10.0.0.1")),
            node("a-b", ("c", "10.0.1.1")),  # a-b-c again
            node("a-0", ("c", "10.0.1.2")),  # the name of a's port 0
            node("A", ("c", "10.0.1.3")),  # the same name but for case
            node("lone"),
        ),
        (
            Lan("b-c", (Member("a", 0),)),
            Lan("c", (Member("a-b", 0), Member("a-0", 0), Member("A", 0))),
        ),
    )
    assert found == [
        "10.0.0.1 a-b-c a",
        "10.0.1.1 a-b-0 a-b",
        "10.0.1.2 a-0-c a-0-0 a-0",
        "10.0.1.3 A-c",
        "172.16.0.2 a.star.detertest",
        "172.16.0.3 a-b.star.detertest",
        "172.16.0.4 a-0.star.detertest",
        "172.16.0.6 lone.star.detertest lone",
    ]


def test_the_hosts_file_begins_with_localhost() -> None:
    (p,) = put(network(1, []), 0)
    assert p.hosts.startswith("127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n")
    assert p.hosts.endswith("172.16.0.2 n0.plan.example n0\n")
