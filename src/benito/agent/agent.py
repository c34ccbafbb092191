"""The agent: makes a pnode's plan real inside its sandbox, watches it, and answers for it.

It listens on `agent.sock` in its runtime folder (see `rpc`):

    apply {plan, secrets, options, revive}   -> true when network and machines are under way; the rest comes as events
    status                                   -> {node: [boot, code]}
    run {node, argv, deadline_s}             -> {code, stdout, stderr}
    control {node, action}                   -> true; start, stop, restart, kill
    copy {node, name, deadline_s}            -> true when the machine's disk is copied to that file in its folder
    wires                                    -> {wire: {forward, backward}} counters
    subscribe                                -> true, then events: {node, phase}, {node, status}, {node, error}

It may be killed at any time: machines and links go on, and its successor adopts them with what `plan.json` and
`states.json` in the runtime folder say.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import signal
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import msgspec

from benito.agent.cgroup import Group
from benito.agent.driver import Options, Settlement, Surroundings, node_of
from benito.agent.kinds import Kinds
from benito.agent.logs import keep_bounded
from benito.agent.rpc import Server
from benito.agent.runner import Remembered, Runner, Status
from benito.agent.sandbox import LIGHT, RUNTIME
from benito.agent.spawner import Spawner
from benito.errors import BenitoError, NodeError
from benito.images.catalog import Catalog
from benito.machines.guest import HostKey
from benito.machines.qemu import QEMU_UID
from benito.network.fabric import Fabric
from benito.network.shaping.backend import Backend
from benito.plan import model

log = logging.getLogger("agent")
PLAN, STATES = "plan.json", "states.json"
WRITE_AFTER_S = 0.1


class Memory(msgspec.Struct):
    """What the agent was told; without secrets."""

    plan: model.PnodePlan | None = None
    options: Options = Options()


class Agent:
    """Runs one pnode."""

    def __init__(self, runtime: Path, group: Group) -> None:
        self.runtime = runtime
        self.spawner = Spawner(runtime / "init.sock")
        self.around = Surroundings(
            runtime=runtime,
            nodes=RUNTIME / "experiment" / "nodes",
            catalog=Catalog(RUNTIME),
            group=group,
            spawner=self.spawner,
            tell=self._tell,
            light=LIGHT,
            templates=RUNTIME / "templates",
            memory=RUNTIME / "experiment" / "memory",
        )
        self.kinds = Kinds(self.around)
        self.memory = Memory()
        self.runners: dict[str, Runner] = {}
        self.settlements: dict[str, Settlement] = {}
        self._backend: Backend | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._turn = asyncio.Lock()
        self.server = Server(
            {
                "apply": self.apply,
                "status": self.status,
                "run": self.run,
                "control": self.control,
                "copy": self.copy,
                "wires": self.wires,
            }
        )

    async def serve(self) -> None:
        """Adopt what runs, then serve until ended."""
        # Heard from before the list of those that run is asked for, so that no end falls in between.
        ends = await self.spawner.exits()
        await self._adopt()
        await self.server.listen(self.runtime / "agent.sock")
        bounding = asyncio.create_task(keep_bounded(self.around.nodes, "*/*.log"))
        async for end in ends:
            runner = self.runners.get(node_of(end.job) or "")
            if runner is not None and runner.boot != "dead":
                runner.ended(end.code)
        bounding.cancel()
        log.error("the init is gone")

    async def apply(self, plan: str, secrets: dict[str, str], options: dict[str, Any], revive: bool = False) -> bool:
        """Bring the pnode to the plan: network first, then machines. Machines that died stay dead unless `revive`."""
        async with self._turn:
            wanted = model.decode(plan.encode())
            self.memory.plan, self.memory.options = wanted, msgspec.convert(options, Options)
            await self._remove_others(wanted)
            await self._weave(wanted)
            _write(self.runtime / PLAN, msgspec.json.encode(self.memory))
            for machine in wanted.machines:
                self._have(machine, wanted, secrets, revive)
        return True

    async def _weave(self, plan: model.PnodePlan) -> None:
        began = time.monotonic()
        await asyncio.to_thread(self.kinds.prepare, plan)
        prepared = time.monotonic() - began
        await asyncio.to_thread(Fabric(QEMU_UID).apply, plan)
        log.info(
            "network of %d machines: %.2f s, %.2f s of it cables",
            len(plan.machines),
            time.monotonic() - began,
            prepared,
        )
        if self._backend is None:
            self._backend = await asyncio.to_thread(self._choose)
        await asyncio.to_thread(self._backend.apply, plan.wires)

    @property
    def _plan(self) -> model.PnodePlan:
        assert self.memory.plan is not None
        return self.memory.plan

    def _choose(self) -> Backend:
        from benito.network.shaping.choice import choose

        return choose(self._plan.experiment, self.runtime / "wires.sock", self.memory.options.shaping)

    def _have(self, machine: model.Machine, plan: model.PnodePlan, secrets: dict[str, str], revive: bool) -> None:
        """Have the machine run, unless it does or has died."""
        private = secrets.get(machine.host_key, "")
        key = HostKey(private, secrets.get(f"{machine.host_key}.pub", "")) if private else None
        self.settlements[machine.node] = Settlement(plan, key)
        runner = self.runners.get(machine.node)
        if runner is not None and runner.unsettled:
            runner.resume(self.settlements[machine.node])
            return
        if runner is not None and (runner.boot != "dead" or not revive):
            return
        try:
            runner = self._runner_of(machine, plan)
        except BenitoError as error:
            self._tell({"node": machine.node, "error": error.message, "hint": error.hint})
            return
        self.runners[machine.node] = runner
        runner.begin(self.settlements[machine.node])

    async def _remove_others(self, plan: model.PnodePlan) -> None:
        names = {machine.node for machine in plan.machines}
        for node in [node for node in self.runners if node not in names]:
            runner = self.runners.pop(node)
            await runner.forget()
            await asyncio.to_thread(self.kinds.forget, runner.machine, plan.experiment)

    def _runner_of(self, machine: model.Machine, plan: model.PnodePlan, *, running: bool = False) -> Runner:
        driver = self.kinds.driver(machine, plan.experiment, self.memory.options, running=running)
        return Runner(machine, driver, self.around)

    async def status(self) -> dict[str, Status]:
        """Every machine's `[boot, code]`."""
        return {node: runner.status for node, runner in self.runners.items()}

    def _runner(self, node: str) -> Runner:
        try:
            return self.runners[node]
        except KeyError:
            raise NodeError(f"there is no machine {node!r} here") from None

    async def run(self, node: str, argv: list[str], deadline_s: float = 30.0) -> dict[str, Any]:
        """Run a program in a node."""
        done = await self._runner(node).run(argv, deadline_s)
        return {
            "code": done.code,
            "stdout": done.stdout.decode(errors="replace"),
            "stderr": done.stderr.decode(errors="replace"),
        }

    async def control(self, node: str, action: str) -> bool:
        """Start, stop, restart or kill a machine."""
        runner = self._runner(node)
        if action == "start":
            if runner.boot == "dead":
                await self._again(node)
        elif action in ("stop", "kill"):
            await runner.stop(kill=action == "kill")
        elif action == "restart":
            if runner.boot == "dead" or not await runner.reset():
                await self._again(node)
        else:
            raise NodeError(f"unknown action {action!r}", hint="start, stop, restart or kill")
        return True

    async def copy(self, node: str, name: str, deadline_s: float) -> bool:
        """Copy a machine's disk to a file in its folder while it runs."""
        runner = self._runner(node)
        if runner.boot != "booted":
            raise NodeError(f"{node} is {runner.boot or 'not there'}, not booted", hint=f"benito node start {node}")
        await runner.driver.copy(name, deadline_s)
        return True

    async def _again(self, node: str) -> None:
        settlement = self.settlements.get(node)
        if settlement is None:
            raise NodeError(f"{node} can't be started before the keeper has told its plan again", hint="try again")
        runner = self._runner_of(self.runners[node].machine, settlement.plan)
        self.runners[node] = runner
        runner.begin(settlement)

    async def wires(self) -> dict[str, Any]:
        """What was counted on each wire."""
        if self._backend is None:
            return {}
        counted = await asyncio.to_thread(self._backend.counters)
        return {name: asdict(counters) for name, counters in counted.items()}

    async def _adopt(self) -> None:
        """Take up the machines that a former agent has left running."""
        states: dict[str, Remembered] = {}
        with contextlib.suppress(FileNotFoundError, msgspec.MsgspecError):
            self.memory = msgspec.json.decode((self.runtime / PLAN).read_bytes(), type=Memory)
            states = msgspec.json.decode((self.runtime / STATES).read_bytes(), type=dict[str, Remembered])
        plan = self.memory.plan
        if plan is None:
            return
        jobs = await self.spawner.jobs()
        for machine in plan.machines:
            try:
                runner = self._runner_of(machine, plan, running=True)
            except BenitoError as error:
                log.error("%s is not adopted: %s", machine.node, error)
                continue
            pid, code = jobs.get(runner.driver.job, (None, None))
            if machine.node not in states and pid is None:
                continue
            # One that runs and isn't written down was started just before the former agent ended.
            runner.restore(states.get(machine.node, Remembered("running", None, configured=False)))
            self.runners[machine.node] = runner
            if pid is not None:
                runner.take_up()
            elif runner.boot != "dead":
                runner.ended(-signal.SIGKILL if code is None else code)

    def _tell(self, event: dict[str, Any]) -> None:
        if "status" in event and self._writing is None:
            # Hundreds of nodes come up in a second: one writing serves many.
            self._writing = asyncio.get_running_loop().call_later(WRITE_AFTER_S, self._remember)
        self.server.publish(event)

    def _remember(self) -> None:
        self._writing = None
        states = {node: runner.memory for node, runner in self.runners.items() if runner.boot}
        _write(self.runtime / STATES, msgspec.json.encode(states))


def _write(file: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    new = file.with_suffix(".new")
    new.write_bytes(data)
    new.chmod(0o600)
    new.replace(file)


def main() -> None:
    """Serve one pnode until killed."""
    ask = argparse.ArgumentParser(prog="benito-agent")
    ask.add_argument("--runtime", type=Path, required=True, help="folder of sockets, as seen from inside")
    ask.add_argument("--cgroup", required=True, help="control group of the pnode")
    told = ask.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o022)
    # Threads that write files would keep the loop waiting for 5 ms after each of its system calls.
    sys.setswitchinterval(0.0002)
    agent = Agent(told.runtime, Group(told.cgroup))
    asyncio.run(agent.serve())


if __name__ == "__main__":
    main()
