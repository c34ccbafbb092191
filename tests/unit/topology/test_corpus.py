"""Every real NS file of the corpus, where it lies beside the project, reads as its reference reading says."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest

from benito.errors import InputError
from benito.topology.addressing import assign
from benito.topology.reader import read
from benito.topology.show import describe

SHARED = Path(__file__).parents[4] / "shared"
CORPUS = SHARED / "corpus"
TOOL = SHARED / "tools" / "compare_golden.py"

ON_PURPOSE = {
    "ns/DETERLabTesting-ELabInElab__elabinelab.ns": "an Emulab inside Emulab is not built",
    "ns/emulab-portal__testswap_elab_in_elab_t_ns.ns": "an Emulab inside Emulab is not built",
    "ns/emulab-portal__testswap_ImageTests_pm_LinkTestNSE.ns": "traffic of ns-2's emulator does not change the image",
    "ns/jdoop-wrapper__emulab.ns": "a remote blockstore is not a node",
}
"""Where Benito differs from Emulab because it means to: docs/compatibility.md."""

pytestmark = pytest.mark.skipif(not TOOL.exists(), reason="the corpus does not lie beside the project")


def load_tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("compare_golden", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def differences(tool: ModuleType, path: Path) -> list[str]:
    want = json.loads((CORPUS / "golden" / f"{path.relative_to(CORPUS)}.json").read_text())
    rejected = bool(want.get("exit"))
    try:
        got = describe(assign(read(path), "emulab"))
    except InputError as error:
        return [] if rejected else [f"rejected: {error}"]
    if rejected:
        reason = " ".join(want["stderr"])
        return [] if any(site in reason for site in tool.SITE_ONLY) else [f"accepted, reference: {reason[:200]}"]
    return list(tool.compare_ns(got, want))


def test_all_files_agree_but_those_that_differ_on_purpose() -> None:
    tool = load_tool()
    paths = sorted(path for path in (CORPUS / "ns").rglob("*") if path.is_file())
    found = {str(path.relative_to(CORPUS)): differences(tool, path) for path in paths}
    wrong = {name: faults for name, faults in found.items() if faults and name not in ON_PURPOSE}
    assert not wrong
    assert all(found.get(name, True) for name in ON_PURPOSE), "a file agrees now: take it off the list"
