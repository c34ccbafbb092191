"""docs/coming-from-deter.md tells of what there is."""

from __future__ import annotations

from pathlib import Path

import pytest

from benito.machines.emulab import LINKS, PROGRAMS
from benito.topology.advice import PROVIDED, advice
from benito.topology.reader import read

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/coming-from-deter.md").read_text()


def test_the_example_reads_without_a_word() -> None:
    topology = read(ROOT / "examples/from-deter.ns")
    assert (topology.warnings, advice(topology)) == ((), ())


@pytest.mark.parametrize("program", sorted({*PROGRAMS} - {"emulab-syncd"}))
def test_every_tool_on_a_node_is_on_the_page(program: str) -> None:
    assert f"`{program}`" in PAGE or f"/{program}" in PAGE


def test_advice_knows_the_tools_that_nodes_have() -> None:
    tools = {f"/usr/local/etc/emulab/{name}" for name in PROGRAMS if name != "emulab-syncd"}
    assert {*PROVIDED} == tools | {f"/{path}" for path in LINKS if path.startswith("usr/testbed/")}
