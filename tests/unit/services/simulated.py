"""A home with experiments that nobody runs: a real store, and keepers that say what a test has them say."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from benito.agent.rpc import Server
from benito.errors import NodeError
from benito.services import watches
from benito.services.doors import Doors
from benito.services.listening import bound
from benito.testbed import home, reservations, testbed, view
from benito.testbed.home import ExperimentId, Home, Place
from benito.testbed.people import Role, User
from benito.testbed.store import ExperimentRecord, NodeRecord, Settings, State
from benito.testbed.testbed import Testbed

NS = """set ns [new Simulator]
set a [$ns node]
set b [$ns node]
set l [$ns duplex-link $a $b 1Mb 10ms DropTail]
$ns run
"""
Status = tuple[str | None, int | None]


class Keeper:
    """Answers as an experiment's keeper would; a test moves its nodes."""

    def __init__(self, bed: Testbed, name: ExperimentId) -> None:
        self.socket = bed.home.place(name).keeper_socket
        self.statuses: dict[str, Status] = {node.node: (node.boot, node.code) for node in bed.store.nodes(name)}
        self.states = dict.fromkeys((node.pnode for node in bed.store.nodes(name)), "up")
        self.told: list[tuple[str, str]] = []
        self.server = Server({"status": self.status, "pnodes": self.pnodes, "control": self.control})

    async def status(self) -> dict[str, Status]:
        """Every node's state."""
        return dict(self.statuses)

    async def pnodes(self) -> dict[str, str]:
        """Every pnode's state."""
        return dict(self.states)

    async def control(self, node: str, action: str) -> bool:
        """Do as the agent would, at once."""
        if node not in self.statuses:
            raise NodeError(f"there is no node {node!r}")
        self.told.append((node, action))
        self.move(node, "dead" if action == "kill" else "running", None)
        if action != "kill":
            self.move(node, "booted", None)
        return True

    def move(self, node: str, boot: str | None, code: int | None) -> None:
        """Have a node come into a state."""
        self.statuses[node] = (boot, code)
        self.server.publish({"time": 1.0, "pnode": "pnode-0000", "node": node, "status": [boot, code]})

    def lose(self, pnode: str, nodes: list[str]) -> None:
        """Have a pnode be out of reach."""
        self.states[pnode] = "lost"
        self.statuses.update(dict.fromkeys(nodes, (None, None)))
        self.server.publish({"time": 1.0, "pnode": pnode, "event": "lost", "nodes": nodes})

    async def begin(self) -> Keeper:
        """Listen."""
        self.socket.parent.mkdir(parents=True, exist_ok=True)
        await self.server.listen(self.socket)
        return self


@contextmanager
def simulated(monkeypatch: pytest.MonkeyPatch) -> Iterator[Testbed]:
    """Yield a testbed in a home of its own, on which nothing needs root."""
    # Sockets have short paths.
    root = Path(tempfile.mkdtemp(prefix="benito-", dir="/tmp"))
    monkeypatch.setattr(home, "RUNTIME", root / "run")
    monkeypatch.setattr(testbed, "require_root", lambda what: None)
    # Nobody starts a real keeper in the place of one that a test has ended.
    monkeypatch.setattr(watches, "revive_keeper", lambda bed, record: None)
    monkeypatch.setattr(view, "_ask", _as_stored)
    monkeypatch.setenv("BENITO_HOME", str(root / "home"))
    bed = Testbed(Home(root / "home"))
    try:
        yield bed
    finally:
        bed.store.close()
        shutil.rmtree(root)


def _as_stored(bed: Testbed, place: Place, record: ExperimentRecord, nodes: list[NodeRecord]) -> tuple[Any, Any]:
    """For commands, which ask the keeper themselves: what the store has."""
    return {each.node: (each.boot, each.code) for each in nodes}, {}


def enter(
    bed: Testbed, name: str = "Demo/star", state: State = State.ACTIVE, nodes: list[NodeRecord] | None = None
) -> ExperimentId:
    """Enter an experiment with its file and nodes, in that state."""
    experiment = ExperimentId.parse(name)
    bed.store.create(experiment, Settings(file="star.ns", packing=3))
    folder = bed.home.place(experiment).folder
    folder.mkdir(parents=True)
    (folder / "submitted.ns").write_text(NS)
    if state is not State.SWAPPED:
        bed.store.begin_swapin(experiment, reservations.boot_id())
        bed.store.set_nodes(experiment, NODES if nodes is None else nodes)
        bed.store.move(experiment, state)
    return experiment


def node(name: str, pnode: str = "pnode-0000", kind: str = "qemu", boot: str | None = "booted") -> NodeRecord:
    """Return a node that has come up."""
    return NodeRecord(name, pnode, kind, "debian-12", "192.168.0.2", ("10.0.0.1",), boot, 0)


NODES = [node("a"), node("b", "pnode-0001"), node("c", "pnode-0002", "container"), node("p", "pnode-0003", "physical")]


def member(doors: Doors, name: str, project: str, role: Role = Role.MEMBER) -> User:
    """Enter a user with a role in one project."""
    user = doors.access.people.add(name)
    doors.access.people.set_role(user, project, role)
    return user


@asynccontextmanager
async def opened(door: Any) -> AsyncIterator[int]:
    """Open a door on a free port, and close it afterwards."""
    with bound("127.0.0.1", 0, "a test") as listener:
        task = asyncio.create_task(door.serve(listener))
        try:
            yield listener.getsockname()[1]
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def until(check: Any, what: str) -> None:
    """Wait until the check holds."""
    try:
        async with asyncio.timeout(20):
            while not check():
                await asyncio.sleep(0.01)
    except TimeoutError:
        raise AssertionError(f"not in time: {what}") from None
