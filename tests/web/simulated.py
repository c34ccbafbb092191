"""The real page over experiments that only look alive: a keeper that tells what it is told, no machine, no root.

`python -m tests.web.simulated --nodes 1000` serves one to look at.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benito.agent.rpc import Server
from benito.services.access import Access, new_token
from benito.services.doors import Doors
from benito.services.operation import Written, perform
from benito.services.operations import Kind, Operations, Outcome
from benito.services.watches import Watches
from benito.services.web_door import WebDoor
from benito.testbed import home as homes
from benito.testbed import reservations
from benito.testbed.home import ExperimentId, Home, Place
from benito.testbed.people import Role
from benito.testbed.store import ExperimentRecord, NodeRecord, Settings, State
from benito.testbed.testbed import Testbed

STAR = """set ns [new Simulator]
source tb_compat.tcl

set center [$ns node]
foreach i {0 1 2 3} { set n($i) [$ns node] }
set link0 [$ns duplex-link $center $n(0) 100Mb 5ms DropTail]
set link1 [$ns duplex-link $center $n(1) 10Mb 10ms DropTail]
set link2 [$ns duplex-link $center $n(2) 5Mb 25ms DropTail]
set lan0 [$ns make-lan "$n(2) $n(3) $center" 100Mb 1ms]
tb-set-node-startcmd $center "echo hello"
tb-set-node-startcmd $n(0) "exit 3"
$ns rtproto Static
$ns run
"""


def campus(nodes: int) -> str:
    """Return a file of so many nodes: routers in a ring, each with its own leaves."""
    lines = ["set ns [new Simulator]", "source tb_compat.tcl"]
    routers = max(3, nodes // 20)
    lines += [f"for {{set i 0}} {{$i < {nodes}}} {{incr i}} {{ set n($i) [$ns node] }}"]
    for at in range(routers):
        lines.append(f"set ring({at}) [$ns duplex-link $n({at}) $n({(at + 1) % routers}) 1Gb 2ms DropTail]")
    for at in range(routers, nodes):
        up = (at - routers) // 19 % routers
        lines.append(f"set leaf({at}) [$ns duplex-link $n({at}) $n({up}) 100Mb 5ms DropTail]")
    return "\n".join([*lines, "$ns rtproto Static", "$ns run", ""])


class FakeKeeper:
    """Tells what it is told; every call from outside goes through the simulation's loop."""

    def __init__(self, simulation: Simulation, place: Place, nodes: list[NodeRecord]) -> None:
        self.simulation = simulation
        self.place = place
        self.nodes = nodes
        self.statuses: dict[str, tuple[str | None, int | None]] = {node.node: ("booted", None) for node in nodes}
        self.counted = 0
        self.lost: set[str] = set()
        self.output = "hello\n"
        self.controls: list[tuple[str, str]] = []
        self.server = Server(
            {
                "status": self.status,
                "pnodes": self.pnodes,
                "run": self.run,
                "control": self.control,
                "wires": self.wires,
            }
        )

    async def begin(self) -> None:
        self.place.keeper_socket.parent.mkdir(parents=True, exist_ok=True)
        await self.server.listen(self.place.keeper_socket)

    async def status(self) -> dict[str, Any]:
        return dict(self.statuses)

    async def pnodes(self) -> dict[str, str]:
        return {node.pnode: "lost" if node.pnode in self.lost else "up" for node in self.nodes}

    def lose(self, pnode: str) -> int:
        """Have a pnode be out of reach; returns how many nodes it has."""
        names = [node.node for node in self.nodes if node.pnode == pnode]
        self.lost.add(pnode)
        self.statuses.update(dict.fromkeys(names, (None, None)))
        self.server.publish({"time": round(time.time(), 3), "pnode": pnode, "event": "lost", "nodes": names})
        return len(names)

    async def run(self, node: str, argv: list[str], deadline_s: float = 30.0) -> dict[str, Any]:
        if argv[0] == "ping":
            out = "5 packets transmitted, 5 received, 0% packet loss\nrtt min/avg/max/mdev = 10.1/10.4/11.0/0.2 ms\n"
        else:
            out = self.output if argv[-1].endswith("out") else ""
        return {"code": 0, "stdout": out, "stderr": ""}

    async def control(self, node: str, action: str) -> bool:
        self.controls.append((node, action))
        self.tell(node, "booted" if action != "stop" else "dead", None if action != "stop" else 0)
        return True

    async def wires(self) -> dict[str, Any]:
        self.counted += 1
        still = {"frames": 0, "bytes": 0, "lost": 0, "dropped": 0}
        moved = {"frames": 10, "bytes": self.counted * 250_000, "lost": 2, "dropped": 1}
        return {"link0": {"forward": moved, "backward": still}, "link1": {"forward": still, "backward": still}}

    def tell(self, node: str, boot: str | None, code: int | None) -> None:
        """Say what has become of a node, and write it where the keeper does."""
        self.statuses[node] = (boot, code)
        event = {"time": round(time.time(), 3), "pnode": "pnode-0000", "node": node, "status": [boot, code]}
        self.server.publish(event)
        with self.place.events.open("a") as log:
            log.write(json.dumps(event) + "\n")


