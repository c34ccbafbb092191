"""What nodes find at their gateway: packages, names, shared folders; and what they don't reach."""

from __future__ import annotations

import hashlib
import http.server
import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benito.gateway.settings import DNS_PORT, NFS_PORT, PROXY_PORT
from benito.idmap import OWNER
from benito.testbed.home import ExperimentId, Home

from .conftest import Bed, changes, eventually, snapshot, write

pytestmark = pytest.mark.system

NAME, OTHER = "TestGate/open", "TestGate/shut"
NODES = ("vm", "box")
TEXT = """
set vm [$ns node]
set box [$ns node]
tb-add-node-attribute $box containers:node_type openvz
set lan [$ns make-lan "$vm $box" 100Mb 0ms]
tb-set-node-startcmd $vm "cp /share/magi/tool /proj/TestGate/exp/open/logs/from-vm"
tb-set-node-startcmd $box "cp /share/magi/tool /proj/TestGate/exp/open/logs/from-box"
"""
ALONE = """
set box [$ns node]
tb-add-node-attribute $box containers:node_type openvz
"""


@dataclass
class Mirror:
    """A package archive on this host's loopback interface, with one package, that counts what it is asked for."""

    folder: Path
    asked: list[str]
    port: int = 0

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}/private"

    def fill(self) -> None:
        """Make the package and the index."""
        tree = self.folder / "tree"
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN" / "control").write_text(
            "Package: greeting\nVersion: 1\nArchitecture: all\nMaintainer: x <x@example.net>\nDescription: hello\n"
        )
        (tree / "usr" / "bin").mkdir(parents=True)
        (tree / "usr" / "bin" / "greet").write_text("#!/bin/sh\necho hello\n")
        (tree / "usr" / "bin" / "greet").chmod(0o755)
        package = self.folder / "private" / "pool" / "greeting_1_all.deb"
        package.parent.mkdir(parents=True)
        argv = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)]
        subprocess.run(argv, check=True, capture_output=True, timeout=60)
        data = package.read_bytes()
        control = (tree / "DEBIAN" / "control").read_text()
        (self.folder / "private" / "Packages").write_text(
            f"{control}Filename: ./pool/{package.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        )
        (self.folder / "secret").write_text("of this host\n")


@pytest.fixture(scope="module")
def mirror(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mirror]:
    made = Mirror(tmp_path_factory.mktemp("mirror"), [])
    made.fill()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *words: object) -> None:
            super().__init__(*words, directory=str(made.folder))  # type: ignore[arg-type]

        def do_GET(self) -> None:
            made.asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield made
    server.shutdown()
    thread.join(10)


