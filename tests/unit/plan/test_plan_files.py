"""Plans in a folder: what all pnodes have alike is written once, and each is read back whole."""

from __future__ import annotations

import json
from pathlib import Path

from benito.embedding.embed import embed
from benito.embedding.options import EmbeddingOptions
from benito.plan import files
from benito.plan.allocations import example
from benito.plan.build import plan
from benito.plan.model import PnodePlan
from benito.topology.addressing import assign
from benito.topology.ns import read_source

FILE = """
set ns [new Simulator]
foreach i {0 1 2 3 4} { set n($i) [$ns node] }
set lan [$ns make-lan "$n(0) $n(1) $n(2) $n(3) $n(4)" 10Mb 1ms]
$ns run
"""


def plans(packing: int = 2) -> tuple[PnodePlan, ...]:
    """Return the plans of five nodes on a LAN."""
    topology, assignment = embed(assign(read_source(FILE, "five.ns")), EmbeddingOptions(packing=packing))
    return plan(topology, assignment, example(topology, assignment))


def test_plans_come_back_whole(tmp_path: Path) -> None:
    files.write(tmp_path, plans())

    assert files.read(tmp_path) == plans()
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "common.json",
        "pnode-0000.json",
        "pnode-0001.json",
        "pnode-0002.json",
    ]


def test_the_hosts_file_stands_in_one_place(tmp_path: Path) -> None:
    files.write(tmp_path, plans())

    holding = [path.name for path in tmp_path.iterdir() if "n-4-lan" in path.read_text()]
    assert holding == ["common.json"]


def test_an_experiment_without_plans_has_none(tmp_path: Path) -> None:
    assert files.read(tmp_path) == ()
    assert files.read(tmp_path / "missing") == ()


NOTHING = {"files": {}, "environment": {}, "sync_server": "", "shares": []}


def test_as_one_text_it_is_one_object() -> None:
    read = json.loads("".join(files.text(plans())))

    assert read["common"]["hosts"] == plans()[0].hosts
    assert [each["pnode"] for each in read["pnodes"]] == ["pnode-0000", "pnode-0001", "pnode-0002"]
    assert not any("hosts" in each or "inside" in each for each in read["pnodes"])
    assert json.loads("".join(files.text(()))) == {
        "common": {"accounts": [], "hosts": "", "inside": NOTHING},
        "pnodes": [],
    }