class SimulatedOperations(Operations):
    """Operations that change the store and tell progress, and touch nothing else."""

    def __init__(self, simulation: Simulation) -> None:
        super().__init__(simulation.home)
        self.simulation = simulation
        self.step_s = 0.05
        self.failure = ""
        self.threads: dict[str, threading.Thread] = {}

    def _spawn(self, name: str) -> None:
        self._progress(name).touch()
        self.threads[name] = threading.Thread(target=self._perform, args=(name,), daemon=True)
        self.threads[name].start()

    def _alive(self, name: str) -> bool:
        return name in self.threads and self.threads[name].is_alive()

    def _perform(self, name: str) -> None:
        descriptor = os.open(self._progress(name), os.O_WRONLY | os.O_APPEND)
        written = Written(descriptor)
        bed = Testbed(self.home)
        request = self.get(name).request
        try:
            if request.kind is Kind.CREATE:
                perform(bed, request, self.file(name), written)
            else:
                self._pretend(bed, request.kind, request.experiment, written)
            written.end(Outcome("done"))
        except Exception as error:
            written.end(Outcome("failed", str(error), type(error).__name__, getattr(error, "hint", "")))
        finally:
            bed.store.close()
            os.close(descriptor)

    def _pretend(self, bed: Testbed, kind: Kind, experiment: ExperimentId, written: Written) -> None:
        if kind is Kind.SWAPIN:
            bed.store.begin_swapin(experiment, reservations.boot_id())
            written.step("reading and placing")
            nodes = self.simulation.place_nodes(bed, experiment)
            written.step("starting 5 machines")
            for phase in ("starting", "configuring", "booted"):
                for node in nodes:
                    time.sleep(self.step_s)
                    written.node(node.node, phase)
                    if self.failure and phase == "configuring":
                        bed.store.set_nodes(experiment, [])
                        bed.store.move(experiment, State.SWAPPED, reason=self.failure)
                        raise RuntimeError(self.failure)
            self.simulation.call(lambda: self.simulation.keep(experiment, nodes))
            bed.store.move(experiment, State.ACTIVE)
        elif kind is Kind.SWAPOUT:
            bed.store.move(experiment, State.SWAPPING)
            written.step("taking everything back")
            time.sleep(4 * self.step_s)
            bed.store.set_nodes(experiment, [])
            bed.store.move(experiment, State.SWAPPED)
        else:
            bed.remove(bed.place(experiment))


