"""Tools of the old testbeds as nodes have them: the barrier's server and client run here for real."""

from __future__ import annotations

import socket
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from planned import a_machine

from benito.machines import guest
from benito.plan.model import Inside

TOOLS = Path(__file__).parents[3] / "src/benito/machines/inside/emulab"


def archive(inside: Inside) -> dict[str, tuple[str, int]]:
    """Return the configuration's files: text (or a link's target) and mode."""
    data = guest.configuration(a_machine(), (), "10.0.0.1 node-1-lan0 node-1-0 node-1", [], "Proj/Exp", inside)
    found = {}
    with tarfile.open(fileobj=BytesIO(data)) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.isreg() else None
            found[member.name] = (file.read().decode() if file else member.linkname, member.mode)
    return found


def test_a_node_knows_itself_as_on_the_testbed() -> None:
    made = archive(Inside(files={"var/emulab/boot/topomap": "# nodes\n"}, sync_server="node-1"))
    boot = {name.rpartition("/")[2]: text for name, (text, _) in made.items() if name.startswith("var/emulab/boot/")}
    assert boot == {
        "nickname": "node-1.Exp.Proj\n",
        "realname": "node-1.Exp.Proj\n",
        "nodeid": "node-1\n",
        "creator": "root\n",
        "swapper": "root\n",
        "myip": "172.30.0.5\n",
        "mynetmask": "255.255.0.0\n",
        "routerip": "172.30.0.1\n",
        "syncserver": "node-1.Exp.Proj\n",
        "topomap": "# nodes\n",
    }
    assert made["var/containers/config/pid_eid"][0] == "Proj\nExp\n"
    assert made["var/containers/config/hosts"][0] == "../../../etc/hosts"
    assert made["usr/local/etc/emulab/emulab-sync"][1] == 0o755


def test_scripts_find_the_testbed_s_folders(tmp_path: Path) -> None:
    made = archive(Inside())
    file = tmp_path / "paths.sh"
    file.write_text(made["etc/emulab/paths.sh"][0])
    said = subprocess.run(
        ["/bin/sh", "-euc", f'. {file}; echo "$BINDIR $BOOTDIR"; sh -c "echo \\$LOGDIR"'],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert said == ["/usr/local/etc/emulab", "/var/emulab/boot", "/var/emulab/logs"]
    assert "usr/local/etc/emulab/tmcc" in made
    assert made["var/emulab/logs"][1] == 0o1777


def test_the_variables_of_the_experiment_reach_the_facts() -> None:
    made = archive(Inside(environment={"X": "it's"}))["var/lib/benito/facts"][0]
    said = subprocess.run(
        ["/bin/sh"], input=f'{made}\nset_environment; echo "$X $PID $EID"', capture_output=True, text=True, check=True
    )
    assert said.stdout == "it's Proj Exp\n"


@pytest.mark.parametrize("name", ["findif", "startcmddone", "tmcc"])
def test_shell_tools_are_posix_shell(name: str) -> None:
    subprocess.run(["/bin/sh", "-n", TOOLS / name], check=True)


class Sync:
    """Clients of one barrier server."""

    def __init__(self, port: int) -> None:
        self.port = port

    def start(self, *options: str) -> subprocess.Popen[str]:
        argv = [sys.executable, "-IS", TOOLS / "emulab-sync", "-s", "127.0.0.1", "-p", str(self.port), *options]
        return subprocess.Popen(argv, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def code(self, *options: str) -> int:
        return self.ended(self.start(*options))

    def ended(self, process: subprocess.Popen[str]) -> int:
        process.communicate(timeout=20)
        return process.returncode

    def arrived(self, process: subprocess.Popen[str]) -> subprocess.Popen[str]:
        """Wait until a client started with -d waits at the barrier."""
        assert process.stderr is not None
        while "waiting:" not in process.stderr.readline():
            assert process.poll() is None
        return process


@pytest.fixture(scope="module")
def sync() -> Iterator[Sync]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = subprocess.Popen(["perl", TOOLS / "emulab-syncd", str(port)])
    yield Sync(port)
    server.kill()
    server.wait()


def test_all_pass_when_the_last_one_comes(sync: Sync) -> None:
    others = [sync.arrived(sync.start("-d")), sync.arrived(sync.start("-d", "-i", "2"))]
    assert [process.poll() for process in others] == [None, None]
    assert sync.code() == 0
    assert [sync.ended(process) for process in others] == [0, 0]


def test_who_comes_before_the_master_waits_for_it(sync: Sync) -> None:
    early = sync.arrived(sync.start("-d", "-n", "early"))
    assert sync.code("-n", "early", "-i", "1") == 0
    assert sync.ended(early) == 0


def test_a_master_may_go_on_at_once(sync: Sync) -> None:
    assert sync.code("-n", "async", "-i", "1", "-a") == 0
    assert sync.code("-n", "async") == 0


def test_everyone_hears_of_the_worst_error(sync: Sync) -> None:
    other = sync.arrived(sync.start("-d", "-n", "error", "-e", "3"))
    third = sync.arrived(sync.start("-d", "-n", "error", "-e", "7"))
    assert sync.code("-n", "error", "-i", "2") == 7
    assert (sync.ended(other), sync.ended(third)) == (7, 7)


def test_who_gives_up_is_taken_back(sync: Sync) -> None:
    gone = sync.arrived(sync.start("-d", "-n", "gone"))
    gone.kill()
    sync.ended(gone)
    master = sync.arrived(sync.start("-d", "-n", "gone", "-i", "1"))
    time.sleep(0.05)
    assert master.poll() is None
    assert sync.code("-n", "gone") == 0
    assert sync.ended(master) == 0


@pytest.mark.parametrize("options", [("-i", "x"), ("-e", "256"), ("-n", "a b"), ("-x",), ("word",)])
def test_slips_get_the_usage(sync: Sync, options: tuple[str, ...]) -> None:
    assert sync.code(*options) == 1
