"""Where `benito serve` answers: the one place that knows."""

from __future__ import annotations

HOST = "127.0.0.1"
PORT = 8080


def experiment_url(pid: str, eid: str) -> str:
    """Return the address of an experiment's page."""
    return f"http://{HOST}:{PORT}/experiments/{pid}/{eid}"
