"""What whole experiments do on this host, measured in their nodes and at their links' own ends.

    python -m bench.experiments [demo] [star] [lan]

`demo`: seconds from `benito up` to everything booted, and of a second swap-in, for the README's five nodes.
`star`: a centre and ten satellites, 100 Mb/s and 10 ms, packing 4, a queue of one bandwidth-delay product; and the same
nodes unshaped beside it. `lan`: six nodes, 10 ms and 5 % loss between any two.
Needs root; runs in a BENITO_HOME of its own and leaves nothing.
"""

from __future__ import annotations

import contextlib
import math
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.goodput import UDP_MBPS, Link
from benito.network.shaping.userspace import Userspace
from benito.plan import files as plan_files
from benito.testbed.home import ExperimentId, Home

IMAGES = Path(os.environ.get("BENITO_TEST_HOME", "/var/tmp/benito-test"))
EXAMPLES = Path(__file__).parent.parent / "examples"
BDP_PACKETS = 167
"""100 Mb/s times 20 ms in packets of 1,500 bytes."""
STAR = """
set ns [new Simulator]
set center [$ns node]
for {{set i 0}} {{$i < 10}} {{incr i}} {{
    set n($i) [$ns node]
    set link($i) [$ns duplex-link $center $n($i) {shape} DropTail]
    {queue}
}}
$ns rtproto Static
$ns run
"""
QUEUE = f"""
    set to [[$ns link $center $n($i)] queue]
    $to set limit_ {BDP_PACKETS}
    set back [[$ns link $n($i) $center] queue]
    $back set limit_ {BDP_PACKETS}
"""
LAN = """
set ns [new Simulator]
foreach i {0 1 2 3 4 5} { set n($i) [$ns node] }
set lan0 [$ns make-lan "$n(0) $n(1) $n(2) $n(3) $n(4) $n(5)" 100Mb 10ms]
tb-set-lan-loss $lan0 0.05
$ns run
"""


class Bed:
    """A home of the benchmark's own."""

    def __init__(self, root: Path) -> None:
        self.home = Home(root)
        (root / "images").symlink_to(IMAGES / "images")

    def benito(self, *words: object) -> str:
        """Run `benito WORDS` and return what it printed."""
        argv = [sys.executable, "-m", "benito.cli.main", *map(str, words)]
        env = os.environ | {"BENITO_HOME": str(self.home.root)}
        done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(argv)}: {done.stderr}")
        return done.stdout

    def inside(self, name: str, command: str) -> str:
        """Run a command in a node."""
        argv = ["ssh", "-o", "BatchMode=yes", name, command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=300, check=True).stdout

    @contextlib.contextmanager
    def up(self, eid: str, text: str, packing: int) -> Iterator[float]:
        """Bring an experiment up, yield the seconds that took, and remove it."""
        file = self.home.root / f"{eid}.ns"
        file.write_text(text)
        began = time.monotonic()
        try:
            self.benito("up", file, "-p", "Bench", "-e", eid, "--packing", packing, "--no-linktest")
            yield time.monotonic() - began
        finally:
            self.benito("terminate", f"Bench/{eid}")


@contextlib.contextmanager
def own_bed() -> Iterator[Bed]:
    """Make the home, image included; leave nothing."""
    from benito.images.build import build

    build("debian-12", IMAGES, lambda text: print(text, file=sys.stderr))
    with tempfile.TemporaryDirectory(prefix="benito-bench-", dir="/var/tmp") as name:
        Path(name).chmod(0o755)
        yield Bed(Path(name))


def demo(bed: Bed) -> None:
    """How long the README's example takes."""
    text = (EXAMPLES / "star.ns").read_text()
    with bed.up("star", text, 3) as first:
        swaps = []
        for _ in range(2):
            bed.benito("swapout", "Bench/star")
            began = time.monotonic()
            bed.benito("swapin", "Bench/star")
            swaps.append(time.monotonic() - began)
        began = time.monotonic()
        bed.benito("swapout", "Bench/star")
        out = time.monotonic() - began
        bed.benito("swapin", "Bench/star")
    print("Five nodes, packing 3, cold boots")
    print(f"  benito up until everything is booted      {first:6.1f} s")
    print(f"  swapin again (twice)                      {swaps[0]:6.1f} s, {swaps[1]:.1f} s")
    print(f"  swapout                                   {out:6.1f} s")


