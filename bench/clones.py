"""How long experiments of clones take, and what they cost.

    python -m bench.clones [floor] [ten] [forty] [hundred] [wide]

`ten`, `forty`, `hundred`: so many nodes of 256 MiB in pairs, packing 5, three or five times: seconds from `benito up`
until it returns, all start commands have ended, and every sshd has shown its banner; memory (PSS) of all the
experiment's processes; and what a ping between two nodes takes more than asked while all run. `ten` also with machines
that boot.
`wide`: a node of 61 interfaces beside one of two. `floor`: a bare loop that clones QEMU without Benito.
Needs root; runs in a BENITO_HOME of its own and leaves nothing.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from bench.experiments import Bed, own_bed
from benito.agent.cgroup import Group
from benito.machines import guest, qemu
from benito.machines.accelerator import decide
from benito.machines.machine import Qemu
from benito.machines.shelf import Shelf
from benito.machines.template import Template
from benito.plan.model import ControlNic, Machine, Nic
from benito.plan.model import Image as ImageName
from benito.testbed.home import ExperimentId
from benito.testbed.testbed import Testbed

ASKED_MS = 10
"""Round trip of the pairs' links."""
STEP = re.compile(r"\[ *([\d.]+) s\] (.*)")
DEADLINE_S = 900


def pairs(count: int) -> str:
    """Return a file of so many nodes, two to a link, with start commands."""
    lines = ["set ns [new Simulator]", "source tb_compat.tcl"]
    for i in range(count):
        lines += [f"set n({i}) [$ns node]", f'tb-set-node-startcmd $n({i}) "true"']
    lines += [f"set l({i}) [$ns duplex-link $n({i}) $n({i + 1}) 100Mb 5ms DropTail]" for i in range(0, count, 2)]
    return "\n".join([*lines, "$ns run", ""])


def star(arms: int) -> str:
    """Return a file of one node on so many LANs, each with nobody else."""
    lines = ["set ns [new Simulator]", "source tb_compat.tcl", "set hub [$ns node]", "set other [$ns node]"]
    lines += [f'set l({i}) [$ns make-lan "$hub" 100Mb 0ms]' for i in range(arms)]
    return "\n".join([*lines, "set l(x) [$ns duplex-link $hub $other 100Mb 0ms DropTail]", "$ns run", ""])


