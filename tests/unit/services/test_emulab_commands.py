"""Emulab's commands on a host of one's own: their words, their output, their exit statuses."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from simulated import NS, enter, node

from benito.cli.known import endexp, expinfo, expwait, node_list, node_reboot, startexp, swapexp
from benito.errors import InputError, StateError
from benito.services import operations
from benito.services.operations import Kind, Operations
from benito.testbed.home import ExperimentId
from benito.testbed.store import State
from benito.testbed.testbed import Testbed

Said = pytest.CaptureFixture[str]
ENDS = """
import json, os, sys
from pathlib import Path
outcome = Path(sys.argv[0]).with_suffix(".json").read_text()
os.write(int(sys.argv[6]), b'{"step": "working"}\\n' + outcome.encode() + b"\\n")
"""
MIXED = [
    node("node-1"),
    node("node-2", "pnode-0001", "container"),
    node("node-3"),
    node("metal", "pnode-0002", "physical"),
]


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[str], None]:
    """Have operations do nothing but end as told."""
    program = tmp_path / "program.py"
    program.write_text(ENDS)
    monkeypatch.setattr(operations, "PROGRAM", [sys.executable, str(program)])

    def tell(outcome: str) -> None:
        program.with_suffix(".json").write_text(outcome)

    tell('{"outcome": "done"}')
    return tell


def last(bed: Testbed) -> operations.Request:
    """Return what the latest operation was asked for."""
    return Operations(bed.home).recent()[0].request


def test_extra_nodes_are_listed_as_on_deter(bed: Testbed, capsys: Said) -> None:
    enter(bed, "YourPID/some-experiment", nodes=MIXED)
    enter(bed, "YourPID/idle", State.SWAPPED)
    host = socket.gethostname()
    expected = f"""\
YourPID/some-experiment
    pnode-0000.some-experiment.YourPID / {host}
    pnode-0001.some-experiment.YourPID / {host}
    metal.some-experiment.YourPID / {host}
  extra nodes:
    node-1.some-experiment.YourPID
    node-2.some-experiment.YourPID
    node-3.some-experiment.YourPID
