"""pnodes as sandboxes on this machine: namespaces around an init, joined by the experiment's hub."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from benito.agent import cgroup, spawner
from benito.agent.cgroup import Group, Limits
from benito.agent.rpc import Unreachable
from benito.agent.sandbox import RUNTIME as INSIDE
from benito.embedding.capacity import Host
from benito.errors import HostError
from benito.network.hub import Hub
from benito.substrate.base import Pnode, PnodeRequest

SERVICES = ("wires", "agent")
START_S = 120.0
AGENT_MEMORY_MIB = 256
"""What init, agent and wire engine of a pnode may use beside the machines."""
PYTHON = (sys.executable, "-I", "-m")


def host_facts(disk: Path) -> Host:
    """Return what this machine has: memory and cores of the kernel's telling, free disk where `disk` is."""
    memory = next(
        int(line.split()[1]) >> 10
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    disk.mkdir(parents=True, exist_ok=True)
    return Host(
        name=os.uname().nodename,
        memory_mib=memory,
        cores=len(os.sched_getaffinity(0)),
        disk_mib=shutil.disk_usage(disk).free >> 20,
    )


class LocalSubstrate:
    """Gives pnodes of one experiment on this machine; each sees the folders `shared` under these names."""

    def __init__(self, *, runtime: Path, folder: Path, shared: Mapping[str, Path], cgroup: str, hub: Hub) -> None:
        self.runtime = runtime
        self.folder = folder
        self.shared = shared
        self.group = Group(cgroup)
        self.hub = hub

    def hosts(self) -> Sequence[Host]:
        """This machine."""
        return (host_facts(self.folder),)

    def pnode(self, name: str) -> Pnode:
        """Return the handle of a pnode, given or not."""
        return Pnode(name, os.uname().nodename, self.runtime / name)

    def alive(self, pnode: str) -> bool:
        """Whether its init answers."""
        try:
            spawner.request(self.pnode(pnode).init_socket, op="list")
        except Unreachable:
            return False
        return True

    def _whole(self, pnode: str) -> bool:
        """Whether it runs with its services: one whose making was interrupted has none, and is made anew."""
        try:
            jobs = spawner.request(self.pnode(pnode).init_socket, op="list")["jobs"]
        except Unreachable:
            return False
        return set(SERVICES) <= set(jobs)

    def acquire(self, request: PnodeRequest) -> Pnode:
        """Start the sandbox, join it to the hub, and start its wire engine and agent."""
        pnode = self.pnode(request.pnode)
        if self._whole(request.pnode):
            return pnode
        self.release(request.pnode)
        group = self.group.child(request.pnode)
        group.create(Limits(memory_mib=request.memory_mib + AGENT_MEMORY_MIB))
        group.child("init").create()
        pnode.runtime.mkdir(mode=0o711, parents=True)
        logs = self.folder / "logs"
        logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        binds = {"pnode": pnode.runtime, "experiment": self.folder, **self.shared}
        pid = start_init(
            name=request.pnode,
            socket=INSIDE / "pnode" / "init.sock",
            binds=binds,
            group=group.child("init"),
            log=logs / f"{request.pnode}-init.log",
        )
        self.hub.attach(request.pnode, pid, request.underlay)
        self._start_services(pnode)
        return Pnode(pnode.name, pnode.host, pnode.runtime, pid)

    def _start_services(self, pnode: Pnode) -> None:
        inside = INSIDE / "pnode"
        logs = INSIDE / "experiment" / "logs"
        wires = [*PYTHON, "benito.agent.wires", "--socket", inside / "wires.sock", "--state", inside / "wires.json"]
        agent = [*PYTHON, "benito.agent.agent", "--runtime", inside, "--cgroup", self.group.child(pnode.name).path]
        for job, argv, nice in (("wires", wires, -10), ("agent", agent, 0)):
            spawner.request(
                pnode.init_socket,
                op="spawn",
                name=job,
                argv=[str(word) for word in argv],
                log=str(logs / f"{pnode.name}-{job}.log"),
                keep=True,
                nice=nice,
                cgroups=[str(folder) for folder in cgroup.without_processor_share()] if job == "wires" else [],
            )

    def release(self, pnode: str) -> None:
        """End everything in the sandbox and remove what was its own."""
        self.group.child(pnode).remove()
        self.hub.detach(pnode)
        shutil.rmtree(self.pnode(pnode).runtime, ignore_errors=True)


def start_init(
    *, name: str, socket: Path, binds: dict[str, Path], group: Group, log: Path, host_network: bool = False
) -> int:
    """Start a sandbox and return its init's pid; HostError, with what it said, when it can't be made."""
    argv = [*PYTHON, "benito.agent.init", "--name", name, "--socket", str(socket), "--log", str(log)]
    argv += [word for inside, source in binds.items() for word in ("--bind", f"{source}:{inside}")]
    argv += [word for folder in group.folders for word in ("--cgroup", str(folder))]
    argv += ["--host-network"] if host_network else []
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, timeout=START_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        group.kill()
        raise HostError(f"the sandbox of {name} didn't start within {START_S:g} s", hint=f"see {log}") from None
    if done.returncode:
        said = done.stderr.strip().splitlines() or ["no message"]
        raise HostError(f"can't make the sandbox of {name}: {said[-1]}", hint="see `benito doctor`")
    return int(done.stdout)
