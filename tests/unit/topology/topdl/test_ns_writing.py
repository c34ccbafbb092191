"""NS and TopDL are turned into each other without a change of meaning, and what NS can't say is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from documents import attribute, computer, documents, interface, substrate, topology
from hypothesis import given, settings

from benito.errors import InputError
from benito.topology import topdl
from benito.topology.element import Element
from benito.topology.model import Topology
from benito.topology.ns import read_source
from benito.topology.ns.writing import write
from benito.topology.ns.writing.tcl import word
from benito.topology.reader import read
from benito.topology.show import describe
from benito.topology.topdl.document import serialise

CORPUS = Path(__file__).parents[5] / "shared" / "corpus"


def meaning(found: Topology) -> dict[str, Any]:
    return {key: value for key, value in describe(found).items() if key != "warnings"}


def through_ns(found: Topology) -> Topology:
    return read_source(write(found).text, "t.ns")


def through_topdl(found: Topology) -> Topology:
    return topdl.read_source(topdl.write(found), "t.xml")


def body(found: Topology) -> list[str]:
    """Return the statements of a topology's NS file, without its first and last lines."""
    lines = [line for line in write(found).text.splitlines() if line and not line.startswith("#")]
    assert lines[:2] == ["set ns [new Simulator]", "source tb_compat.tcl"]
    assert lines[-2:] == ["$ns rtproto Static", "$ns run"]
    return lines[2:-2]


@settings(max_examples=10, deadline=None)
@given(documents())
def test_any_ns_file_survives_topdl_and_back(document: Element) -> None:
    first = through_ns(topdl.read_source(serialise(document), "t.xml"))

    again = through_ns(through_topdl(first))

    assert meaning(again) == meaning(first)


@settings(max_examples=10, deadline=None)
@given(documents())
def test_what_ns_can_say_survives_ns_and_back(document: Element) -> None:
    first = topdl.read_source(serialise(document), "t.xml")
    written = write(first)

    again = through_topdl(read_source(written.text, "t.ns"))

    if not written.warnings:
        was, now = meaning(first), meaning(again)
        for node, old in zip(now["nodes"], was["nodes"], strict=True):
            assert old["attributes"].items() <= node["attributes"].items()
            node["attributes"] = old["attributes"] = {}
        assert now == was


@pytest.mark.skipif(not CORPUS.exists(), reason="the corpus does not lie beside the project")
def test_real_files_survive() -> None:
    changed = []
    for path in sorted(CORPUS.glob("ns/*"))[::5]:
        if not path.is_file():
            continue
        try:
            first = read(path)
        except InputError:
            continue
        between = through_topdl(first)
        written = write(between)
        if not written.warnings and meaning(read_source(written.text, "t.ns")) != meaning(first):
            changed.append(path.name)
    assert not changed


def test_nodes() -> None:
    found = topology(
        computer(
            "web-1",
            "<os>" + attribute("osid", "FC6-STD") + "</os>",
            "<software><location>/proj/P/x.tgz</location><install>/opt</install></software>",
            "<software><location>/proj/P/y.rpm</location></software>",
            attribute("type", "pc3000"),
            attribute("failureaction", "nonfatal"),
            attribute("startup", "echo \"$HOME\" '{' &gt; x"),
            attribute("containers:node_type", "openvz"),
        )
    )
    assert body(found) == [
        "set web(1) [$ns node]",
        "tb-set-node-os $web(1) FC6-STD",
        "tb-set-hardware $web(1) pc3000",
        'tb-set-node-startcmd $web(1) "echo \\"\\$HOME\\" \'\\{\' > x"',
        "tb-set-node-failure-action $web(1) nonfatal",
        "tb-set-node-tarfiles $web(1) /opt /proj/P/x.tgz",
        "tb-set-node-rpms $web(1) /proj/P/y.rpm",
        "tb-add-node-attribute $web(1) containers:node_type openvz",
    ]


def test_a_link_with_loss_and_addresses() -> None:
    shaping = (
        "<capacity><rate>1544</rate><kind>max</kind></capacity><latency><time>25.5</time><kind>max</kind></latency>"
    )
    own = attribute("ip4_address", "10.1.1.2") + attribute("ip4_netmask", "255.255.255.0")
    found = topology(
        substrate("wan", shaping + attribute("loss", "0.01")),
        computer("a", interface("wan", own)),
        computer("b", interface("wan")),
    )
    assert body(found)[2:] == [
        "set wan [$ns duplex-link $a $b 1.544Mb 25.5ms DropTail]",
        "tb-set-link-loss $wan 0.01",
        "tb-set-netmask $wan 255.255.255.0",
        "tb-set-ip-link $a $wan 10.1.1.2",
    ]


