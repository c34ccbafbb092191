"""benito convert writes the other language, whole, and never over a file unasked."""

from __future__ import annotations

from pathlib import Path

import pytest

from benito.cli.main import main
from benito.topology import topdl
from benito.topology.reader import read

NS = "set ns [new Simulator]\nset a [$ns node]\nset b [$ns node]\n$ns duplex-link $a $b 10Mb 5ms DropTail\n$ns run\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.ns").write_text(NS)


def convert(*words: str) -> int | str | None:
    with pytest.raises(SystemExit) as ended:
        main(["convert", *words])
    return ended.value.code


def test_an_ns_file_becomes_topdl_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("a.ns") == 0
    found = topdl.read_source(capsys.readouterr().out, "t.xml")
    assert [node.name for node in found.nodes] == ["a", "b"]


def test_a_topdl_file_becomes_ns_with_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.xml").write_text("<experiment><elements><computer><name>a_b</name></computer></elements></experiment>")
    assert convert("x.xml", "-o", "x.ns") == 0
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == "warning: not in the NS file: the node `a_b` is called `a-b` here: NS can't name it so\n"
    assert [node.name for node in read(Path("x.ns")).nodes] == ["a-b"]


@pytest.mark.parametrize(("words", "begins"), [(["--to", "ns"], "set ns"), (["--to", "topdl"], "<?xml"), ([], "<?xml")])
def test_the_language_can_be_said(words: list[str], begins: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("a.ns", *words) == 0
    assert capsys.readouterr().out.startswith(begins)


def test_the_language_follows_the_suffix() -> None:
    assert convert("a.ns", "-o", "b.tcl") == 0
    assert Path("b.tcl").read_text().startswith("set ns")


def test_a_file_is_overwritten_only_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    Path("b.xml").write_text("mine")
    assert convert("a.ns", "-o", "b.xml") == 2
    assert (
        capsys.readouterr().err == "error: b.xml is there already (choose another name, or overwrite it with --force)\n"
    )
    assert Path("b.xml").read_text() == "mine"
    assert convert("a.ns", "-o", "b.xml", "--force") == 0
    assert Path("b.xml").read_text().startswith("<?xml")


def test_nothing_is_left_where_writing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    assert convert("a.ns", "-o", "none/b.xml") == 2
    assert convert("none.ns", "-o", "b.xml") == 2
    assert [path.name for path in Path().iterdir()] == ["a.ns"]


def test_a_link_to_a_file_stays_one() -> None:
    Path("real.xml").write_text("old")
    Path("b.xml").symlink_to("real.xml")
    assert convert("a.ns", "-o", "b.xml", "--force") == 0
    assert Path("b.xml").is_symlink()
    assert Path("real.xml").read_text().startswith("<?xml")
