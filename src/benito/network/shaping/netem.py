"""The backend for kernels that have netem: everything is the kernel's, nothing of ours runs.

What comes in from one end of a wire is redirected to the other end, whose egress holds two netem queues, one in the
other: the outer one is the transmitter (rate, and a queue limited in packets), the inner one loses and delays what the
outer one has sent. An inner queue is entered when a frame leaves the outer one, so that this is exactly the order a
Direction means. netem's own `rate` sends a frame when its last bit would have been sent, as a real link does; htb and
tbf let a frame that finds the link idle pass at once.

A queue limited in bytes, or with RED, netem hasn't got. It stands before a pair of interfaces on the way (`s...` and
`t...`): tbf lets go of frames at the same rate, the transmitter behind it has then at most a frame to wait for.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from typing import Any

from benito.errors import HostError, NodeError
from benito.network.fabric import SHAPING
from benito.network.interfaces import Interfaces, explain, netlink
from benito.network.shaping import qdiscs
from benito.network.shaping.backend import Counters, WireCounters, read_sent
from benito.network.shaping.lane import FULL_FRAME
from benito.network.shaping.redirect import Redirects
from benito.plan.model import Direction, Wire

OUTER, INNER = 0x10000, 0x20000
"""Handles of the two netem queues, 1: and 2:."""
TOKENS, EARLY = 0x30000, 0x40000
"""Handles of the stage's tbf and of the RED in it."""
AMPLE = 1_000_000
"""Frames: a limit that is none (netem's default of 1,000 caps throughput at 1,000 frames per delay)."""


class Netem:
    """Shapes by the kernel's netem; `mark` is the experiment's `PID/EID`."""

    name = "netem"

    def __init__(self, mark: str) -> None:
        self._mark = mark
        self._wires: tuple[Wire, ...] = ()

    def apply(self, wires: Sequence[Wire]) -> None:
        """See Backend."""
        with netlink(f"the wires of {self._mark}") as ip:
            interfaces = Interfaces(ip, self._mark)
            ways = [way for wire in wires for way in _ways(wire)]
            staged = {name for _, target, direction in ways for name in _stage(target) if _needs_stage(direction)}
            present = [way for way in ways if way[0] in interfaces.links and way[1] in interfaces.links]
            queues = qdiscs.Queues(ip)
            targets = {}
            for source, target, direction in present:
                targets.update(self._shape(interfaces, queues, source, target, direction))
            Redirects(interfaces).apply(targets)
            self._remove_stages(interfaces, staged)
            ends = {interfaces.links[target].index for _, target, _ in present}
            queues.remove_others(ends, OUTER, "netem")
        self._wires = tuple(wires)

    def _shape(
        self, interfaces: Interfaces, queues: qdiscs.Queues, source: str, target: str, direction: Direction
    ) -> dict[str, str]:
        """Set up one direction; returns the redirections it needs."""
        index = interfaces.links[target].index
        try:
            if not _needs_stage(direction):
                _shape_egress(queues, index, direction, direction.queue_limit + 1)
                return {source: target}
            near, far = _stage(target)
            stage, _ = interfaces.patch(near, far, f"{SHAPING} queue of {target}")
            _shape_stage(queues, stage.index, direction)
            _shape_egress(queues, index, direction, AMPLE)
        except qdiscs.QueueError as error:
            raise _explained(error, target, self._mark) from error
        return {source: near, far: target}

    def _remove_stages(self, interfaces: Interfaces, wanted: set[str]) -> None:
        prefix = f"{self._mark} {SHAPING}"
        links = interfaces.links.values()
        interfaces.remove(*(ln.name for ln in links if ln.alias.startswith(prefix) and ln.name not in wanted))

    def counters(self) -> dict[str, WireCounters]:
        """See Backend."""
        with netlink(f"the wires of {self._mark}") as ip:
            links = Interfaces(ip, self._mark).links
            queues = qdiscs.Queues(ip)
            sent = read_sent(ip)

        def count(target: str, direction: Direction) -> Counters:
            outer, inner = (queues.get(links[target].index, h) if target in links else None for h in (OUTER, INNER))
            if not direction.shaped or outer is None or inner is None:
                return sent.get(target, Counters())
            near = _stage(target)[0]
            stage = queues.get(links[near].index, TOKENS) if near in links else None
            # The outer queue counts what its inner one has lost among its own drops.
            dropped = outer.drops - inner.drops + (stage.drops if stage else 0)
            return Counters(frames=outer.packets, bytes=outer.bytes, lost=inner.drops, dropped=dropped)

        return {w.name: WireCounters(count(w.b, w.forward), count(w.a, w.backward)) for w in self._wires}

    def parameters(self) -> dict[str, tuple[Direction, Direction]]:
        """See Backend; read from the kernel's queues (of RED, that it is on)."""
        with netlink(f"the wires of {self._mark}") as ip:
            links = Interfaces(ip, self._mark).links
            queues = qdiscs.Queues(ip)

        def read(target: str, direction: Direction) -> Direction:
            if target not in links:
                return Direction()
            near = _stage(target)[0]
            stage = links[near].index if near in links else 0
            return _read(queues, links[target].index, stage, direction)

        return {w.name: (read(w.b, w.forward), read(w.a, w.backward)) for w in self._wires}


