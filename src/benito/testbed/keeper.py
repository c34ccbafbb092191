"""The keeper: the one resident process of a swapped-in experiment.

It hands the pnodes' plans to their agents, hears their events, and alone writes node states and the event log. Commands
are its clients over `keeper.sock`:

    status                        -> {node: [boot, code]}; a node whose pnode can't be reached is [null, null]
    pnodes                        -> {pnode: "up" | "lost"}
    apply {revive}                -> true; reads the plan files again and brings the agents to them
    run {node, argv, deadline_s}  -> {code, stdout, stderr}; in the node, through its guest agent
    control {node, action}        -> true; start, stop, restart, kill
    copy {node, name, deadline_s} -> true when the machine's disk is copied to that file in its folder
    wires                         -> {link: {forward, backward}} counters, see `Keeper.wires`
    subscribe                     -> true, then every event as it happens

It may die and be started again at any time: it adopts the agents, and they the machines.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import signal
import time
from pathlib import Path
from typing import Any, Literal

from benito.agent.logs import keep_bounded
from benito.agent.rpc import Client, Server, Unreachable
from benito.errors import BenitoError, NodeError
from benito.plan import files as plan_files
from benito.plan import model
from benito.testbed.home import ExperimentId, Home, Place
from benito.testbed.store import Store

log = logging.getLogger("keeper")
RECONNECT_S = 0.05
STORE_AGAIN_S = 5.0
RESTART_S = 1.5
"""How long an agent may be away before its pnode counts as lost."""
CALL_S = 120.0
STORE_AFTER_S = 0.05
QUIET_S, LONGEST_QUIET_S = 5.0, 120.0
CLONE_S = {"tcg": 2.0, "kvm": 0.1}
"""Processor seconds that a clone takes until somebody is logged in, measured while all processors were busy."""

Absence = Literal["ended", "away"]
"""Why a pnode can't be reached: its init has ended and all its machines with it, or its agent alone stays away."""
Status = tuple[str | None, int | None]
NOWHERE: Status = (None, None)


