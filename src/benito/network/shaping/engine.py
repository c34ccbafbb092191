"""The wire engine: carries the frames of shaped directions between interfaces, each at its time.

One thread, one epoll: raw sockets, a nanosecond timer, the kernel's news of interfaces, and the control socket. An
interface that is missing, down or replaced is a way that carries nothing until it is back; nothing here ends for it.
"""

from __future__ import annotations

import contextlib
import errno
import heapq
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from random import Random
from typing import Any

from benito.errors import NodeError
from benito.network.shaping.control import Control, Handler
from benito.network.shaping.frames import BATCH, Batch, Timer, open_port, overruns
from benito.network.shaping.lane import Lane
from benito.network.shaping.ways import Port, Trace, Way, ways_of, wire_of
from benito.plan.model import Direction

LATE_NS = 1_000_000
RECENT_NS = 250_000_000
"""Older arrival stamps aren't believed: the wall clock was set meanwhile, or the stamp is of another clock."""
SPIN_NS = 10_000
"""With a frame due this soon it isn't worth sleeping."""

_RTMGRP_LINK = 1
_RTM_NEWLINK, _RTM_DELLINK = 16, 17
_IFLA_IFNAME = 3
_AWAY = frozenset({errno.ENETDOWN, errno.ENXIO, errno.ENODEV})


