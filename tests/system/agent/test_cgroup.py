"""Control groups of the real kernel, whichever version it has."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from benito.agent import cgroup
from benito.agent.cgroup import Group, Limits

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not cgroup.roots(), reason="this host has no control groups"),
]

JOIN = "import sys, os\nfor file in sys.argv[1:]: open(file, 'w').write(str(os.getpid()))\n"


@pytest.fixture
def group() -> Iterator[Group]:
    made = Group(f"benito-test-{os.getpid()}")
    yield made
    made.remove()
    assert not any(folder.exists() for folder in made.folders)


def sleeper(group: Group) -> subprocess.Popen[bytes]:
    """Start a process in the group."""
    words = JOIN + "import time\nprint(1, flush=True)\ntime.sleep(600)"
    folders = [str(folder / "cgroup.procs") for folder in group.folders]
    process = subprocess.Popen([sys.executable, "-c", words, *folders], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_group_knows_its_processes_and_kills_them(group: Group) -> None:
    leaf = group.child("pnode-0000").child("m1")
    leaf.create()
    process = sleeper(leaf)
    assert group.pids() == {process.pid}
    group.kill()
    assert process.wait(timeout=10) == -9
    assert group.pids() == set()


def test_removing_takes_processes_and_subgroups_along(group: Group) -> None:
    for name in ("a", "b"):
        group.child(name).child("deep").create()
    process = sleeper(group.child("b").child("deep"))
    group.remove()
    assert process.wait(timeout=10) == -9
    group.remove()


def test_memory_is_bounded(group: Group) -> None:
    leaf = group.child("m1")
    leaf.create(Limits(memory_mib=64))
    words = JOIN + "x = b'x' * (256 << 20)"
    folders = [str(folder / "cgroup.procs") for folder in leaf.folders]
    done = subprocess.run([sys.executable, "-c", words, *folders], check=False, timeout=60)
    assert done.returncode == -9


def test_creating_twice_changes_limits(group: Group) -> None:
    leaf = group.child("m1")
    leaf.create(Limits(memory_mib=64, cpus=0.5, processes=10))
    leaf.create(Limits(memory_mib=128, processes=20))
    said = []
    for folder in leaf.folders:
        for name in ("memory.max", "memory.limit_in_bytes", "pids.max"):
            with contextlib.suppress(OSError):
                said.append(int((folder / name).read_text()))
    assert sorted(said) == [20, 128 << 20]