def star(bed: Bed) -> None:
    """Delay, round trips and goodput of the star, shaped and not."""
    with bed.up("star10", STAR.format(shape="100Mb 10ms", queue=QUEUE), 4) as seconds:
        print(f"Star of ten satellites, 100 Mb/s, 10 ms, packing 4, queue {BDP_PACKETS} packets; up in {seconds:.1f} s")
        traced(bed, "star10")
        ours = round_trips(bed, "star10")
        links = [Link(bed, "star10", node) for node in ("n-0", "n-5", "n-9")]
        shaped = [(link.tcp(), link.tcp(streams=4), link.udp()) for link in links]
    # No bandwidth at all: `*` is best effort, and a delay of zero is no delay.
    with bed.up("bare10", STAR.format(shape="* 0ms", queue=""), 4):
        bare = round_trips(bed, "bare10")
        unshaped = [Link(bed, "bare10", node).tcp().mbps for node in ("n-0", "n-5", "n-9")]
    for what in ours:
        print(
            f"  RTT {what}: asked {20 if 'centre' in what else 40} ms, "
            f"{spread(ours[what])}; the same nodes unshaped {spread(bare[what])}"
        )
    print("  Goodput to the centre, 100 Mb/s asked, TCP cubic:")
    for link, (one, four, flood) in zip(links, shaped, strict=True):
        print(f"    {link.node}: one stream {one} Mb/s, four streams {four} Mb/s; UDP at {UDP_MBPS} Mb/s: {flood}")
    print(f"    the same nodes unshaped, one stream: {listed(unshaped)} Mb/s")


def lan(bed: Bed) -> None:
    """Loss and delay between the six."""
    with bed.up("lan6", LAN, 3) as seconds:
        print(f"LAN of six, 100 Mb/s, 10 ms one way, 5 % loss between any two, packing 3; up in {seconds:.1f} s")
        traced(bed, "lan6")
        pairs = [(0, 1), (2, 3), (4, 5), (0, 5), (1, 4)]
        sent = lost = 0
        rtts = []
        for a, b in pairs:
            # One way at a time: what b's kernel counts of a's datagrams is the loss of that direction alone.
            given, arrived = datagrams(bed, f"n-{a}.lan6.bench", f"n-{b}", 4000)
            sent, lost = sent + given, lost + given - arrived
            rtts += pings(bed, f"n-{a}.lan6.bench", f"n-{b}", 40)
        share = lost / sent
        margin = 2.576 * math.sqrt(0.05 * 0.95 / sent)
        print(
            f"  one-way loss over {len(pairs)} pairs: {lost} of {sent} datagrams = {100 * share:.2f} %; "
            f"99 % of true 5 % links are within {100 * (0.05 - margin):.2f}-{100 * (0.05 + margin):.2f} %"
        )
        print(f"  RTT: asked 20 ms, {spread(rtts)}")


def datagrams(bed: Bed, source: str, target: str, count: int) -> tuple[int, int]:
    """Send numbered datagrams one way and return how many were sent and arrived."""
    receiver = (
        "import socket,time\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind(('',9999));s.settimeout(8);n=0\n"
        "open('/tmp/ready','w').close()\n"
        "try:\n while True:\n  s.recv(100);n+=1\n  s.settimeout(3)\nexcept TimeoutError: print(n)\n"
    )
    sender = (
        "import socket,time\n"
        "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\n"
        f"a=socket.gethostbyname('{target}')\n"
        f"for i in range({count}):\n s.sendto(b'x'*64,(a,9999))\n time.sleep(0.0005)\n"
    )
    argv = ["ssh", "-o", "BatchMode=yes", f"{target}.{source.partition('.')[2]}", "rm -f /tmp/ready; python3 -"]
    # The neighbours learn each other's addresses first; a lost ARP packet is not a lost datagram.
    bed.inside(source, f"ping -q -c 5 -i 0.2 {target} || true")
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as listening:
        assert listening.stdin is not None
        listening.stdin.write(receiver)
        listening.stdin.close()
        bed.inside(argv[-2], "until [ -e /tmp/ready ]; do sleep 0.1; done")
        subprocess.run(
            ["ssh", "-o", "BatchMode=yes", source, "python3 -"], input=sender, text=True, check=True, timeout=120
        )
        assert listening.stdout is not None
        return count, int(listening.stdout.read())