class Keeper:
    """Keeps one experiment."""

    def __init__(self, place: Place, store: Store, options: dict[str, Any]) -> None:
        self.place = place
        self.store = store
        self.options = options
        self.plans: dict[str, model.PnodePlan] = {}
        self.agents: dict[str, AgentLink] = {}
        self.statuses: dict[str, Status] = {}
        self._said: dict[str, Status] = {}
        self._storing: asyncio.TimerHandle | None = None
        self._events = place.events.open("a", buffering=1)
        self.server = Server(
            {
                "status": self.status,
                "pnodes": self.pnodes,
                "apply": self.apply,
                "run": self.run,
                "control": self.control,
                "wires": self.wires,
                "copy": self.copy,
            }
        )

    async def serve(self) -> None:
        """Adopt or begin, then serve until ended; logs and events stay within a bound meanwhile."""
        await self.server.listen(self.place.keeper_socket)
        await self.apply()
        await keep_bounded(self.place.folder, self.place.events.name, f"{self.place.logs.name}/*.log")

    async def status(self) -> dict[str, Status]:
        """Every node's `[boot, code]`."""
        return dict(self.statuses)

    async def pnodes(self) -> dict[str, str]:
        """Which pnodes can be reached."""
        return {name: "up" if link.up else "lost" for name, link in self.agents.items()}

    async def apply(self, revive: bool = False) -> bool:
        """Read the plan files and bring every agent to its plan; `revive` starts dead machines again."""
        if revive:
            self.learn({node: NOWHERE for node, status in self.statuses.items() if status[0] == "dead"})
        self.plans = {plan.pnode: plan for plan in plan_files.read(self.place.plans)}
        for name, plan in self.plans.items():
            for machine in plan.machines:
                self.statuses.setdefault(machine.node, NOWHERE)
            if name not in self.agents:
                self.agents[name] = AgentLink(self, name)
            self.agents[name].hand_over(plan, revive)
        return True

    def quiet_s(self) -> float:
        """How long a clone should keep what can wait to itself: about until its experiment has come up."""
        clones = sum(bool(machine.template) for plan in self.plans.values() for machine in plan.machines)
        work = CLONE_S[self.options.get("accelerator", "tcg")] * clones / (os.cpu_count() or 1)
        return min(QUIET_S + work, LONGEST_QUIET_S)

    def link_of(self, node: str) -> AgentLink:
        """The link to the agent that runs a node; NodeError when there is none."""
        for name, plan in self.plans.items():
            if any(machine.node == node for machine in plan.machines):
                return self.agents[name]
        raise NodeError(f"there is no node {node!r} in {self.place.experiment}")

    async def run(self, node: str, argv: list[str], deadline_s: float = 30.0) -> Any:
        """Run a program in a node and return its code and output."""
        return await self.link_of(node).call("run", {"node": node, "argv": argv, "deadline_s": deadline_s})

    async def control(self, node: str, action: str) -> Any:
        """Start, stop, restart or kill a node's machine."""
        return await self.link_of(node).call("control", {"node": node, "action": action})

    async def wires(self) -> dict[str, dict[str, dict[str, int]]]:
        """What was counted on each link, forward from its end on the lower pnode; of a LAN the sum of its members'.

        Links and LANs that no wire makes, and those of pnodes that can't be reached, are missing.
        """
        up = {name: link for name, link in self.agents.items() if link.up}
        answers = await asyncio.gather(*(link.call("wires", {}) for link in up.values()), return_exceptions=True)
        told = {name: answer for name, answer in zip(up, answers, strict=True) if isinstance(answer, dict)}
        counted: dict[str, dict[str, dict[str, int]]] = {}
        seen: set[str] = set()
        for name, plan in self.plans.items():
            for wire in plan.wires:
                # A link across pnodes has a wire of one name on both; the lower one's counts both directions.
                ways = told.get(name, {}).get(wire.name) if wire.name not in seen else None
                seen.add(wire.name)
                if ways is None:
                    continue
                sums = counted.setdefault(wire.lan, {"forward": {}, "backward": {}})
                for way, total in sums.items():
                    for what, number in ways[way].items():
                        total[what] = total.get(what, 0) + number
        return counted

    async def copy(self, node: str, name: str, deadline_s: float) -> Any:
        """Copy the disk of a node's machine to a file in its folder while it runs."""
        arguments = {"node": node, "name": name, "deadline_s": deadline_s}
        return await self.link_of(node).call("copy", arguments)

    def secrets(self, plan: model.PnodePlan) -> dict[str, str]:
        """The host keys that a plan names, both halves."""
        files = [
            (f"{name}{half}", self.place.secrets / f"host-{name}{half}")
            for name in sorted({machine.host_key for machine in plan.machines if machine.host_key})
            for half in ("", ".pub")
        ]
        return {name: file.read_text() for name, file in files}

    def heard(self, pnode: str, event: dict[str, Any]) -> None:
        """Take an agent's event: keep the state it tells, log it, pass it on."""
        if "status" in event:
            self.learn({event["node"]: (event["status"][0], event["status"][1])})
        self.tell({"pnode": pnode, **event})

    def learn(self, statuses: dict[str, Status]) -> None:
        """Keep node states: in memory at once, in the store a moment later, many in one transaction."""
        self.statuses.update(statuses)
        if self._storing is None:
            self._storing = asyncio.get_running_loop().call_later(STORE_AFTER_S, self._store)

    def _store(self) -> None:
        self._storing = None
        changed = {node: status for node, status in self.statuses.items() if self._said.get(node) != status}
        if not changed:
            return
        try:
            self.store.set_statuses(self.place.experiment, changed)
            self._said.update(changed)
        except BenitoError as error:
            # A full disk or a busy database must not cut anybody off; it is tried again.
            log.error("node states not stored: %s", error)
            self._storing = asyncio.get_running_loop().call_later(STORE_AGAIN_S, self._store)

    def tell(self, event: dict[str, Any]) -> None:
        """Write an event down and send it to whoever listens."""
        event = {"time": round(time.time(), 3), **event}
        self.server.publish(event)
        try:
            self._events.write(json.dumps(event) + "\n")
        except OSError as error:
            log.error("event not written down: %s", error)


