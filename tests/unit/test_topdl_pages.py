"""The examples of docs/shopdl.md and docs/topdl.md print what the pages say."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from benito.cli import main as benito
from benito.cli import shopdl

DOCS = Path(__file__).parents[2] / "docs"
STAR = """set ns [new Simulator]
set a [$ns node]
set b [$ns node]
set link0 [$ns duplex-link $a $b 10Mb 5ms DropTail]
$ns run
"""
PROGRAMS = {"shopdl.py": shopdl.main, "benito": benito.main}


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL)


def examples(page: str) -> list[tuple[str, str]]:
    """Return each command of a page with what it prints."""
    found: list[tuple[str, str]] = []
    for block in blocks(page, "console"):
        for line in block.splitlines(keepends=True):
            if line.startswith("$ "):
                found.append((line[2:].rstrip("\n"), ""))
            else:
                found[-1] = (found[-1][0], found[-1][1] + line)
    return found


@pytest.mark.parametrize("page", ["shopdl.md", "topdl.md"])
def test_the_examples_print_what_the_page_says(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("star.ns").write_text(STAR)
    for text in blocks(page, "xml"):
        Path("lab.xml").write_text(text)

    assert examples(page)
    for command, expected in examples(page):
        program, *words = shlex.split(command)
        with pytest.raises(SystemExit) as ended:
            PROGRAMS[program](words)
        said = capsys.readouterr()
        assert (command, said.out + said.err, ended.value.code) == (command, expected, 0)


def test_the_python_example_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("lab.xml").write_text(blocks("shopdl.md", "xml")[0])

    exec(blocks("shopdl.md", "python")[0], {})

    assert Path("new.xml").read_text().count("touch /tmp/started") == 2
