"""Where the pages of `benito serve` are: the one place that knows."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from benito.testbed.home import Home

HOST = "127.0.0.1"
PORT = 8080


def experiment_url(home: Home, pid: str, eid: str) -> str:
    """Return the address of an experiment's page: where `serve` of this home listens, or did last."""
    base = f"http://{HOST}:{PORT}"
    with suppress(OSError):
        base = _file(home).read_text().strip() or base
    return f"{base}/experiments/{pid}/{eid}"


def remember(home: Home, base: str) -> None:
    """Keep where the pages are now."""
    _file(home).write_text(f"{base}\n")


def _file(home: Home) -> Path:
    return home.root / "serve" / "address"