class Engine:
    """Everything the process does; `run` returns never."""

    def __init__(self, control: Path, state: Path, seed: str = "") -> None:
        self._state = state
        self._seed = seed
        self._epoll = select.epoll()
        self._timer = Timer()
        self._batch = Batch()
        self._ports: dict[str, Port] = {}
        self._ways: dict[tuple[str, str], Way] = {}
        self._receivers: dict[int, Way] = {}
        self._due: list[tuple[int, int, Way]] = []
        self._wires: list[dict[str, Any]] = []
        self._numbers = 0
        self._news = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
        )
        self._news.bind((0, _RTMGRP_LINK))
        self._epoll.register(self._news, select.EPOLLIN)
        self._epoll.register(self._timer.fd, select.EPOLLIN | select.EPOLLET)
        handlers: dict[str, Handler] = {
            "apply": self.apply,
            "counters": self.counters,
            "parameters": self.parameters,
            "trace": self.trace,
        }
        self._resume()
        self._control = Control(control, self._epoll, handlers)

    def run(self) -> None:
        """Carry frames until the process is told to end."""
        epoll, timer, receivers, due = self._epoll, self._timer, self._receivers, self._due
        while True:
            wait = -1.0
            if due:
                if due[0][0] - time.monotonic_ns() < SPIN_NS:
                    wait = 0
                else:
                    timer.arm(due[0][0])
            for fd, mask in epoll.poll(wait, BATCH):
                way = receivers.get(fd)
                if way:
                    self._receive(way, fd)
                elif fd == timer.fd:
                    timer.fired()
                elif fd == self._news.fileno():
                    self._hear()
                else:
                    self._control.handle(fd, mask)
                if due and due[0][0] <= time.monotonic_ns():
                    self._send_due()
            if due and due[0][0] <= time.monotonic_ns():
                self._send_due()

    def _receive(self, way: Way, fd: int) -> None:
        try:
            count = self._batch.receive(fd)
        except OSError as error:
            # EINVAL: a large frame of a kind that has no header; it is gone. ENETDOWN: told once, then silence.
            if error.errno not in (errno.EAGAIN, errno.EINTR):
                way.away += 1
            return
        lane = way.lane
        pending = lane.pending
        # In this order the difference can only come out too large, and a frame late rather than early.
        wall = time.time_ns()
        now = time.monotonic_ns()
        offset = now - wall
        oldest = now - RECENT_NS
        for frame, size, stamp in self._batch.frames(count):
            arrival = stamp + offset
            if not oldest < arrival <= now:
                arrival = now
            fate = lane.admit(arrival, size)
            if fate is None:
                continue
            due, start = fate
            if due <= now and not pending:
                self._send(way, frame, arrival, due, size)
                continue
            pending.append((due, bytes(frame), arrival, size, start))
            if len(pending) == 1:
                self._schedule(way, due)

    def _schedule(self, way: Way, due: int) -> None:
        way.scheduled = due
        heapq.heappush(self._due, (due, way.number, way))

    def _send_due(self) -> None:
        """Send what is due, at most a batch a way, so that neither a full one nor this holds up the others."""
        now = time.monotonic_ns()
        for _ in range(BATCH):
            if not self._due or self._due[0][0] > now:
                return
            due, _, way = heapq.heappop(self._due)
            if way.scheduled == due:
                way.scheduled = 0
                now = self._send_pending(way, now)
                if way.lane.pending:
                    self._schedule(way, way.lane.pending[0][0])

    def _send_pending(self, way: Way, now: int) -> int:
        """Send what is due of one way, with what gets due meanwhile; returns the time then."""
        lane = way.lane
        pending = lane.pending
        for _ in range(BATCH):
            if not pending:
                break
            if pending[0][0] > now:
                now = time.monotonic_ns()
                if pending[0][0] > now:
                    break
            due, frame, arrival, size, _start = pending.popleft()
            late = now - due
            if late > LATE_NS:
                lane.late += 1
            if late > lane.latest_ns:
                lane.latest_ns = late
            self._send(way, frame, arrival, due, size)
        return now

    def _send(self, way: Way, frame: bytes | memoryview, arrival: int, due: int, size: int) -> None:
        lane = way.lane
        try:
            way.target.socket.send(frame)  # type: ignore[union-attr]  # A missing one is the rare case below.
        except AttributeError:
            way.away += 1
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                way.oversize += 1
            elif error.errno in _AWAY:
                way.away += 1
            else:
                lane.refused += 1
        else:
            lane.frames += 1
            lane.bytes += size
            if way.trace:
                way.trace.record(arrival, due, size)

    def apply(self, wires: list[dict[str, Any]]) -> dict[str, Any]:
        """Carry exactly these wires; the list is kept for the engine's next life."""
        wanted = {(wire.name, label): ends for wire in map(wire_of, wires) for label, ends in ways_of(wire)}
        sources = [source for source, _, _ in wanted.values()]
        twice = sorted({name for name in sources if sources.count(name) > 1})
        if twice:
            raise NodeError(f"the interface {twice[0]} is an end of two wires")
        for key in [key for key in self._ways if key not in wanted]:
            self._forget(key)
        for key, (source, target, direction) in wanted.items():
            self._have(key, source, target, direction)
        self._tidy()
        self._wires = wires
        self._remember()
        return {"missing": sorted(name for name, port in self._ports.items() if not port.socket)}

    def _have(self, key: tuple[str, str], source: str, target: str, direction: Direction) -> None:
        way = self._ways.get(key)
        if way and (way.source.name, way.target.name) != (source, target):
            self._forget(key)
            way = None
        if way:
            way.lane.configure(direction, time.monotonic_ns())
            if way.lane.pending and way.scheduled != way.lane.pending[0][0]:
                self._schedule(way, way.lane.pending[0][0])
            return
        random = Random(f"{self._seed}/{key[0]}/{key[1]}") if self._seed else Random()
        self._numbers += 1
        near, far = (self._ports.setdefault(name, Port(name)) for name in (source, target))
        self._ways[key] = Way(key[0], near, far, Lane(direction, random.random), self._numbers)

    def _forget(self, key: tuple[str, str]) -> None:
        way = self._ways.pop(key)
        way.scheduled = 0
        way.lane.pending.clear()
        if way.trace:
            way.trace.close()

    def _tidy(self) -> None:
        """Open, reopen and close sockets as the ways need them."""
        sources = {way.source.name: way for way in self._ways.values()}
        used = sources.keys() | {way.target.name for way in self._ways.values()}
        for name in [name for name in self._ports if name not in used]:
            self._close(self._ports.pop(name))
        for name, port in self._ports.items():
            receives = name in sources
            index = _index(name)
            if port.socket and (port.receives != receives or port.index != index):
                self._close(port)
            if not port.socket and index:
                port.receives = receives
                self._open(port, index)
            if port.socket and receives:
                self._receivers[port.socket.fileno()] = sources[name]

    def _open(self, port: Port, index: int) -> None:
        try:
            port.socket = open_port(index, port.receives)
        except OSError as error:
            # Gone again already, most likely; if not, the next news or apply tries again.
            print(f"wires: {port.name}: {error}", file=sys.stderr, flush=True)
            return
        port.index = index
        if port.receives:
            self._epoll.register(port.socket, select.EPOLLIN)

    def _close(self, port: Port) -> None:
        if port.socket:
            self._receivers.pop(port.socket.fileno(), None)
        port.close()

    def _hear(self) -> None:
        """Learn which interfaces came and went."""
        changed = False
        try:
            while data := self._news.recv(1 << 16):
                for name in _interfaces_in(data):
                    port = self._ports.get(name)
                    changed = changed or (port is not None and port.index != _index(name))
        except BlockingIOError:
            pass
        except OSError:
            changed = True  # ENOBUFS: some news was lost.
        if changed:
            self._tidy()

    def counters(self) -> dict[str, dict[str, dict[str, int]]]:
        """Return what became of the frames, by wire and direction."""
        found: dict[str, dict[str, dict[str, int]]] = {}
        for (wire, label), way in self._ways.items():
            lane = way.lane
            if way.source.socket:
                lane.refused += overruns(way.source.socket)
            found.setdefault(wire, {})[label] = {
                "frames": lane.frames,
                "bytes": lane.bytes,
                "lost": lane.lost,
                "dropped": lane.dropped,
                "late": lane.late,
                "refused": lane.refused + way.away + way.oversize,
                "oversize": way.oversize,
                "away": way.away,
                "latest_ns": lane.latest_ns,
                "pending": len(lane.pending),
            }
        return found

    def parameters(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return each shaped direction as it is in force."""
        found: dict[str, dict[str, dict[str, Any]]] = {}
        for (wire, label), way in self._ways.items():
            found.setdefault(wire, {})[label] = asdict(way.lane.direction)
        return found

    def trace(self, action: str, wire: str, path: str = "") -> int:
        """Begin (`start`) or end (`stop`) writing a wire's times to a file; the number of directions concerned."""
        ways = [(label, way) for (name, label), way in self._ways.items() if name == wire]
        if not ways:
            raise NodeError(f"no shaped wire is named {wire}")
        for label, way in ways:
            if way.trace:
                way.trace.close()
            way.trace = Trace(Path(path), label) if action == "start" else None
        return len(ways)

    def _remember(self) -> None:
        fresh = self._state.with_suffix(".new")
        fresh.write_text(json.dumps(self._wires))
        fresh.replace(self._state)

    def _resume(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            try:
                self.apply(json.loads(self._state.read_text()))
            except (ValueError, TypeError, KeyError, NodeError) as error:
                print(f"wires: {self._state}: {error}", file=sys.stderr, flush=True)


def _index(name: str) -> int:
    try:
        return socket.if_nametoindex(name)
    except OSError:
        return 0


def _interfaces_in(data: bytes) -> Iterator[str]:
    """Yield the names in a datagram of RTM_NEWLINK and RTM_DELLINK messages."""
    offset = 0
    while offset + 16 <= len(data):
        length, kind = struct.unpack_from("=IH", data, offset)
        if length < 16:
            return
        if kind in (_RTM_NEWLINK, _RTM_DELLINK):
            place, end = offset + 32, offset + length
            while place + 4 <= end:
                size, attribute = struct.unpack_from("=HH", data, place)
                if attribute == _IFLA_IFNAME:
                    yield os.fsdecode(data[place + 4 : place + size].rstrip(b"\0"))
                    break
                place += max(4, (size + 3) & ~3)
        offset += (length + 3) & ~3
