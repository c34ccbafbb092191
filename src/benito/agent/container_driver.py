"""Nodes that are containers, and physical nodes: the agent's view of `machines.container.Container`.

A physical node is its pnode: it is alone there and has all of its processors, and its memory but for what the agent
needs. Its own processes run in a container of the image's userland, in a network namespace that holds its experimental
interfaces and nothing else, as a testbed's machine shows its cards but not the switches and tunnels behind them. So the
pnode's wires, bridges and control network are the same for every kind of node, and nothing that the node does to its
network can harm them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from pathlib import Path
from secrets import token_hex

from benito.agent import shares
from benito.agent.door import Door
from benito.agent.driver import Event, Options, Settlement, Surroundings, job_of
from benito.errors import NodeError
from benito.images.catalog import Image
from benito.images.tree import root_of
from benito.machines import guest, oci
from benito.machines.container import SSHD, Container, Paths, SharedLayer
from benito.machines.engine import Engine
from benito.machines.files import Files, bundle
from benito.machines.guest_agent import ExecResult
from benito.plan import model

STOP_S = 5.0
"""How long a node's processes may take to end in order."""
MACHINE_ID = "etc/machine-id"


class Shared:
    """The layer that the containers of a pnode have alike, made anew when what it is made from has changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, SharedLayer] = {}

    def have(self, plan: model.PnodePlan) -> SharedLayer:
        """Return the layer for this plan."""
        content = f"{plan.experiment}{plan.accounts}{plan.hosts}{plan.inside}"
        digest = sha256(content.encode(errors="surrogateescape")).hexdigest()[:16]
        if digest not in self._made:

            def fill(target: Files) -> None:
                guest.add_shared(target, plan.accounts, plan.hosts, plan.experiment, plan.inside)
                guest.add_programs(target)

            # A name of its own: containers of a former plan, or a former agent's, may stand on another.
            self._made[digest] = SharedLayer.have(self._folder / f"{digest}-{token_hex(4)}", fill)
        return self._made[digest]


class ContainerDriver:
    """One container."""

    def __init__(
        self,
        machine: model.Machine,
        image: Image,
        network: Path,
        door: Door,
        around: Surroundings,
        options: Options,
        *,
        limits: oci.Limits,
        turns: asyncio.Semaphore,
        shared: Shared,
    ) -> None:
        self._machine = machine
        self._around = around
        self._options = options
        self._shared = shared
        self._turns = turns
        """How many may be between their start and being up."""
        self._has_turn = False
        self._group = around.group.child(f"m-{machine.control.name}")
        folder = around.nodes / machine.node
        software = bundle(folder, machine.software.bundle) if machine.software else None
        paths = Paths(folder, around.light / machine.control.name, root_of(image), network, software)
        self._container = Container(
            machine.node,
            machine.control.name,
            paths,
            Engine(options.engine),
            cgroup=self._group.path,
            limits=limits,
        )
        self._door = door

    @property
    def job(self) -> str:
        return job_of(self._machine.node)

    @property
    def log(self) -> Path:
        return self._container.paths.log

    async def start(self, settlement: Settlement) -> None:
        plan = settlement.plan

        def fill(target: Files) -> None:
            guest.add_own(target, self._machine, plan.accounts, settlement.host_keys, plan.experiment, plan.inside)
            target.file(MACHINE_ID, f"{guest.machine_uuid(plan.experiment, self._machine.node).hex}\n")

        self._open()
        await self._turns.acquire()
        self._has_turn = True
        binds = list(shares.binds(self._around.light, plan.inside.shares))
        try:
            await self._container.start(self._shared.have(plan), fill, self._spawn, binds)
        except BaseException:
            self._yield_turn()
            raise

    def _yield_turn(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._turns.release()

    def _open(self) -> None:
        self._door.open(self._container.engine.enter(self._container.name, SSHD, detach=True))

    async def _spawn(self, argv: list[str], pid_file: Path) -> None:
        # The runtime is many threads for a moment: on one processor they get less in the way of each other.
        environment = {"PATH": os.environ.get("PATH", os.defpath), "GOMAXPROCS": "1"}
        await self._around.spawner.spawn(self.job, argv, log=self.log, env=environment, pid_file=pid_file)

    async def adopt(self) -> None:
        self._open()
        await self._container.adopt()

    async def settle(self, settlement: Settlement, told: Callable[[str], None]) -> None:
        told("booting")
        try:
            await self._container.wait_booted(self._options.boot_deadline_s)
        finally:
            self._yield_turn()

    def events(self) -> AsyncIterator[Event]:
        return self._container.events()

    def another_way(self) -> str | None:
        return None

    async def state(self) -> guest.BootState:
        return await asyncio.to_thread(self._container.state)

    async def run(self, argv: list[str], deadline_s: float) -> ExecResult:
        return await self._container.run(argv, deadline_s)

    async def stop(self, orderly: bool) -> None:
        """End everything but the first process in order, then that one: its end is the node's."""
        if orderly:
            await asyncio.to_thread(self._terminate)
        await self._around.spawner.signal(self.job, signal.SIGTERM if orderly else signal.SIGKILL)

    def _terminate(self) -> None:
        import select
        import time

        first = self._first()
        waiting = {}
        for pid in self._group.pids() - {first}:
            with contextlib.suppress(ProcessLookupError):
                waiting[os.pidfd_open(pid)] = pid
                os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        try:
            for descriptor in waiting:
                select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        finally:
            for descriptor in waiting:
                os.close(descriptor)

    def _first(self) -> int | None:
        """The pid of the container's first process."""
        for pid in self._group.pids():
            with contextlib.suppress(OSError):
                status = Path(f"/proc/{pid}/status").read_text()
                if next(line for line in status.splitlines() if line.startswith("NSpid:")).split()[-1] == "1":
                    return pid
        return None

    async def reset(self) -> bool:
        return False

    async def copy(self, name: str, deadline_s: float) -> None:
        raise NodeError(f"{self._machine.node} has no disk: its files lie on the host")

    async def close(self) -> None:
        self._yield_turn()
        await self._container.close()

    async def forget(self) -> None:
        self._door.close()
        await asyncio.to_thread(self._container.forget)
        await asyncio.to_thread(self._group.remove)
