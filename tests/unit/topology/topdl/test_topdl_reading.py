"""TopDL means what DETER's tools meant by it."""

from __future__ import annotations

from pathlib import Path

import pytest
from documents import attribute, computer, interface, substrate, topology

from benito.topology import topdl
from benito.topology.model import LanKind, Routing, Shape
from benito.topology.reader import read

TWO = (computer("a", interface("l")), computer("b", interface("l")))


def shape(inner: str, own: str = "") -> tuple[Shape, Shape]:
    """Return the directions of a's interface on a substrate that says `inner`; the interface itself says `own`."""
    found = topology(substrate("l", inner), computer("a", interface("l", own)), computer("b", interface("l")))
    end = found.node("a").interfaces[0]
    return end.outward, end.inward


def rate(kbps: float) -> str:
    return f"<capacity><rate>{kbps}</rate><kind>max</kind></capacity>"


def latency(milliseconds: float) -> str:
    return f"<latency><time>{milliseconds}</time><kind>average</kind></latency>"


def test_a_substrate_s_latency_is_the_delay_between_two_members() -> None:
    assert shape(latency(10)) == (Shape(5.0), Shape(5.0))


def test_an_interface_s_latency_comes_on_top_in_both_directions() -> None:
    assert shape(latency(10), latency(3)) == (Shape(8.0), Shape(8.0))


def test_a_capacity_is_each_member_s_in_each_direction() -> None:
    assert shape(rate(1544.0)) == (Shape(0.0, 1544), Shape(0.0, 1544))


@pytest.mark.parametrize(("of_substrate", "of_interface", "limit"), [(1000, 500, 500), (500, 1000, 500)])
def test_the_smaller_capacity_holds(of_substrate: int, of_interface: int, limit: int) -> None:
    assert shape(rate(of_substrate), rate(of_interface))[0].bandwidth_kbps == limit


def test_a_capacity_below_one_is_not_unlimited() -> None:
    assert shape(rate(0.3))[0].bandwidth_kbps == 1


def test_loss_of_a_substrate_is_split_and_an_interface_s_is_not() -> None:
    outward, _ = shape(attribute("loss", "0.19"))
    assert outward.loss == pytest.approx(0.1)
    both, _ = shape(attribute("loss", "0.19"), attribute("loss", "0.5"))
    assert both.loss == pytest.approx(0.55)
    assert shape("", attribute("loss", "0.5"))[1] == Shape(loss=0.5)


def test_directions_can_differ() -> None:
    own = attribute("benito:outward", "10 64 0.5") + attribute("benito:inward", "0 0 0")
    assert shape(rate(1000), own) == (Shape(10.0, 64, 0.5), Shape())


def test_two_members_are_a_link_and_three_a_lan() -> None:
    two = topology(substrate("l"), *TWO)
    three = topology(substrate("l"), *TWO, computer("c", interface("l")))
    assert [two.lans[0].kind, three.lans[0].kind] == [LanKind.LINK, LanKind.LAN]


@pytest.mark.parametrize("root", ["experiment", "topology", "anything"])
def test_any_root_will_do(root: str) -> None:
    assert [node.name for node in topology(computer("a"), root=root).nodes] == ["a"]


def test_what_encloses_the_experiment_is_ignored() -> None:
    found = topdl.read_source("<reply><code>0</code><experiment>" + computer("a") + "</experiment></reply>", "t.xml")
    assert [node.name for node in found.nodes] == ["a"]


def test_order_blanks_comments_and_namespaces_mean_nothing() -> None:
    text = """<t:experiment xmlns:t="http://example.net/topdl">
      <t:elements><t:computer><t:attribute><t:value> x
      </t:value><t:attribute>startup</t:attribute></t:attribute>
      <t:interface><t:substrate> <!-- which? --> l </t:substrate></t:interface><t:name>
      a </t:name></t:computer></t:elements><t:substrates><t:name>l</t:name></t:substrates></t:experiment>"""
    found = topdl.read_source(text, "t.xml")
    assert found.nodes[0].name == "a"
    assert found.nodes[0].start_command == "x"
    assert found.nodes[0].interfaces[0].lan == "l"


@pytest.mark.parametrize(
    ("attributes", "kind"),
    [
        ({"containers:node_type": "qemu"}, "qemu"),
        ({"containers:node_type": "openvz"}, "container"),
        ({"containers:node_type": "process"}, "container"),
        ({"containers:node_type": "embedded_pnode"}, "physical"),
        ({"container:node_type": "embedded_pnode"}, "physical"),
        ({"benito:node_type": "embedded_pnode"}, "physical"),
        ({"benito:node_type": "embedded_pnode", "containers:node_type": "openvz"}, "container"),
        ({}, "qemu"),
    ],
)
def test_a_node_s_kind_under_each_prefix(attributes: dict[str, str], kind: str) -> None:
    node = topology(computer("a", *(attribute(*pair) for pair in attributes.items()))).nodes[0]
    assert node.kind == kind
    assert node.attributes == attributes