def _ways(wire: Wire) -> tuple[tuple[str, str, Direction], tuple[str, str, Direction]]:
    return (wire.a, wire.b, wire.forward), (wire.b, wire.a, wire.backward)


def _needs_stage(direction: Direction) -> bool:
    return bool(direction.rate_kbps) and (direction.queue_in_bytes or direction.red is not None)


def _stage(target: str) -> tuple[str, str]:
    digest = hashlib.sha256(target.encode()).hexdigest()[:12]
    return f"s{digest}", f"t{digest}"


def _shape_egress(queues: qdiscs.Queues, index: int, direction: Direction, limit: int) -> None:
    if not direction.shaped:
        queues.remove(index, OUTER)
        return
    rate = qdiscs.rate(direction.rate_kbps)
    queues.have(index, qdiscs.ROOT, OUTER, "netem", {"limit": limit if rate else AMPLE, "rate": rate})
    delay, loss = qdiscs.delay_ns(direction.delay_ms), qdiscs.probability(direction.loss)
    queues.have(index, OUTER + 1, INNER, "netem", {"limit": AMPLE, "delay_ns": delay, "loss": loss})


def _shape_stage(queues: qdiscs.Queues, index: int, direction: Direction) -> None:
    rate = qdiscs.rate(direction.rate_kbps)
    size = 1 if direction.queue_in_bytes else FULL_FRAME
    limit = direction.queue_limit * size
    # One full frame, with tags: more would pass in a burst that no link of this rate lets through.
    queues.have(index, qdiscs.ROOT, TOKENS, "tbf", {"rate": rate, "limit": limit, "burst": FULL_FRAME + 8})
    red = direction.red
    if red is None:
        # tbf's own queue is one of bytes.
        return
    # The kernel's RED counts bytes only. Thresholds in packets become those of full frames, which are what fills a
    # queue; with a queue in bytes they are of the mean size, as in ns.
    unit = red.mean_packet_size if direction.queue_in_bytes else FULL_FRAME
    options = {
        "limit": limit,
        "min": round(red.threshold * unit),
        "max": round(red.max_threshold * unit),
        "wlog": max(1, min(31, round(-math.log2(red.weight)))),
        "max_p": qdiscs.probability(1 / red.linterm),
        "packet_ns": round(red.mean_packet_size * 1e9 / rate),
    }
    queues.have(index, TOKENS + 1, EARLY, "red", options)


def _read(queues: qdiscs.Queues, index: int, stage: int, wanted: Direction) -> Direction:
    """Return a direction as the kernel has it; of RED and the queue's unit, what was asked for if it is on."""
    outer, inner = queues.get(index, OUTER), queues.get(index, INNER)
    if outer is None or inner is None:
        return Direction()
    tokens = queues.get(stage, TOKENS)
    limit = wanted.queue_limit
    if tokens:
        limit = tokens.options["limit"] // (1 if wanted.queue_in_bytes else FULL_FRAME)
    elif outer.options["limit"] != AMPLE:
        limit = outer.options["limit"] - 1
    return Direction(
        delay_ms=round(inner.options["delay_ns"] / 1_000_000, 3),
        rate_kbps=outer.options["rate"] // 125,
        loss=round(inner.options["loss"] / 0xFFFFFFFF, 9),
        queue_limit=limit,
        queue_in_bytes=wanted.queue_in_bytes,
        red=wanted.red if queues.get(stage, EARLY) else None,
    )


def _explained(error: qdiscs.QueueError, target: str, mark: str) -> HostError | NodeError:
    told: Any = error.__cause__
    if error.missing:
        return HostError(
            f"this kernel has no sch_{error.kind}, which a link of {mark} needs",
            hint="install the distribution's full kernel, or set the shaping to `userspace`",
        )
    return NodeError(f"the wire's end {target} of {mark} can't be shaped by {error.kind}: {explain(told)}")
