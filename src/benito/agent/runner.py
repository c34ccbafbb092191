"""One machine under an agent's care: started, configured, watched, and adopted again after the agent's restart.

Knows no kind of machine; what is particular to one is its driver's business.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import time
from collections.abc import Awaitable
from dataclasses import dataclass

from benito.agent.driver import Driver, Restarted, Settlement, Surroundings, last_line
from benito.errors import BenitoError, NodeError
from benito.machines.guest_agent import ExecResult
from benito.machines.node_channel import Booted, StartExit
from benito.plan import model

log = logging.getLogger(__name__)
Status = tuple[str | None, int | None]


@dataclass(frozen=True, slots=True)
class Remembered:
    """A machine's state across the agent's restart."""

    boot: str | None
    code: int | None
    configured: bool


class Runner:
    """Runs one machine; `boot` and `code` are its state as the doors show it."""

    def __init__(self, machine: model.Machine, driver: Driver, around: Surroundings) -> None:
        self.machine = machine
        self.driver = driver
        self.around = around
        self.boot: str | None = None
        self.code: int | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self._configured = False
        self._resetting = False
        self._settlement: Settlement | None = None

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
        self._settlement = settlement
        self._ended.clear()
        self._configured = False
        self._phase("starting", began)
        await self.driver.start(settlement)
        self._set("running", None)
        await self._settle(settlement, began)

    async def _start_again(self, settlement: Settlement) -> None:
        await self.driver.close()
        await self._start(settlement)

    async def _resume(self, settlement: Settlement) -> None:
        self._settlement = settlement
        await self.driver.adopt()
        await self._settle(settlement, time.monotonic())

    async def _settle(self, settlement: Settlement, began: float) -> None:
        """See the machine through until it is up and configured."""
        self._spawn_task(self._hear())
        await self.driver.settle(settlement, lambda phase: self._phase(phase, began))
        self._configured = True
        log.info("%s configured after %.1f s", self.machine.node, time.monotonic() - began)
        self._set("booted", self.code)

    async def _adopt(self) -> None:
        await self.driver.adopt()
        self._spawn_task(self._hear())
        state = await self.driver.state()
        if state.boot_id and self._configured:
            self._set("booted", self.code if state.start_exit is None else state.start_exit)

    async def _hear(self) -> None:
        async for event in self.driver.events():
            match event:
                case Booted():
                    # A machine of kept disks says so before it has this plan's configuration.
                    self.code = None
                    if self._configured:
                        self._set("booted", None)
                case StartExit(code):
                    self.code = code
                    self._set(self.boot, code)
                case Restarted() if self._configured:
                    self._set("running", None)

    def ended(self, code: int) -> None:
        """The machine's process is gone; the init says so."""
        if self._settlement is not None and (reason := self.driver.another_way()):
            self.around.tell({"node": self.machine.node, "notice": f"{self.machine.node} boots instead: {reason}"})
            for task in list(self._tasks):
                task.cancel()
            self._spawn_task(self._start_again(self._settlement))
            return
        self._ended.set()
        for task in list(self._tasks):
            task.cancel()
        self._spawn_task(self.driver.close())
        if self._resetting:
            return
        if code:
            self._last_words(last_line(self.driver.log))
        self._set("dead", code)

    def _last_words(self, words: str) -> None:
        if words:
            self.around.tell({"node": self.machine.node, "error": f"{self.machine.node}: {words}", "hint": ""})

    async def stop(self, *, kill: bool = False) -> None:
        """Have the machine end in order, or with `kill` at once; returns when it has."""
        if self.boot == "dead" or self.boot is None:
            return
        await self.driver.stop(orderly=not kill and self.boot == "booted")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5):
                await self._ended.wait()
                return
        await self.around.spawner.signal(self.driver.job, signal.SIGKILL)
        async with asyncio.timeout(5):
            await self._ended.wait()

    async def reset(self) -> bool:
        """Restart the machine as by its reset button; False when it has ended instead and is to be started anew."""
        if await self.driver.reset():
            return True
        self._resetting = True
        await self.stop(kill=True)
        return False

    async def run(self, argv: list[str], deadline_s: float) -> ExecResult:
        """Run a program inside."""
        if self.boot != "booted":
            raise NodeError(f"{self.machine.node} is not up", hint="see `benito status`")
        return await self.driver.run(argv, deadline_s)

    async def forget(self) -> None:
        """End the machine and remove all that was its own."""
        await self.stop(kill=True)
        await self.driver.forget()

    def _phase(self, phase: str, began: float) -> None:
        self.around.tell({"node": self.machine.node, "phase": phase, "after_s": round(time.monotonic() - began, 2)})

    def _set(self, boot: str | None, code: int | None) -> None:
        self.boot, self.code = boot, code
        self.around.tell({"node": self.machine.node, "status": [boot, code]})