class Clones:
    """One experiment, up."""

    def __init__(self, bed: Bed, eid: str, text: str, *options: str) -> None:
        self.bed, self.eid = bed, eid
        self.file = bed.home.root / f"{eid}.ns"
        self.file.write_text(text)
        self.place = bed.home.place(ExperimentId("Bench", eid))
        self.options = options

    @contextlib.contextmanager
    def up(self) -> Iterator[tuple[float, list[str]]]:
        """Bring it up, yield the seconds until the command returned and its steps, and remove it."""
        began = time.monotonic()
        words = ("up", self.file, "-p", "Bench", "-e", self.eid, "--no-linktest", "--packing", "5", *self.options)
        argv = [sys.executable, "-m", "benito.cli.main", *map(str, words)]
        env = os.environ | {"BENITO_HOME": str(self.bed.home.root)}
        try:
            done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
            if done.returncode:
                raise SystemExit(done.stderr)
            yield time.monotonic() - began, [line for line in done.stderr.splitlines() if ": " not in line]
        finally:
            self.bed.benito("terminate", f"Bench/{self.eid}")

    def nodes(self) -> list[tuple[str, str, int | None]]:
        """Return each node's name, control address and start command's exit code."""
        bed = Testbed(self.bed.home)
        return [(node.node, node.control, node.code) for node in bed.store.nodes(self.place.experiment)]

    def pss_mib(self) -> float:
        """Return the memory of all its processes, what they share counted once."""
        total = 0
        for pid in Group(self.place.cgroup).pids():
            with contextlib.suppress(OSError, AttributeError):
                text = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += int(re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
        return total / 1024

    def processor_s(self) -> float:
        """Return the processor seconds of all its processes and of their children that have ended."""
        total = 0
        for pid in Group(self.place.cgroup).pids():
            with contextlib.suppress(OSError):
                total += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
        return total / os.sysconf("SC_CLK_TCK")

    def commands_ended(self) -> None:
        """Wait until every start command has."""
        deadline = time.monotonic() + DEADLINE_S
        while any(code is None for _, _, code in self.nodes()):
            if time.monotonic() > deadline:
                raise SystemExit("start commands don't end")
            time.sleep(0.05)

    def banners(self) -> None:
        """Wait until every node's sshd has shown its banner."""
        addresses = [control for _, control, _ in self.nodes()]
        with concurrent.futures.ThreadPoolExecutor(2 * (os.cpu_count() or 1)) as pool:
            list(pool.map(banner, addresses))


def banner(address: str) -> None:
    """Wait for sshd's first line."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((address, 22), 60) as connection:
            connection.settimeout(60)
            if connection.recv(64).startswith(b"SSH-"):
                return
        time.sleep(0.1)
    raise SystemExit(f"{address} shows no banner")


def measure(bed: Bed, count: int, *options: str, title: str) -> float:
    """Bring so many nodes up, tell everything, and return the seconds until all banners."""
    began = time.monotonic()
    made = Clones(bed, f"n{count}", pairs(count), *options)
    with made.up() as (returned, steps):
        made.commands_ended()
        commands, worked = time.monotonic() - began, made.processor_s()
        pss = made.pss_mib()
        made.banners()
        banners, worked_more = time.monotonic() - began, made.processor_s()
        logged = made.pss_mib()
        said = bed.inside(f"n-0.n{count}.bench", "ping -q -c 3 n-1 >/dev/null; ping -q -c 20 -i 0.2 n-1")
        loss, rtt = re.findall(r"(\d+)% packet loss", said)[0], re.findall(r"= ([\d./]+)", said)[0].split("/")
    print(
        f"{count:3} nodes, {title}: up returns {returned:6.1f} s, start commands ended {commands:6.1f} s, "
        f"all banners {banners:6.1f} s; {worked / count:.2f} s of a processor a node, "
        f"{worked_more / count:.2f} with the banners; PSS {pss / count:4.0f} MiB a node, "
        f"{logged / count:.0f} after the banners; "
        f"ping {float(rtt[0]) - ASKED_MS:+.1f} / {float(rtt[1]) - ASKED_MS:+.1f} / {float(rtt[2]) - ASKED_MS:+.1f} ms "
        f"(min / avg / max beside {ASKED_MS} ms asked), {loss} % lost",
        flush=True,
    )
    for line in steps:
        if found := STEP.match(line):
            print(f"      {float(found[1]):6.1f} s  {found[2]}", flush=True)
    return banners


def warm(bed: Bed, count: int, times: int) -> None:
    """So many clones, so many times."""
    found = [measure(bed, count, title="warm") for _ in range(times)]
    print(f"{count:3} nodes, warm: all banners, median of {times}: {statistics.median(found):.1f} s", flush=True)


def ten(bed: Bed) -> None:
    """Ten nodes: booted, with the template to be made unless it is there, and cloned."""
    measure(bed, 10, "--cold", title="cold")
    measure(bed, 10, title="the template is made")
    warm(bed, 10, 5)


def wide(bed: Bed) -> None:
    """A node of 61 interfaces beside one of two, in turn."""
    returns: dict[int, list[float]] = {2: [], 61: []}
    boots: dict[int, list[float]] = {2: [], 61: []}
    for turn in range(6):
        for interfaces in returns:
            made = Clones(bed, f"wide{interfaces}", star(interfaces - 2))
            with made.up() as (returned, _):
                # The first of each makes the template.
                if turn:
                    returns[interfaces].append(returned)
                    boots[interfaces].append(events(made))
    for interfaces in returns:
        print(
            f"a node of {interfaces:2} interfaces, median of 5: from its start to booted "
            f"{statistics.median(boots[interfaces]):.2f} s ({_each(boots[interfaces])}), "
            f"up returns {statistics.median(returns[interfaces]):.2f} s ({_each(returns[interfaces])})",
            flush=True,
        )


def _each(values: list[float]) -> str:
    return ", ".join(f"{value:.2f}" for value in sorted(values))


def events(made: Clones) -> float:
    """Return the seconds from `hub`'s start to its being booted, as the keeper wrote them down."""
    lines = [json.loads(line) for line in made.place.events.read_text().splitlines()]
    mine = [event for event in lines if event.get("node") == "hub"]
    began = next(event["time"] for event in mine if event.get("phase") == "starting")
    return float(next(event["time"] for event in mine if event.get("status", [None])[0] == "booted") - began)


def floor(bed: Bed) -> None:
    """Clones of the same template by a bare loop: QEMU resumed, and one command run in each by the guest agent."""
    measure(bed, 2, title="to have a template")
    template = Shelf(bed.home.templates).all()[0]
    for count in (10, 40):
        with tempfile.TemporaryDirectory(prefix="bf-", dir="/var/tmp") as name:
            copies = Path(name) / "m"
            copies.mkdir()
            shutil.copyfile(template.memory, copies / template.digest)
            asyncio.run(bare(bed, Template(template.folder, copies), count, Path(name)))


async def bare(bed: Bed, template: Template, count: int, folder: Path) -> None:
    """Clone, one after another, and ask each whether it lives."""
    image = Testbed(bed.home).catalog.get("debian-12")
    kind = decide("auto", bed.home.cache)
    processes: list[asyncio.subprocess.Process] = []
    nodes = []

    async def spawn(argv: list[str]) -> None:
        processes.append(await asyncio.create_subprocess_exec(*argv))

    began = time.monotonic()
    try:
        for i in range(count):
            control = ControlNic("c", f"02:00:00:00:00:{i:02x}", f"172.30.0.{i + 2}", 16, "172.30.0.1")
            nic = Nic("t", "lan0", 0, f"02:00:00:00:01:{i:02x}", f"10.0.0.{i + 1}", 24)
            machine = Machine(f"n{i}", "qemu", ImageName("debian-12", ""), 256, 1, control, (nic,))
            paths = qemu.Paths(folder / f"{i}", folder / f"s{i}")
            uuid = guest.machine_uuid("Bench/floor", machine.node)
            node = Qemu(machine, image, paths, kind, uuid=uuid, netdev=lambda _: "user,restrict=on", template=template)
            await node.start(spawn)
            nodes.append(node)
        resumed = time.monotonic() - began
        await asyncio.gather(*(node.agent.exec(["/bin/true"], timeout=300) for node in nodes))
        answered = time.monotonic() - began
        for node in nodes:
            await node.close()
    finally:
        for process in processes:
            process.kill()
            await process.wait()
    print(f"{count:3} bare clones: all resumed {resumed:6.1f} s, all have run a command {answered:6.1f} s", flush=True)


def main() -> None:
    """Run the named measurements, or all."""
    known = {
        "floor": floor,
        "ten": ten,
        "forty": lambda bed: warm(bed, 40, 3),
        "hundred": lambda bed: warm(bed, 100, 3),
        "wide": wide,
    }
    with own_bed() as bed:
        print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}", flush=True)
        for name in sys.argv[1:] or list(known):
            known[name](bed)


if __name__ == "__main__":
    main()
