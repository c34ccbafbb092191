"""One experiment from file to nothing: brought up once, looked at from all sides, hurt, mended and taken down."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from benito.testbed.home import ExperimentId, Home

from .conftest import Bed, eventually, write

pytestmark = pytest.mark.system

FILE = r"""
set center [$ns node]
foreach i {0 1 2} {
    set n($i) [$ns node]
    set link($i) [$ns duplex-link $center $n($i) 100Mb 10ms DropTail]
}
tb-set-node-startcmd $center {echo "it's $HOME" > /tmp/said; echo out; echo err >&2; exit 3}
tb-set-node-startcmd $n(0) {true}
$ns rtproto Static
"""
NAME = "TestStar/Star"


@pytest.fixture(scope="module")
def star(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Four nodes on two pnodes."""
    file = write(tmp_path_factory.mktemp("star"), "star.ns", FILE)
    bed.ok("up", file, "-p", "TestStar", "-e", "Star", "--packing", "2", "--no-linktest")
    yield bed
    bed.run("terminate", NAME)


def processes(words: str) -> list[int]:
    """Return the pids whose command line holds the words."""
    done = subprocess.run(["pgrep", "-f", words], capture_output=True, text=True, check=False, timeout=10)
    return [int(pid) for pid in done.stdout.split()]


def of(bed: Bed, module: str) -> list[int]:
    """Return the pids of a module's processes that belong to this run's experiments."""
    found = []
    for pid in processes(module):
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:
            continue
        if f"BENITO_HOME={bed.home}".encode() in environment:
            found.append(pid)
    return found


def test_every_node_is_booted_and_start_commands_have_their_exit_codes(star: Bed) -> None:
    eventually(lambda: star.nodes(NAME)["center"][1] is not None, 60, "center's start command ends")
    eventually(lambda: star.nodes(NAME)["n-0"][1] is not None, 60, "n-0's start command ends")
    assert star.nodes(NAME) == {
        "center": ("booted", 3),
        "n-0": ("booted", 0),
        "n-1": ("booted", None),
        "n-2": ("booted", None),
    }


def test_no_pnode_holds_more_than_the_packing(star: Bed) -> None:
    held: dict[str, int] = {}
    for node in star.status(NAME)["nodes"]:
        held[node["pnode"]] = held.get(node["pnode"], 0) + 1
    assert held == {"pnode-0000": 2, "pnode-0001": 2}


@pytest.mark.parametrize("name", ["center.star.teststar", "CENTER.Star.TestStar"])
def test_a_plain_ssh_logs_in_by_name_in_any_letter_case(star: Bed, name: str) -> None:
    done = star.inside(name, "hostname")
    assert (done.stdout, done.returncode) == ("center\n", 0), done.stderr


def test_start_commands_leave_their_logs(star: Bed) -> None:
    said = star.inside("center.star.teststar", "cd /var/benito/log; cat start_command.out start_command.err /tmp/said")
    assert said.stdout == "out\nerr\nit's /root\n"
    log = star.inside("center.star.teststar", "cat /var/containers/log/start_command.log").stdout
    assert "exit status: 3" in log


def test_all_pairs_reach_each_other_by_name_and_no_round_trip_is_early(star: Bed) -> None:
    names = ("center", "n-0", "n-1", "n-2")
    script = "for n in center n-0 n-1 n-2; do ping -q -c 3 -i 0.2 -W 10 $n || exit 1; done"
    for name in names:
        done = star.inside(f"{name}.star.teststar", script)
        assert done.returncode == 0, done.stdout + done.stderr
        blocks = done.stdout.split("PING ")[1:]
        for target, block in zip(names, blocks, strict=True):
            least = float(block.rpartition("= ")[2].split("/")[0])
            hops = 0 if name == target else 1 if "center" in (name, target) else 2
            assert least >= 20 * hops, f"{name} -> {target}: {least} ms"


def test_ping_prints_the_canonical_name(star: Bed) -> None:
    said = star.inside("n-1.star.teststar", "ping -c 1 n-2").stdout
    assert "PING n-2-link-2 (10.0.2.2)" in said


def test_exec_brings_back_output_and_exit_codes(star: Bed) -> None:
    done = star.run("exec", "-p", "TestStar", "-e", "star", "n-*", "hostname; [ $(hostname) != n-1 ]")
    assert sorted(done.stdout.splitlines()) == ["n-0: n-0", "n-1: n-1", "n-2: n-2"]
    assert done.returncode == 1
    assert "failed on 1 of 3 nodes: n-1 (1)" in done.stderr
    told = json.loads(star.run("exec", "-p", "TestStar", "-e", "star", "--json", "center", "echo hi; exit 4").stdout)
    assert told == {"center": {"code": 4, "stdout": "hi\n", "stderr": ""}}


def test_up_again_changes_nothing_and_another_file_is_refused(star: Bed, tmp_path: Path) -> None:
    same = write(tmp_path, "star.ns", FILE)
    pids = processes("qemu-system")
    star.ok("up", same, "-p", "TESTSTAR", "-e", "star", "--packing", "2", "--no-linktest")
    assert processes("qemu-system") == pids
    other = write(tmp_path, "other.ns", "set a [$ns node]")
    done = star.run("up", other, "-p", "TestStar", "-e", "STAR")
    assert done.returncode == 4
    assert "exists already, made from another file" in done.stderr


