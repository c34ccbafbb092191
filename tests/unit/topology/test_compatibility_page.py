"""docs/compatibility.md has a place for every command that the reader knows."""

from __future__ import annotations

from pathlib import Path

import pytest

from benito.topology.ns.interpret import TESTBED
from benito.topology.ns.simulator import LAN, NODE, SIMULATOR

PAGE = (Path(__file__).parents[3] / "docs" / "compatibility.md").read_text()


@pytest.mark.parametrize("name", sorted({*TESTBED, *SIMULATOR, *NODE, *LAN}))
def test_every_command_is_on_the_page(name: str) -> None:
    assert any(f"{before}{name}{after}" in PAGE for before in ("`", " ") for after in ("`", " "))