def test_a_lan_with_a_slow_member() -> None:
    slow = "<capacity><rate>64</rate><kind>max</kind></capacity><latency><time>3</time><kind>max</kind></latency>"
    found = topology(
        substrate("lan0"),
        computer("a", interface("lan0")),
        computer("b", interface("lan0")),
        computer("c", interface("lan0", slow)),
    )
    assert body(found)[3:] == [
        'set lan0 [$ns make-lan "$a $b $c" * 0ms]',
        "tb-set-node-lan-params $c $lan0 3ms 64kb 0",
    ]


def test_names_that_tcl_can_not_have() -> None:
    found = topology(
        substrate("list"),
        *(computer(name, interface("list")) for name in ("ns", "web_server", "x", "x-1", "switch", "list")),
    )
    again = through_ns(found)
    assert [node.name for node in again.nodes] == ["ns-x2", "web-server", "x", "x-1", "switch-x2", "list-x2"]
    assert again.lans[0].name == "list-x3"
    assert "not in the NS file: the node `web_server` is called `web-server` here: NS can't name it so" in [
        warning.message for warning in write(found).warnings
    ]


def test_what_ns_can_not_say_is_said() -> None:
    found = topology(
        substrate("lan0", "<capacity><rate>5</rate><kind>max</kind></capacity>"),
        computer("a", "<cpu><type>x</type></cpu>", interface("lan0", "<name>eth0</name>" + attribute("mac", "1"))),
        computer("b", interface("lan0"), "<software><location>x.zip</location><install>/opt</install></software>"),
        "<elements><testbed><uri>https://example.net</uri></testbed></elements>",
        attribute("title", "line one\nline two \\"),
    )
    written = write(found)
    comments = [line for line in written.text.splitlines() if line.startswith("#")]
    assert comments[1:] == [
        f"#   {warning.message.removeprefix('not in the NS file: ')}".rstrip("\\ ") for warning in written.warnings
    ]
    assert len(comments) == 8
    assert read_source(written.text, "t.ns").nodes


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "$x",
        "[exit]",
        "{",
        "}{",
        "a\\",
        "a\nb",
        '"',
        "#",
        "a;b",
        "\x1a",
        "\x1f",
        "{a b}",
        "é",
        "a\\\nb",
        "\r",
    ],
)
def test_any_text_is_one_word_of_tcl(text: str) -> None:
    source = f"set ns [new Simulator]\nset a [$ns node]\ntb-add-node-attribute $a key {word(text)}\n$ns run\n"
    assert read_source(source, "t.ns").nodes[0].attributes == {"key": text}


NS = """set ns [new Simulator]
source tb_compat.tcl
foreach i {0 1 2} { set n($i) [$ns node] }
set link-x [$ns duplex-link $n(1) $n(0) 10Mb 4ms RED]
tb-set-link-simplex-params ${link-x} $n(0) 7ms 1Mb 0.05
[[$ns link $n(0) $n(1)] queue] set limit_ 20
set lan0 [$ns make-lan "$n(2) $n(0) $n(1)" 100Mb 3ms]
tb-set-lan-simplex-params $lan0 $n(1) 1ms 1Mb 0.1 2ms 2Mb 0.2
tb-set-lan-loss $lan0 0.02
$ns duplex-link $n(0) $n(2) 5Mb 0ms DropTail
$ns cost $n(0) $n(1) 3
$n(0) add-route $n(0) $n(1)
tb-set-node-startup $n(2) "old"
set opt(SERVER) n-0
set p [$n(0) program-agent -command "echo hello; ls" -dir /tmp]
set group [$ns event-group "$p"]
set line [$ns event-timeline]
$line at 2.5 "${link-x} down"
$line at 3 "$p start"
set steps [$ns event-sequence {
    $p run
    ${link-x} up
}]
$ns at 1.5 "${link-x} bandwidth 5Mb duplex"
$ns at 2 "${link-x} delay 12ms"
$ns at 3 "${link-x} plr 0.1"
$ns at 4 "$p set -command {ls -l}"
$ns at 5 "$line start"
$ns at 6 "$group stop"
$ns at 7 "$n(1) reboot"
$ns at swapout "$p kill TERM"
tb-set-sync-server $n(1)
tb-set-colocate-factor 3
tb-make-soft-vtype fast {pc1 pc2}
tb-fix-node $n(2) pc42
$ns rtproto Manual
$ns run
"""


def test_an_ns_file_with_everything_survives_topdl() -> None:
    source = NS.replace("$n(0) add-route $n(0) $n(1)", "$n(0) add-route $lan0 $n(1)")
    first = read_source(source, "t.ns")

    between = through_topdl(first)
    written = write(between)

    assert written.warnings == ()
    assert meaning(read_source(written.text, "t.ns")) == meaning(first)
    was, now = meaning(first), meaning(between)
    for node in (*was["nodes"], *now["nodes"]):
        node["attributes"] = {}
    assert now == was
