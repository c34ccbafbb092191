"""One machine under an agent's care: started, configured, watched, and adopted again after the agent's restart."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benito.agent.cgroup import Group, Limits
from benito.agent.spawner import Spawner
from benito.errors import BenitoError, NodeError
from benito.images.catalog import Catalog
from benito.machines import guest
from benito.machines.accelerator import Accelerator
from benito.machines.guest_agent import ExecResult
from benito.machines.machine import Qemu
from benito.machines.node_channel import Booted, StartExit
from benito.machines.qemu import QEMU_UID, Paths
from benito.plan import model

log = logging.getLogger(__name__)
Tell = Callable[[dict[str, Any]], None]
Status = tuple[str | None, int | None]

STOP_S = 30.0
"""How long a guest may take to power off before its process is ended."""
HARD_OVERHEAD_MIB = 256
"""What a machine's process may use beside the guest's memory before its control group stops it."""
KVM = Path("/dev/kvm")


@dataclass(frozen=True, slots=True)
class Options:
    """How the experiment wants its machines run."""

    accelerator: Accelerator = "tcg"
    shaping: str = "auto"
    boot_deadline_s: float = 600.0


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every machine of a pnode shares."""

    sockets: Path
    nodes: Path
    """Where each machine has its folder."""
    catalog: Catalog
    group: Group
    spawner: Spawner
    tell: Tell


@dataclass(frozen=True, slots=True)
class Settlement:
    """All that a fresh machine is told; the host key is secret."""

    plan: model.PnodePlan
    host_key: guest.HostKey | None

    def archive(self, machine: model.Machine) -> bytes:
        """The configuration that makes the machine the plan's node."""
        keys = [self.host_key] if self.host_key else []
        return guest.configuration(machine, self.plan.accounts, self.plan.hosts, keys, self.plan.experiment)


@dataclass(frozen=True, slots=True)
class Remembered:
    """A machine's state across the agent's restart."""

    boot: str | None
    code: int | None
    configured: bool


