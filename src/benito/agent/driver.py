"""What the agent needs of a kind of node; each kind is a thin driver behind this protocol (`kinds` has them all)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from benito.agent.cgroup import Group
from benito.agent.spawner import Spawner
from benito.images.catalog import Catalog
from benito.machines import guest
from benito.machines.accelerator import Accelerator
from benito.machines.guest_agent import ExecResult
from benito.machines.node_channel import NodeEvent
from benito.plan import model

Tell = Callable[[dict[str, Any]], None]

HARD_OVERHEAD_MIB = {"qemu": 256}
"""What a node's processes may use beside its memory before its control group stops them, by kind."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the experiment wants its machines run."""

    accelerator: Accelerator = "tcg"
    shaping: str = "auto"
    boot_deadline_s: float = 600.0
    quiet_s: float = 15.0
    """How long a clone that has woken keeps to itself what can wait, such as its journal."""
    engine: str = ""
    """The OCI runtime's program; empty where none works."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every machine of a pnode shares."""

    runtime: Path
    """Folder of sockets."""
    nodes: Path
    """Where each machine has its folder."""
    catalog: Catalog
    group: Group
    spawner: Spawner
    tell: Tell
    light: Path
    """What nodes that share the host's kernel need while the sandbox lasts, in memory."""

    templates: Path
    """What machines are cloned from."""
    memory: Path
    """Copies of their memories."""

    @property
    def sockets(self) -> Path:
        """Where each machine has its sockets."""
        return self.runtime / "nodes"


@dataclass(frozen=True, slots=True)
class Settlement:
    """All that a fresh machine is told; the host key is secret."""

    plan: model.PnodePlan
    host_key: guest.HostKey | None

    @property
    def host_keys(self) -> list[guest.HostKey]:
        """The machine's ssh host keys."""
        return [self.host_key] if self.host_key else []

    def archive(self, machine: model.Machine, *, programs: bool = True) -> bytes:
        """The configuration that makes the machine the plan's node; a clone has the programs already."""
        plan, keys = self.plan, self.host_keys
        words = (machine, plan.accounts, plan.hosts, keys, plan.experiment, plan.inside)
        return guest.configuration(*words, programs=programs)


@dataclass(frozen=True, slots=True)
class Restarted:
    """The node's OS begins anew, without the machine's process having ended."""


Event = NodeEvent | Restarted


class Driver(Protocol):
    """One machine of some kind. Errors are BenitoErrors that name the node.

    The machine's process is a job of the sandbox's init, named `job`; its end is seen there.
    """

    @property
    def job(self) -> str:
        """The name of its process with the sandbox's init."""

    @property
    def log(self) -> Path:
        """What its process itself says."""

    async def start(self, settlement: Settlement) -> None:
        """Have its process started, and listen to it."""

    async def adopt(self) -> None:
        """Listen to a machine that runs already."""

    async def settle(self, settlement: Settlement, told: Callable[[str], None]) -> None:
        """See the running machine through until it is up with this configuration; `told` hears of its phases."""

    def events(self) -> AsyncIterator[Event]:
        """Yield what happens in the machine; to be heard while it settles."""

    def another_way(self) -> str | None:
        """Return why a machine whose process has just ended is to be started once more, another way; else None."""

    async def state(self) -> guest.BootState:
        """Return what the node has reported since it came up, in case nobody listened."""

    async def run(self, argv: list[str], deadline_s: float) -> ExecResult:
        """Run a program inside."""

    async def stop(self, orderly: bool) -> None:
        """Have the machine end; the caller sees to it that it does."""

    async def reset(self) -> bool:
        """Restart it as by a reset button; False when it has to be ended and started for that."""

    async def copy(self, name: str, deadline_s: float) -> None:
        """Copy the machine's disk, as it is at one moment, to a file of this name in its folder."""

    async def close(self) -> None:
        """Listen no more."""

    async def forget(self) -> None:
        """Remove all that was its own; it has ended."""


def job_of(node: str) -> str:
    """Return the name of a machine's process with the sandbox's init."""
    return f"machine {node}"


def node_of(job: str) -> str | None:
    """Return whose process a job of the init is; None for other jobs."""
    kind, _, node = job.partition(" ")
    return node if kind == "machine" else None


def last_line(log: Path) -> str:
    """Return the last line of what a process has said; empty when it said nothing."""
    try:
        return log.read_text(errors="replace").strip().rpartition("\n")[2]
    except OSError:
        return ""
