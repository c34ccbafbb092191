"""One experiment through every door: made and ended by XML-RPC, watched on the status port, listed as on DETER."""

from __future__ import annotations

import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import xmlrpc.client
from ast import literal_eval
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benito.testbed.home import ExperimentId, Home

from .conftest import BENITO, Bed, changes, eventually, snapshot, write

pytestmark = pytest.mark.system

PID, EID = "TestDoors", "Three"
NAME = f"{PID}/{EID}"
EXPERIMENT = {"proj": PID, "exp": EID}
TEXT = """
set vm [$ns node]
set box [$ns node]
set far [$ns node]
foreach each [list $box $far] { tb-add-node-attribute $each containers:node_type openvz }
set lan [$ns make-lan "$vm $box $far" 100Mb 0ms]
tb-set-node-startcmd $box "exit 4"
"""
NODES = ("vm", "box", "far")


class Served:
    """`benito serve`, and programs that talk to it."""

    def __init__(self, bed: Bed) -> None:
        self.bed = bed
        self.process = self._start()

    def _start(self) -> subprocess.Popen[str]:
        argv = [*BENITO, "serve", "--port", "0", "--xmlrpc-port", "0", "--status-port", "0"]
        process = subprocess.Popen(argv, env=self.bed.env, text=True, stderr=subprocess.PIPE)
        assert process.stderr is not None
        said = "".join(process.stderr.readline() for _ in range(3))
        found = re.search(r"(https://\S+/usr/testbed) .*in (\S+)\)\nnode states: 127\.0\.0\.1 port (\d+)", said)
        assert found, said
        self.calls, self.certificate, self.port = found[1], found[2], int(found[3])
        return process

    def again(self) -> None:
        """Kill it and start it anew."""
        self.process.kill()
        self.process.communicate(timeout=60)
        self.process = self._start()

    def call(self, name: str, **given: Any) -> Any:
        """Call as Emulab's clients do; returns the value of a call that went well."""
        context = ssl.create_default_context(cafile=Path(self.certificate).parent.parent / "ca.pem")
        context.load_cert_chain(self.certificate)
        with xmlrpc.client.ServerProxy(self.calls, context=context) as server:
            reply: Any = getattr(server, name)(0.1, {**EXPERIMENT, **given})
        assert reply["code"] == 0, f"{name}: {reply}\n{self.bed.logs()}"
        return reply["value"]

    def status(self) -> dict[str, Any]:
        """Ask the status port and read its reply with the page's own lines."""
        with socket.create_connection(("127.0.0.1", self.port), 20) as connection:
            connection.sendall(f"status_request {NAME}\n".encode())
            line = connection.makefile().readline()
        type, body = line.split(" ", 1)
        assert type == "status_reply"
        message: dict[str, Any] = literal_eval(body)
        return message

    def node(self, node: str) -> list[Any]:
        """Return one node's `[boot, code]`."""
        return self.where(node)[1]

    def where(self, node: str) -> tuple[str, list[Any]]:
        """Return a node's hypervisor and its `[boot, code]`."""
        status = self.status()
        [found] = [(hypervisor, nodes[node]) for hypervisor, nodes in status.items() if node in nodes]
        return found

    def shows(self, node: str, expected: Callable[[list[Any]], bool], mapped: str) -> None:
        """Wait until both the status port and the XML-RPC show what has become of a node."""
        eventually(lambda: expected(self.node(node)), 20, f"{node} on the status port: {self.node(node)}")
        mapping = self.call("experiment.info", aspect="mapping")
        assert mapping[node]["eventstatus"] == mapped


@pytest.fixture(scope="module")
def served(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Three nodes, each on a pnode of its own, made through the door."""
    before = snapshot()
    file = write(tmp_path_factory.mktemp("doors"), "three.ns", TEXT)
    made = Served(bed)
    try:
        made.call("experiment.startexp", nsfilestr=file.read_text(), packing=1, wait=True)
        yield made
    finally:
        made.process.send_signal(signal.SIGTERM)
        made.process.communicate(timeout=60)
        bed.run("terminate", NAME)
    assert made.process.returncode == 0
    assert changes(before) == {}


def processes(module: str) -> list[int]:
    """Return the pids of this experiment's processes whose command line has that."""
    found = subprocess.run(["pgrep", "-f", module], capture_output=True, text=True, check=False).stdout.split()
    return [int(pid) for pid in found if _ours(int(pid))]


def _ours(pid: int) -> bool:
    place = Home(HOME[0]).place(ExperimentId(PID, EID))
    try:
        return place.hash in Path(f"/proc/{pid}/cgroup").read_text()
    except OSError:
        return False


HOME: list[Path] = []


@pytest.fixture(autouse=True)
def _home(bed: Bed) -> None:
    HOME[:] = [bed.home]


def test_every_door_shows_the_same(served: Served) -> None:
    eventually(lambda: served.node("box") == ["booted", 4], 30, "the start command's exit code")
    kinds = {"vm": "qemu", "box": "container", "far": "container"}
    for node, kind in kinds.items():
        assert re.fullmatch(rf"hv:{kind}:pnode-000[0-2]", served.where(node)[0])
    assert len(served.status()) == 3
    assert [served.node(node) for node in NODES] == [["booted", None], ["booted", 4], ["booted", None]]
    assert served.call("experiment.state") == "active"
    assert served.call("experiment.extra_nodes") == ["vm", "box", "far"]
    done = subprocess.run(
        [Path(sys.executable).with_name("node_list"), "--extra"],
        env=served.bed.env,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    host = socket.gethostname()
    hosts = "".join(f"    pnode-{number:04}.{EID}.{PID} / {host}\n" for number in range(3))
    nodes = "".join(f"    {node}.{EID}.{PID}\n" for node in NODES)
    assert done.stdout == f"{NAME}\n{hosts}  extra nodes:\n{nodes}"


def test_a_killed_agent_harms_nothing(served: Served) -> None:
    for pid in processes("benito.agent.agent"):
        os.kill(pid, signal.SIGKILL)
    for node in NODES:
        served.shows(node, lambda status: status[0] == "booted", "ISUP")


def test_a_killed_machine_is_dead_at_every_door(served: Served) -> None:
    [pid] = processes("qemu-system.* -name vm,")
    os.kill(pid, signal.SIGKILL)
    served.shows("vm", lambda status: status == ["dead", -9], "SHUTDOWN")
    assert served.bed.nodes(NAME)["vm"] == ("dead", -9)


def test_what_is_on_a_lost_pnode_is_unknown_at_every_door(served: Served) -> None:
    lost = served.where("far")[0].rpartition(":")[2]
    for pid in processes(f"benito.agent.init --name {lost}"):
        os.kill(pid, signal.SIGKILL)
    served.shows("far", lambda status: status == [None, None], "UNKNOWN")
    assert served.node("box") == ["booted", 4]


def test_a_door_that_is_killed_loses_nothing(served: Served) -> None:
    served.call("experiment.swapexp", direction="out")
    served.again()
    assert served.call("experiment.statewait", state="swapped", timeout=120) == "swapped"
    assert served.status() == {}
    served.call("experiment.endexp", wait=True)
    assert NAME not in served.bed.ok("list", "--json")
