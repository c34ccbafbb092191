"""Files that are wrong on purpose end within their limits, with an error that says so, and touch nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ns_files import faults, topology

from benito.errors import HostError, InputError, Where
from benito.topology.ns import Limits, experiment, read, read_source
from benito.topology.reader import read as read_any

QUICK = Limits(seconds=1, memory=256 << 20, output=1 << 20, objects=500)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("while {1} {}", "runs for more than 1 seconds"),
        ("while {1} { catch { while {1} { incr x } } }", "runs for more than 1 seconds"),
        ("while {1} { puts [string repeat x 10000] }", "runs for more than 1 seconds"),
        ("set x a\nwhile {1} { append x $x }", "needs more than 256 MiB"),
        ("for {set i 0} {$i < 100} {incr i} { lappend l [string repeat $i 5000000] }", "memory"),
        (
            "set s [string repeat x 100000]\nset n [$ns node]\nwhile {1} { tb-set-node-startup $n $s }",
            "more than can be read",
        ),
        ("for {set i 0} {$i < 1000000} {incr i} { set n($i) [$ns node] }", "more than 500 objects"),
        ("proc f {} { f }\nf", "calls itself too deeply"),
        ("set x [string repeat abc 900000000]", "more memory than there is"),
    ],
)
def test_what_never_ends(body: str, message: str) -> None:
    # Only what waits for the time limit gets little of it: the others end by themselves, on a slow host too.
    found = faults(body, QUICK if "1 seconds" in message else replace(QUICK, seconds=60))

    assert message in found[-1].message
    assert found[-1].hint
    assert found[-1].where is not None


@pytest.mark.parametrize(
    "file", ["/etc/shadow", "/etc/passwd", "../../etc/hostname", "|cat /etc/passwd", "~root/.bashrc"]
)
def test_other_files_stay_unread(file: str) -> None:
    (found,) = faults(f"source {{{file}}}")

    assert str(found) == (
        f"t.ns:3: the file {file} can't be sourced (only tb_compat.tcl can be, which Benito has built in: put the "
        "other file's text here)"
    )


KEPT = ("set x {%s}", 'set x "%s"', "tb-set-node-startup $a {%s}")


@pytest.mark.parametrize("line", [*KEPT, "%s", "set x [%s]"])
def test_a_line_of_ten_megabytes(line: str) -> None:
    source = f"set ns [new Simulator]\nset a [$ns node]\n{line % ('x' * 10_000_000)}\n$ns run\n"
    if line in KEPT:
        assert [node.name for node in read_source(source, "t.ns").nodes] == ["a"]
        return

    with pytest.raises(InputError) as raised:
        read_source(source, "t.ns")

    assert [fault.where for fault in raised.value.faults] == [Where("t.ns", 3)]
    assert len(str(raised.value)) < 500


def test_too_many_interfaces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(experiment, "MAX_INTERFACES", 1000)

    found = faults("set n [$ns node]\nwhile {[incr i] < 400} { $ns make-lan [string repeat {n } 100] 1Mb 0 }")

    assert [fault.message for fault in found] == ["the file makes more than 1000 interfaces"]


@pytest.mark.parametrize(
    "body",
    [
        "exec touch {}",
        "open {} w",
        "set f [open {} w]; puts $f x; close $f",
        "file delete {}",
        "file mkdir {}",
        "file exists {}",
        "source {}",
        "load {}",
        "cd {}",
        "glob {}/*",
        "socket localhost 22",
        "interp create x; interp eval x {{ exec touch {} }}",
        "chan open {}",
        "fconfigure stdout",
        "gets stdin",
        "pwd",
        "vwait forever",
        "puts stdin x",
        "::tcl::file::delete {}",
        "interp invokehidden {{}} exec touch {}",
        "::benito::interp invokehidden {{}} exec touch {}",
        "::benito::emit node x",
        "::benito::record new 1",
    ],
)
def test_what_a_file_may_not_do(body: str, tmp_path: Path) -> None:
    bystander = tmp_path / "bystander"
    bystander.write_text("untouched")

    assert faults(body.format(bystander))

    assert bystander.read_text() == "untouched"
    assert [path.name for path in tmp_path.iterdir()] == ["bystander"]


def test_the_environment_stays_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "hush")

    assert "SECRET" not in str(faults("puts $env(SECRET)")[0].hint)
    assert "env" in faults("puts $::env(PATH)")[0].message


def test_redefining_commands_hurts_nobody_else() -> None:
    assert faults("rename set foo\nset x 1")
    assert faults("proc ::benito::line {} { return x }\ntb-set-node-os a b")
    assert faults("proc ::benito::record args {}\nset a [$ns node]\n") is not None


@pytest.mark.parametrize("data", [b"", b"   \n", b"\0", b"set ns\0", b"\x1a", bytes(range(256)), b"}{", b"\xff\xfe{"])
def test_what_is_no_ns_file(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "x.ns"
    path.write_bytes(data)

    with pytest.raises(InputError) as raised:
        read_any(path)

    assert all(fault.where and fault.where.file == str(path) for fault in raised.value.faults)


def test_what_is_no_file(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "missing.ns", Path("/dev/zero"), Path("a\0b"), tmp_path / ("x" * 300)):
        with pytest.raises(InputError):
            read(path)


def test_odd_but_good_files(tmp_path: Path) -> None:
    path = tmp_path / "x.ns"
    long_line = b"# " + b"x" * 10_000_000
    for data in (
        b"\xef\xbb\xbfset ns [new Simulator]\r\nset a [$ns node]\r\n$ns run\r\n",
        b"# caf\xe9\nset ns [new Simulator]\nset a [$ns node]\n$ns run",
        b"set ns [new Simulator]\n" + long_line + b"\nset a [$ns node]\n$ns run\n",
    ):
        path.write_bytes(data)
        assert [node.name for node in read(path).nodes] == ["a"]


def test_text_comes_through_as_it_is() -> None:
    command = "a\tb \\\\ \x1f \u20ac \u4e2d ' \" \x7f"
    read_back = topology(f"set a [$ns node]\ntb-set-node-startcmd $a {{{command}\nsecond line}}")

    assert read_back.node("a").start_command == f"{command}\nsecond line"


def test_a_host_without_tcl_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(HostError) as raised:
        topology("")

    assert "tclsh is not installed" in raised.value.message
    assert raised.value.hint


def test_messages_cannot_drive_a_terminal() -> None:
    found = faults('set e "\\x1b\\[2J"\ntb-set-node-os $e X\nset x$e [$ns node]')

    assert not any("\x1b" in str(fault) for fault in found)