"""
    for words in (["--extra"], ["-e"], ["--extra", "-e", "YourPID,some-experiment"]):
        node_list.show(words)
        assert capsys.readouterr().out == expected
    node_list.show([])
    assert capsys.readouterr().out == expected.partition("  extra")[0]


@pytest.mark.parametrize(
    ("form", "line"),
    [
        ("-p", "node-1.e.p node-2.e.p node-3.e.p metal.e.p"),
        ("-P", "node-1.e.p (qemu) node-2.e.p (container) node-3.e.p (qemu) metal.e.p (physical)"),
        ("-v", "node-1 node-2 node-3 metal"),
        ("-h", "pnode-0000 pnode-0001 pnode-0000 pnode-0002"),
        ("-H", "pnode-0000 (qemu) pnode-0001 (container) pnode-0000 (qemu) pnode-0002 (physical)"),
        ("-m", "node-1=node-1.e.p node-2=node-2.e.p node-3=node-3.e.p metal=metal.e.p"),
    ],
)
def test_an_experiments_nodes_are_listed_as_on_emulab(bed: Testbed, capsys: Said, form: str, line: str) -> None:
    enter(bed, "P/E", nodes=MIXED)
    node_list.show([form, "-e", "p,e"])
    assert capsys.readouterr().out == f"{line}\n"


def test_an_experiment_without_nodes_is_told(bed: Testbed, capsys: Said) -> None:
    enter(bed, "P/E", State.SWAPPED)
    node_list.show(["--extra", "-e", "P,E"])
    said = capsys.readouterr()
    assert (said.out, said.err) == ("P/E\n  extra nodes:\n", "P/E is swapped out: it has no nodes now\n")
    with pytest.raises(StateError, match="there is no experiment P/F"):
        node_list.show(["-e", "P,F"])


@pytest.mark.parametrize("words", [["-e", "Demo,star"], ["Demo", "star"], ["Demo,star"], ["demo/STAR"]])
def test_an_experiment_is_named_in_every_old_way(
    bed: Testbed, capsys: Said, ends: Callable[[str], None], words: list[str]
) -> None:
    enter(bed)
    assert swapexp.swap([*words, "out"]) == 0
    assert last(bed).kind is Kind.SWAPOUT
    assert capsys.readouterr().out == "Demo/star is being swapped out\n"


def test_who_waits_gets_the_outcome(bed: Testbed, capsys: Said, ends: Callable[[str], None]) -> None:
    enter(bed, state=State.SWAPPED)
    assert swapexp.swap(["-w", "-N", "-e", "Demo,star", "in"]) == 0
    assert capsys.readouterr().out == "Demo/star is active\n"
    ends('{"outcome": "failed", "error": "the host is full", "kind": "CapacityError"}')
    assert endexp.end(["-w", "Demo", "star"]) == 3
    assert capsys.readouterr().err.endswith("error: the host is full\n")


def test_what_cannot_be_is_refused_before_it_begins(bed: Testbed, ends: Callable[[str], None]) -> None:
    enter(bed, state=State.SWAPPED)
    with pytest.raises(StateError, match="is swapped out already"):
        swapexp.swap(["-e", "Demo,star", "out"])
    with pytest.raises(InputError, match="sideways is no direction"):
        swapexp.swap(["-e", "Demo,star", "sideways"])
    with pytest.raises(StateError, match="there is no experiment"):
        endexp.end(["-e", "Demo,nova"])
    assert Operations(bed.home).recent() == []


def test_startexp_creates_and_begins(bed: Testbed, capsys: Said, tmp_path: Path, ends: Callable[[str], None]) -> None:
    file = tmp_path / "pair.ns"
    file.write_text(NS)
    assert startexp.start(["-q", "-f", "-p", "P", "-e", "E", "-E", "two nodes", str(file)]) == 0
    assert capsys.readouterr().out == "P/E is created, swapped out\n"
    words = ["-q", "-i", "-w", "-g", "P", "-S", "lab hours", "-a", "60", "-p", "P", "-e", "F", "--packing", "4"]
    assert startexp.start([*words, str(file)]) == 0
    assert (last(bed).kind, last(bed).eid) == (Kind.SWAPIN, "F")
    assert bed.record(ExperimentId("P", "F")).settings.packing == 4
    with pytest.raises(StateError, match="exists already"):
        startexp.start(["-p", "p", "-e", "e", str(file)])


def test_expinfo_has_a_table_for_each_letter(bed: Testbed, capsys: Said) -> None:
    enter(bed, nodes=[node("a"), node("b")])
    expinfo.show(["-m", "-l", "-e", "Demo,star"])
    out = capsys.readouterr().out
    assert out.startswith("Experiment: Demo/star\nState: active\n")
    assert "a   qemu  debian-12  pnode-0000  booted" in out
    assert "l   a:0     10.0.0.1/255.255.255.0  5.00   1000      0.00000000" in out
    assert "Virtual Node Info" not in out
    expinfo.show(["-a", "Demo", "star"])
    out = capsys.readouterr().out
    assert "droptail  50 packets" in out
    assert "Virtual Node Info" in out


def test_expwait_ends_with_the_state_or_in_time(bed: Testbed, capsys: Said) -> None:
    enter(bed)
    assert expwait.wait(["-e", "Demo,star", "active"]) == 0
    assert capsys.readouterr().out == "active\n"
    assert expwait.wait(["-t", "0", "Demo,star", "swapped"]) == 8
    with pytest.raises(InputError, match="happy is no state"):
        expwait.wait(["Demo,star", "happy"])


def test_node_reboot_wants_whole_names(bed: Testbed) -> None:
    enter(bed)
    with pytest.raises(InputError, match="doesn't say which experiment"):
        node_reboot.reboot(["a"])
    with pytest.raises(InputError, match="has no node 'z'"):
        node_reboot.reboot(["z.star.demo"])
    with pytest.raises(InputError, match="without a boot"):
        node_reboot.reboot(["-c", "a.star.demo"])


def test_options_of_a_server_elsewhere_are_told_to_have_no_effect(bed: Testbed, capsys: Said) -> None:
    enter(bed)
    expwait.wait(["--server", "boss.emulab.net", "--cert", "x.pem", "Demo,star", "active"])
    assert "have no effect" in capsys.readouterr().err
