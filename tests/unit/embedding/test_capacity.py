"""What fits is placed, and what doesn't is told with the sums."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benito.embedding.capacity import Demand, Host, Need, Policy, check, need, room
from benito.errors import CapacityError

LAPTOP = Host("laptop", memory_mib=16 * 1024, cores=8, disk_mib=100 * 1024)


def demand(name: str, nodes: int, memory: int = 256, cpus: int = 1) -> Demand:
    return Demand(name, ((memory, cpus),) * nodes)


def test_what_fits_has_a_host() -> None:
    assert check([demand("pnode-0000", 10), demand("pnode-0001", 10)], [LAPTOP]) == {
        "pnode-0000": "laptop",
        "pnode-0001": "laptop",
    }
    assert check([], []) == {}


def test_the_sums_are_told() -> None:
    with pytest.raises(CapacityError) as raised:
        check([demand(f"pnode-{i}", 50) for i in range(6)], [LAPTOP])
    assert raised.value.message == (
        "300 nodes need 300 × (256 + 64) MiB = 93.8 GiB of memory; this host can give 24.0 GiB (16.0 GiB × 1.5)"
    )
    assert raised.value.hint == "what would help: fewer nodes, more hosts"


def test_lighter_nodes_are_proposed_where_they_would_fit() -> None:
    with pytest.raises(CapacityError) as raised:
        check([demand("pnode-0000", 100)], [LAPTOP])
    assert "lighter nodes (`--memory 181` would fit)" in raised.value.hint
    check([demand("pnode-0000", 100, memory=181)], [LAPTOP])


def test_everything_that_is_short_is_told_with_what_others_have() -> None:
    busy = Host("a", 1024, 1, 100, reserved=Need(memory_mib=512, vcpus=60))
    with pytest.raises(CapacityError) as raised:
        check([Demand("pnode-0000", ((2048, 4), (512, 1)))], [busy, Host("b", 1024, 0, 0)])
    assert raised.value.message == (
        "2 nodes need 1 × (512 + 64) + 1 × (2048 + 64) MiB = 2.6 GiB of memory and 5 CPUs and 2 × 256 MiB = 512 MiB "
        "of disk; the 2 hosts together can give 2.5 GiB (2.0 GiB × 1.5, 512 MiB taken) and 4 CPUs (1 core × 64, "
        "60 CPUs taken) and 100 MiB (100 MiB free)"
    )
    assert "fewer CPUs a node (`--cpus`), free disk space" in raised.value.hint


def test_a_pnode_that_fits_nowhere_is_named() -> None:
    hosts = [Host(name, 1024, 4, 10_000) for name in ("a", "b")]
    with pytest.raises(CapacityError) as raised:
        check([demand("pnode-0000", 7)], hosts)
    assert raised.value.message == (
        "pnode-0000 with 7 nodes needs 2.2 GiB of memory, 7 CPUs and 1.8 GiB of disk; "
        "the roomiest host left, a, can give 1.5 GiB, 256 CPUs and 9.8 GiB"
    )
    assert "--packing" in raised.value.hint


def test_without_hosts_nothing_fits() -> None:
    with pytest.raises(CapacityError, match=r"1 node needs .*; the 0 hosts together can give 0 MiB"):
        check([demand("pnode-0000", 1)], [])


@given(
    st.lists(st.integers(1, 20), max_size=12),
    st.lists(st.tuples(st.integers(500, 20_000), st.integers(1, 4), st.integers(500, 50_000)), min_size=1, max_size=4),
)
def test_no_host_is_given_more_than_it_can_promise(sizes: list[int], facts: list[tuple[int, int, int]]) -> None:
    demands = [demand(f"pnode-{i:04d}", size) for i, size in enumerate(sizes)]
    hosts = [Host(f"h{i}", *fact) for i, fact in enumerate(facts)]
    try:
        places = check(demands, hosts)
    except CapacityError:
        return
    assert list(places) == [one.pnode for one in demands]
    for host in hosts:
        held = [one for one in demands if places[one.pnode] == host.name]
        assert need(held).fits(room(host))
    assert places == check(demands, hosts)


def test_a_policy_says_how_far_resources_are_promised() -> None:
    strict = Policy(memory_overcommit=1, machine_overhead_mib=0, vcpus_per_core=1, disk_per_node_mib=0)
    host = Host("a", 1024, 4, 0)
    assert check([demand("pnode-0000", 4)], [host], strict) == {"pnode-0000": "a"}
    with pytest.raises(CapacityError, match="5 CPUs"):
        check([demand("pnode-0000", 5, memory=100)], [host], strict)


def test_nodes_without_a_kernel_of_their_own_take_little() -> None:
    policy = Policy()
    assert need([Demand("pnode-0000", ((256, 1),), light=200)], policy) == Need(
        256 + policy.machine_overhead_mib + 200 * policy.light_memory_mib,
        1,
        policy.disk_per_node_mib + 200 * policy.light_disk_mib,
    )


def test_too_many_of_them_are_refused_with_the_sums() -> None:
    with pytest.raises(CapacityError, match=r"300 nodes need 300 × 16 MiB = 4\.7 GiB of memory"):
        check([Demand("pnode-0000", (), light=300)], [Host("a", 1024, 4, 1 << 20)], Policy())


def test_software_needs_disk_on_every_node_that_unpacks_it() -> None:
    light = Demand("pnode-0000", (), light=4, unpacked_mib=300)
    assert need([light]).disk_mib == 4 * 32 + 300
    with pytest.raises(CapacityError) as raised:
        check([light], [Host("small", 1024, 1, 200)])
    assert raised.value.message == (
        "4 nodes need 4 × 32 + 300 (software) MiB = 428 MiB of disk; this host can give 200 MiB (200 MiB free)"
    )