class Runner:
    """Runs one machine; `boot` and `code` are its state as the doors show it."""

    def __init__(self, machine: model.Machine, experiment: str, around: Surroundings, options: Options) -> None:
        self.machine = machine
        self.around = around
        self.options = options
        self.boot: str | None = None
        self.code: int | None = None
        self.driver = self._driver(experiment)
        self._group = around.group.child(f"m-{machine.control.name}")
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._configured = False

    def _driver(self, experiment: str) -> Qemu:
        node, wanted = self.machine.node, self.machine.image
        image = self.around.catalog.get(wanted.name)
        if image.info.digest != wanted.digest:
            raise NodeError(
                f"{node}: the image {wanted.name} has changed since the plan was made", hint="swap out and in again"
            )
        paths = Paths(self.around.nodes / node, self.around.sockets / node)
        uuid = guest.machine_uuid(experiment, node)
        return Qemu(self.machine, image, paths, self.options.accelerator, uuid=uuid)

    @property
    def job(self) -> str:
        """The name of its process with the sandbox's init."""
        return f"machine {self.machine.node}"

    @property
    def _log(self) -> Path:
        """What its process itself says."""
        return self.driver.paths.folder / "qemu.log"

    @property
    def status(self) -> Status:
        """`[boot, code]`."""
        return (self.boot, self.code)

    @property
    def memory(self) -> Remembered:
        """What the agent's successor must know of it."""
        return Remembered(self.boot, self.code, self._configured)

    @property
    def unsettled(self) -> bool:
        """Whether it was taken up before it had its configuration, and waits for it."""
        return self.boot == "running" and not self._configured and not self._tasks

    def restore(self, memory: Remembered) -> None:
        """Take up what was known before the agent's restart."""
        self.boot, self.code, self._configured = memory.boot, memory.code, memory.configured

    def begin(self, settlement: Settlement) -> None:
        """Start the machine and see it through to `booted`; how it goes is told as events."""
        self._spawn_task(self._start(settlement))

    def resume(self, settlement: Settlement) -> None:
        """See a machine through that was taken up unsettled."""
        self._spawn_task(self._resume(settlement))

    def take_up(self) -> None:
        """Watch the machine, which runs already."""
        if self._configured:
            self._spawn_task(self._adopt())

    def _spawn_task(self, work: Awaitable[None]) -> None:
        async def guarded() -> None:
            try:
                await work
            except BenitoError as error:
                if not self._ended.is_set():
                    self.around.tell({"node": self.machine.node, "error": str(error.message), "hint": error.hint})
            except asyncio.CancelledError:
                raise
            except Exception as error:
                log.exception("%s", self.machine.node)
                self.around.tell({"node": self.machine.node, "error": f"{self.machine.node}: {error}", "hint": ""})

        task = asyncio.create_task(guarded())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, settlement: Settlement) -> None:
        began = time.monotonic()
        self._ended.clear()
        self._configured = False
        self._phase("starting", began)
        await asyncio.to_thread(self._group.create, Limits(memory_mib=self.machine.memory_mib + HARD_OVERHEAD_MIB))
        await self.driver.start(self._run, uid=QEMU_UID)
        self._set("running", None)
        await self._settle(settlement, began)

    async def _resume(self, settlement: Settlement) -> None:
        await self.driver.adopt()
        await self._settle(settlement, time.monotonic())

    async def _settle(self, settlement: Settlement, began: float) -> None:
        """Wait until the guest answers and configure it."""
        self._watch()
        self._phase("booting", began)
        await self.driver.agent.wait_ready(self.options.boot_deadline_s)
        self._phase("configuring", began)
        archive = settlement.archive(self.machine)
        await guest.configure(self.driver.agent, self.machine.node, archive, self.options.boot_deadline_s)
        self._configured = True
        log.info("%s configured after %.1f s", self.machine.node, time.monotonic() - began)
        self._set("booted", self.code)

    async def _run(self, argv: list[str]) -> None:
        groups = [KVM.stat().st_gid] if self.options.accelerator == "kvm" else []
        await self.around.spawner.spawn(
            self.job,
            argv,
            log=self._log,
            uid=QEMU_UID,
            gid=QEMU_UID,
            groups=groups,
            cgroups=self._group.folders,
            env={"PATH": os.defpath},
        )

    async def _adopt(self) -> None:
        await self.driver.adopt()
        self._watch()
        await self.driver.agent.wait_ready(self.options.boot_deadline_s)
        state = await guest.read_state(self.driver.agent)
        if state.boot_id and self._configured:
            self._set("booted", self.code if state.start_exit is None else state.start_exit)

    def _watch(self) -> None:
        self._spawn_task(self._hear_node())
        self._spawn_task(self._hear_monitor())

    async def _hear_node(self) -> None:
        async for event in self.driver.channel.events():
            match event:
                case Booted():
                    # A machine of kept disks says so before it has this plan's configuration.
                    self.code = None
                    if self._configured:
                        self._set("booted", None)
                case StartExit(code):
                    self.code = code
                    self._set(self.boot, code)

    async def _hear_monitor(self) -> None:
        async for event in self.driver.monitor.events():
            if event.name == "RESET" and self._configured:
                self._set("running", None)

    def ended(self, code: int) -> None:
        """The machine's process is gone; the init says so."""
        self._ended.set()
        for task in list(self._tasks):
            task.cancel()
        if code:
            with contextlib.suppress(OSError):
                self._last_words(self._log.read_text(errors="replace").strip().rpartition("\n")[2])
        self._set("dead", code)

    def _last_words(self, words: str) -> None:
        if words:
            self.around.tell({"node": self.machine.node, "error": f"{self.machine.node}: {words}", "hint": ""})

    async def stop(self, *, kill: bool = False) -> None:
        """Have the guest power off, or with `kill` end its process at once; returns when it has ended."""
        if self.boot == "dead" or self.boot is None:
            return
        await self.driver.stop(0 if kill or self.boot != "booted" else STOP_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._ended.wait()
                return
        await self.around.spawner.signal(self.job, signal.SIGKILL)
        async with asyncio.timeout(5):
            await self._ended.wait()

    async def reset(self) -> None:
        """Restart the machine as by its reset button."""
        await self.driver.monitor.reset()

    async def run(self, argv: list[str], deadline_s: float) -> ExecResult:
        """Run a program inside, through the guest agent."""
        if self.boot != "booted":
            raise NodeError(f"{self.machine.node} is not up", hint="see `benito status`")
        return await self.driver.agent.exec(argv, timeout=deadline_s)

    async def forget(self) -> None:
        """End the machine and remove all that was its own."""
        await self.stop(kill=True)
        await asyncio.to_thread(self._group.remove)
        shutil.rmtree(self.driver.paths.folder, ignore_errors=True)
        shutil.rmtree(self.driver.paths.sockets, ignore_errors=True)

    def _phase(self, phase: str, began: float) -> None:
        self.around.tell({"node": self.machine.node, "phase": phase, "after_s": round(time.monotonic() - began, 2)})

    def _set(self, boot: str | None, code: int | None) -> None:
        self.boot, self.code = boot, code
        self.around.tell({"node": self.machine.node, "status": [boot, code]})


async def exits(spawner: Spawner) -> AsyncIterator[tuple[str, int]]:
    """Yield the node and exit code of each machine that ends."""
    async for exit in spawner.exits():
        kind, _, node = exit.job.partition(" ")
        if kind == "machine":
            yield node, exit.code
