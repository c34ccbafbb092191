"""Addresses that a file leaves open, by both rules."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ns_files import topology

from benito.errors import InputError
from benito.topology.addressing import assign
from benito.topology.model import Interface, Lan, Member, Node, Topology


def make(
    sizes: list[int], fixed: dict[tuple[int, int], str] | None = None, masks: dict[int, str] | None = None
) -> Topology:
    """Make LANs of these sizes; member j of LAN i is node `i-j` with the address `fixed[i, j]`, if there is one."""
    fixed = fixed or {}
    nodes = tuple(
        Node(f"{i}-{j}", (Interface(f"lan{i}", address=fixed.get((i, j))),))
        for i, size in enumerate(sizes)
        for j in range(size)
    )
    lans = tuple(
        Lan(f"lan{i}", tuple(Member(f"{i}-{j}", 0) for j in range(size)), netmask=(masks or {}).get(i))
        for i, size in enumerate(sizes)
    )
    return Topology(nodes, lans)


def addresses(read: Topology, lan: str) -> list[str | None]:
    return [each.address for node in read.nodes for each in node.interfaces if each.lan == lan]


def networks(read: Topology) -> list[IPv4Network]:
    first = {lan.name: addresses(read, lan.name)[0] for lan in read.lans}
    return [IPv4Network(f"{first[lan.name]}/{lan.netmask}", strict=False) for lan in read.lans]


def test_benito_numbers_lans_in_the_order_of_the_file() -> None:
    read = assign(make([2, 3]))

    assert addresses(read, "lan0") == ["10.0.0.1", "10.0.0.2"]
    assert addresses(read, "lan1") == ["10.0.1.1", "10.0.1.2", "10.0.1.3"]
    assert [lan.netmask for lan in read.lans] == ["255.255.255.0"] * 2


def test_emulab_begins_at_1_and_2() -> None:
    read = assign(make([2, 3]), "emulab")

    assert addresses(read, "lan0") == ["10.1.1.2", "10.1.1.3"]
    assert addresses(read, "lan1") == ["10.1.2.2", "10.1.2.3", "10.1.2.4"]


def test_emulab_numbers_in_its_own_order() -> None:
    read = assign(replace(make([1, 1, 1]), numbering=("lan2", "gone", "lan0", "lan1")), "emulab")

    assert [addresses(read, f"lan{i}") for i in range(3)] == [["10.1.3.2"], ["10.1.4.2"], ["10.1.1.2"]]


def test_benito_goes_on_past_256_lans() -> None:
    read = assign(make([1] * 600))

    assert addresses(read, "lan255") == ["10.0.255.1"]
    assert addresses(read, "lan256") == ["10.1.0.1"]
    assert addresses(read, "lan599") == ["10.2.87.1"]


def test_emulab_goes_on_past_254_lans() -> None:
    read = assign(make([1] * 300), "emulab")

    assert addresses(read, "lan253") == ["10.1.254.2"]
    assert addresses(read, "lan254") == ["10.2.1.2"]


@pytest.mark.parametrize(("members", "mask"), [(254, "255.255.255.0"), (255, "255.255.254.0"), (5000, "255.255.224.0")])
def test_benito_widens_a_large_lan(members: int, mask: str) -> None:
    read = assign(make([1, members, 1]))

    assert read.lans[1].netmask == mask
    assert not any(a.overlaps(b) for a, b in pairwise(networks(read)))


def test_emulab_has_no_room_in_a_large_lan() -> None:
    with pytest.raises(InputError, match="no room for the 254 members"):
        assign(make([254]), "emulab")


@pytest.mark.parametrize("rule", ["benito", "emulab"])
def test_addresses_of_the_file_stay_and_the_rest_is_filled(rule: str) -> None:
    read = assign(make([4], {(0, 1): "10.9.9.2", (0, 3): "10.9.9.1"}), "emulab" if rule == "emulab" else "benito")

    found = addresses(read, "lan0")
    assert found[1] == "10.9.9.2"
    assert found[3] == "10.9.9.1"
    assert found[0] == "10.9.9.3"
    assert found[2] == "10.9.9.4"


def test_benito_skips_subnets_of_the_file() -> None:
    read = assign(make([1, 1, 1], {(2, 0): "10.0.0.77"}))

    assert [addresses(read, f"lan{i}") for i in range(3)] == [["10.0.1.1"], ["10.0.2.1"], ["10.0.0.77"]]


def test_emulab_skips_what_it_knows_by_then() -> None:
    before = assign(replace(make([1, 1], {(0, 0): "10.1.1.9"}), numbering=("lan0", "lan1")), "emulab")
    after = assign(replace(make([1, 1], {(0, 0): "10.1.1.9"}), numbering=("lan1", "lan0")), "emulab")

    assert addresses(before, "lan1") == ["10.1.2.2"]
    assert addresses(after, "lan1") == ["10.1.1.2"]


@pytest.mark.parametrize(
    ("mask", "first"),
    [
        ("255.255.255.0", "10.1.1.2"),
        ("255.255.254.0", "10.1.2.2"),
        ("255.255.0.0", "10.1.0.2"),
        ("255.255.255.128", "10.1.1.130"),
    ],
)
def test_emulab_with_a_netmask(mask: str, first: str) -> None:
    assert addresses(assign(make([1], masks={0: mask}), "emulab"), "lan0") == [first]


def test_the_same_address_on_two_lans_is_a_warning() -> None:
    read = assign(make([1, 1], {(0, 0): "10.7.0.1", (1, 0): "10.7.0.1"}))

    assert "used on `lan0` and on `lan1`" in str(read.warnings[0])


def test_there_is_an_end_to_ten() -> None:
    with pytest.raises(InputError, match="no room left"):
        assign(make([1] * 300, masks=dict.fromkeys(range(300), "255.255.0.0")))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_no_two_lans_overlap_and_every_address_is_usable(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 600), min_size=1, max_size=6))
    chosen = data.draw(st.sets(st.integers(0, len(sizes) - 1)))
    fixed = {(i, 0): f"10.{data.draw(st.integers(0, 2))}.{i}.1" for i in chosen if sizes[i] < 200}

    read = assign(make(sizes, fixed))

    nets = networks(read)
    for index, net in enumerate(nets):
        found = [IPv4Address(each or "") for each in addresses(read, f"lan{index}")]
        assert len(set(found)) == sizes[index]
        assert all(each in net and each not in (net[0], net[-1]) for each in found)
    ordered = sorted(nets)
    assert not any(a.overlaps(b) for a, b in pairwise(ordered))
    assert all(addresses(read, f"lan{i}")[0] == address for (i, _), address in fixed.items())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=40))
def test_both_rules_are_pure_and_complete(sizes: list[int]) -> None:
    for rule in ("benito", "emulab"):
        given_topology = make(sizes)
        first = assign(given_topology, "emulab" if rule == "emulab" else "benito")
        assert first == assign(given_topology, "emulab" if rule == "emulab" else "benito")
        assert all(each.address for node in first.nodes for each in node.interfaces)
        assert all(lan.netmask for lan in first.lans)


def test_errors_name_the_statement_that_gave_the_address() -> None:
    read = topology("""
set a [$ns node]
set b [$ns node]
set lan [$ns make-lan "$a $b" 1Mb 0]
tb-set-ip-lan $a $lan 10.5.0.1
tb-set-ip-lan $b $lan 10.5.0.1
""")

    with pytest.raises(InputError) as raised:
        assign(read)

    assert [fault.where.line for fault in raised.value.faults if fault.where] == [8]


def test_emulab_takes_addresses_of_several_subnets_with_a_warning() -> None:
    read = assign(make([3], {(0, 0): "10.5.0.1", (0, 2): "10.6.0.1"}), "emulab")

    assert addresses(read, "lan0") == ["10.5.0.1", "10.6.0.2", "10.6.0.1"]
    assert "10.5.0.1 is outside of 10.6.0.0/24" in str(read.warnings[0])
