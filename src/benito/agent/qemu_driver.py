"""Nodes that are virtual machines: the agent's view of `machines.machine.Qemu`."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from benito.agent.cgroup import Limits
from benito.agent.driver import (
    HARD_OVERHEAD_MIB,
    Event,
    Options,
    Restarted,
    Settlement,
    Surroundings,
    job_of,
    last_line,
)
from benito.agent.turns import Turns
from benito.errors import NodeError
from benito.images.catalog import Image
from benito.machines import guest
from benito.machines.copying import copy_disk
from benito.machines.guest_agent import ExecResult
from benito.machines.machine import Qemu
from benito.machines.node_channel import Booted, Failed
from benito.machines.qemu import QEMU_UID, Paths
from benito.machines.template import Template
from benito.plan import model

STOP_S = 30.0
"""How long a guest may take to power off before its process is ended."""
PATIENCE_S = 240.0
"""How long a guest may take to its first answer before its machine is reset, once."""
TURN_S = 150.0
"""How long a guest that boots may keep others from it: all at once would run out of patience all at once. Large systems
need a minute and more of a processor to their first answer under emulation; one that takes longer waits for something.
"""
END_S = 20.0
"""How long the end of a clone's process may take to be heard of."""
SILENT_S = 60.0
"""After how long without a word from a waking clone its guest agent is asked."""
KVM = Path("/dev/kvm")


class QemuDriver:
    """One virtual machine."""

    def __init__(
        self,
        machine: model.Machine,
        image: Image,
        experiment: str,
        around: Surroundings,
        options: Options,
        turns: Turns,
    ) -> None:
        self._machine = machine
        self._around = around
        self._turns = turns
        self._turn = AsyncExitStack()
        self._options = options
        self._group = around.group.child(f"m-{machine.control.name}")
        paths = Paths(around.nodes / machine.node, around.sockets / machine.node)
        uuid = guest.machine_uuid(experiment, machine.node)
        folder = around.templates / machine.template
        template = Template(folder, around.memory) if machine.template else None
        self._qemu = Qemu(machine, image, paths, options.accelerator, uuid=uuid, template=template)
        self._clone: bool | None = None
        """Whether it is a clone that isn't itself yet; None: somebody else has started it."""
        self._failure = ""
        self._told: asyncio.Future[Booted | Failed] = asyncio.get_running_loop().create_future()

    @property
    def job(self) -> str:
        return job_of(self._machine.node)

    @property
    def log(self) -> Path:
        return self._qemu.paths.folder / "qemu.log"

    async def start(self, settlement: Settlement) -> None:
        self._clone = self._qemu.will_be_clone
        await self._turn.enter_async_context(self._turns.one())
        self._told = asyncio.get_running_loop().create_future()
        limits = Limits(memory_mib=self._machine.memory_mib + HARD_OVERHEAD_MIB["qemu"])
        try:
            await asyncio.to_thread(self._group.create, limits)
            await self._qemu.start(self._spawn, uid=QEMU_UID)
        except NodeError as error:
            if self._clone:
                await self._give_up(error.message)
            await self._turn.aclose()
            raise
        except BaseException:
            await self._turn.aclose()
            raise

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
        if self._clone is None and self._machine.template:
            self._clone = await self._is_asleep()
            if self._clone:
                # How much of its configuration is in its port already, nobody knows.
                await self._give_up("its agent ended before it was awake")
        if self._clone:
            told("waking")
            await self._wake(settlement)
        else:
            await self._see_booted(settlement, told)

    async def _wake(self, settlement: Settlement) -> None:
        """Make the clone the node; what it tells then is heard by `events`."""
        deadline = asyncio.get_running_loop().time() + self._options.boot_deadline_s
        try:
            await self._qemu.wake(settlement.archive(self._machine, programs=False), self._options.quiet_s)
            said = await self._hear_told(deadline)
        except NodeError as error:
            await self._give_up(error.message)
            raise
        finally:
            await self._turn.aclose()
        self._clone = False
        if isinstance(said, Failed):
            raise NodeError(f"{self._machine.node} could not be configured: {said.reason}")

    async def _hear_told(self, deadline: float) -> Booted | Failed:
        """Wait for the node's own word; when it is silent for long, see whether it has heard that it should wake."""
        while not (await asyncio.wait({self._told}, timeout=SILENT_S))[0]:
            if await guest.deaf(self._qemu.agent):
                raise NodeError(f"{self._machine.node} did not wake")
            if asyncio.get_running_loop().time() > deadline:
                raise NodeError(f"{self._machine.node} was not up {self._options.boot_deadline_s:g} s after it woke")
        return self._told.result()

    async def _give_up(self, reason: str) -> None:
        """End a clone that doesn't wake, so that it is started the other way."""
        self._failure = reason
        await self._turn.aclose()
        await self._qemu.stop(0)
        # The end of its process is heard by whoever watches the machine, and cancels this.
        await asyncio.sleep(END_S)

    async def _is_asleep(self) -> bool:
        """Whether a machine that a former agent has started is a clone that isn't itself yet."""
        if await self._qemu.monitor.status() == "paused":
            await self._qemu.monitor.resume()
        await self._qemu.agent.wait_ready(self._options.boot_deadline_s)
        return await guest.asleep(self._qemu.agent)

    def another_way(self) -> str | None:
        """A clone that ends before it is itself is started once more without its template."""
        if not self._clone:
            return None
        self._clone = False
        reason = self._failure or last_line(self.log) or "its template's state could not be loaded"
        self._qemu.forget_template()
        return reason

    async def _see_booted(self, settlement: Settlement, told: Callable[[str], None]) -> None:
        deadline = self._options.boot_deadline_s
        told("booting")
        try:
            await self._see_answer(min(PATIENCE_S, deadline))
        except NodeError:
            if deadline <= PATIENCE_S:
                raise
            # Seen once in a great while on a very busy host: a guest that hangs in its boot. Another try cures it.
            told("restarting: it did not come up")
            await self._qemu.monitor.reset()
            await self._qemu.agent.wait_ready(deadline - PATIENCE_S)
        told("configuring")
        await guest.configure(self._qemu.agent, self._machine.node, settlement.archive(self._machine), deadline)

    async def _see_answer(self, deadline_s: float) -> None:
        """Wait for the guest's first answer; its turn ends with it, or when it seems to wait for something itself."""
        answer = asyncio.create_task(self._qemu.agent.wait_ready(deadline_s))
        try:
            await asyncio.wait({answer}, timeout=TURN_S)
            await self._turn.aclose()
            await answer
        finally:
            answer.cancel()

    async def events(self) -> AsyncIterator[Event]:
        """Yield what node and monitor tell, as it comes."""
        queue: asyncio.Queue[Event] = asyncio.Queue()

        async def hear_node() -> None:
            async for event in self._qemu.channel.events():
                if isinstance(event, Booted | Failed) and not self._told.done():
                    self._told.set_result(event)
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

    async def copy(self, name: str, deadline_s: float) -> None:
        qemu = self._qemu
        target = qemu.paths.folder / name
        await copy_disk(self._machine.node, qemu.monitor, qemu.agent, target, QEMU_UID, deadline_s)

    async def close(self) -> None:
        await self._turn.aclose()
        await self._qemu.close()

    async def forget(self) -> None:
        await asyncio.to_thread(self._group.remove)
        shutil.rmtree(self._qemu.paths.folder, ignore_errors=True)
        shutil.rmtree(self._qemu.paths.sockets, ignore_errors=True)