class Simulation:
    """A home, its page on a free port of loopback, and the keepers of its experiments."""

    def __init__(self, folder: Path) -> None:
        self.home = Home(folder / "home")
        self.home.root.mkdir()
        (self.home.root / "images").mkdir()
        self.keepers: dict[str, FakeKeeper] = {}
        self.loop = asyncio.new_event_loop()
        self.port = 0
        self.tokens: dict[str, str] = {}
        self.operations: SimulatedOperations
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def url(self) -> str:
        """The page's address, without a token."""
        return f"http://127.0.0.1:{self.port}"

    def login(self, user: str = "ann") -> str:
        """Return the address that logs a user in."""
        return f"{self.url}/?token={self.tokens[user]}"

    def begin(self) -> None:
        """Open the page."""
        self._thread.start()
        assert self._ready.wait(20)

    def end(self) -> None:
        """Close it."""
        self.loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(20)

    def call(self, what: Callable[[], Any]) -> Any:
        """Do something in the page's own thread and return what comes of it."""

        async def done() -> Any:
            answer = what()
            return await answer if asyncio.iscoroutine(answer) else answer

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(30)

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._ended = asyncio.Event()
        bed = Testbed(self.home)
        access = Access(bed)
        people = access.people
        people.prepare()
        for name, admin in (("ann", True), ("mel", False), ("vic", False), ("otto", False)):
            self.tokens[name] = new_token(self.home, people, people.add(name, admin=admin))
        people.set_role(people.user("mel"), "Demo", Role.MEMBER)
        people.set_role(people.user("vic"), "Demo", Role.VIEWER)
        people.set_role(people.user("otto"), "Other", Role.MEMBER)
        self.operations = SimulatedOperations(self)
        doors = Doors(bed, access, self.operations, Watches(bed))
        listener = socket.create_server(("127.0.0.1", 0))
        self.port = listener.getsockname()[1]
        door = WebDoor(doors, ["127.0.0.1"], self.port, None)
        serving = asyncio.create_task(door.serve(listener))
        keeping = asyncio.create_task(doors.keep())
        self._ready.set()
        await self._ended.wait()
        door.end()
        keeping.cancel()
        await asyncio.gather(serving, keeping, return_exceptions=True)
        for keeper in self.keepers.values():
            await keeper.server.close()

    def create(self, name: str, text: str, *, packing: int = 3, file: str = "star.ns") -> ExperimentId:
        """Enter an experiment, swapped out."""
        experiment = ExperimentId.parse(name)
        bed = Testbed(self.home)
        source = self.home.root / file
        source.write_text(text)
        settings = Settings(file=str(source), packing=packing, members=("root",))
        bed.store.create(experiment, settings)
        place = self.home.place(experiment)
        place.folder.mkdir(parents=True)
        (place.folder / f"submitted{source.suffix}").write_text(text)
        bed.store.close()
        return experiment

    def record(self, name: str) -> ExperimentRecord:
        """Return an experiment as the store has it."""
        bed = Testbed(self.home)
        try:
            return bed.record(ExperimentId.parse(name))
        finally:
            bed.store.close()

    def activate(self, experiment: ExperimentId) -> FakeKeeper:
        """Have an experiment look active."""
        bed = Testbed(self.home)
        bed.store.begin_swapin(experiment, reservations.boot_id())
        nodes = self.place_nodes(bed, experiment)
        keeper: FakeKeeper = self.call(lambda: self.keep(experiment, nodes))
        bed.store.move(experiment, State.ACTIVE)
        bed.store.close()
        return keeper

    def place_nodes(self, bed: Testbed, experiment: ExperimentId) -> list[NodeRecord]:
        """Have an experiment's nodes in the store, as a swap-in does."""
        record = bed.store.experiment(experiment)
        topology, assignment = bed.placed(bed.home.place(experiment), record.settings)
        nodes = [
            NodeRecord(
                node.name,
                assignment.places[node.name],
                node.kind,
                "debian-12",
                f"192.168.{at // 250}.{at % 250 + 2}",
                tuple(interface.address or "" for interface in node.interfaces),
            )
            for at, node in enumerate(topology.nodes)
        ]
        bed.store.set_nodes(experiment, nodes)
        bed.store.set_statuses(experiment, {node.node: ("booted", None) for node in nodes})
        return nodes

    async def keep(self, experiment: ExperimentId, nodes: list[NodeRecord]) -> FakeKeeper:
        """Have a keeper answer for it."""
        keeper = FakeKeeper(self, self.home.place(experiment), nodes)
        self.keepers[str(experiment)] = keeper
        await keeper.begin()
        return keeper


@contextmanager
def simulation() -> Iterator[Simulation]:
    """A simulation in a folder of its own; sockets' paths must be short."""
    with tempfile.TemporaryDirectory(prefix="bw-") as folder:
        before = homes.RUNTIME
        homes.RUNTIME = Path(folder)
        made = Simulation(Path(folder))
        made.begin()
        try:
            yield made
        finally:
            made.end()
            homes.RUNTIME = before


def main() -> None:
    """Serve a simulated experiment until Ctrl-C."""
    ask = argparse.ArgumentParser()
    ask.add_argument("--nodes", type=int, default=1000)
    told = ask.parse_args()
    with simulation() as made:
        made.activate(made.create("Demo/campus", campus(told.nodes), packing=20, file="campus.ns"))
        made.activate(made.create("Demo/star", STAR))
        print(made.login(), flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
