"""What a shaped wire does on this host: delay at the wire's own ends, ping, TCP, UDP.

    python -m bench.links [--backend B] [--seconds N]

Two namespaces joined by one wire, MTU 1500, the backend that `choose` finds. Needs root and iperf3. TCP is
pinned to cubic: BBR would hide queues and loss. Prints a table on stderr and JSON on stdout.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benito.network import namespaces
from benito.network.interfaces import netlink
from benito.network.shaping.backend import Backend
from benito.network.shaping.choice import choose
from benito.network.shaping.userspace import Userspace
from benito.plan.model import Direction, Wire

ADDRESSES = ("10.9.0.1", "10.9.0.2")
FRAME_BITS = 1514 * 8
CARRY = Direction(loss=1e-12)
"""Not shaped in effect, but carried by the backend all the same."""


@dataclass
class Bench:
    """The two ends and the wire between them."""

    pnode: str
    ends: tuple[str, str]
    backend: Backend
    engine: int | None
    seconds: int

    def shape(self, direction: Direction) -> None:
        with namespaces.entered(self.pnode):
            self.backend.apply([Wire("wire", "a0", "b0", direction, direction)])

    def run(self, end: int, *argv: str) -> str:
        command = ["nsenter", f"--net={namespaces.path_of(self.ends[end])}", *argv]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120).stdout

    def iperf(self, *argv: str) -> dict[str, Any]:
        server = ["nsenter", f"--net={namespaces.path_of(self.ends[1])}", "iperf3", "-s", "-1"]
        with subprocess.Popen(server, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            try:
                self._await_server()
                told = self.run(0, "iperf3", "-J", "-c", ADDRESSES[1], "-t", str(self.seconds), *argv)
                result: dict[str, Any] = json.loads(told)["end"]
            finally:
                process.terminate()
        return result

    def _await_server(self) -> None:
        deadline = time.monotonic() + 10
        while ":5201" not in self.run(1, "ss", "-tln"):
            if time.monotonic() > deadline:
                raise SystemExit("iperf3 doesn't listen")

    def segments(self, count: int) -> None:
        """Bound the packets in one frame handed over: 1 is what nodes on links with a rate, loss or queue do."""
        for end in self.ends:
            with namespaces.entered(end), netlink() as ip:
                ip.link("set", index=ip.link_lookup(ifname="e0")[0], IFLA_GSO_MAX_SEGS=count)

    def cpu_seconds(self) -> float:
        if self.engine is None:
            return 0.0
        words = Path(f"/proc/{self.engine}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def measure(bench: Bench) -> dict[str, Any]:
    """Return every figure, by name."""
    found: dict[str, Any] = {"backend": bench.backend.name, "cores": os.cpu_count(), "load": os.getloadavg()[0]}
    bench.shape(Direction(delay_ms=10))
    found["ping, 10 ms each way (ms)"] = ping(bench)
    found["one way at the wire's ends, 10 ms (ms)"] = one_way(bench)
    found["TCP, 10 ms each way (Mb/s)"] = tcp(bench)
    bench.shape(CARRY)
    found["TCP, no delay (Mb/s)"] = tcp(bench)
    bench.segments(1)
    found["TCP, no delay, packets of 1500 bytes (Mb/s)"] = tcp(bench)
    for rate in (100, 10):
        # One bandwidth-delay product of 20 ms.
        queue = round(rate * 1e6 * 0.02 / FRAME_BITS)
        bench.shape(Direction(delay_ms=10, rate_kbps=rate * 1000, queue_limit=queue))
        found[f"TCP, {rate} Mb/s asked, 20 ms, queue {queue} (Mb/s)"] = tcp(bench)
    bench.shape(CARRY)
    found["UDP of 1400 bytes"] = udp(bench)
    return found


def ping(bench: Bench) -> dict[str, float]:
    bench.run(0, "ping", "-c", "1", ADDRESSES[1])  # Learns the addresses, which costs a round trip of its own.
    told = bench.run(0, "ping", "-q", "-c", "200", "-i", "0.01", ADDRESSES[1])
    figures = re.search(r"= ([\d.]+)/([\d.]+)/([\d.]+)/([\d.]+)", told)
    if figures is None:
        raise SystemExit(f"ping failed: {told}")
    return dict(zip(("min", "avg", "max", "mdev"), map(float, figures.groups()), strict=True))


def one_way(bench: Bench) -> dict[str, float] | None:
    """Delay from the kernel's own time of arrival to the moment after the frame was handed on; engine only."""
    if not isinstance(bench.backend, Userspace):
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        bench.backend.trace("wire", path)
        bench.run(0, "ping", "-q", "-c", "1000", "-i", "0.002", ADDRESSES[1])
        bench.backend.end_trace("wire")
        words = (line.split() for line in path.read_text().splitlines())
        delays = sorted((int(sent) - int(arrival)) / 1e6 for _, arrival, _, sent, _ in words)
    last = len(delays) - 1
    return {
        "frames": len(delays),
        "min": delays[0],
        "median": delays[last // 2],
        "p99": delays[round(last * 0.99)],
        "max": delays[-1],
    }


def tcp(bench: Bench) -> float:
    received: float = bench.iperf("-C", "cubic")["sum_received"]["bits_per_second"]
    return round(received / 1e6, 2)


def udp(bench: Bench) -> list[dict[str, float]]:
    """Offer more and more packets a second."""
    found = []
    for offered in (20_000, 40_000, 60_000, 80_000, 100_000, 130_000):
        began, before = time.monotonic(), bench.cpu_seconds()
        end = bench.iperf("-u", "-l", "1400", "-b", str(offered * 1400 * 8))["sum"]
        sent = end["packets"] / end["seconds"]
        arrived = (end["packets"] - end["lost_packets"]) / end["seconds"]
        busy = (bench.cpu_seconds() - before) / (time.monotonic() - began)
        found.append({"sent/s": round(sent), "arrived/s": round(arrived), "engine's share of a core": round(busy, 2)})
    return found


@contextlib.contextmanager
def set_up(wish: str, seconds: int) -> Iterator[Bench]:
    """Make the namespaces, the wire's ends and, if it is needed, the engine; leave nothing."""
    stem = f"bench{os.getpid()}"
    pnode, *ends = names = [f"{stem}-{part}" for part in ("p", "a", "b")]
    with contextlib.ExitStack() as undo:
        for name in names:
            undo.callback(namespaces.remove, name)
            namespaces.create(name)
            with namespaces.entered(name):
                namespaces.quiet()
                namespaces.write_sysctl("net/ipv4/tcp_congestion_control", "cubic")
        for end, inner, address in zip(ends, ("a0", "b0"), ADDRESSES, strict=True):
            cable(pnode, inner, end, address)
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory()))
        backend = choose("Bench/links", folder / "wires.sock", wish)
        engine = undo.enter_context(running_engine(pnode, folder)) if isinstance(backend, Userspace) else None
        yield Bench(pnode, (ends[0], ends[1]), backend, engine, seconds)


