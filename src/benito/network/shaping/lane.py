"""What a wire does to the frames of one direction, as arithmetic: no clock, no socket.

A frame's size here is that of the Ethernet frame without the checksum (FCS), preamble and gap, and without a VLAN tag
carried beside it: what `tc` counts, so that both backends mean the same by a rate. A large frame (segmentation
offload) counts as the frames it stands for.

A lane is a real link's transmitter: a frame that finds it idle leaves when its last bit has been sent, one that finds
it busy waits in the queue; then loss; then the delay. Times are integer nanoseconds of any one clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from benito.plan.model import Direction, Red

NS_PER_MS = 1_000_000
NS_PER_S = 1_000_000_000
FULL_FRAME = 1514
"""Bytes of a frame of full size."""

Frame = bytes
Pending = tuple[int, Frame, int, int, int]
"""Due time, frame, arrival, size, and when its sending starts."""


class Lane:
    """One direction's queue, rate, loss and delay, with the frames under way and what has been counted."""

    __slots__ = (
        "_backlog",
        "_delay",
        "_free",
        "_in_bytes",
        "_last",
        "_limit",
        "_loss",
        "_ns_per_byte",
        "_random",
        "_red",
        "_waiting",
        "bytes",
        "direction",
        "dropped",
        "frames",
        "late",
        "latest_ns",
        "lost",
        "pending",
        "refused",
    )

    def __init__(self, direction: Direction, random: Callable[[], float]) -> None:
        self._random = random
        self._waiting: deque[tuple[int, int]] = deque()
        """When the sending of each waiting frame starts, and its size."""
        self._backlog = 0
        self._free = 0
        self._last = 0
        self.pending: deque[Pending] = deque()
        self.frames = self.bytes = 0
        self.lost = self.dropped = self.refused = self.late = self.latest_ns = 0
        self._red: RedState | None = None
        self._set(direction)

    def _set(self, direction: Direction) -> None:
        self.direction = direction
        self._delay = round(direction.delay_ms * NS_PER_MS)
        self._ns_per_byte = 8 * NS_PER_S / (direction.rate_kbps * 1000) if direction.rate_kbps else 0.0
        self._loss = direction.loss
        self._limit = direction.queue_limit
        self._in_bytes = direction.queue_in_bytes
        if direction.red is None or not direction.rate_kbps:
            self._red = None
        elif self._red is None or self._red.parameters != direction.red:
            self._red = RedState(direction.red, self._ns_per_byte)

    def configure(self, direction: Direction, now: int) -> None:
        """Change the parameters live: what waits is sent at the new rate, what is on its way arrives as it would."""
        if direction == self.direction:
            return
        rate_changed = direction.rate_kbps != self.direction.rate_kbps
        self._set(direction)
        if rate_changed:
            self._reschedule(now)

    def _reschedule(self, now: int) -> None:
        started = [frame for frame in self.pending if frame[4] <= now]
        waiting = list(self.pending)[len(started) :]
        self._waiting.clear()
        self._backlog = 0
        self._last = started[-1][0] if started else 0
        if waiting:
            # The frame being sent goes on to its end at the old rate.
            self._free = waiting[0][4]
        self.pending = deque(started)
        for _, frame, arrival, size, _ in waiting:
            start = max(self._free, now)
            if self._ns_per_byte:
                self._waiting.append((start, size))
                self._backlog += size
            self._free = start + int(size * self._ns_per_byte)
            self._last = max(self._last, self._free + self._delay)
            self.pending.append((self._last, frame, arrival, size, start))

    def admit(self, arrival: int, size: int) -> tuple[int, int] | None:
        """Return when a frame that arrives now is due and when its sending starts; None when it is dropped or lost."""
        start = end = arrival
        if self._ns_per_byte:
            waiting = self._waiting
            while waiting and waiting[0][0] <= arrival:
                self._backlog -= waiting.popleft()[1]
            if self._red and self._red.drops(arrival, len(waiting), self._backlog, self._in_bytes, self._random):
                self.dropped += 1
                return None
            if self._free > arrival:
                if (self._backlog + size > self._limit) if self._in_bytes else (len(waiting) >= self._limit):
                    self.dropped += 1
                    return None
                start = self._free
                waiting.append((start, size))
                self._backlog += size
            self._free = end = start + int(size * self._ns_per_byte)
        if self._loss and self._random() < self._loss:
            self.lost += 1
            return None
        due = end + self._delay
        if due < self._last:
            # The delay was made shorter meanwhile: frames keep their order.
            due = self._last
        self._last = due
        return due, start


class RedState:
    """Random early detection (Floyd and Jacobson 1993), as `ns` parametrises it: thresholds in packets.

    With a queue counted in bytes a threshold stands for that many packets of the mean size.
    """

    __slots__ = ("_average", "_count", "_idle_since", "_packet_ns", "parameters")

    def __init__(self, parameters: Red, ns_per_byte: float) -> None:
        self.parameters = parameters
        self._average = 0.0
        self._count = -1
        self._idle_since = 0
        self._packet_ns = max(1.0, parameters.mean_packet_size * ns_per_byte)

    def drops(self, now: int, packets: int, backlog: int, in_bytes: bool, random: Callable[[], float]) -> bool:
        """Whether the frame that arrives now is dropped early; keeps the average queue length."""
        red = self.parameters
        queue = backlog / red.mean_packet_size if in_bytes else packets
        if queue:
            self._average += red.weight * (queue - self._average)
            self._idle_since = now
        else:
            # While idle, the average decays as if small packets had found an empty queue.
            missed = (now - self._idle_since) / self._packet_ns if self._idle_since else 0.0
            self._average *= (1.0 - red.weight) ** (missed + 1)
            self._idle_since = now
        if self._average < red.threshold:
            self._count = -1
            return False
        if self._average >= red.max_threshold:
            self._count = 0
            return True
        self._count += 1
        span = red.max_threshold - red.threshold
        probability = (self._average - red.threshold) / span / red.linterm
        if random() * max(1e-9, 1.0 - self._count * probability) < probability:
            self._count = 0
            return True
        return False
