"""`benito graph` draws a file in any format, to a file or to standard output."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from benito.cli.graph import _png, command
from benito.errors import HostError, InputError

EXAMPLES = Path(__file__).parents[3] / "examples"
PICTURES = Path(__file__).parents[3] / "docs/pictures"


def run(*words: object) -> bytes:
    result = CliRunner().invoke(command, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout_bytes


def test_a_file_is_drawn_as_svg_unless_told_otherwise() -> None:
    assert run(EXAMPLES / "star.ns").startswith(b"<svg ")
    assert run(EXAMPLES / "star.ns", "--format", "dot").startswith(b'graph "star.ns"')
    assert run(EXAMPLES / "star.ns", "--format", "mermaid").startswith(b"%% star.ns")


def test_the_format_follows_the_name(tmp_path: Path) -> None:
    out = tmp_path / "picture.dot"
    assert run(EXAMPLES / "star.ns", "-o", out) == b""
    assert out.read_text().startswith('graph "star.ns"')


def test_pnodes_can_be_left_out() -> None:
    assert b'class="pnode"' in run(EXAMPLES / "star.ns", "--packing", 3)
    assert b'class="pnode" id' not in run(EXAMPLES / "star.ns", "--no-pnodes")


@pytest.mark.skipif(not shutil.which("rsvg-convert"), reason="librsvg2-bin is not installed")
def test_png() -> None:
    assert run(EXAMPLES / "lan.ns", "--format", "png").startswith(b"\x89PNG")


def test_png_without_its_converter_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(HostError) as raised:
        _png("<svg/>")
    assert raised.value.hint == (
        "install the package librsvg2-bin, or ask for `--format svg`, which every browser shows"
    )


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        run("nothing.ns")
    assert str(raised.value) == "nothing.ns: there is no such file (check the name and the folder)"


def test_a_place_that_can_not_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError) as raised:
        run(EXAMPLES / "star.ns", "-o", tmp_path / "no" / "where.svg")
    assert "can't be written" in raised.value.message


@pytest.mark.parametrize(("name", "packing"), [("guide-star10", 5), ("campus", 12)])
def test_the_pictures_in_the_docs_are_those_of_the_examples(name: str, packing: int) -> None:
    drawn = run(EXAMPLES / f"{name}.ns", "--packing", packing)
    assert drawn.decode() == (PICTURES / f"{name}.svg").read_text()
