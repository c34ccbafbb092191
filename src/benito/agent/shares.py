"""Shared folders for nodes that share the host's kernel: mounted once in their pnode, bound into each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from benito.agent.sandbox import RUNTIME, SHARE
from benito.idmap import mount_for_nodes
from benito.machines.oci import Bind
from benito.plan.model import Share


def mount_all(light: Path, shares: Sequence[Share]) -> None:
    """Mount the folders in the pnode as nodes are to have them; those that are mounted stay."""
    for number, share in enumerate(shares):
        target = _folder(light, number)
        if target.exists() and target.stat().st_dev != light.stat().st_dev:
            continue
        target.mkdir(parents=True, exist_ok=True)
        mount_for_nodes(RUNTIME / SHARE.format(number), target, share.people, read_only=share.read_only)


def binds(light: Path, shares: Sequence[Share]) -> Iterator[Bind]:
    """Yield what a node sees of them."""
    for number, share in enumerate(shares):
        yield Bind(_folder(light, number), share.target, share.read_only)


def _folder(light: Path, number: int) -> Path:
    return light / "shares" / str(number)
