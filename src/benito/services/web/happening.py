"""The keepers' events as lines of a log: when, who, what, and how it should look."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

READ = 256 << 10
"""Bytes of the end of a log that are looked at."""
SHOWN = 200


class Entry(msgspec.Struct, frozen=True):
    """One line of the log."""

    time: float
    who: str
    what: str
    tone: str


def entry(event: dict[str, Any]) -> Entry | None:
    """Return an event as a line; None for one that says nothing to people."""
    if "time" not in event:
        return None
    who = str(event.get("node") or event.get("pnode") or "")
    status = event.get("status")
    if isinstance(status, list | tuple):
        boot, code = status
        ended = "machine ended" if boot == "dead" else "start command ended"
        what = str(boot or "unknown") + (f", {ended} with {code}" if code is not None else "")
        tone = "bad" if boot == "dead" or code else "good" if boot == "booted" else "busy"
        return Entry(float(event["time"]), who, what, tone)
    if "error" in event:
        return Entry(float(event["time"]), who, str(event["error"]), "bad")
    what = str(event.get("phase") or event.get("notice") or event.get("event") or "")
    return Entry(float(event["time"]), who, what, "bad" if "lost" in what else "busy") if what else None


def latest(file: Path) -> list[Entry]:
    """Return the last lines of an event log, newest first."""
    try:
        with file.open("rb") as opened:
            size = opened.seek(0, os.SEEK_END)
            opened.seek(max(0, size - READ))
            data = opened.read()
    except OSError:
        return []
    lines = data.split(b"\n")[1 if size > READ else 0 :]
    return list(reversed(list(_entries(lines))[-SHOWN:]))


def _entries(lines: list[bytes]) -> Iterator[Entry]:
    for line in lines:
        try:
            event = json.loads(line)
            made = entry(event)
        except (ValueError, KeyError, TypeError, AttributeError):
            # A host that lost power may leave half a line.
            continue
        if made is not None:
            yield made
