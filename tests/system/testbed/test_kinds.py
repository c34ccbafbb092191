"""Machines, containers and a physical node, placed by hand: a mixed experiment, its links and LAN across pnodes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import LONG_S, Bed, changes, eventually, snapshot, write

pytestmark = pytest.mark.system

NAME = "TestKinds/mix"
NODES = ("vm-0", "vm-1", "box-0", "box-1", "iron")
TEXT = """
set vm-0 [$ns node]
set vm-1 [$ns node]
set box-0 [$ns node]
set box-1 [$ns node]
set iron [$ns node]
foreach {node partition} [list ${vm-0} 3 ${box-0} 3 ${vm-1} 7 ${box-1} 7] {
    tb-add-node-attribute $node containers:partition $partition
}
foreach box [list ${box-0} ${box-1}] { tb-add-node-attribute $box containers:node_type openvz }
tb-add-node-attribute $iron containers:node_type embedded_pnode
set lan [$ns make-lan "${vm-0} ${vm-1} ${box-0} ${box-1} $iron" 100Mb 5ms]
set near [$ns duplex-link ${box-0} ${box-1} 10Mb 20ms DropTail]
set beside [$ns duplex-link ${vm-0} ${box-0} 10Mb 15ms DropTail]
set across [$ns duplex-link ${vm-0} ${vm-1} 10Mb 30ms DropTail]
set far [$ns duplex-link ${box-1} $iron 10Mb 20ms DropTail]
tb-set-node-startcmd ${vm-0} "exit 3"
tb-set-node-startcmd ${vm-1} "test -e /nowhere"
tb-set-node-startcmd ${box-0} "echo out; echo err >&2; exit 4"
tb-set-node-startcmd $iron "hostname; exit 5"
"""


@pytest.fixture(scope="module")
def mix(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    before = snapshot()
    folder = tmp_path_factory.mktemp("files")
    bed.ok("convert", write(folder, "mix.ns", TEXT), "-o", folder / "mix.xml")
    argv = [Path(sys.executable).with_name("mixed_experiment.py"), "TestKinds", "mix", folder / "mix.xml", "--swapin"]
    done = subprocess.run(argv, env=bed.env, capture_output=True, text=True, timeout=LONG_S, check=False)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{bed.logs()}"
    yield bed
    bed.ok("terminate", NAME)
    assert changes(before) == {}


def inside(bed: Bed, node: str, command: str) -> subprocess.CompletedProcess[str]:
    return bed.inside(f"{node}.mix.testkinds", command)


def first_process(bed: Bed, node: str) -> int:
    """Return the pid that a container's first process has on this host."""
    own = f"{bed.home}/experiments/testkinds/mix/nodes/{node}/own"
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            root = (folder / "mountinfo").read_text().splitlines()[0]
            pids = next(line for line in (folder / "status").read_text().splitlines() if line.startswith("NSpid:"))
        except (OSError, StopIteration, IndexError):
            continue
        if f"nodes/{node}/own" in root and pids.split()[-1] == "1" and _of(bed, folder):
            return int(folder.name)
    raise AssertionError(f"no container with {own}")


def _of(bed: Bed, process: Path) -> bool:
    """Whether a process is of this bed's experiment."""
    leases = [json.loads(file.read_text()) for file in Path("/run/benito").glob("*/lease.json")]
    hashes = [lease["hash"] for lease in leases if lease["home"] == str(bed.home)]
    return any(word in (process / "cgroup").read_text() for word in hashes)


def memory_limit_mib(process: int) -> int:
    """Return the bound of the control group that a process is in."""
    groups = [line.split(":", 2) for line in Path(f"/proc/{process}/cgroup").read_text().splitlines()]
    unified = Path("/sys/fs/cgroup/cgroup.controllers").exists()
    controller, root, file = ("", "", "memory.max") if unified else ("memory", "memory", "memory.limit_in_bytes")
    path = next(path for _, controllers, path in groups if controller in controllers.split(","))
    return int(Path(f"/sys/fs/cgroup/{root}{path}/{file}").read_text()) >> 20


def test_containers_and_physical_nodes_are_bounded_by_their_memory(mix: Bed) -> None:
    assert [memory_limit_mib(first_process(mix, node)) for node in ("box-0", "iron")] == [256, 256]


def test_every_kind_boots_and_runs_its_start_command(mix: Bed) -> None:
    listed = {node["node"]: node for node in mix.status(NAME)["nodes"]}
    assert {node: record["kind"] for node, record in listed.items()} == {
        "vm-0": "qemu",
        "vm-1": "qemu",
        "box-0": "container",
        "box-1": "container",
        "iron": "physical",
    }
    pnodes = ["pnode-0000", "pnode-0001", "pnode-0000", "pnode-0001", "pnode-0002"]
    assert [listed[node]["pnode"] for node in NODES] == pnodes
    wanted = {"vm-0": 3, "vm-1": 1, "box-0": 4, "box-1": None, "iron": 5}
    eventually(lambda: mix.nodes(NAME) == {node: ("booted", code) for node, code in wanted.items()}, 20, "exit codes")
    said = inside(
        mix, "box-0", "cd /var/benito/log; cat start_command.out start_command.err; tail -1 start_command.log"
    )
    assert said.stdout == "out\nerr\nexit status: 4\n"


