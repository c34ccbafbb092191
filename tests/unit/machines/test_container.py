"""Programs run in a container: their ends and outputs, and that neither is without bound."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benito.errors import NodeError
from benito.machines import oci
from benito.machines.container import Container, Paths
from benito.machines.guest_agent import ExecResult


class Here:
    """A runtime that enters no container."""

    def enter(self, name: str, argv: Sequence[str]) -> list[str]:
        return list(argv)


def run(folder: Path, script: str, timeout: float = 20) -> ExecResult:
    engine: Any = Here()
    container = Container("a", "a", Paths(*[folder] * 4), engine, cgroup="", limits=oci.Limits())
    return asyncio.run(container.run(["/bin/sh", "-c", script], timeout))


def test_an_end_and_outputs(tmp_path: Path) -> None:
    assert run(tmp_path, "echo out; echo err >&2; exit 3") == ExecResult(3, b"out\n", b"err\n")


def test_one_that_writes_without_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="/bin/sh on a wrote more than 16 MiB"):
        run(tmp_path, "exec yes")


def test_one_that_does_not_end_is_ended(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"didn't end within 0\.1 s"):
        run(tmp_path, "exec sleep 60", 0.1)


def test_what_one_leaves_running_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match=r"didn't end within 0\.5 s"):
        run(tmp_path, "sleep 5 & echo begun; exit", 0.5)
