"""Changes are told in words."""

from __future__ import annotations

from dataclasses import replace

from networks import chain, network

from benito.embedding.model import assignment
from benito.plan.allocations import example
from benito.plan.build import plan
from benito.plan.difference import differences
from benito.plan.model import Account, PnodePlan
from benito.topology.model import Queue, Routing, Shape, Topology


def plans(topology: Topology, *parts: int, memory_mib: int = 256) -> tuple[PnodePlan, ...]:
    topology = replace(topology, routing=Routing.NONE)
    where = assignment(topology, parts)
    return plan(topology, where, example(topology, where, memory_mib=memory_mib))


def words(before: tuple[PnodePlan, ...], after: tuple[PnodePlan, ...]) -> list[str]:
    return [str(change) for change in differences(before, after)]


def test_nothing_changes_when_all_stays() -> None:
    assert words(plans(chain(3), 0, 0, 1), plans(chain(3), 0, 0, 1)) == []
    assert words((), ()) == []


def test_everything_is_new_at_first() -> None:
    assert words((), plans(chain(2), 0, 0)) == [
        "add pnode pnode-0000",
        "add machine n0",
        "add machine n1",
        "add LAN l0",
    ]


def test_a_node_more_is_told_with_its_link() -> None:
    assert words(plans(chain(2), 0, 0), plans(chain(3), 0, 0, 0)) == [
        "change machine n1: interface 1 none -> l1 10.0.1.1/24 02:00:00:00:01:02 large frames",
        "add machine n2",
        "add LAN l1",
        "change hosts file: 3 lines more, 0 lines less",
    ]


def test_a_change_says_what_it_was_and_what_it_becomes() -> None:
    shaped = network(2, [(0, 1)], shapes={(0, 0): (Shape(5, 1000, 0.01), Shape(), Queue())})
    slower = network(2, [(0, 1)], shapes={(0, 0): (Shape(5, 500, 0.01), Shape(), Queue())})
    assert words(plans(shaped, 0, 0), plans(slower, 0, 0)) == [
        "change LAN l0: pnode-0000 n0p0 to n1p0 5 ms 1000 kb/s 0.01 loss queue 50 -> 5 ms 500 kb/s 0.01 loss queue 50"
    ]
    assert words(plans(shaped, 0, 0), plans(shaped, 0, 0, memory_mib=512)) == [
        "change machine n0: memory_mib 256 -> 512",
        "change machine n1: memory_mib 256 -> 512",
    ]


def test_a_node_that_moves_and_one_that_goes() -> None:
    found = words(plans(network(3, []), 0, 0, 1), plans(network(2, []), 0, 1))
    assert found == [
        "remove machine n2",
        "change machine n1: pnode pnode-0000 -> pnode-0001",
        "change hosts file: 0 lines more, 1 lines less",
    ]


def test_routes_and_accounts_are_compared() -> None:
    before = plans(chain(3), 0, 0, 0)
    where = assignment(chain(3), (0, 0, 0))
    routed = plan(chain(3), where, example(chain(3), where))
    assert words(before, routed)[0].startswith("change machine n0: routes none -> 1 (")
    people = tuple(replace(p, accounts=(Account("ada", ()),)) for p in before)
    assert words(before, people) == ["change accounts: none -> ada"]


def test_what_all_nodes_find_inside_is_told() -> None:
    before = chain(2)
    after = replace(before, environment={"X": "1"}, attributes={"sync_server": "n1"})
    assert words(plans(before, 0, 0), plans(after, 0, 0)) == [
        "change all nodes: environment of start commands, sync server n0 -> n1",
    ]
