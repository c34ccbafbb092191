"""What the wire engine keeps of interfaces and directions, and how wires come to it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benito.network.shaping.lane import Lane
from benito.plan.model import Direction, Red, Wire


class Port:
    """One interface by name, with its socket while the interface is there."""

    __slots__ = ("index", "name", "receives", "socket")

    def __init__(self, name: str) -> None:
        self.name = name
        self.receives = False
        self.index = 0
        self.socket: socket.socket | None = None

    def close(self) -> None:
        if self.socket:
            self.socket.close()
        self.socket = None
        self.index = 0


class Way:
    """One shaped direction of a wire: from a port, through a lane, to a port."""

    __slots__ = ("away", "lane", "number", "oversize", "scheduled", "source", "target", "trace", "wire")

    def __init__(self, wire: str, source: Port, target: Port, lane: Lane, number: int) -> None:
        self.wire = wire
        self.source = source
        self.target = target
        self.lane = lane
        self.number = number
        self.scheduled = 0
        self.away = 0
        self.oversize = 0
        self.trace: Trace | None = None


class Trace:
    """Times of each frame of a wire, a line each: direction, arrival, due, departure (ns, CLOCK_MONOTONIC), bytes."""

    __slots__ = ("_file", "_lines", "direction")

    def __init__(self, path: Path, direction: str) -> None:
        self.direction = direction
        self._file = path.open("a")
        self._lines: list[str] = []

    def record(self, arrival: int, due: int, size: int) -> None:
        self._lines.append(f"{self.direction} {arrival} {due} {time.monotonic_ns()} {size}\n")
        if len(self._lines) >= 4096:
            self.flush()

    def flush(self) -> None:
        self._file.writelines(self._lines)
        self._file.flush()
        self._lines.clear()

    def close(self) -> None:
        self.flush()
        self._file.close()


def wire_of(data: dict[str, Any]) -> Wire:
    """Read a wire as msgspec writes it (without msgspec, which costs more to import than all the rest)."""
    directions = {}
    for label in ("forward", "backward"):
        words = dict(data.get(label, {}))
        if words.get("red"):
            words["red"] = Red(**words["red"])
        directions[label] = Direction(**words)
    return Wire(**{**data, **directions})


def ways_of(wire: Wire) -> Iterator[tuple[str, tuple[str, str, Direction]]]:
    """Yield the shaped directions: `forward` or `backward`, and where from, where to, what happens."""
    if wire.forward.shaped:
        yield "forward", (wire.a, wire.b, wire.forward)
    if wire.backward.shaped:
        yield "backward", (wire.b, wire.a, wire.backward)
