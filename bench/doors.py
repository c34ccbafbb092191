"""The doors with a thousand nodes: `python -m bench.doors [NODES]`.

A real store and real doors in a process of their own; the keeper is simulated (it answers as a keeper does and changes
nodes when told), so nothing is measured but the doors. Times are seen by the clients, on loopback.
"""

from __future__ import annotations

import asyncio
import os
import resource
import select
import shutil
import socket
import statistics
import sys
import tempfile
import time
from ast import literal_eval
from contextlib import suppress
from pathlib import Path

from benito.agent.rpc import Client, Server
from benito.services.doors import Doors
from benito.services.listening import bound, many_files
from benito.services.status_rpc import StatusDoor
from benito.testbed import home, reservations
from benito.testbed.home import ExperimentId, Home
from benito.testbed.store import NodeRecord, Settings, State
from benito.testbed.testbed import Testbed

NAME = ExperimentId("Bench", "doors")
NODES = 1000
PACKING = 20
CLIENTS = 200
EACH = 10
CHANGES = 50
SILENT = 10_000


def enter(bed: Testbed, count: int) -> None:
    """Enter an active experiment."""
    nodes = [
        NodeRecord(f"node-{i}", f"pnode-{i // PACKING:04}", "qemu", "debian-12", "192.168.0.2", ("10.0.0.1",))
        for i in range(count)
    ]
    bed.store.create(NAME, Settings(file="bench.ns", packing=PACKING))
    bed.store.begin_swapin(NAME, reservations.boot_id())
    bed.store.set_nodes(NAME, nodes)
    bed.store.move(NAME, State.ACTIVE)


async def keep(bed: Testbed) -> None:
    """Be the keeper; `move` changes a node."""
    statuses: dict[str, tuple[str | None, int | None]] = {node.node: ("booted", 0) for node in bed.store.nodes(NAME)}

    async def status() -> dict[str, tuple[str | None, int | None]]:
        return statuses

    async def pnodes() -> dict[str, str]:
        return {node.pnode: "up" for node in bed.store.nodes(NAME)}

    async def move(node: str, boot: str, code: int) -> bool:
        statuses[node] = (boot, code)
        server.publish({"time": time.time(), "node": node, "status": [boot, code]})
        return True

    server = Server({"status": status, "pnodes": pnodes, "move": move})
    path = bed.home.place(NAME).keeper_socket
    path.parent.mkdir(parents=True, exist_ok=True)
    await server.listen(path)


async def serve(bed: Testbed) -> None:
    """Open the status door with its keeper, say the port, and stay."""
    many_files()
    await keep(bed)
    door = StatusDoor(Doors.open(bed), open_to_all=True)
    with bound("127.0.0.1", 0, "the benchmark") as listener:
        print(listener.getsockname()[1], flush=True)
        await door.serve(listener)


class Asker:
    """One client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def at(cls, port: int) -> Asker:
        """Connect."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, limit=1 << 22))

    async def ask(self) -> tuple[float, bytes]:
        """Return how long a status took, and the line."""
        began = time.perf_counter()
        self.writer.write(f"status_request {NAME}\n".encode())
        line = await self.reader.readline()
        return (time.perf_counter() - began) * 1000, line


def tell(what: str, times: list[float]) -> None:
    """Print a line of figures."""
    ordered = sorted(times)
    most = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"{what:<62} median {statistics.median(ordered):7.2f} ms, 99 of 100 within {most:7.2f} ms")


async def measure(port: int, bed: Testbed) -> None:
    """Ask in every way."""
    first = await Asker.at(port)
    cold, line = await first.ask()
    found = literal_eval(line.decode().split(" ", 1)[1])
    print(f"{sum(map(len, found.values()))} nodes on {len(found)} pnodes, a reply of {len(line)} bytes")
    print(f"{'first status_request, which connects to the keeper':<62} {cold:14.2f} ms")
    tell("one client, nothing changes", [(await first.ask())[0] for _ in range(200)])
    async with Client(bed.home.place(NAME).keeper_socket) as keeper:
        fresh, shown = [], []
        for number in range(CHANGES):
            began = time.perf_counter()
            await keeper.call("move", {"node": f"node-{number}", "boot": "dead", "code": number})
            expected = f"'node-{number}': ['dead', {number}]".encode()
            while True:
                taken, line = await first.ask()
                fresh.append(taken)
                if expected in line:
                    break
            shown.append((time.perf_counter() - began) * 1000)
    tell("one client, the reply made anew after a change", fresh)
    tell("from a change at the keeper until it is in a reply", shown)
    crowd(port)
    await flood(port)


def crowd(port: int) -> None:
    """Have many clients ask at the same moment; plain sockets, so that the asking costs little beside the answer."""
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(CLIENTS)]
    poller = select.poll()
    for each in sockets:
        poller.register(each, select.POLLIN)
    by_number = {each.fileno(): each for each in sockets}
    times: list[float] = []
    began = time.perf_counter()
    for _ in range(EACH):
        sent = {}
        for each in sockets:
            sent[each.fileno()] = time.perf_counter()
            each.sendall(f"status_request {NAME}\n".encode())
        while sent:
            for number, _ in poller.poll():
                if by_number[number].recv(1 << 20).endswith(b"\n"):
                    times.append((time.perf_counter() - sent.pop(number)) * 1000)
    taken = time.perf_counter() - began
    tell(f"{CLIENTS} clients at once, {EACH} times", times)
    print(f"{'':<62} {len(times) / taken:,.0f} replies/s, read on the same cores")
    for each in sockets:
        each.close()


async def flood(port: int) -> None:
    """Ask while thousands of connections say nothing."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    silent = []
    for _ in range(min(SILENT, soft - 500)):
        with suppress(OSError):
            silent.append(await asyncio.open_connection("127.0.0.1", port))
    taken = []
    for _ in range(100):
        asker = await Asker.at(port)
        taken.append((await asker.ask())[0])
        asker.writer.close()
    tell(f"a new client beside {len(silent)} that are silent", taken)


def main() -> None:
    """Measure, in a home of its own."""
    if sys.argv[1:2] == ["--serve"]:
        root = Path(sys.argv[2])
        home.RUNTIME = root / "run"
        asyncio.run(serve(Testbed(Home(root / "home"))))
        return
    many_files()
    count = int(sys.argv[1]) if len(sys.argv) > 1 else NODES
    root = Path(tempfile.mkdtemp(prefix="benito-", dir="/tmp"))
    home.RUNTIME = root / "run"
    try:
        bed = Testbed(Home(root / "home"))
        enter(bed, count)
        asyncio.run(_with_server(root, bed))
    finally:
        shutil.rmtree(root)


async def _with_server(root: Path, bed: Testbed) -> None:
    argv = [sys.executable, "-m", "bench.doors", "--serve", str(root)]
    server = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE, env=os.environ)
    try:
        assert server.stdout is not None
        await measure(int(await server.stdout.readline()), bed)
    finally:
        server.kill()
        await server.wait()


if __name__ == "__main__":
    main()
