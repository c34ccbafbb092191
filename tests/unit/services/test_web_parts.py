"""The page's parts that need no browser: faults at their lines, logs made harmless, rates, what is drawn."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from benito.embedding.embed import embed
from benito.errors import Fault, Where
from benito.services.operations import Kind, Operation, Request
from benito.services.web import happening, looks
from benito.services.web.asked import link_rows
from benito.services.web.checking import file_name, source, suggested_eid
from benito.services.web.drawn import drawn
from benito.services.web.journal import Journal
from benito.services.web.meters import reading
from benito.services.web.node_pages import harmless, whole
from benito.topology.addressing import assign
from benito.topology.reader import read

FILE = """set ns [new Simulator]
set a [$ns node]
set b [$ns node]
set c [$ns node]
set ab [$ns duplex-link $a $b 10Mb 20ms DropTail]
set all [$ns make-lan "$a $b $c" 100Mb 0ms]
tb-set-link-simplex-params $ab $a 5ms 1Mb 0.1
$ns run
"""


def test_faults_stand_at_their_lines_and_others_by_themselves() -> None:
    faults = [Fault("wrong", Where("x.ns", 2)), Fault("also wrong", Where("x.ns", 2)), Fault("no line")]
    faults.append(Fault("beyond", Where("x.ns", 99)))
    shown = source("x.ns", b"one\r\ntwo\nthree\n", faults, [], "")
    assert [line.text for line in shown.lines] == ["one", "two", "three"]
    assert [fault.message for fault in shown.lines[1].errors] == ["wrong", "also wrong"]
    assert [fault.message for fault in shown.loose] == ["no line", "beyond"]
    assert shown.errors == 4


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("star.ns", "star.ns"),
        ("C:\\fakepath\\my lab.ns", "my-lab.ns"),
        ("../../etc/passwd", "passwd"),
        ("..", "experiment.ns"),
        ("<b>.ns", "b-.ns"),
        ("a\0b\n.xml", "a-b-.xml"),
    ],
)
def test_a_files_name_is_made_safe(given: str, name: str) -> None:
    assert file_name(given) == name


def test_the_eid_is_suggested_by_the_files_name() -> None:
    assert suggested_eid("my.first lab.ns") == "my-first-lab"
    assert suggested_eid("---.ns") == "experiment"


@pytest.mark.parametrize(
    ("shown", "left"),
    [
        ("\x1b[0;32m  OK  \x1b[0m done\r\n", "  OK   done\n"),
        ("\x1b]0;evil title\x07text", "text"),
        ("bell\x07 back\x08 null\x00", "bell back null"),
        ("tab\tstays\nhere", "tab\tstays\nhere"),
        ("<b>&amp;</b>", "<b>&amp;</b>"),
    ],
)
def test_a_log_is_left_without_escapes(shown: str, left: str) -> None:
    assert harmless(shown) == left


@pytest.mark.parametrize("cut", range(1, 12))
def test_an_escape_that_comes_in_two_pieces_is_one(cut: int) -> None:
    text = "a\x1b[0;32mb\r\nc"
    ready, rest = whole(text[:cut])
    after, none = whole(rest + text[cut:])
    assert (harmless(ready) + harmless(after), none) == ("ab\nc", "")


def test_rates_are_what_was_counted_by_the_time_that_passed() -> None:
    def counted(total: int) -> dict[str, dict[str, int]]:
        return {way: {"bytes": total, "lost": 1, "dropped": 2} for way in ("forward", "backward")}

    assert reading(None, counted(500), 2.0) == (0, 0, 2, 4)
    assert reading(counted(500), counted(1500), 2.0) == (4000, 4000, 2, 4)
    # A new engine counts from zero again.
    assert reading(counted(1500), counted(100), 2.0) == (0, 0, 2, 4)


def test_links_are_told_with_both_directions_and_the_map_has_everything(tmp_path: Path) -> None:
    file = tmp_path / "x.ns"
    file.write_text(FILE)
    topology, assignment = embed(assign(read(file), "benito"))
    link, lan = link_rows(topology, assignment)
    assert (link.name, link.between) == ("ab", "a – b")
    assert [way[0] for way in link.asked] == ["→", "←"]
    assert (lan.between, lan.asked, lan.rtt) == ("a, b, c", ("100Mb",), "0 ms")
    shown = drawn(topology, assignment)
    assert [node.name for node in shown.nodes] == ["a", "b", "c"]
    assert [(edge.a, edge.b) for edge in shown.edges] == [
        ("n:a", "n:b"),
        ("n:a", "l:all"),
        ("n:b", "l:all"),
        ("n:c", "l:all"),
    ]
    assert [group.name for group in shown.groups] == ["pnode-0000"]


def test_half_a_line_of_a_log_is_left_out(tmp_path: Path) -> None:
    log = tmp_path / "events.jsonl"
    log.write_text('{"time": 1.0, "node": "a", "status": ["dead", -9]}\n[1]\n{"time": 2.0, "pno')
    (entry,) = happening.latest(log)
    assert (entry.who, entry.what, entry.tone) == ("a", "dead, machine ended with -9", "bad")
    assert happening.latest(tmp_path / "none") == []


def test_no_state_is_told_by_its_colour_alone() -> None:
    states = [looks.boot(boot) for boot in ("booted", "running", "dead", None)]
    assert len({look.icon for look in states}) == 4
    assert len({look.text for look in states}) == 4
    assert looks.command("booted", 3, True).text == "exit 3"
    assert looks.command("dead", -9, True).text == "machine ended (-9)"
    assert looks.command("booted", None, True).text == "running"
    assert looks.command("booted", None, False).text == ""


def test_an_operation_is_told_step_by_step_to_its_failure() -> None:
    journal = Journal(Operation("1", Request(kind=Kind.UP, pid="P", eid="E", user="ann", began=100.0), None), 2)
    for event in (
        {"time": 101.0, "step": "placing"},
        {"time": 102.0, "node": "a", "phase": "starting"},
        {"time": 103.0, "node": "a", "phase": "booted"},
        {"time": 103.5, "notice": "careful"},
        {"time": 104.0, "outcome": "failed", "error": "too large", "kind": "CapacityError", "hint": "fewer"},
    ):
        journal.take(event)
    shown = journal.shown()
    assert [(step["text"], step["kind"], step["seconds"]) for step in shown["steps"]] == [
        ("placing", "step", 1.0),
        ("careful", "notice", 3.5),
    ]
    assert (shown["kind"], shown["running"], shown["seconds"], shown["phases"]) == ("swapin", False, 4.0, {"booted": 1})
    assert shown["failure"] == {"message": "too large", "hint": "fewer"}


def test_every_test_that_the_page_of_security_names_exists() -> None:
    root = Path(__file__).parents[3]
    section = (root / "docs/security.md").read_text().partition("## The web page")[2].partition("## ")[0]
    refusals = (root / "tests/web/test_refusals.py").read_text()
    named = re.findall(r"`(test_\w+)\.\.\.`", section)
    assert len(named) > 8
    assert [name for name in named if f"def {name}" not in refusals] == []