def test_every_pair_pings_by_name_and_nothing_comes_early(mix: Bed) -> None:
    script = f"for n in {' '.join(NODES)}; do ping -q -c 2 -i 0.2 -W 10 $n || exit 1; done"
    for name in NODES:
        done = inside(mix, name, script)
        assert done.returncode == 0, done.stdout + done.stderr
        for target, block in zip(NODES, done.stdout.split("PING ")[1:], strict=True):
            assert block.startswith(f"{target}-lan ")
            least = float(block.rpartition("= ")[2].split("/")[0])
            assert least >= (0 if name == target else 10), f"{name} -> {target}: {least} ms"
    for node, target, asked in (
        ("box-0", "box-1-near", 40),
        ("iron", "box-1-far", 40),
        ("box-0", "vm-0-beside", 30),
        ("vm-1", "vm-0-across", 60),
    ):
        least = float(inside(mix, node, f"ping -q -c 2 -i 0.2 {target}").stdout.rpartition("= ")[2].split("/")[0])
        assert asked <= least < asked + 20, f"{node} -> {target}: {least} ms"


def test_containers_are_nodes_and_have_no_hand_on_the_host(mix: Bed) -> None:
    for node, cards in (("box-0", "5"), ("iron", "4")):
        done = inside(mix, node, "hostname; id -u; ls /sys/class/net | wc -l; sudo -n id -u; cat /proc/1/comm")
        assert done.stdout.split() == [node, "0", cards, "0", "reaper"]
        own = "sysctl -qw net.ipv4.ip_forward=1; ip route add 203.0.113.0/24 dev eth1 && timeout 5 tcpdump -c1 -ieth1"
        assert inside(mix, node, f"{own} & ping -c 2 vm-0; wait %1").returncode == 0
        for forbidden in (
            "echo 1 > /proc/sys/kernel/panic",
            "echo h > /proc/sysrq-trigger",
            "mount -t tmpfs none /mnt",
            "mknod /tmp/disk b 254 0",
            "modprobe dummy",
            "date -s 2001-01-01",
            "chroot /proc/1/root/../.. ls /var/tmp/benito-test",
        ):
            assert inside(mix, node, forbidden).returncode != 0, forbidden
    assert "box-0" in mix.ok("exec", "-p", "TestKinds", "-e", "mix", "box-*", "hostname")


def test_a_node_goes_down_and_comes_up_again_as_it_was(mix: Bed) -> None:
    inside(mix, "box-0", "echo mine > /root/kept; echo 10.9.9.9 vm-0 > /etc/hosts; ip addr add 10.9.9.9/32 dev eth1")
    words = ["-p", "TestKinds", "-e", "mix", "box-0"]
    mix.ok("node", "stop", *words)
    eventually(lambda: mix.nodes(NAME)["box-0"] == ("dead", 0), 10, "box-0 is down")
    mix.ok("node", "start", *words)
    eventually(lambda: mix.nodes(NAME)["box-0"] == ("booted", 4), 10, "box-0 is up and has run its start command")
    done = inside(mix, "box-0", "cat /root/kept; ping -q -c 1 -W 5 vm-0 | head -1; ip -br addr show eth1")
    assert done.stdout.startswith("mine\nPING vm-0-lan (10.0.0.1)")
    assert "10.9.9.9" not in done.stdout
    mix.ok("node", "restart", "-p", "TestKinds", "-e", "mix", "iron")
    eventually(lambda: mix.nodes(NAME)["iron"] == ("booted", 5), 10, "iron has restarted")
    assert inside(mix, "iron", "ping -q -c 1 -W 5 box-1-far").returncode == 0


def test_a_container_that_dies_is_dead_and_swapin_brings_it_back(mix: Bed) -> None:
    os.kill(first_process(mix, "box-1"), signal.SIGKILL)
    eventually(lambda: mix.nodes(NAME)["box-1"] == ("dead", -9), 4, "box-1 is dead with its process's code")
    mix.ok("swapin", NAME)
    assert mix.nodes(NAME)["box-1"][0] == "booted"
    assert inside(mix, "box-1", "ping -q -c 1 -W 5 iron-far").returncode == 0


def test_containers_outlive_agent_and_keeper(mix: Bed) -> None:
    before = first_process(mix, "box-0"), first_process(mix, "iron")
    victims = [
        int(folder.name)
        for folder in Path("/proc").glob("[0-9]*")
        if any(module in _words(folder) for module in ("benito.agent.agent", "benito.testbed.keeper"))
        and _of(mix, folder)
    ]
    assert len(victims) == 4
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: inside(mix, "box-0", "true").returncode == 0, 20, "ssh answers again")
    eventually(lambda: {boot for boot, _ in mix.nodes(NAME).values()} == {"booted"}, 20, "all are seen booted again")
    assert (first_process(mix, "box-0"), first_process(mix, "iron")) == before


def _words(process: Path) -> str:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
