"""The command line as a whole: every verb is there, errors are one line with an exit status."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import click
import pytest

from benito.cli.main import VERBS, main


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_its_module_and_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = importlib.import_module(f"benito.cli.{verb.replace('-', '_')}")
    assert isinstance(module.command, click.Command)
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help"])
    assert ended.value.code == 0
    assert "Usage: benito" in capsys.readouterr().out


def test_a_misspelt_verb_is_recognised(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["swpain"])
    assert ended.value.code == 2
    assert "Did you mean 'swapin'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["Demo/star", "-e", "Other/lab"], "there are two names of an experiment: Demo/star and Other/lab"),
        (["-p", "Other", "-e", "Demo/star"], "Demo/star isn't of the project Other"),
    ],
)
def test_names_that_contradict_each_other_name_nothing(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENITO_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["terminate", *words])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")


@pytest.mark.parametrize("words", [["Demo/star"], ["-e", "Demo/star"], ["-p", "Demo", "-e", "star"]])
def test_an_error_is_one_line_and_a_status(
    words: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENITO_HOME", str(tmp_path))
    with pytest.raises(SystemExit) as ended:
        main(["status", *words])
    assert ended.value.code == 4
    assert capsys.readouterr().err.startswith("error: there is no experiment Demo/star (")


def test_a_reader_that_goes_away_is_no_error() -> None:
    argv = f"{sys.executable} -m benito.cli.main --help | head -1"
    done = subprocess.run(argv, shell=True, capture_output=True, text=True, timeout=30, check=False)  # noqa: S602
    assert done.stderr == ""


def test_help_imports_nothing_heavy() -> None:
    words = """
import sys
from benito.cli.main import main
try:
    main(["--help"])
except SystemExit:
    pass
heavy = {"rich", "msgspec", "pyroute2", "sqlite3", "asyncio", "pymetis", "lxml"} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", words], check=True, timeout=30, capture_output=True)


def test_the_page_of_settings_tells_the_truth() -> None:
    import re
    import tomllib

    import msgspec

    from benito.testbed.config import Config

    page = Path(__file__).parents[3] / "docs" / "configuration.md"
    match = re.search(r"```toml\n(.*?)```", page.read_text(), re.DOTALL)
    assert match
    assert msgspec.convert(tomllib.loads(match[1]), Config) == Config()


def test_a_mistake_in_the_configuration_blocks_no_listing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BENITO_HOME", str(tmp_path))
    (tmp_path / "config.toml").write_text("memory_mib = many\n")
    with pytest.raises(SystemExit) as ended:
        main(["list"])
    assert ended.value.code == 0
    assert "config.toml" not in capsys.readouterr().err
