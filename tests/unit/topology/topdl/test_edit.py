"""Changes of a topology leave one that can be written and read, and nothing that speaks of what is gone."""

from __future__ import annotations

from typing import Any

from documents import attribute, computer, documents, interface, substrate, topology
from hypothesis import given, settings
from hypothesis import strategies as st

from benito.topology import edit, topdl
from benito.topology.element import Element
from benito.topology.model import Topology
from benito.topology.ns import read_source
from benito.topology.show import describe
from benito.topology.topdl.document import serialise

NS = """set ns [new Simulator]
set a [$ns node]
set b [$ns node]
set c [$ns node]
set ab [$ns duplex-link $a $b 10Mb 1ms DropTail]
set all [$ns make-lan "$a $b $c" 100Mb 0ms]
tb-set-node-startcmd $a "run"
set p [$b program-agent -command "ls"]
set g [$ns event-group "$p $ab"]
$ns at 1 "$ab down"
$ns at 2 "$p start"
$ns at 3 "a_startcmd start"
$ns at 4 "$g stop"
$ns at 5 "$c reboot"
$ns cost $a $b 3
$c add-route $ab $a
tb-fix-node $b pc7
tb-set-sync-server $b
$ns rtproto Manual
$ns run
"""


def meaning(found: Topology) -> dict[str, Any]:
    return {key: value for key, value in describe(found).items() if key != "warnings"}


def written(found: Topology) -> Topology:
    return topdl.read_source(topdl.write(found), "t.xml")


@settings(max_examples=25, deadline=None)
@given(documents(), st.data())
def test_any_change_can_be_written_and_read(document: Element, data: st.DataObject) -> None:
    found = topdl.read_source(serialise(document), "t.xml")
    names = [node.name for node in found.nodes]
    lans = [lan.name for lan in found.lans]
    if names:
        some = data.draw(st.lists(st.sampled_from(names), unique=True))
        found = edit.place(found, dict.fromkeys(some, data.draw(st.integers(0, 9) | st.none())))
        found = edit.set_attribute(found, some, data.draw(st.sampled_from(["x", "startup", "type"])), "new")
        found = edit.set_start_command(found, some, data.draw(st.sampled_from(["go", None])))
        found = edit.set_os(found, some, data.draw(st.sampled_from(["IMAGE", None])))
        found = edit.rename_node(found, names[0], "renamed-node")
        found = edit.remove_nodes(found, [name for name in some if name != names[0]])
    if lans:
        found = edit.rename_lan(found, lans[0], "renamed-lan")
        found = edit.remove_lans(found, lans[1:])
    if len(found.nodes) > 1:
        found = edit.add_lan(found, "new-link", [node.name for node in found.nodes[:2]], edit.side("1Mb", "3ms", "0.1"))

    again = written(found)

    assert meaning(again) == meaning(found)


def test_a_removed_node_is_spoken_of_no_more() -> None:
    found = edit.remove_nodes(read_source(NS, "t.ns"), ["b"])

    assert [node.name for node in found.nodes] == ["a", "c"]
    assert [(lan.name, str(lan.kind), len(lan.members)) for lan in found.lans] == [("ab", "lan", 1), ("all", "lan", 2)]
    assert [event.target for event in found.events] == ["ab", "a_startcmd", "g", "c"]
    assert found.groups == {"g": ("ab",)}
    assert found.programs == ()
    assert found.recorded == ()
    assert found.attributes == {}
    assert meaning(written(found))["lans"] == meaning(found)["lans"]


def test_a_removed_link_is_spoken_of_no_more() -> None:
    found = edit.remove_lans(read_source(NS, "t.ns"), ["ab"])

    assert [event.target for event in found.events] == ["p", "a_startcmd", "g", "c"]
    assert (found.routes, dict(found.costs)) == ((), {})
    assert [(member.node, member.port) for member in found.lans[0].members] == [("a", 0), ("b", 0), ("c", 0)]
    assert meaning(written(found))["lans"] == meaning(found)["lans"]


def test_renaming_goes_everywhere() -> None:
    found = read_source(NS, "t.ns")
    for old, new in (("a", "alpha"), ("b", "beta")):
        found = edit.rename_node(found, old, new)
    found = edit.rename_lan(found, "ab", "wire")

    wanted = read_source(
        NS.replace("$ab", "$wire")
        .replace("set ab", "set wire")
        .replace("$a ", "$alpha ")
        .replace("$a\n", "$alpha\n")
        .replace("set a ", "set alpha ")
        .replace("a_startcmd", "alpha_startcmd")
        .replace("$b ", "$beta ")
        .replace("$b\n", "$beta\n")
        .replace("set b ", "set beta ")
        .replace('$b"', '$beta"')
        .replace('"$b', '"$beta'),
        "t.ns",
    )
    assert meaning(found) == meaning(wanted)


def test_what_is_no_computer_follows_its_link() -> None:
    other = "<elements><testbed><uri>u</uri><interface><substrate>l</substrate></interface></testbed></elements>"
    found = topology(substrate("l"), computer("a", interface("l")), other)

    renamed = edit.rename_lan(found, "l", "wan")

    assert "<testbed>\n      <uri>u</uri>\n      <interface><substrate>wan</substrate></interface>" in topdl.write(
        renamed
    )
    assert "interface" not in topdl.write(edit.remove_lans(found, ["l"]))


def test_the_attribute_that_holds_is_the_one_that_changes() -> None:
    found = topology(computer("a", attribute("partition", "1"), attribute("container:partition", "2")))

    placed = edit.place(found, {"a": 5})

    assert placed.nodes[0].attributes == {"partition": "1", "container:partition": "5"}
    assert edit.place(found, {"a": None}).nodes[0].attributes == {}
