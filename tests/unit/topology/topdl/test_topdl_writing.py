"""What is read from TopDL is written as it was; what is not, in DETER's words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from documents import attribute, computer, documents, elements, interface, substrate, topology
from hypothesis import given, settings

from benito.errors import InputError
from benito.topology import topdl
from benito.topology.element import Element
from benito.topology.model import Interface, Lan, LanKind, Member, Node, Routing, Shape, Software, Topology
from benito.topology.show import describe
from benito.topology.topdl.document import serialise

CORPUS = Path(__file__).parents[5] / "shared" / "corpus" / "topdl"
SAMPLES = Path(__file__).parents[5] / "shared" / "reference" / "topdl-samples"


def meaning(read: Topology) -> dict[str, object]:
    return {key: value for key, value in describe(read).items() if key != "warnings"}


@settings(max_examples=80, deadline=None)
@given(documents())
def test_reading_and_writing_lose_nothing(document: Element) -> None:
    text = serialise(document)

    read = topdl.read_source(text, "t.xml")
    written = topdl.write(read)

    assert elements(written) == elements(text)
    again = topdl.read_source(written, "t.xml")
    assert meaning(again) == meaning(read)
    assert topdl.write(again) == written


@settings(max_examples=50, deadline=None)
@given(documents())
def test_what_lost_its_source_is_written_with_the_same_meaning(document: Element) -> None:
    read = topdl.read_source(serialise(document), "t.xml")
    bare = replace(
        read,
        nodes=tuple(
            replace(node, source=None, interfaces=tuple(replace(each, source=None) for each in node.interfaces))
            for node in read.nodes
        ),
        lans=tuple(replace(lan, source=None) for lan in read.lans),
        source=None,
    )

    again = topdl.read_source(topdl.write(bare), "t.xml")

    assert meaning(again) == meaning(read)


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus does not lie beside the project")
def test_real_files_are_written_as_they_were() -> None:
    paths = [*CORPUS.glob("*.xml"), *SAMPLES.glob("*.xml")]
    assert len(paths) > 10
    for path in paths:
        data = path.read_bytes()
        assert elements(topdl.write(topdl.read_source(data, path.name))) == elements(data), path


def made() -> Topology:
    """Return a topology as the NS reader makes them."""
    slow = Shape(5.0, 1000, 0.1)
    a = Node(
        "a",
        (Interface("lan0", address="10.0.0.1", outward=slow, inward=slow), Interface("link0")),
        os="UBUNTU22-64-STD",
        hardware="pc",
        start_command="echo <a> & b",
        failure_action="fatal",
        partition=2,
        startup="old",
        software=(Software("/x.tgz", "/opt"), Software("y.rpm")),
    )
    b = Node("b", (Interface("link0", outward=Shape(1.0), inward=Shape(2.0, 64)), Interface("lan0")), kind="physical")
    lans = (
        Lan("lan0", (Member("b", 1), Member("a", 0)), netmask="255.255.0.0"),
        Lan("link0", (Member("a", 1), Member("b", 0)), LanKind.LINK),
    )
    return Topology((a, b), lans, Routing.NONE, numbering=("link0", "lan0"))


def test_a_topology_from_elsewhere_gets_the_elements_that_deter_wrote() -> None:
    text = topdl.write(made())

    for expected in (
        "<attribute><attribute>osid</attribute><value>UBUNTU22-64-STD</value></attribute>",
        "<attribute><attribute>type</attribute><value>pc</value></attribute>",
        "<attribute><attribute>startup</attribute><value>echo &lt;a&gt; &amp; b</value></attribute>",
        "<attribute><attribute>failureaction</attribute><value>fatal</value></attribute>",
        "<attribute><attribute>ip4_address</attribute><value>10.0.0.1</value></attribute>",
        "<attribute><attribute>ip4_netmask</attribute><value>255.255.0.0</value></attribute>",
        "<attribute><attribute>containers:partition</attribute><value>2</value></attribute>",
        "<attribute><attribute>benito:members</attribute><value>b:1 a:0</value></attribute>",
        "<software><location>/x.tgz</location><install>/opt</install></software>",
        "<name>inf000</name>",
    ):
        assert expected in text


def test_a_topology_from_elsewhere_is_read_back_with_its_meaning() -> None:
    read = topdl.read_source(topdl.write(made()), "t.xml")

    was, now = meaning(made()), meaning(read)
    for node in now["nodes"]:  # type: ignore[attr-defined]
        node["attributes"] = {}
    assert now == was


def test_a_change_leaves_the_rest_of_the_element_alone() -> None:
    read = topology(
        substrate("l", "<capacity><rate>1000.0</rate><kind>peak</kind></capacity><status>active</status>"),
        computer("a", "<cpu><type>x</type></cpu>", interface("l", "<name>eth7</name>"), attribute("startup", "x")),
        computer("b", interface("l")),
    )
    node = replace(read.nodes[0], start_command="y")

    text = topdl.write(replace(read, nodes=(node, read.nodes[1])))

    assert text == topdl.write(read).replace("<value>x</value>", "<value>y</value>")


def test_a_new_speed_is_written_where_the_old_one_was() -> None:
    read = topology(
        substrate("l", "<capacity><rate>1000.0</rate><kind>peak</kind></capacity>"),
        *(computer(name, interface("l")) for name in "ab"),
    )
    fast = Shape(0.0, 5000)
    nodes = tuple(
        replace(node, interfaces=(replace(node.interfaces[0], outward=fast, inward=fast),)) for node in read.nodes
    )

    text = topdl.write(replace(read, nodes=nodes))

    assert text == topdl.write(read).replace("1000.0", "5000")


def test_a_kind_is_said_where_partitions_would_change_it() -> None:
    read = topology(computer("a"), computer("b"))
    placed = replace(read, nodes=(replace(read.nodes[0], partition=1), read.nodes[1]))

    again = topdl.read_source(topdl.write(placed), "t.xml")

    assert [node.kind for node in again.nodes] == ["qemu", "qemu"]


def test_a_character_that_xml_cannot_hold_is_an_error() -> None:
    with pytest.raises(InputError, match="that XML can't hold"):
        topdl.write(Topology((Node("a", start_command="echo \x1b[1m"),), ()))
    assert "echo ?[1m" in topdl.write(Topology((Node("a", start_command="echo \x1b[1m"),), ()), instead="?")