def cable(pnode: str, inner: str, end: str, address: str) -> None:
    with namespaces.path_of(end).open() as far, namespaces.entered(pnode), netlink() as ip:
        ip.link("add", ifname=inner, kind="veth", mtu=1508, peer={"ifname": "e0", "net_ns_fd": far.fileno()})
        ip.link("set", index=ip.link_lookup(ifname=inner)[0], state="up")
    with namespaces.entered(end), netlink() as ip:
        index = ip.link_lookup(ifname="e0")[0]
        ip.link("set", index=index, state="up", mtu=1500)
        ip.addr("add", index=index, address=address, prefixlen=24)


@contextlib.contextmanager
def running_engine(pnode: str, folder: Path) -> Iterator[int]:
    argv = ["nsenter", f"--net={namespaces.path_of(pnode)}", sys.executable, "-m", "benito.agent.wires"]
    argv += ["--socket", str(folder / "wires.sock"), "--state", str(folder / "wires.json")]
    with subprocess.Popen(argv) as process:
        try:
            deadline = time.monotonic() + 10
            while not (folder / "wires.sock").exists():
                if time.monotonic() > deadline or process.poll() is not None:
                    raise SystemExit("the wire engine doesn't start")
                time.sleep(0.01)
            yield process.pid
        finally:
            process.terminate()


def main() -> None:
    """Measure and tell."""
    parser = argparse.ArgumentParser(prog="bench.links", description="Measures shaped wires on this host.")
    parser.add_argument("--backend", default="auto", choices=("auto", "netem", "userspace"))
    parser.add_argument("--seconds", type=int, default=4, help="how long each transfer lasts")
    options = parser.parse_args()
    if not shutil.which("iperf3"):
        raise SystemExit("iperf3 is missing: apt-get install iperf3")
    with set_up(options.backend, options.seconds) as bench:
        found = measure(bench)
    for name, value in found.items():
        print(f"{name:55} {value}", file=sys.stderr)
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
