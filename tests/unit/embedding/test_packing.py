"""No pnode holds more than the packing, there are as few as can be, and little crosses between them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import chain, grid, network, single_lan, star

from benito.embedding.model import Assignment, Cut, cut
from benito.embedding.packing import pack
from benito.errors import InputError
from benito.topology.model import Queue, Shape, Topology


@st.composite
def any_network(draw: st.DrawFn) -> Topology:
    count = draw(st.integers(0, 30))
    if not count:
        return network(0, [])
    members = st.lists(st.integers(0, count - 1), min_size=1, max_size=6, unique=True)
    lans = draw(st.lists(members, max_size=25))
    rate = st.sampled_from([0, 10, 1000, 10**7])
    shapes = {
        (i, 0): (Shape(bandwidth_kbps=draw(rate)), Shape(bandwidth_kbps=draw(rate)), Queue()) for i in range(len(lans))
    }
    kinds = {f"n{draw(st.integers(0, count - 1))}": "physical" for _ in range(draw(st.integers(0, 3)))}
    return network(count, lans, shapes=shapes, kinds=kinds)


@given(any_network(), st.integers(1, 12))
@settings(max_examples=80)
def test_every_part_fits_and_there_are_no_more_than_needed(topology: Topology, packing: int) -> None:
    found = pack(topology, packing)
    assert list(found.places) == [node.name for node in topology.nodes]
    virtual = [node.name for node in topology.nodes if node.kind != "physical"]
    held = Counter(found.places[name] for name in virtual)
    assert all(count <= packing for count in held.values())
    assert len(held) == -(-len(virtual) // packing)
    for node in topology.nodes:
        if node.kind == "physical":
            assert list(found.places.values()).count(found.places[node.name]) == 1
    assert found == pack(topology, packing)
    assert list(dict.fromkeys(found.places.values())) == [f"pnode-{i:04d}" for i in range(len(found.pnodes))]


@pytest.mark.parametrize("topology", [grid(10, 10), star(100), chain(100), single_lan(100), network(100, [])])
@pytest.mark.parametrize("packing", [7, 10, 99])
def test_shapes_are_packed_tightly(topology: Topology, packing: int) -> None:
    held = Counter(pack(topology, packing).places.values())
    assert max(held.values()) <= packing
    assert len(held) == -(-100 // packing)


def test_neighbours_stay_together() -> None:
    assert pack(chain(100), 10).cut.lans <= 14
    assert pack(grid(10, 10), 50).cut.lans <= 12
    two_clusters = network(8, [(0, 2, 4, 6), (1, 3, 5, 7), (0, 1)])
    found = pack(two_clusters, 4)
    assert found.nodes == {"pnode-0000": ("n0", "n2", "n4", "n6"), "pnode-0001": ("n1", "n3", "n5", "n7")}
    assert found.cut == Cut(lans=1, unlimited=1)


def test_fast_links_stay_inside() -> None:
    def link(kbps: int) -> tuple[Shape, Shape, Queue]:
        return Shape(bandwidth_kbps=kbps), Shape(bandwidth_kbps=kbps), Queue()

    ring = network(
        4,
        [(0, 1), (1, 2), (2, 3), (3, 0)],
        shapes={(i, side): link(10 if i % 2 else 10_000) for i in range(4) for side in (0, 1)},
    )
    found = pack(ring, 2)
    assert found.nodes == {"pnode-0000": ("n0", "n1"), "pnode-0001": ("n2", "n3")}
    assert found.cut == Cut(lans=2, bandwidth_kbps=20)


def test_one_pnode_holds_what_it_can() -> None:
    assert pack(network(0, []), 5) == Assignment({})
    assert pack(network(1, []), 1).places == {"n0": "pnode-0000"}
    assert pack(star(5), 5).pnodes == ("pnode-0000",)
    assert pack(star(5), 1000).cut == Cut()


def test_a_packing_of_one_gives_each_node_a_pnode() -> None:
    assert pack(chain(3), 1).places == {"n0": "pnode-0000", "n1": "pnode-0001", "n2": "pnode-0002"}


@pytest.mark.parametrize("packing", [0, -3])
def test_a_packing_below_one_is_refused(packing: int) -> None:
    with pytest.raises(InputError) as raised:
        pack(star(3), packing)
    assert raised.value.message == f"the packing must be at least 1, not {packing}"


def test_the_cut_counts_what_is_away_from_most_of_its_lan() -> None:
    fast = (Shape(bandwidth_kbps=100), Shape(bandwidth_kbps=300), Queue())
    topology = network(4, [(0, 1, 2, 3), (2, 3)], shapes={(0, 2): fast, (1, 0): fast})
    places = {"n0": "a", "n1": "a", "n2": "b", "n3": "c"}
    assert cut(topology, places) == Cut(lans=2, bandwidth_kbps=600, unlimited=1)
    assert cut(topology, dict.fromkeys(places, "a")) == Cut()


def test_pnodes_are_in_the_order_of_their_numbers() -> None:
    places = {"a": "pnode-10000", "b": "pnode-9999"}
    assert Assignment(places).pnodes == ("pnode-9999", "pnode-10000")
    assert replace(Assignment(places), cut=Cut(1)).nodes == {"pnode-9999": ("b",), "pnode-10000": ("a",)}
