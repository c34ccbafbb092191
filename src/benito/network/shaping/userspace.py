"""The backend for kernels without netem: the wire engine carries shaped directions, the kernel all others."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import benito.errors
from benito.errors import NodeError
from benito.network.interfaces import Interfaces, netlink
from benito.network.shaping.backend import Counters, WireCounters, read_sent
from benito.network.shaping.redirect import VOID, Redirects
from benito.plan.model import Direction, Red, Wire

REPLY_S = 20.0


class Userspace:
    """Shapes by the engine that listens at `engine`; `mark` is the experiment's `PID/EID`."""

    name = "userspace"

    def __init__(self, mark: str, engine: Path) -> None:
        self._mark = mark
        self._engine = engine
        self._wires: tuple[Wire, ...] = ()

    def apply(self, wires: Sequence[Wire]) -> None:
        """See Backend; NodeError when the engine doesn't answer."""
        import msgspec

        with netlink(f"the wires of {self._mark}") as ip:
            interfaces = Interfaces(ip, self._mark)
            redirects = Redirects(interfaces)
            if any(wire.shaped for wire in wires):
                redirects.void()
            # Filters first: the other way round both would carry the frames for a moment, and nodes see them twice.
            redirects.apply(_targets(wires, interfaces))
        self._ask("apply", wires=msgspec.to_builtins([wire for wire in wires if wire.shaped]))
        self._wires = tuple(wires)

    def counters(self) -> dict[str, WireCounters]:
        """See Backend; of an unshaped direction, what the far interface has sent."""
        told = self._ask("counters")
        with netlink(f"the wires of {self._mark}") as ip:
            sent = read_sent(ip) if any(not _all_shaped(wire) for wire in self._wires) else {}
        found = {}
        for wire in self._wires:
            ways = told.get(wire.name, {})
            forward = _counters(ways["forward"]) if "forward" in ways else sent.get(wire.b, Counters())
            backward = _counters(ways["backward"]) if "backward" in ways else sent.get(wire.a, Counters())
            found[wire.name] = WireCounters(forward, backward)
        return found

    def parameters(self) -> dict[str, tuple[Direction, Direction]]:
        """See Backend."""
        told = self._ask("parameters")
        found = {}
        for wire in self._wires:
            ways = told.get(wire.name, {})
            found[wire.name] = (_direction(ways.get("forward", {})), _direction(ways.get("backward", {})))
        return found

    def trace(self, wire: str, path: Path) -> None:
        """Write the times of each frame of a shaped wire to the file, until `end_trace`."""
        self._ask("trace", action="start", wire=wire, path=str(path))

    def end_trace(self, wire: str) -> None:
        """Stop what `trace` began; the file is complete then."""
        self._ask("trace", action="stop", wire=wire)

    def _ask(self, operation: str, **arguments: Any) -> Any:
        line = json.dumps({"id": 1, "op": operation, "arguments": arguments}).encode() + b"\n"
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(REPLY_S)
                connection.connect(str(self._engine))
                connection.sendall(line)
                with connection.makefile("rb") as replies:
                    answer = json.loads(replies.readline() or b"null")
        except OSError as error:
            raise NodeError(f"the wire engine of {self._mark} doesn't answer at {self._engine}: {error}") from error
        if answer is None:
            raise NodeError(f"the wire engine of {self._mark} ended before it answered")
        if "error" in answer:
            fault = answer["error"]
            kind: type[benito.errors.BenitoError] = getattr(benito.errors, fault["kind"], NodeError)
            raise kind(fault["message"], hint=fault["hint"])
        return answer["reply"]


def _targets(wires: Sequence[Wire], interfaces: Interfaces) -> dict[str, str]:
    """Return where what comes in from each end goes; wires with an end missing are left out."""
    present = interfaces.links
    targets = {}
    for wire in wires:
        for source, target, direction in ((wire.a, wire.b, wire.forward), (wire.b, wire.a, wire.backward)):
            if source in present and direction.shaped:
                targets[source] = VOID
            elif source in present and target in present:
                targets[source] = target
    return targets


def _all_shaped(wire: Wire) -> bool:
    return wire.forward.shaped and wire.backward.shaped


def _counters(told: dict[str, int]) -> Counters:
    return Counters(
        frames=told["frames"],
        bytes=told["bytes"],
        lost=told["lost"],
        dropped=told["dropped"],
        late=told["late"],
        refused=told["refused"],
    )


def _direction(told: dict[str, Any]) -> Direction:
    red = told.get("red")
    return Direction(**{**told, "red": Red(**red) if red else None})
