"""Containers by each OCI runtime, in control groups of whichever version this host has."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from benito.agent import cgroup
from benito.agent.cgroup import Group
from benito.machines import engine, oci
from benito.machines.engine import Engine
from benito.network import namespaces

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not cgroup.roots(), reason="this host has no control groups"),
]
LIMITS = oci.Limits(memory_mib=48, cpus=1)
DEADLINE_S = 30


@dataclass(frozen=True)
class Box:
    """A container that sleeps."""

    engine: Engine
    name: str
    group: Group

    def run(self, script: str) -> str:
        """Return what a shell in it says."""
        argv = self.engine.enter(self.name, ["/bin/sh", "-c", script])
        done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
        return (done.stdout + done.stderr).strip()


@pytest.fixture(params=engine.RUNTIMES)
def box(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Box]:
    program = shutil.which(request.param)
    if program is None:
        pytest.skip(f"{request.param} is not installed")
    made = Engine(program, tmp_path / "state")
    name = f"benito-test-{os.getpid()}"
    group = Group(name)
    group.create()
    namespaces.create(name)
    try:
        begin(made, name, bundle(tmp_path, group.child("m-box"), namespaces.path_of(name)))
        yield Box(made, name, group.child("m-box"))
    finally:
        subprocess.run(made.delete(name), capture_output=True, timeout=DEADLINE_S, check=False)
        namespaces.remove(name)
        group.remove()


def bundle(folder: Path, group: Group, network: Path) -> Path:
    """Write a container of this host's own programs, as a node's is written otherwise."""
    root = folder / "root"
    root.mkdir()
    container = oci.Container(
        hostname="box",
        root=root,
        argv=["/bin/sleep", "600"],
        network=network,
        cgroup=group.path,
        limits=LIMITS,
        binds=[
            oci.Bind(Path(at), at, read_only=True) for at in ("/usr", "/bin", "/lib", "/lib64") if Path(at).is_dir()
        ],
    )
    (folder / "config.json").write_text(json.dumps(oci.configuration(container, oci.Kernel.here())))
    return folder


def begin(made: Engine, name: str, folder: Path) -> None:
    """Start it; skips where the runtime says that it can't work with this host's control groups."""
    log = folder / "log"
    with log.open("wb") as said:
        # The container keeps the files that it was given: a pipe would never end.
        argv = made.run(name, folder, folder / "pid")
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=said, stderr=said, timeout=DEADLINE_S, check=False)
    if "hybrid mode not supported" in log.read_text():
        pytest.skip(log.read_text())
    assert done.returncode == 0, log.read_text()


def bound(group: Group) -> int:
    """Return the memory limit of a group in MiB."""
    file = "memory.max" if cgroup.unified() else "memory.limit_in_bytes"
    (folder,) = (each for each in group.folders if (each / file).exists())
    return int((folder / file).read_text()) >> 20


def test_a_container_is_a_node_within_its_bounds(box: Box) -> None:
    assert box.run("cat /proc/sys/kernel/hostname /proc/1/comm") == "box\nsleep"
    assert bound(box.group) == LIMITS.memory_mib
    assert len(box.group.pids()) == 1
    assert "Read-only" in box.run("echo 1 > /proc/sys/kernel/panic")
    assert box.run("echo 1 > /proc/sys/net/ipv4/ip_forward; cat /proc/sys/net/ipv4/ip_forward") == "1"
    assert "not permitted" in box.run("cat /dev/mem") or "No such file" in box.run("cat /dev/mem")
    box.group.kill()
    assert box.group.pids() == set()
