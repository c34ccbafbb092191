"""Errors of files that are too large, or no files at all: each text stands in `golden/errors/made-*.txt`.

The files are made here, for what is wrong with them is their size, their kind or that they are missing. Limits are
lowered where a file beyond them would take long to write.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from benito.errors import InputError
from benito.topology import text
from benito.topology.addressing import assign
from benito.topology.ns import Limits, experiment, read_source, recording
from benito.topology.reader import read
from benito.topology.topdl import document
from golden import compare

HEAD = "set ns [new Simulator]\nset a [$ns node]\nset b [$ns node]\n"


def large_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "MAX_BYTES", 1 << 20)
    Path("file.ns").write_bytes(b"#" * ((1 << 20) + 1))


def large_topdl(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_BYTES", 1 << 20)
    Path("file.ns").write_bytes(b"<experiment>" + b" " * (1 << 20))


def many_tags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_TAGS", 1000)
    Path("file.ns").write_text("<experiment>" + "<version/>" * 1000 + "</experiment>")


def long_text(_: pytest.MonkeyPatch) -> None:
    Path("file.ns").write_text(f"<experiment><version>{'1' * 10_000_001}</version></experiment>")


def many_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "MAX_INTERFACES", 1000)
    lans = "while {[incr i] < 400} { $ns make-lan [string repeat {a b } 100] 1Mb 0 }"
    Path("file.ns").write_text(f"{HEAD}{lans}\n$ns run\n")


def directory(_: pytest.MonkeyPatch) -> None:
    Path("file.ns").mkdir()


def no_regular_file(_: pytest.MonkeyPatch) -> None:
    os.mkfifo("file.ns")


def missing(_: pytest.MonkeyPatch) -> None:
    """Make nothing."""


def circle(_: pytest.MonkeyPatch) -> None:
    Path("file.ns").symlink_to("file.ns")


MAKERS = (
    large_text,
    large_topdl,
    many_tags,
    long_text,
    many_interfaces,
    directory,
    no_regular_file,
    missing,
    circle,
)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_errors_read_as_in_the_golden_file(
    make: Callable[[pytest.MonkeyPatch], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(monkeypatch)

    with pytest.raises(InputError) as raised:
        read(Path("file.ns"))

    compare(raised.value, f"made-{make.__name__.replace('_', '-')}")


@pytest.mark.parametrize(
    ("name", "body", "limits"),
    [
        ("long-time", "while 1 {}", Limits(seconds=1)),
        ("much-memory", "set x a\nwhile 1 { append x $x }", Limits(memory=256 << 20)),
        ("huge-value", "set x [string repeat abc 900000000]", Limits()),
        ("much-output", "while 1 { tb-set-node-startup $a [string repeat x 100000] }", Limits(output=1 << 20)),
        ("many-objects", "while 1 { $ns node }", Limits(objects=500)),
    ],
)
def test_limits_read_as_in_the_golden_file(name: str, body: str, limits: Limits) -> None:
    with pytest.raises(InputError) as raised:
        read_source(f"{HEAD}{body}\n$ns run\n", "file.ns", limits=limits)

    compare(raised.value, f"made-{name}")


def test_tcl_breaks_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "RECORDER", tmp_path / "recorder.tcl")
    (tmp_path / "recorder.tcl").write_text("exit 3\n")

    with pytest.raises(InputError) as raised:
        read_source(f"{HEAD}$ns run\n", "file.ns")

    compare(raised.value, "made-breakdown")


def test_emulab_s_rule_runs_out_of_subnets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    lans = "for {set i 0} {$i < 254} {incr i} {\n  set l($i) [$ns make-lan {a b} * 0ms]\n"
    Path("file.ns").write_text(f"{HEAD}{lans}  tb-set-netmask $l($i) 255.255.0.0\n}}\n$ns run\n")

    with pytest.raises(InputError) as raised:
        assign(read(Path("file.ns")), "emulab")

    compare(raised.value, "made-no-subnets")