def traced(bed: Bed, eid: str) -> None:
    """Time frames at the wire's own ends while two nodes ping each other."""
    place = bed.home.place(ExperimentId("Bench", eid))
    plan = next(iter(plan_files.read(place.plans)))
    wire = next(wire for wire in plan.wires if wire.shaped)
    machine = next(m for m in plan.machines if any(nic.name == wire.a for nic in m.nics))
    target = "n-0" if machine.node != "n-0" and eid.startswith("star") else "n-1"
    nic = next(nic for nic in machine.nics if nic.name == wire.a)
    if machine.node == "center":
        target = f"n-{nic.lan.rpartition('-')[2]}"
    engine = place.runtime / "pnode-0000" / "wires.sock"
    if not engine.exists():
        return
    backend = Userspace(plan.experiment, engine)
    outside = place.runtime / "pnode-0000" / "trace"
    backend.trace(wire.name, Path("/run/benito/pnode/trace"))
    bed.inside(f"{machine.node}.{eid}.bench", f"ping -q -c 500 -i 0.01 {target}")
    backend.end_trace(wire.name)
    delays: dict[str, list[float]] = {}
    for line in outside.read_text().splitlines():
        way, arrival, _, sent, _ = line.split()
        delays.setdefault(way, []).append((int(sent) - int(arrival)) / 1e6)
    asked = {"forward": wire.forward.delay_ms, "backward": wire.backward.delay_ms}
    for way, found in delays.items():
        found.sort()
        early = sum(delay < asked.get(way, 0) for delay in found)
        print(
            f"  one way at the ends of wire {wire.name} ({wire.lan}, {way}, asked {asked.get(way, 0):g} ms): "
            f"{len(found)} frames, min {found[0]:.3f}, median {found[len(found) // 2]:.3f}, "
            f"p99 {found[round(0.99 * (len(found) - 1))]:.3f}, max {found[-1]:.3f} ms; {early} early"
        )


def round_trips(bed: Bed, eid: str) -> dict[str, list[float]]:
    """Round trips of some satellites to the centre and to each other."""
    satellites = ["n-0", "n-4", "n-9"]
    centre: list[float] = []
    others: list[float] = []
    for node in satellites:
        centre += pings(bed, f"{node}.{eid}.bench", "center", 50)
    for a, b in (("n-0", "n-4"), ("n-4", "n-9"), ("n-9", "n-0")):
        others += pings(bed, f"{a}.{eid}.bench", b, 50)
    return {"to the centre": centre, "between satellites": others}


def pings(bed: Bed, source: str, target: str, count: int) -> list[float]:
    """Round-trip times in milliseconds; the first, which also learns addresses, is left out."""
    told = bed.inside(source, f"ping -c {count + 1} -i 0.1 {target} || true")
    return [float(time) for time in re.findall(r"time=([\d.]+)", told)[1:]]


def spread(times: list[float]) -> str:
    """The least, median and 99th percentile."""
    ordered = sorted(times)
    return (
        f"min {ordered[0]:.2f}, median {statistics.median(ordered):.2f}, "
        f"p99 {ordered[round(0.99 * (len(ordered) - 1))]:.2f} ms ({len(ordered)} pings)"
    )


def listed(figures: list[float]) -> str:
    """Figures with a decimal."""
    return ", ".join(f"{figure:.1f}" for figure in figures)


def main() -> None:
    """Run the named measurements, or all."""
    chosen = sys.argv[1:] or ["demo", "star", "lan"]
    with own_bed() as bed:
        for name in chosen:
            {"demo": demo, "star": star, "lan": lan}[name](bed)
            sys.stdout.flush()


if __name__ == "__main__":
    main()
