"""`benito show` and `benito check` as a person or a script sees them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from benito.cli.check import command as check
from benito.cli.show import command as show
from benito.errors import InputError

GOLDEN = Path(__file__).parents[2] / "golden"
EXAMPLES = Path(__file__).parents[3] / "examples"
FILES = [GOLDEN / "show" / "small.ns", *(EXAMPLES / f"{name}.ns" for name in ("star", "lan", "guide-star10"))]


def run(*args: str) -> str:
    done = CliRunner().invoke(show, args, catch_exceptions=False)
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("rule", ["benito", "emulab"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_json_is_as_in_the_golden_file(path: Path, rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)

    output = run("--json", "--addressing", rule, path.name)

    golden = GOLDEN / "show" / f"{path.stem}.{rule}.json"
    if os.environ.get("BENITO_WRITE_GOLDEN"):
        golden.write_text(output)
    assert json.loads(output) == json.loads(golden.read_text())


def test_the_table_has_what_was_asked() -> None:
    output = run(str(FILES[0]))

    for word in (
        "left",
        "hub-0",
        "container",
        "UBUNTU22-64-STD",
        "192.168.7.9",
        "10Mb",
        "20ms",
        "19%",
        "manual",
        "pc3000",
    ):
        assert word in output
    assert "tb-fix-node is recorded but not acted on yet" in " ".join(output.split())


@pytest.mark.parametrize("path", FILES[1:], ids=lambda path: path.stem)
def test_examples_have_nothing_to_complain_about(path: Path) -> None:
    done = CliRunner().invoke(check, [str(path)], catch_exceptions=False)

    assert done.exit_code == 0
    assert len(done.output.splitlines()) == 1


def test_a_wrong_file_is_the_callers_to_report() -> None:
    with pytest.raises(InputError):
        CliRunner().invoke(show, [str(GOLDEN / "errors" / "units.ns")], catch_exceptions=False)


def test_check_lists_errors_and_exits_with_2() -> None:
    done = CliRunner().invoke(check, [str(GOLDEN / "errors" / "no-run.ns")], catch_exceptions=False)

    assert done.exit_code == 2
    assert "no-run.ns:2: the file has no $ns run" in done.output


def test_check_as_json() -> None:
    done = CliRunner().invoke(check, ["--json", str(GOLDEN / "errors" / "names.ns")], catch_exceptions=False)

    found = json.loads(done.output)
    assert done.exit_code == 2
    assert found["errors"][0]["line"] == 2
    assert found["errors"][0]["hint"]
    assert found["warnings"] == []
