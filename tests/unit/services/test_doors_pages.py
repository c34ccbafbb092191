"""docs/doors.md and docs/security.md tell of what there is."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from benito.services import status_rpc, wishes
from benito.services.xmlrpc import door, steering
from benito.services.xmlrpc.method import METHODS

ROOT = Path(__file__).parents[3]
DOORS = (ROOT / "docs/doors.md").read_text()
SECURITY = (ROOT / "docs/security.md").read_text()


@pytest.mark.parametrize("name", sorted(METHODS))
def test_every_method_is_on_the_page(name: str) -> None:
    module, _, short = name.partition(".")
    assert f"`{name}`" in DOORS or (f"`{module}." in DOORS and f"`{short}`" in DOORS)


def test_every_option_of_a_start_is_on_the_page() -> None:
    taken = (*wishes.WORDS, *wishes.TRUTHS, "share", *steering.STARTING)
    assert [word for word in taken if f"`{word}`" not in DOORS] == []


def test_every_command_of_the_protocol_is_on_the_page() -> None:
    for command in status_rpc.HELP:
        assert f"`{command}`" in DOORS


def test_every_command_of_emulab_is_on_the_page_and_installed() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    table = DOORS.partition("## Emulab's commands")[2]
    named = set(re.findall(r"^\| `(\w+)", table, re.MULTILINE))
    assert named == {name for name in scripts if name != "benito" and not name.endswith(".py")}


def test_ports_are_as_told() -> None:
    assert f"127.0.0.1:{door.PORT}{door.PATH}" in DOORS
    assert f"Port {status_rpc.PORT}" in DOORS


def test_code_on_the_page_is_python() -> None:
    blocks = re.findall(r"```python\n(.*?)```", DOORS, re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "docs/doors.md", "exec")


def test_tests_that_are_named_exist() -> None:
    named = set(re.findall(r"`(?:tests/\S*/)?(test_\w+\.py)`", SECURITY))
    assert len(named) > 6
    for name in named:
        assert list((ROOT / "tests").rglob(name)), name
