"""Prints how long machines take from nothing to booted and configured, and the memory each takes.

    python -m bench.boot [COUNT...]        default: 1 5 10, all of a count at once

"agent" is the guest agent's first answer, "booted" the node's own report that it is up and configured.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from asyncio.subprocess import Process
from dataclasses import dataclass, field
from pathlib import Path

from benito.images.build import build
from benito.images.catalog import Image
from benito.machines import accelerator, guest, qemu
from benito.machines.machine import Qemu
from benito.plan.model import ControlNic, Machine, Nic
from benito.plan.model import Image as ImageName

HOME = Path(os.environ.get("BENITO_TEST_HOME", "/var/tmp/benito-test"))
EXPERIMENT = "Bench/boot"


@dataclass
class Measured:
    """Seconds since the start of all, CPU seconds and MiB of one machine."""

    agent: float = 0
    booted: float = 0
    cpu: float = 0
    pss: float = 0
    processes: list[Process] = field(default_factory=list)


def plan(number: int) -> Machine:
    control = ControlNic("c", f"02:00:00:00:00:{number:02x}", f"172.30.0.{number + 2}", 16, "172.30.0.1")
    nic = Nic("t", "lan0", 0, f"02:00:00:00:01:{number:02x}", f"10.0.0.{number + 1}", 24)
    return Machine(f"node-{number}", "qemu", ImageName("debian-12", ""), 256, 1, control, (nic,))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_mib(pid: int) -> float:
    found = re.search(r"^Pss:\s+(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    return int(found[1]) / 1024 if found else 0


async def boot(
    number: int, image: Image, folder: Path, kind: accelerator.Accelerator, key: guest.HostKey, result: Measured
) -> None:
    machine = plan(number)
    paths = qemu.Paths(folder / f"{number}", folder / f"s{number}")
    uuid = guest.machine_uuid(EXPERIMENT, machine.node)
    node = Qemu(machine, image, paths, kind, uuid=uuid, netdev=lambda _: "user,restrict=on")

    async def spawn(argv: list[str]) -> None:
        result.processes.append(await asyncio.create_subprocess_exec(*argv))

    began = time.monotonic()
    await node.start(spawn)
    await node.agent.wait_ready(900)
    result.agent = time.monotonic() - began
    await node.configure(guest.configuration(machine, [], "127.0.0.1 localhost\n", [key], EXPERIMENT), 900)
    await node.wait_booted(900)
    result.booted = time.monotonic() - began
    result.cpu = cpu_seconds(result.processes[0].pid)
    await node.close()


async def measure(count: int, image: Image, kind: accelerator.Accelerator) -> None:
    results = [Measured() for _ in range(count)]
    with tempfile.TemporaryDirectory(prefix="bb-") as name:
        folder = Path(name)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "k")], check=True)
        key = guest.HostKey((folder / "k").read_text(), (folder / "k.pub").read_text())
        try:
            await asyncio.gather(*(boot(i, image, folder, kind, key, result) for i, result in enumerate(results)))
            for result in results:
                result.pss = pss_mib(result.processes[0].pid)
        finally:
            for process in [process for result in results for process in result.processes]:
                process.kill()
                await process.wait()
    median = {word: statistics.median(getattr(r, word) for r in results) for word in ("agent", "booted", "cpu", "pss")}
    print(
        f"{count:3} machines: all agents {max(r.agent for r in results):6.1f} s, "
        f"all booted {max(r.booted for r in results):6.1f} s; each (median) agent {median['agent']:6.1f} s, "
        f"booted {median['booted']:6.1f} s, CPU {median['cpu']:5.1f} s, PSS {median['pss']:4.0f} MiB",
        flush=True,
    )


def main() -> None:
    """Measure each count of the command line."""
    image = build("debian-12", HOME, lambda text: print(text, file=sys.stderr))
    kind = accelerator.decide("auto", HOME / "cache")
    print(f"{kind}, image {image.info.digest[:12]}, {os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    for count in [int(word) for word in sys.argv[1:]] or [1, 5, 10]:
        asyncio.run(measure(count, image, kind))


if __name__ == "__main__":
    main()
