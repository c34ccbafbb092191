"""A node as the tests see it: the machine, its process, and what it has said."""

import asyncio
import subprocess
from asyncio.subprocess import Process
from pathlib import Path

from benito.images.catalog import Image
from benito.machines import guest, qemu
from benito.machines.machine import Qemu
from benito.machines.node_channel import NodeEvent
from benito.plan.model import Account, ControlNic, Machine, Nic, Route
from benito.plan.model import Image as ImageName

EXPERIMENT = "Test/machines"
HOSTS = "127.0.0.1 localhost\n10.0.0.1 node-1-lan0 node-1\n"
START_COMMAND = 'echo "it\'s $USER" é; echo to err >&2\nsleep 1000 &\nexit 3'
MEMBER = Account("alice", ("ssh-ed25519 AAAA alice",))


def plan_of_node(interfaces: int) -> Machine:
    """A machine with so many interfaces, the control one among them."""
    nics = tuple(
        Nic(f"t{number}", f"lan{number}", number, f"02:00:00:00:01:{number:02x}", f"10.0.{number}.1", 24)
        for number in range(interfaces - 1)
    )
    return Machine(
        node="node-1",
        kind="qemu",
        image=ImageName("debian-12", ""),
        memory_mib=256,
        cpus=1,
        control=ControlNic("c0", "02:00:00:00:00:01", "172.30.0.5", 16, "172.30.0.1"),
        nics=nics,
        routes=(Route("10.99.0.0/24", "10.0.0.2"),) if nics else (),
        forwarding=True,
        start_command=START_COMMAND,
    )


def new_host_key(folder: Path) -> guest.HostKey:
    """Make a key as the testbed does, on the host."""
    path = folder / "host_key"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(path)], check=True)
    return guest.HostKey(path.read_text(), path.with_suffix(".pub").read_text())


class Node:
    """One machine under TCG, its interfaces leading nowhere."""

    def __init__(self, plan: Machine, image: Image, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.plan = plan
        self.key = new_host_key(folder)
        self.machine = Qemu(
            plan,
            image,
            qemu.Paths(folder / "files", folder / "run"),
            "tcg",
            uuid=guest.machine_uuid(EXPERIMENT, plan.node),
            netdev=lambda _: "user,restrict=on,ipv6=off",
        )
        self.process: Process | None = None

    async def spawn(self, argv: list[str]) -> None:
        self.process = await asyncio.create_subprocess_exec(*argv)

    async def up(self) -> None:
        """Start, configure, and wait until it says that it is up."""
        await self.machine.start(self.spawn)
        await self.machine.configure(guest.configuration(self.plan, [MEMBER], HOSTS, [self.key], EXPERIMENT))
        await self.machine.wait_booted()

    async def says(self, count: int) -> list[NodeEvent]:
        """Return the next events."""
        events = self.machine.channel.events()
        return [await anext(events) for _ in range(count)]

    async def sh(self, script: str) -> str:
        """Return what a script prints in the node."""
        done = await self.machine.agent.exec(["/bin/sh", "-c", script])
        assert done.code == 0, done.stderr.decode()
        return done.stdout.decode()

    async def ended(self) -> int:
        """Return the machine process' exit status."""
        assert self.process is not None
        return await self.process.wait()

    async def kill(self) -> None:
        """End the process, whatever state it is in."""
        await self.machine.close()
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