def test_what_the_links_do_is_measured_beside_what_was_asked(star: Bed) -> None:
    told = json.loads(star.ok("linktest", NAME, "--count", "5", "--json"))
    assert [m["lan"] for m in told] == ["link-0", "link-1", "link-2"]
    for m in told:
        assert m["asked_rtt_ms"] == 20
        assert m["rtt_min_ms"] >= 20
        assert (m["sent"], m["received"]) == (5, 5)


def test_two_writers_do_not_get_in_each_others_way(star: Bed) -> None:
    import fcntl

    lock = star.home / "experiments" / "teststar" / "star" / "lock"
    with lock.open("a+") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        done = star.run("swapout", NAME)
    assert done.returncode == 5
    assert "is being changed" in done.stderr


def test_a_machine_that_dies_is_dead_within_two_seconds_and_swapin_brings_it_back(star: Bed) -> None:
    (pid,) = [pid for pid in processes("qemu-system.* -name n-2,") if _cgroup_of(star, pid)]
    os.kill(pid, signal.SIGKILL)
    eventually(lambda: star.nodes(NAME)["n-2"] == ("dead", -9), 4, "n-2 is dead with its process's code")
    star.ok("swapin", NAME)
    assert star.nodes(NAME)["n-2"][0] == "booted"
    assert star.inside("n-2.star.teststar", "ping -c 1 -W 5 center").returncode == 0


def _cgroup_of(bed: Bed, pid: int) -> bool:
    place = Home(bed.home).place(ExperimentId.parse(NAME))
    return place.hash in Path(f"/proc/{pid}/cgroup").read_text()


@pytest.mark.parametrize("module", ["benito.testbed.keeper", "benito.agent.agent", "benito.agent.wires"])
def test_what_is_killed_is_restarted_without_harm(star: Bed, module: str) -> None:
    machines = processes("qemu-system")
    victims = of(star, module)
    assert victims
    for pid in victims:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: len(set(of(star, module)) - set(victims)) == len(victims), 10, f"{module} runs again")
    assert processes("qemu-system") == machines
    eventually(lambda: {boot for boot, _ in star.nodes(NAME).values()} == {"booted"}, 20, "all are seen booted again")
    assert star.inside("n-0.star.teststar", "ping -q -c 2 -W 5 n-1").returncode == 0


def test_a_pnode_that_is_powered_off_is_reported_and_brought_back(star: Bed) -> None:
    on_it = [node["node"] for node in star.status(NAME)["nodes"] if node["pnode"] == "pnode-0001"]
    (init,) = [pid for pid in of(star, "benito.agent.init --name pnode-0001") if _is_root_init(pid)]
    os.kill(init, signal.SIGKILL)
    eventually(lambda: all(star.nodes(NAME)[node] == (None, None) for node in on_it), 6, "its nodes are unknown")
    assert star.status(NAME)["pnodes"] == {"pnode-0000": "up", "pnode-0001": "lost"}
    star.ok("swapin", NAME)
    assert {boot for boot, _ in star.nodes(NAME).values()} == {"booted"}
    assert star.inside(f"{on_it[0]}.star.teststar", "ping -q -c 1 -W 5 center").returncode == 0


def _is_root_init(pid: int) -> bool:
    """Whether it is the first process of its PID namespace."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("NSpid:"))
    return line.split()[-1] == "1"


def test_kept_disks_come_back_and_fresh_ones_do_not(star: Bed) -> None:
    star.inside("n-1.star.teststar", "echo mine > /root/kept; sync")
    star.ok("swapout", NAME, "--keep")
    assert star.status(NAME)["state"] == "swapped"
    star.ok("swapin", NAME)
    assert star.inside("n-1.star.teststar", "cat /root/kept").stdout == "mine\n"
    star.ok("swapout", NAME)
    star.ok("swapin", NAME)
    assert star.inside("n-1.star.teststar", "cat /root/kept").returncode == 1


def test_after_a_restart_of_the_host_nothing_claims_to_be_active(star: Bed) -> None:
    # The host goes down without a word: everything of the experiment ends at once, the boot id is another one.
    import sqlite3

    for pid in [pid for pid in of(star, "benito.agent.init") if _is_root_init(pid)]:
        os.kill(pid, signal.SIGKILL)
    with sqlite3.connect(star.home / "benito.db") as db:
        db.execute("UPDATE experiments SET boot_id = 'an earlier boot'")
    listed = {record["experiment"]: record for record in json.loads(star.ok("list", "--json"))}
    assert (listed[NAME]["state"], listed[NAME]["reason"]) == ("swapped", "the host was restarted")
    star.ok("swapin", NAME)
    assert {boot for boot, _ in star.nodes(NAME).values()} == {"booted"}


def test_terminate_leaves_no_experiment(star: Bed) -> None:
    star.ok("terminate", NAME)
    done = star.run("status", NAME)
    assert done.returncode == 4
    assert "there is no experiment TestStar/Star" in done.stderr
    assert not (star.home / "experiments" / "teststar").exists()