@pytest.mark.parametrize("key", ["partition", "containers:partition", "container:partition", "benito:partition"])
def test_nodes_without_a_partition_are_physical_once_one_has_it(key: str) -> None:
    nodes = topology(computer("a", attribute(key, "7")), computer("b")).nodes
    assert [(node.kind, node.partition) for node in nodes] == [("qemu", 7), ("physical", None)]


def test_what_runs_on_a_node() -> None:
    node = topology(
        computer(
            "a",
            "<os><name>Linux</name></os><os>" + attribute("osid", "FC6-STD") + "</os>",
            "<software><location>/a.tgz</location><install>/opt</install></software>",
            attribute("startup", "first"),
            attribute("startup", "second"),
            attribute("type", "pc3000"),
            attribute("failureaction", "nonfatal"),
        )
    ).nodes[0]
    assert (node.os, node.start_command, node.hardware) == ("FC6-STD", "first", "pc3000")
    assert node.failure_action == "nonfatal"
    assert [(each.location, each.install) for each in node.software] == [("/a.tgz", "/opt")]


def test_addresses_and_netmask() -> None:
    own = attribute("ip4_address", "10.1.2.3") + attribute("ip4_netmask", "255.255.255.252")
    found = topology(substrate("l"), computer("a", interface("l", own)), computer("b", interface("l")))
    assert found.nodes[0].interfaces[0].address == "10.1.2.3"
    assert found.lans[0].netmask == "255.255.255.252"


def test_topdl_is_routed_statically_unless_it_says_otherwise() -> None:
    assert topology(computer("a")).routing == Routing.STATIC
    assert topology(computer("a"), attribute("benito:routing", "none")).routing == Routing.NONE


def test_what_will_not_be_built_is_said() -> None:
    found = topology(
        substrate("l"),
        substrate("m"),
        computer("a", interface("l"), "<interfaces/>", "<name>alias</name>", attribute("x", "1"), attribute("x", "2")),
        "<elements><testbed><uri>https://example.net</uri><interface><substrate>l</substrate></interface></testbed></elements>",
        "<elements/>",
    )
    said = [str(warning) for warning in found.warnings]
    assert said == [
        "t.xml:3: the substrate `m` has no member: it joins nothing",
        "t.xml:4: `interfaces` means nothing in `a`; it is kept (did you mean `interface`?)",
        "t.xml:4: `a` has the attribute x already; the first value holds",
        "t.xml:4: `a` has several names; it is made under the first",
        "t.xml:5: the testbed `https://example.net` is kept, but Benito builds computers only",
        "t.xml:6: an `elements` holds nothing",
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf<experiment/>",
        b" \n\t<experiment/>",
        b"\n<?xml version='1.0'?>\n<experiment/>",
        "\ufeff<?xml version='1.0' encoding='UTF-16'?><experiment/>".encode("utf-16-le"),
        "\ufeff<experiment/>".encode("utf-16-be"),
        "<experiment/>".encode("utf-16-le"),
        "<?xml version='1.0' encoding='ISO-8859-1'?><experiment><version>\u00e9</version></experiment>".encode(
            "latin-1"
        ),
        b"\r\n" * 3000 + b"<experiment/>",
    ],
)
def test_xml_is_known_by_its_content(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "experiment.ns"
    path.write_bytes(data)
    assert read(path).nodes == ()


def test_tcl_is_no_xml() -> None:
    assert not topdl.is_xml(b"set ns [new Simulator]")
    assert not topdl.is_xml(b"<<EOF")
    assert not topdl.is_xml(b"")


def test_lines_are_counted_through_a_declaration_of_several_lines() -> None:
    found = topdl.read_source("<?xml\n version='1.0'\n?>\n<experiment>\n" + computer("a") + "</experiment>", "t.xml")
    assert str(found.nodes[0].where) == "t.xml:5"


def test_thousands_of_nodes_are_read_in_linear_time() -> None:
    count = 1500
    parts = [substrate(f"l{number}") for number in range(count)]
    parts += [computer(f"n{n}", interface(f"l{n}"), interface(f"l{(n + 1) % count}")) for n in range(count)]
    found = topology(*parts)
    assert len(found.nodes) == count
    assert {len(lan.members) for lan in found.lans} == {2}
    assert len(topdl.write(found)) > 100_000
