"""How soon each door tells what was killed: `python -m bench.kills [KIND]`.

Four real nodes (containers, or KIND) on two pnodes; a machine, an agent that can't come back, and a pnode are killed.
Told is the time from the kill until the status port, XML-RPC and the page in Chromium say so. Needs root and the image
debian-12.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import ssl
import sys
import tempfile
import time
import xmlrpc.client
from ast import literal_eval
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent))

from tests.web.real import Served, served

NAME = "Bench/kills"
NODE, PNODE = "n-1", "pnode-0001"
FILE = """set ns [new Simulator]
source tb_compat.tcl
foreach i {0 1 2 3} { set n($i) [$ns node] }
foreach i {1 2 3} { $ns duplex-link $n(0) $n($i) 100Mb 5ms DropTail }
$ns rtproto Static
$ns run
"""
LIMIT_S = 20.0
UP_S = 300.0
LOOK_S = 0.01
SIGNS = {"ISUP": "booted", "BOOTING": "running", "SHUTDOWN": "dead", "UNKNOWN": None}
WATCH = """([name, wanted]) => { window.seen = new Promise(done => {
    const look = () => document.querySelector(`tr[data-node="${name}"] [data-boot]`)?.textContent.trim() === wanted
        ? done(Date.now()) : setTimeout(look, 5);
    look();
    setTimeout(() => done(0), 20000);
}); }"""

Look = Callable[[], dict[str, str | None]]


def by_status(serve: Served) -> Look:
    """Return what asks the status port."""
    line = socket.create_connection(("127.0.0.1", serve.status_port)).makefile("rwb")

    def look() -> dict[str, str | None]:
        line.write(f"status_request {NAME}\n".encode())
        line.flush()
        found = literal_eval(line.readline().decode().split(" ", 1)[1])
        return {node: state[0] for nodes in found.values() for node, state in nodes.items()}

    return look


def by_call(serve: Served) -> Look:
    """Return what asks XML-RPC."""
    context = ssl.create_default_context(cafile=serve.home / "serve" / "ca.pem")
    context.load_cert_chain(next((serve.home / "serve" / "users").glob("*.pem")))
    proxy = xmlrpc.client.ServerProxy(serve.calls, context=context)
    pid, eid = NAME.split("/")

    def look() -> dict[str, str | None]:
        reply: Any = proxy.experiment.info(0.1, {"proj": pid, "exp": eid, "aspect": "mapping"})
        return {node: SIGNS[told["eventstatus"]] for node, told in reply["value"].items()}

    return look


def until(look: Look, wanted: str | None) -> float:
    """Return when a door told of it; 0 when it didn't in time."""
    end = time.time() + LIMIT_S
    while time.time() < end:
        if look().get(NODE, "booted") == wanted:
            return time.time()
        time.sleep(LOOK_S)
    return 0.0


def measure(serve: Served, page: Page, what: str, wanted: str | None, kill: Callable[[], None]) -> None:
    """Kill, and tell how long each door took."""
    status, call = by_status(serve), by_call(serve)
    end = time.time() + UP_S
    while set(status().values()) != {"booted"}:
        assert time.time() < end, "the nodes are not up"
        time.sleep(LOOK_S)
    page.evaluate(WATCH, [NODE, wanted or "unknown"])
    with ThreadPoolExecutor() as pool:
        waiting = {"status port": pool.submit(until, status, wanted), "XML-RPC": pool.submit(until, call, wanted)}
        began = time.time()
        kill()
        seen = {door: each.result() for door, each in waiting.items()} | {"page": page.evaluate("window.seen") / 1000}
    words = ", ".join(f"{door} {at - began:.2f} s" if at else f"{door} not" for door, at in seen.items())
    print(f"  {what:<34} {words}", flush=True)


@contextlib.contextmanager
def stopped(pid: int) -> Iterator[None]:
    """Have a process stand still meanwhile."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def main() -> None:
    """Measure."""
    kind = sys.argv[1] if len(sys.argv) > 1 else "container"
    with tempfile.NamedTemporaryFile("w", suffix=".ns") as file, served() as serve, sync_playwright() as playwright:
        file.write(FILE)
        file.flush()
        words = ["-p", "Bench", "-e", "kills", "--packing", "2", "--default-container", kind, "--no-linktest"]
        serve.run("up", file.name, *words)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(serve.login)
        page.goto(f"{serve.url}/experiments/{NAME}#nodes")
        machine = [f"/{PNODE}/m-n1c", "reaper"] if kind == "container" else ["qemu-system", f"-name {NODE},"]
        agent, init = ["benito.agent.agent", f"/{PNODE}"], ["benito.agent.init", f"--name {PNODE} "]
        print(f"four nodes ({kind}) on two pnodes")
        measure(serve, page, "a machine is killed", "dead", lambda: os.kill(serve.pid(NAME, *machine), signal.SIGKILL))
        serve.run("swapin", NAME)
        with stopped(serve.pid(NAME, *init)):
            measure(
                serve, page, "an agent, and stays away", None, lambda: os.kill(serve.pid(NAME, *agent), signal.SIGKILL)
            )
        serve.run("swapin", NAME)
        measure(serve, page, "a pnode", None, lambda: os.kill(serve.pid(NAME, *init), signal.SIGKILL))
        browser.close()


if __name__ == "__main__":
    main()
