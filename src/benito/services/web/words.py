"""Times and names as the templates write them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import quote


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def _clock(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M")


def _clock_s(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).strftime("%H:%M:%S")


def _segment(name: str) -> str:
    """Return a name as one part of an address."""
    return quote(name, safe="")


def filters() -> Mapping[str, Callable[..., str]]:
    """Return the templates' filters."""
    return {"iso": _iso, "clock": _clock, "clock_s": _clock_s, "segment": _segment}
