"""Whatever a file holds, reading it ends with a topology or with errors for its author, and touches nothing.

A few dozen mutants of good files are read at each run; `BENITO_FUZZ=20000 pytest tests/unit/topology/test_fuzzing.py`
reads many more. What was found that way stands here as examples, or in `test_ns_hostile` with a name of its own.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from benito.embedding.embed import embed
from benito.errors import InputError
from benito.plan.allocations import example as example_allocations
from benito.plan.build import plan
from benito.topology.addressing import assign
from benito.topology.model import Topology
from benito.topology.ns import Limits, read_source
from benito.topology.ns.writing import write as write_ns
from benito.topology.reader import read
from benito.topology.show import describe
from benito.topology.topdl import read_source as read_topdl
from benito.topology.topdl import write as write_topdl

RUNS = int(os.environ.get("BENITO_FUZZ", "40"))
LIMITS = Limits(seconds=2, memory=256 << 20, output=4 << 20, objects=500)
fuzzed = settings(
    max_examples=RUNS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)

NS = """source tb_compat.tcl
set ns [new Simulator]
proc pair {name} { global ns $name; set $name [$ns node] }
foreach i {0 1 2 3} { set n($i) [$ns node]; tb-set-node-os $n($i) FC6-STD }
pair extra
set link0 [$ns duplex-link $n(0) $n(1) 10Mb 20ms DropTail]
set lan0 [$ns make-lan "$n(1) $n(2) $n(3) $extra" 100Mb 2ms]
tb-set-link-loss $link0 0.01
tb-set-ip-lan $n(2) $lan0 10.9.1.7
tb-set-netmask $lan0 255.255.252.0
tb-set-node-startcmd $n(0) "sudo hostname; echo {$n(1)} > /tmp/x"
tb-set-node-tarfiles $n(1) /opt /tmp/a.tar.gz
tb-add-node-attribute $n(3) containers:partition 1
tb-set-lan-simplex-params $lan0 $n(2) 1ms 10Mb 0.1 2ms 5Mb 0
[[$ns link $n(0) $n(1)] queue] set limit_ 20
$n(0) add-route $lan0 $n(1)
set prog [$n(0) program-agent -command "ls"]
$ns at 10.0 "$prog start"
$ns at 1h "$link0 down"
set seq [$ns event-sequence { $prog run }]
set opt(COLOUR) blue
tb-set-sync-server $n(1)
$ns rtproto Static
$ns run
"""
NS_PIECES = [
    *(
        "{",
        "}",
        "[",
        "]",
        '"',
        "\\",
        "\\\n",
        ";",
        "$",
        "#",
        "\0",
        "\x1a",
        "\x1f",
        "\r",
        "\n",
        "\t",
        " ",
        "::",
        "\ufeff",
    ),
    *("exec touch BYSTANDER", "open BYSTANDER w", "source /etc/shadow", "file delete BYSTANDER", "socket localhost 22"),
    *("while 1 {}", "proc f {} {f}; f", "exit", "return", "break", "error x", "uplevel #0 {set a 1}", "rename set x"),
    *("$n(9)", "$::benito::objects", "[expr 1/0]", "[info commands]", "[interp alias {}]", "%s%n", "\\u0000", "\\x00"),
    *(
        "-1",
        "1e999",
        "0x7fffffffffffffff",
        "NaN",
        "1" * 400,
        "é",
        "\u202e",
        "😀",
        "\ud800",
        "ops",
        "a_b",
        "N-0",
        "x" * 70,
    ),
    *("tb-set-ip $n(0) 300.1.1.1", "set n(0) {}", "unset n", "array unset n", "namespace delete ::benito", "set ns 5"),
]

TOPDL = """<?xml version="1.0"?>
<experiment><version>1.0</version>
<substrates><name>link0</name><capacity><rate>100000.0</rate><kind>max</kind></capacity>
<latency><time>10</time><kind>max</kind></latency><attribute><attribute>loss</attribute><value>0.1</value></attribute></substrates>
<substrates><name>lan0</name></substrates>
<elements><computer><name>a</name><os><attribute><attribute>osid</attribute><value>FC6</value></attribute></os>
<interface><substrate>link0</substrate><name>inf000</name>
<attribute><attribute>ip4_address</attribute><value>10.1.1.2</value></attribute>
<attribute><attribute>ip4_netmask</attribute><value>255.255.255.0</value></attribute></interface>
<attribute><attribute>containers:partition</attribute><value>1</value></attribute>
<attribute><attribute>startup</attribute><value>ls &gt; x</value></attribute></computer></elements>
<elements><computer><name>b</name><interface><substrate>link0</substrate></interface>
<interface><substrate>lan0</substrate></interface><software><location>/x.tar</location><install>/</install></software>
</computer></elements>
<elements><testbed><uri>deter</uri><type>emulab</type></testbed></elements>
<attribute><attribute>benito:routing</attribute><value>"static"</value></attribute>
</experiment>
"""
TOPDL_PIECES = [
    *(
        "<",
        ">",
        "&",
        "]]>",
        "<![CDATA[",
        "<!--",
        "-->",
        "<?x y?>",
        "\0",
        "\x01",
        "&#0;",
        "&amp;",
        "&x;",
        '"',
        "'",
        "\ufeff",
    ),
    '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/shadow">]>',
    '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]>',
    '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/shadow"/>',
    *(
        "<name>a</name>",
        "<substrate>nowhere</substrate>",
        "<elements/>",
        "<computer/>",
        "<a:b/>",
        "<x>" * 40,
        "</x>" * 3,
    ),
    *(
        "-1",
        "1e999",
        "NaN",
        "inf",
        "1" * 400,
        "é",
        "😀",
        "\ud800",
        "ops",
        "a b",
        "x" * 70,
        "10.1.1.999",
        "{",
        "[[]]",
        "null",
    ),
    "<attribute><attribute>benito:queue</attribute><value>[[[[</value></attribute>",
    "<attribute><attribute>benito:events</attribute><value>[{}]</value></attribute>",
    '<attribute><attribute>benito:outward</attribute><value>{"delay_ms": -1}</value></attribute>',
]


@st.composite
def mutants(draw: st.DrawFn, good: str, pieces: list[str]) -> str:
    """Return the good text with a few things put in, taken out, doubled or put elsewhere."""
    text = good
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 8, 40, 300])))
        match draw(st.sampled_from(["piece", "text", "cut", "double", "move"])):
            case "piece":
                text = text[:start] + draw(st.sampled_from(pieces)) + text[end:]
            case "text":
                text = text[:start] + draw(st.text(max_size=12)) + text[end:]
            case "cut":
                text = text[:start] + text[end:]
            case "double":
                text = text[:end] + text[start:end] * draw(st.sampled_from([1, 2, 50])) + text[end:]
            case "move":
                part, rest = text[start:end], text[:start] + text[end:]
                place = draw(st.integers(0, len(rest)))
                text = rest[:place] + part + rest[place:]
    return text


@pytest.fixture
def bystander(tmp_path: Path) -> Path:
    """A file that nobody may touch, in a folder where nobody may make one."""
    file = tmp_path / "bystander"
    file.write_text("untouched")
    return file


def untouched(bystander: Path) -> bool:
    return bystander.read_text() == "untouched" and [*bystander.parent.iterdir()] == [bystander]


def told(error: InputError, file: str) -> None:
    """Hold errors against what they promise: a place in the file, and nothing that a terminal would act on."""
    for fault in error.faults:
        assert fault.where is not None
        assert fault.where.file == file
        assert f"{fault.message}{fault.hint}".isprintable()
        assert "root:" not in str(fault)
        assert len(str(fault)) < 2000


def shown(topology: Topology) -> None:
    """Do what is done with a file that is good."""
    describe(topology)
    write_topdl(topology, instead="?")
    write_ns(topology)
    planned, assignment = embed(topology)
    plan(planned, assignment, example_allocations(planned, assignment))


@fuzzed
@given(mutants(NS, NS_PIECES))
@example("\ud800")
@example("\u202esource tb_compat.tcl")
@example("set ns [new Simulator]\nset _" + "x" * 3000 + " [$ns node]\n$ns run\n")
def test_any_mutant_of_an_ns_file(bystander: Path, text: str) -> None:
    source = text.replace("BYSTANDER", str(bystander))
    try:
        shown(assign(read_source(source, "t.ns", limits=LIMITS)))
    except InputError as error:
        told(error, "t.ns")
    assert untouched(bystander)


@fuzzed
@given(mutants(TOPDL, TOPDL_PIECES))
@example("<?\U0001342fxml?><experiment/>")
@example("<:\U0001342f?xml?>")
def test_any_mutant_of_a_topdl_file(bystander: Path, text: str) -> None:
    try:
        shown(assign(read_topdl(text.encode("utf-8", "surrogatepass"), "t.xml")))
    except InputError as error:
        told(error, "t.xml")
    assert untouched(bystander)


@fuzzed
@given(st.binary(max_size=400) | st.binary(max_size=40).map(lambda data: b"<experiment>" + data))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    file = tmp_path_factory.mktemp("any") / "file"
    file.write_bytes(data)
    try:
        assign(read(file))
    except InputError as error:
        told(error, str(file))
