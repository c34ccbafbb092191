"""Pictures show every node, link and pnode once, keep text as text, and stay the same."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import chain, grid, network, single_lan, star, tree

from benito import drawing
from benito.drawing.layout import Layout, lay_out
from benito.drawing.scene import LAN, scene
from benito.embedding.embed import embed
from benito.embedding.options import EmbeddingOptions
from benito.topology.model import Queue, Shape, Topology

SVG = "{http://www.w3.org/2000/svg}"
NASTY = '<script>alert("1")</script>&amp;\x00\x1b\ud800`|];{}\\'


def picture(topology: Topology, packing: int = 10, **rest: object) -> ElementTree.Element:
    made, places = embed(topology, EmbeddingOptions(packing=packing))
    return ElementTree.fromstring(drawing.svg(made, places, **rest))  # type: ignore[arg-type]


def groups(root: ElementTree.Element, word: str) -> list[ElementTree.Element]:
    """The groups of a class, in the picture proper."""
    below = [each for each in root if each.get("class") != "legend"]
    every = (group for each in below for group in each.iter(f"{SVG}g"))
    return [group for group in every if word in (group.get("class") or "").split()]


def names(root: ElementTree.Element, word: str) -> list[str]:
    return [each.get("data-name") or "" for each in groups(root, word) if each.get("data-name") is not None]


def texts(root: ElementTree.Element, word: str | None = None) -> list[str]:
    return [each.text or "" for each in root.iter(f"{SVG}text") if word is None or each.get("class") == word]


def shaped(topology: Topology, **shape: float) -> Topology:
    half = Shape(**shape)  # type: ignore[arg-type]
    nodes = (
        replace(node, interfaces=tuple(replace(each, outward=half, inward=half) for each in node.interfaces))
        for node in topology.nodes
    )
    return replace(topology, nodes=tuple(nodes))


def laid_out(topology: Topology, packing: int) -> Layout:
    made, places = embed(topology, EmbeddingOptions(packing=packing))
    return lay_out(scene(made, places, None))


@pytest.mark.parametrize("topology", [star(10), grid(10, 10), single_lan(100), chain(40), tree(270), network(7, [])])
@pytest.mark.parametrize("packing", [7, 400])
def test_every_node_link_and_pnode_is_there_once(topology: Topology, packing: int) -> None:
    _, places = embed(topology, EmbeddingOptions(packing=packing))
    root = picture(topology, packing)
    assert names(root, "node") == [node.name for node in topology.nodes]
    assert names(root, "link") == [lan.name for lan in topology.lans if len(lan.members) == 2]
    assert names(root, "lan") == [lan.name for lan in topology.lans if len(lan.members) != 2]
    spokes = Counter(each.get("data-lan") for each in groups(root, "spoke"))
    assert spokes == {lan.name: len(lan.members) for lan in topology.lans if len(lan.members) != 2}
    assert tuple(each.get("id") for each in groups(root, "pnode")) == places.pnodes
    assert texts(root, "name") == list(places.pnodes)


@pytest.mark.parametrize(
    ("topology", "packing"), [(star(60), 10), (grid(8, 8), 9), (tree(400), 10), (single_lan(50), 50), (chain(60), 7)]
)
def test_nothing_stands_on_anything_else(topology: Topology, packing: int) -> None:
    made, places = embed(topology, EmbeddingOptions(packing=packing))
    found = laid_out(topology, packing)
    boxes = list(found.groups.items())
    for number, (_, a) in enumerate(boxes):
        for _, b in boxes[:number]:
            assert a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
    rects = list(zip(found.centres, found.sizes, strict=True))
    for number, ((x, y), (width, height)) in enumerate(rects):
        for (ox, oy), (ow, oh) in rects[:number]:
            assert abs(x - ox) >= (width + ow) / 2 - 0.1 or abs(y - oy) >= (height + oh) / 2 - 0.1
    for node, (x, y) in zip(made.nodes, found.centres, strict=False):
        box = found.groups[places.places[node.name]]
        assert box.x <= x <= box.x + box.width
        assert box.y <= y <= box.y + box.height


def test_the_same_experiment_gives_the_same_picture() -> None:
    for topology in (grid(6, 6), tree(300)):
        made, places = embed(topology)
        for write in (drawing.svg, drawing.dot, drawing.mermaid):
            assert write(made, places) == write(made, places)


def test_links_say_what_they_do() -> None:
    slow, fast = Shape(5.0, 2000, 0.0), Shape(0.0, 0, 0.0)
    shapes = {(0, 0): (slow, slow, Queue()), (0, 1): (slow, slow, Queue()), (1, 0): (slow, fast, Queue())}
    root = picture(network(3, [(0, 1), (1, 2), (0, 2)], shapes=shapes))
    assert texts(root, "label") == ["2Mb 10ms", "→ 2Mb 5ms  ← unshaped"]


def test_what_most_links_do_is_said_once() -> None:
    root = picture(shaped(star(30), delay_ms=5.0, bandwidth_kbps=100_000))
    assert texts(root, "label") == []
    assert "link, 100Mb 10ms" in texts(root)
    every = [each.findtext(f"{SVG}title") or "" for each in groups(root, "link")]
    assert every[0] == "link l0: n0 - n1\n100Mb 10ms\nn0: 10.0.0.1\nn1: 10.0.0.2"
    assert len(every) == 29


def test_one_that_differs_from_the_usual_is_labelled() -> None:
    topology = shaped(star(20), delay_ms=5.0)
    last = replace(topology.nodes[-1], interfaces=(replace(topology.nodes[-1].interfaces[0], outward=Shape()),))
    first = topology.nodes[0]
    ports = (*first.interfaces[:-2], replace(first.interfaces[-2], outward=Shape(), inward=Shape()))
    first = replace(first, interfaces=(*ports, first.interfaces[-1]))
    before = replace(
        topology.nodes[-2],
        interfaces=tuple(replace(p, outward=Shape(), inward=Shape()) for p in topology.nodes[-2].interfaces),
    )
    root = picture(replace(topology, nodes=(first, *topology.nodes[1:-2], before, last)))
    assert texts(root, "label") == ["unshaped", "→ 10ms  ← 5ms"]
    assert "link, 10ms where nothing else is said" in texts(root)


def test_a_lan_says_what_it_does_between_two_members() -> None:
    root = picture(shaped(single_lan(5), delay_ms=5.0, bandwidth_kbps=10_000, loss=0.1))
    assert "l0 10Mb 10ms 19% loss" in texts(root)


def test_a_member_that_differs_is_told_on_its_line() -> None:
    shapes = {(0, 1): (Shape(3.0), Shape(), Queue())}
    root = picture(network(3, [(0, 1, 2)], shapes=shapes))
    assert texts(root, "label") == ["out 3ms, in unshaped"]


def test_tooltips_tell_what_the_picture_has_no_room_for() -> None:
    topology = star(2)
    first = replace(topology.nodes[0], os="FC6-STD", hardware="pc3000", start_command="echo <hello> & date")
    root = picture(replace(topology, nodes=(first, topology.nodes[1])))
    assert groups(root, "node")[0].findtext(f"{SVG}title") == (
        "n0 (qemu on pnode-0000)\nOS: FC6-STD\nhardware: pc3000\nl0: 10.0.0.1\nstart command: echo <hello> & date"
    )


def test_kinds_have_shapes_and_a_legend() -> None:
    root = picture(network(3, [(0, 1, 2)], kinds={"n1": "container", "n2": "physical"}))
    assert [each.get("class") for each in groups(root, "node")] == ["node qemu", "node container", "node physical"]
    assert "virtual machine (1)" in texts(root)
    assert "container (1)" in texts(root)
    assert "physical node (1)" in texts(root)
    assert "LAN (1)" in texts(root)


def test_states_are_shown() -> None:
    states = {"n0": ("booted", 0), "n1": ("booted", 3), "n2": ("running", None), "n3": ("dead", 1)}
    root = picture(star(5), statuses=states)
    dots = [each.get("class") for node in groups(root, "node") for each in node.iter(f"{SVG}circle")]
    assert dots == ["state good", "state bad", "state busy", "state bad", "state unknown"]
    assert "failed (2)" in texts(root)
    assert "booted, start command ended with 3" in (groups(root, "node")[1].findtext(f"{SVG}title") or "")


def test_without_places_there_are_no_pnodes() -> None:
    root = ElementTree.fromstring(drawing.svg(star(5), title="star.ns"))
    assert groups(root, "pnode") == []
    assert texts(root, "title") == ["star.ns"]


def test_a_large_picture_has_no_names_of_nodes() -> None:
    root = picture(tree(300), 10)
    assert not any(node.find(f"{SVG}text") is not None for node in groups(root, "node"))
    assert len(texts(root, "name")) == 30


def test_an_empty_experiment_is_a_picture() -> None:
    assert "nothing" in texts(picture(network(0, [])))


def nasty() -> Topology:
    topology = network([NASTY, "n1", "n2"], [(0, 1), (0, 1, 2)])
    first = replace(topology.nodes[0], os=NASTY, start_command=NASTY, hardware=NASTY)
    return replace(topology, nodes=(first, *topology.nodes[1:]))


def test_text_stays_text() -> None:
    made, places = embed(nasty())
    text = drawing.svg(made, places, title=NASTY)
    text.encode()
    root = ElementTree.fromstring(text)
    assert not list(root.iter(f"{SVG}script"))
    assert "<script" not in text
    assert names(root, "node")[0].startswith('<script>alert("1")</script>&amp;')


def test_dot_and_mermaid_keep_text_as_text() -> None:
    made, places = embed(nasty())
    dot, mermaid = drawing.dot(made, places, title=NASTY), drawing.mermaid(made, places, title=NASTY)
    for text in (dot, mermaid):
        text.encode()
        assert "<script" not in text
    unquoted = re.sub(r'"(?:[^"\\]|\\.)*"', '""', dot)
    assert "alert" not in unquoted
    assert all(line.count('"') % 2 == 0 for line in mermaid.splitlines())


def test_dot_has_everything_once() -> None:
    made, places = embed(network(4, [(0, 1), (1, 2, 3)]), EmbeddingOptions(packing=2))
    text = drawing.dot(made, places)
    assert re.findall(r"^ +(v\d+) \[", text, re.M) == ["v0", "v1", "v2", "v3", "v4"]
    assert re.findall(r"v\d+ -- v\d+", text) == ["v0 -- v1", "v1 -- v4", "v2 -- v4", "v3 -- v4"]
    assert text.count("subgraph cluster_") == 2


def test_mermaid_has_everything_once() -> None:
    made, places = embed(network(4, [(0, 1), (1, 2, 3)], kinds={"n3": "physical"}), EmbeddingOptions(packing=3))
    assert drawing.mermaid(made, places, {"n0": ("booted", 0)}, title="t").splitlines() == [
        "%% t: 4 nodes, 1 link, 1 LAN on 2 pnodes",
        "flowchart LR",
        '  subgraph g0["pnode-0000"]',
        '    v0("n0"):::qemu',
        "  class v0 good",
        '    v1("n1"):::qemu',
        "  class v1 unknown",
        '    v2("n2"):::qemu',
        "  class v2 unknown",
        "  end",
        '  subgraph g1["pnode-0001"]',
        '    v3[["n3"]]:::physical',
        "  class v3 unknown",
        "  end",
        '  v4{{"l1"}}:::lan',
        "  v0 --- v1",
        "  v1 --- v4",
        "  v2 --- v4",
        "  v3 --- v4",
        "  classDef qemu fill:#d6e8fb,stroke:#2b6cb0,color:#1f2933",
        "  classDef physical fill:#fde8c8,stroke:#b7600b,color:#1f2933",
        "  classDef lan fill:#ffffff,stroke:#7b8794,color:#1f2933",
        "  classDef good stroke:#2f9e44,stroke-width:3px",
        "  classDef unknown stroke:#9aa5b1,stroke-width:3px",
    ]


@st.composite
def any_network(draw: st.DrawFn) -> Topology:
    count = draw(st.integers(1, 12))
    members = st.lists(st.integers(0, count - 1), min_size=1, max_size=5)
    lans = draw(st.lists(members, max_size=10))
    named = draw(st.lists(st.text(max_size=30), min_size=count, max_size=count, unique=True))
    return network(named, lans)


@given(any_network(), st.integers(1, 6))
@settings(max_examples=25)
def test_whatever_is_asked_for_can_be_drawn(topology: Topology, packing: int) -> None:
    made, places = embed(topology, EmbeddingOptions(packing=packing))
    root = ElementTree.fromstring(drawing.svg(made, places))
    assert len(groups(root, "node")) == len(topology.nodes)
    drawn = scene(made, places, None)
    assert len(groups(root, "link")) + len(groups(root, "spoke")) == len(drawn.edges)
    assert sum(vertex.kind == LAN for vertex in drawn.vertices) == len(groups(root, "lan"))
    drawing.dot(made, places).encode()
    drawing.mermaid(made, places).encode()


def test_a_large_lan_has_its_name_where_nodes_have_none() -> None:
    count = 300
    topology = network(count, [tuple(range(200)), tuple(range(200, 210))])
    picture = drawing.svg(*embed(topology, EmbeddingOptions(packing=100)))
    assert ">l0<" in picture
    assert ">l1<" not in picture
