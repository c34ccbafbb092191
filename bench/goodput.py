"""What TCP and UDP get through a shaped link between two nodes, and who held them up: the link or the guests.

Under emulation a guest answers late and in bursts, so one TCP stream can leave the link idle with its window open.
Hence every figure stands beside the share of the time in which the link's transmitter was sending, taken from the
frames' times at the link's own ends, and beside what the receiving kernel itself threw away.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benito.network.shaping.userspace import Userspace
from benito.plan import files as plan_files
from benito.testbed.home import ExperimentId

if TYPE_CHECKING:
    from bench.experiments import Bed

SECONDS, WARM_UP = 10, 2
UDP_MBPS = 90
TRACE = "/run/benito/pnode/trace"


@dataclass(frozen=True)
class Stream:
    """TCP for ten seconds after two of warming up."""

    mbps: float
    busy: float | None
    """Share of the time that the link's transmitter was sending; None when no wire engine carries it."""

    def __str__(self) -> str:
        busy = "" if self.busy is None else f" (link busy {100 * self.busy:.0f} %)"
        return f"{self.mbps:.1f}{busy}"


@dataclass(frozen=True)
class Flood:
    """UDP at a rate just under the link's, in datagrams."""

    sent: int
    received: int
    unread: int
    """Thrown away by the receiving kernel because its socket's buffer was full."""

    def __str__(self) -> str:
        lost = self.sent - self.received
        return f"{lost} of {self.sent} datagrams lost, {self.unread} of them in the receiver's full socket buffer"


@dataclass(frozen=True)
class Link:
    """A satellite's link to the centre of an experiment."""

    bed: Bed
    eid: str
    node: str
    centre: str = "center"

    def tcp(self, streams: int = 1) -> Stream:
        """Goodput to the centre in Mb/s as received, all streams together; congestion control is cubic's."""
        trace = self._trace()
        options = f"-C cubic -t {SECONDS} -O {WARM_UP} -P {streams}"
        try:
            told = self._iperf(options)
        finally:
            times = trace.end() if trace else []
        return Stream(float(told["sum_received"]["bits_per_second"]) / 1e6, busy(times))

    def udp(self) -> Flood | None:
        """Full-size datagrams at 90 Mb/s for five seconds; None when iperf3's own connection did not survive that."""
        before = self._unread()
        told = self._iperf(f"-u -b {UDP_MBPS}M -l 1448 -t 5").get("sum")
        if told is None:
            return None
        sent, lost = int(told["packets"]), int(told["lost_packets"])
        return Flood(sent, sent - lost, self._unread() - before)

    def _iperf(self, options: str) -> dict[str, Any]:
        self._at(self.centre, "pkill iperf3; iperf3 -s -1 -D; sleep 1")
        told = self._at(self.node, f"timeout 60 iperf3 -J {options} -c {self.centre} || true")
        found: dict[str, Any] = json.loads(told or "{}").get("end", {})
        return found

    def _unread(self) -> int:
        names, values = self._at(self.centre, "grep ^Udp: /proc/net/snmp").splitlines()
        return int(dict(zip(names.split(), values.split(), strict=True))["RcvbufErrors"])

    def _at(self, node: str, command: str) -> str:
        return self.bed.inside(f"{node}.{self.eid}.bench", command)

    def _trace(self) -> _Trace | None:
        """Begin to write down the times of the frames from the satellite."""
        place = self.bed.home.place(ExperimentId("Bench", self.eid))
        for plan in plan_files.read(place.plans):
            engine = place.runtime / plan.pnode / "wires.sock"
            for wire in plan.wires:
                if wire.shaped and engine.exists() and wire.lan == f"link-{self.node.rpartition('-')[2]}":
                    trace = _Trace(Userspace(plan.experiment, engine), wire.name, engine.parent / "trace")
                    trace.backend.trace(wire.name, Path(TRACE))
                    return trace
        return None


@dataclass(frozen=True)
class _Trace:
    backend: Userspace
    wire: str
    file: Path

    def end(self) -> list[tuple[int, int]]:
        """Return arrival (ns) and size (bytes) of every frame of the direction that carried most."""
        self.backend.end_trace(self.wire)
        ways: dict[str, list[tuple[int, int]]] = {}
        for line in self.file.read_text().splitlines():
            way, arrival, _, _, size = line.split()
            ways.setdefault(way, []).append((int(arrival), int(size)))
        self.file.unlink()
        return max(ways.values(), key=lambda frames: sum(size for _, size in frames), default=[])


def busy(frames: list[tuple[int, int]], rate_mbps: float = 100) -> float | None:
    """Return which share of the last nine seconds a transmitter of that rate needed for the frames."""
    if not frames:
        return None
    # What comes before is the guests' first start of iperf3, and slow start.
    last = max(arrival for arrival, _ in frames)
    counted = [(arrival, size) for arrival, size in frames if arrival > last - (SECONDS - 1) * 1_000_000_000]
    sending = sum(size for _, size in counted) * 8 * 1000 / rate_mbps
    return sending / (last - counted[0][0])
