"""Nodes that are virtual machines: the agent's view of `machines.machine.Qemu`."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from benito.agent.cgroup import Limits
from benito.agent.driver import HARD_OVERHEAD_MIB, Event, Options, Restarted, Settlement, Surroundings, job_of
from benito.errors import NodeError
from benito.images.catalog import Image
from benito.machines import guest
from benito.machines.guest_agent import ExecResult
from benito.machines.machine import Qemu
from benito.machines.qemu import QEMU_UID, Paths
from benito.plan import model

STOP_S = 30.0
"""How long a guest may take to power off before its process is ended."""
PATIENCE_S = 240.0
"""How long a guest may take to its first answer before its machine is reset, once."""
KVM = Path("/dev/kvm")


class QemuDriver:
    """One virtual machine."""

    def __init__(
        self, machine: model.Machine, image: Image, experiment: str, around: Surroundings, options: Options
    ) -> None:
        self._machine = machine
        self._around = around
        self._options = options
        self._group = around.group.child(f"m-{machine.control.name}")
        paths = Paths(around.nodes / machine.node, around.sockets / machine.node)
        uuid = guest.machine_uuid(experiment, machine.node)
        self._qemu = Qemu(machine, image, paths, options.accelerator, uuid=uuid)

    @property
    def job(self) -> str:
        return job_of(self._machine.node)

    @property
    def log(self) -> Path:
        return self._qemu.paths.folder / "qemu.log"

    async def start(self, settlement: Settlement) -> None:
        limits = Limits(memory_mib=self._machine.memory_mib + HARD_OVERHEAD_MIB["qemu"])
        await asyncio.to_thread(self._group.create, limits)
        await self._qemu.start(self._spawn, uid=QEMU_UID)

    async def _spawn(self, argv: list[str]) -> None:
        groups = [KVM.stat().st_gid] if self._options.accelerator == "kvm" else []
        await self._around.spawner.spawn(
            self.job,
            argv,
            log=self.log,
            uid=QEMU_UID,
            gid=QEMU_UID,
            groups=groups,
            cgroups=self._group.folders,
            env={"PATH": os.defpath},
        )

    async def adopt(self) -> None:
        await self._qemu.adopt()

    async def settle(self, settlement: Settlement, told: Callable[[str], None]) -> None:
        deadline = self._options.boot_deadline_s
        told("booting")
        try:
            await self._qemu.agent.wait_ready(min(PATIENCE_S, deadline))
        except NodeError:
            if deadline <= PATIENCE_S:
                raise
            # Seen once in a great while on a very busy host: a guest that hangs in its boot. Another try cures it.
            told("restarting: it did not come up")
            await self._qemu.monitor.reset()
            await self._qemu.agent.wait_ready(deadline - PATIENCE_S)
        told("configuring")
        await guest.configure(self._qemu.agent, self._machine.node, settlement.archive(self._machine), deadline)

    async def events(self) -> AsyncIterator[Event]:
        """Yield what node and monitor tell, as it comes."""
        queue: asyncio.Queue[Event] = asyncio.Queue()

        async def hear_node() -> None:
            async for event in self._qemu.channel.events():
                queue.put_nowait(event)

        async def hear_monitor() -> None:
            async for event in self._qemu.monitor.events():
                if event.name == "RESET":
                    queue.put_nowait(Restarted())

        tasks = [asyncio.create_task(hear_node()), asyncio.create_task(hear_monitor())]
        try:
            while True:
                yield await queue.get()
        finally:
            for task in tasks:
                task.cancel()

    async def state(self) -> guest.BootState:
        await self._qemu.agent.wait_ready(self._options.boot_deadline_s)
        return await guest.read_state(self._qemu.agent)

    async def run(self, argv: list[str], deadline_s: float) -> ExecResult:
        return await self._qemu.agent.exec(argv, timeout=deadline_s)

    async def stop(self, orderly: bool) -> None:
        await self._qemu.stop(STOP_S if orderly else 0)

    async def reset(self) -> bool:
        await self._qemu.monitor.reset()
        return True

    async def close(self) -> None:
        await self._qemu.close()

    async def forget(self) -> None:
        await asyncio.to_thread(self._group.remove)
        shutil.rmtree(self._qemu.paths.folder, ignore_errors=True)
        shutil.rmtree(self._qemu.paths.sockets, ignore_errors=True)