class AgentLink:
    """The connection to one agent, made again whenever it breaks."""

    def __init__(self, keeper: Keeper, pnode: str) -> None:
        self.keeper = keeper
        self.pnode = pnode
        self.up = False
        self.client: Client | None = None
        self.plan: model.PnodePlan | None = None
        self.revive = False
        self._news = asyncio.Event()
        self._lost_since: float | None = time.monotonic()
        self._absence: Absence | None = None
        self._task = asyncio.create_task(self._keep())

    def hand_over(self, plan: model.PnodePlan, revive: bool) -> None:
        """Have the agent told of this plan, now or when it is back."""
        self.plan, self.revive = plan, self.revive or revive
        self._news.set()

    async def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        """Ask the agent; Unreachable when the pnode is lost."""
        if self.client is None or not self.up:
            raise Unreachable(f"{self.pnode} can't be reached", hint="`benito swapin` brings it back")
        deadline = CALL_S + float(arguments.get("deadline_s", 0))
        return await self.client.call(operation, arguments, deadline_s=deadline)

    async def _keep(self) -> None:
        socket = self.keeper.place.runtime / self.pnode / "agent.sock"
        while True:
            try:
                async with Client(socket) as client:
                    await self._converse(client)
            except Unreachable:
                pass
            except Exception:
                log.exception("%s", self.pnode)
            try:
                if absence := await self._gone():
                    self._lost(absence)
            except Exception:
                log.exception("%s", self.pnode)
            await asyncio.sleep(RECONNECT_S)

    async def _gone(self) -> Absence | None:
        """What is the matter if it is more than a restart of the agent."""
        if self._lost_since is None:
            self._lost_since = time.monotonic()
        try:
            _, writer = await asyncio.open_unix_connection(self.keeper.place.runtime / self.pnode / "init.sock")
        except OSError:
            return "ended"
        writer.close()
        return "away" if time.monotonic() - self._lost_since > RESTART_S else None

    async def _converse(self, client: Client) -> None:
        await client.call("subscribe")
        self.client = client
        applying = asyncio.create_task(self._apply_news(client))
        try:
            statuses = await client.call("status")
            self.keeper.learn({node: (boot, code) for node, (boot, code) in statuses.items()})
            self._found()
            self._news.set()
            async for event in client.events():
                self.keeper.heard(self.pnode, event)
        finally:
            self.client = None
            applying.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await applying

    async def _apply_news(self, client: Client) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            if self.plan is None:
                continue
            plan, revive, self.revive = self.plan, self.revive, False
            try:
                arguments = {
                    "plan": model.encode(plan).decode(),
                    "secrets": self.keeper.secrets(plan),
                    "options": self.keeper.options | {"quiet_s": self.keeper.quiet_s()},
                    "revive": revive,
                }
                await client.call("apply", arguments, deadline_s=CALL_S)
            except Unreachable:
                self.revive = self.revive or revive
                return
            except BenitoError as error:
                self.keeper.tell({"pnode": self.pnode, "error": error.message, "hint": error.hint})
            except Exception as error:
                log.exception("%s", self.pnode)
                self.keeper.tell({"pnode": self.pnode, "error": f"{type(error).__name__}: {error}", "hint": ""})

    def _found(self) -> None:
        self.up = True
        self._lost_since = self._absence = None
        self.keeper.tell({"pnode": self.pnode, "event": "reached"})

    def _lost(self, absence: Absence) -> None:
        if not self.up and not (self._absence == "away" and absence == "ended"):
            return
        self.up, self._absence = False, absence
        nodes = [machine.node for machine in self.plan.machines] if self.plan else []
        self.keeper.learn(dict.fromkeys(nodes, NOWHERE))
        self.keeper.tell({"pnode": self.pnode, "event": "lost", "why": absence, "nodes": nodes})


async def _main(place: Place, store: Store, options: dict[str, Any]) -> None:
    keeper = Keeper(place, store, options)
    ended = asyncio.create_task(keeper.serve())
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await ended


def main() -> None:
    """Keep one experiment until told to end."""
    ask = argparse.ArgumentParser(prog="benito-keeper")
    ask.add_argument("--home", type=Path, required=True)
    ask.add_argument("--experiment", required=True)
    ask.add_argument("--options", type=json.loads, default={}, help="JSON, handed to the agents")
    told = ask.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    home = Home(told.home)
    place = home.place(ExperimentId.parse(told.experiment))
    asyncio.run(_main(place, Store(home.database), told.options))


if __name__ == "__main__":
    main()
