"""What all nodes of an experiment find inside."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import replace

import msgspec
from networks import network

from benito.embedding.embed import embed
from benito.plan.inside import TOPDL, TOPOMAP, environment, inside, one_line, sync_server
from benito.plan.model import Inside
from benito.topology.model import Topology


def made(topology: Topology) -> Inside:
    return inside(*embed(topology))


def test_the_topomap_lists_nodes_with_their_addresses_and_lans() -> None:
    text = made(network(3, [(0, 1), (1, 2)])).files[TOPOMAP]
    assert text.splitlines() == [
        "# nodes: vname,links",
        "n0,l0:10.0.0.1",
        "n1,l0:10.0.0.2 l1:10.0.1.1",
        "n2,l1:10.0.1.2",
        "# lans: vname,mask,cost",
        "l0,255.255.255.0,1",
        "l1,255.255.255.0,1",
    ]


def test_topdl_is_one_line_whatever_the_start_commands_are() -> None:
    topology = network(2, [(0, 1)])
    first = replace(topology.nodes[0], start_command="one\n  two\n")
    text = one_line(replace(topology, nodes=(first, topology.nodes[1])))
    assert text.count("\n") == 1
    values = {
        attribute.findtext("attribute"): attribute.findtext("value")
        for attribute in ElementTree.fromstring(text).iter("attribute")
        if attribute.find("value") is not None
    }
    assert values["startup"] is not None
    assert values["startup"].strip() == "one\n  two"


def test_a_description_that_is_too_large_stays_on_the_host() -> None:
    topology = network(2, [(0, 1)])
    huge = replace(topology.nodes[0], start_command="x" * (1 << 20))
    assert TOPDL not in made(replace(topology, nodes=(huge, topology.nodes[1]))).files


def test_the_first_node_by_name_keeps_the_barriers_unless_another_is_named() -> None:
    topology = network(["zeta", "beta", "gamma"], [(0, 1, 2)])
    assert sync_server(topology) == "beta"
    assert sync_server(replace(topology, attributes={"sync_server": "zeta"})) == "zeta"
    assert sync_server(network(0, [])) == ""


def test_variables_that_no_shell_can_have_are_left_out() -> None:
    topology = replace(network(1, []), environment={"GOOD_1": "a b", "BAD-1": "x", "1": "y", "A;B": "z"})
    assert environment(topology) == {"GOOD_1": "a b"}


def test_it_can_be_sent_as_json() -> None:
    value = made(network(2, [(0, 1)]))
    assert msgspec.json.decode(msgspec.json.encode(value), type=Inside) == value
