"""`benito plan` says where nodes go."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benito.cli.plan import command

FILE = """
source tb_compat.tcl
set ns [new Simulator]
foreach i {0 1 2 3} { set n($i) [$ns node] }
set first [$ns duplex-link $n(0) $n(1) 10Mb 10ms DropTail]
set second [$ns duplex-link $n(1) $n(2) 1Mb 10ms DropTail]
set third [$ns duplex-link $n(2) $n(3) 10Mb 10ms DropTail]
$ns rtproto Static
$ns run
"""


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "row.ns"
    path.write_text(FILE)
    return str(path)


def test_it_shows_nodes_and_links_of_each_pnode_and_the_cut(file: str) -> None:
    done = CliRunner().invoke(command, [file, "--packing", "2"], catch_exceptions=False)
    assert done.output.splitlines() == [
        "pnode-0000: 2 nodes",
        "  nodes:          n-0 n-1",
        "  links inside:   first",
        "  links crossing: second",
        "pnode-0001: 2 nodes",
        "  nodes:          n-2 n-3",
        "  links inside:   third",
        "  links crossing: second",
        "4 nodes on 2 pnodes; 1 link or LAN crosses between pnodes (1 Mb/s asked for)",
    ]


def test_json_holds_the_plans(file: str) -> None:
    done = CliRunner().invoke(command, [file, "--json"], catch_exceptions=False)
    plans = json.loads(done.output)
    (plan,) = plans["pnodes"]
    assert "n-3" in plans["common"]["hosts"]
    assert [machine["node"] for machine in plan["machines"]] == ["n-0", "n-1", "n-2", "n-3"]
    assert plan["wires"][1]["forward"]["delay_ms"] == 10