@pytest.fixture(scope="module")
def gate(bed: Bed, mirror: Mirror, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A virtual machine and a container, and beside them a container that is shut in."""
    folder = tmp_path_factory.mktemp("gate")
    folder.chmod(0o755)
    (folder / "tools").mkdir()
    (folder / "tools" / "tool").write_text("tool\n")
    config = bed.home / "config.toml"
    config.write_text(f'archives = ["{mirror.uri}"]\n')
    before = snapshot()
    share = f"{folder / 'tools'}:/share/magi:ro"
    try:
        words = ("-p", "TestGate", "--no-linktest")
        bed.ok("up", write(folder, "open.ns", TEXT), "-e", "open", "--share", share, *words)
        bed.ok("up", write(folder, "shut.ns", ALONE), "-e", "shut", "--no-internet", *words)
        yield bed
    finally:
        for name in (NAME, OTHER):
            bed.run("terminate", name)
        config.unlink()
    assert changes(before) == {}


def inside(bed: Bed, node: str, command: str, experiment: str = "open") -> subprocess.CompletedProcess[str]:
    return bed.inside(f"{node}.{experiment}.testgate", command)


def processes(bed: Bed, name: str, words: bytes) -> list[int]:
    """Return the pids of the experiment's processes whose command line holds the words."""
    mark = Home(bed.home).place(ExperimentId.parse(name)).hash
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if words in (folder / "cmdline").read_bytes() and mark in (folder / "cgroup").read_text():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def test_the_projects_folder_and_shares_are_there_before_start_commands_run(gate: Bed) -> None:
    eventually(lambda: [code for _, code in gate.nodes(NAME).values()] == [0, 0], 120, "both start commands end well")
    logs = gate.home / "proj" / "TestGate" / "exp" / "open" / "logs"
    assert {path.name: path.read_text() for path in logs.iterdir()} == {"from-vm": "tool\n", "from-box": "tool\n"}


def test_what_one_kind_of_node_writes_the_other_reads_and_the_host_keeps(gate: Bed) -> None:
    folder = gate.home / "proj" / "TestGate"
    (folder / "theirs").write_text("the host's\n")
    (folder / "theirs").chmod(0o600)
    forbidden = (
        "cat /proj/TestGate/theirs",
        "chmod 4755 /proj/TestGate/theirs",
        "mknod /proj/TestGate/disk b 254 0",
        "touch /share/magi/mine",
    )
    for writer, reader in (("vm", "box"), ("box", "vm")):
        attempts = "; ".join(f"{command} 2> /dev/null && echo '{command}'" for command in forbidden)
        said = inside(gate, writer, f"echo {writer} > /proj/TestGate/{writer}; ls /proj/TestGate; {attempts}; true")
        assert sorted(said.stdout.split()) == sorted(["exp", "theirs", writer])
        assert (folder / writer).stat().st_uid == OWNER
        assert inside(gate, reader, f"cat /proj/TestGate/{writer}; rm /proj/TestGate/{writer}").stdout == f"{writer}\n"
    for node in NODES:
        person = "setpriv --reuid=1000 --regid=1000 --clear-groups touch /proj/TestGate/person-$(hostname)"
        inside(gate, node, person)
    assert (folder / "person-vm").stat().st_uid == 1000
    assert not (folder / "person-box").exists()


def test_a_package_of_the_distribution_is_installed_from_where_the_host_gets_it(gate: Bed) -> None:
    done = inside(gate, "box", "apt-get -qq update && apt-get -qq install -y tree > /dev/null && tree --version")
    assert "tree v" in done.stdout, done.stderr


def test_a_package_of_the_hosts_own_archive_is_fetched_once_for_all_nodes(gate: Bed, mirror: Mirror) -> None:
    script = (
        f"echo 'deb [trusted=yes] {mirror.uri}/ ./' > /etc/apt/sources.list && "
        "apt-get -qq update && apt-get -qq install -y greeting > /dev/null && greet"
    )
    for node in NODES:
        done = inside(gate, node, script)
        assert done.stdout == "hello\n", done.stderr
    assert len([path for path in mirror.asked if path.endswith(".deb")]) == 1


def test_names_come_by_dns(gate: Bed) -> None:
    for node, other in (("vm", "box"), ("box", "vm")):
        wanted = next(each["control"] for each in gate.status(NAME)["nodes"] if each["node"] == other)
        assert inside(gate, node, f"getent -s dns hosts {other}.open.testgate").stdout.split()[0] == wanted
        assert inside(gate, node, "getent -s dns hosts missing.open.testgate").returncode == 2


CONNECT = """
import select, socket, sys, time
pending, found, began = {}, [], time.monotonic()
for target in sys.argv[1:]:
    host, port = target.split(":")
    attempt = socket.socket()
    attempt.setblocking(False)
    attempt.connect_ex((host, int(port)))
    pending[attempt] = target
while time.monotonic() - began < (3 if len(found) == 2 else 30):
    for attempt in select.select([], list(pending), [], 0.2)[1]:
        target = pending.pop(attempt)
        if attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0:
            found.append(target)
print(*sorted(found))
"""


def test_nodes_reach_neither_the_host_nor_another_experiment(gate: Bed) -> None:
    other = gate.status(OTHER)["nodes"][0]["control"]
    own, foreign = _gateway(gate, "open"), _gateway(gate, "shut")
    with socket.create_server(("0.0.0.0", 0)) as server:
        port = server.getsockname()[1]
        hosts = [address for address in _addresses() if not address.startswith("127.")]
        targets = [f"{address}:{port}" for address in (*hosts, own)]
        targets += [f"{foreign}:{number}" for number in (DNS_PORT, PROXY_PORT, NFS_PORT)] + [f"{other}:22"]
        reachable = [f"{own}:{PROXY_PORT}", f"{own}:{DNS_PORT}"]
        words = " ".join([*targets, *reachable])
        script = f"python3 - {words} << 'END'\n{CONNECT}\nEND\nping -q -c 1 -W 9 {own} > /dev/null && echo ping"
        for node in NODES:
            assert inside(gate, node, script).stdout.split() == [*sorted(reachable), "ping"]


def test_the_proxy_is_no_way_to_the_hosts_own_services(gate: Bed, mirror: Mirror) -> None:
    ask = (
        "import sys, http.client as h; c = h.HTTPConnection(sys.argv[1], 3142); c.request('GET', sys.argv[2]); "
        "print(c.getresponse().status)"
    )
    base = f"http://127.0.0.1:{mirror.port}"
    urls = (f"{base}/private/Packages", f"{base}/secret", f"{base}/private/../secret", f"{base}/private/%2e%2e/secret")
    script = "; ".join(f'python3 -c "{ask}" {_gateway(gate, "open")} {url}' for url in urls)
    before = len(mirror.asked)
    assert inside(gate, "box", script).stdout.split() == ["200", "403", "403", "403"]
    assert len(mirror.asked) <= before + 1


def test_without_a_way_out_only_own_names_and_folders_are_left(gate: Bed, mirror: Mirror) -> None:
    gateway = _gateway(gate, "shut")
    fetch = f"apt-get -o Acquire::http::Proxy=http://{gateway}:3142 -o Acquire::Retries=0 update 2>&1"
    said = inside(gate, "box", f"echo 'deb [trusted=yes] {mirror.uri}/ ./' > /etc/apt/sources.list; {fetch}", "shut")
    assert "no way out (--no-internet)" in said.stdout
    assert inside(gate, "box", "getent -s dns hosts box.shut.testgate; ls /proj/TestGate/exp", "shut").returncode == 0
    assert inside(gate, "box", "getent -s dns hosts example.com", "shut").returncode == 2


def test_what_is_killed_at_the_gateway_comes_back_and_nodes_go_on(gate: Bed) -> None:
    inside(gate, "vm", "echo kept > /proj/TestGate/kept")
    programs = (b"benito.gateway.daemon", b"ganesha.nfsd")
    victims = {pid for words in programs for pid in processes(gate, NAME, words)}
    for victim in victims:
        os.kill(victim, signal.SIGKILL)
    for words in programs:
        eventually(lambda words=words: bool({*processes(gate, NAME, words)} - victims), 20, f"{words!r} runs again")
    done = inside(gate, "vm", "cat /proj/TestGate/kept && getent -s dns hosts box.open.testgate > /dev/null && echo ok")
    assert done.stdout == "kept\nok\n", done.stderr


def test_terminate_leaves_the_projects_folder(gate: Bed) -> None:
    inside(gate, "box", "echo result > /proj/TestGate/result")
    gate.ok("terminate", NAME)
    assert (gate.home / "proj" / "TestGate" / "result").read_text() == "result\n"
    assert processes(gate, NAME, b"") == []


def _gateway(bed: Bed, eid: str) -> str:
    return inside(bed, "box", "sed -n 's/^nameserver //p' /etc/resolv.conf", eid).stdout.strip()


def _addresses() -> list[str]:
    said = subprocess.run(["ip", "-4", "-o", "address"], capture_output=True, text=True, check=True, timeout=10).stdout
    return [line.split()[3].split("/")[0] for line in said.splitlines()]
