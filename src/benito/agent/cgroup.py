"""Control groups, version 1 or 2: what bounds, counts and marks an experiment's processes.

A group is named by a path below Benito's root, such as `benito/<hash>/pnode-0000/m3`. Under version 2 a group with
subgroups holds no process itself, so processes go to leaves only.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from benito.errors import HostError

MOUNT = Path("/sys/fs/cgroup")
CONTROLLERS = ("memory", "cpu", "pids")
RUNTIME_HIERARCHIES = ("devices",)
"""What container runtimes need of version 1 besides."""
SETTLE_S = 5.0
"""How long killed processes may take to leave their group."""


def unified() -> bool:
    """Whether this host has version 2 alone."""
    return (MOUNT / "cgroup.controllers").exists()


def roots() -> tuple[Path, ...]:
    """The hierarchies that Benito uses: one under version 2, one a controller under version 1."""
    if unified():
        return (MOUNT,)
    names = (*CONTROLLERS, *RUNTIME_HIERARCHIES)
    return tuple(MOUNT / name for name in names if (MOUNT / name / "cgroup.procs").exists())


def without_processor_share() -> tuple[Path, ...]:
    """Folders whose processes may ask for real-time priority; joined besides the others of a group.

    Version 1 gives its processor groups no real-time allowance, and there is one for the whole host to share out.
    """
    return () if unified() else (MOUNT / "cpu",)


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a group; 0 leaves a resource unbounded."""

    memory_mib: int = 0
    cpus: float = 0.0
    processes: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """One group, in every hierarchy in use."""

    path: str

    @property
    def folders(self) -> tuple[Path, ...]:
        """Its folder in each hierarchy; writing a pid to each one's `cgroup.procs` moves the process."""
        return tuple(root / self.path for root in roots())

    def child(self, name: str) -> Group:
        """The group of that name inside this one."""
        return Group(f"{self.path}/{name}")

    def create(self, limits: Limits | None = None) -> None:
        """Make it, and its parents, and set its limits; fine when it exists. HostError when the kernel refuses."""
        try:
            for root in roots():
                self._make(root)
            if limits:
                self._limit(limits)
        except OSError as error:
            raise HostError(f"can't make the control group {self.path}: {error}", hint="see `benito doctor`") from error

    def _make(self, root: Path) -> None:
        folder = root
        for part in Path(self.path).parts:
            if root == MOUNT:
                _delegate(folder)
            folder = folder / part
            folder.mkdir(exist_ok=True)

    def _limit(self, limits: Limits) -> None:
        period = 100_000
        quota = int(limits.cpus * period) if limits.cpus else -1
        memory = limits.memory_mib << 20 if limits.memory_mib else -1
        if unified():
            settings = {
                "memory.max": str(memory) if memory > 0 else "max",
                "cpu.max": f"{quota if quota > 0 else 'max'} {period}",
                "pids.max": str(limits.processes or "max"),
            }
            for name, value in settings.items():
                _write(MOUNT / self.path / name, value)
            return
        _write(MOUNT / "memory" / self.path / "memory.limit_in_bytes", str(memory))
        _write(MOUNT / "cpu" / self.path / "cpu.cfs_quota_us", str(quota))
        _write(MOUNT / "pids" / self.path / "pids.max", str(limits.processes or "max"))

    def pids(self) -> set[int]:
        """Processes in it and in every group below it, as this PID namespace numbers them."""
        found: set[int] = set()
        for folder in self.folders:
            for below, _, _ in os.walk(folder):
                with contextlib.suppress(OSError):
                    found.update(map(int, Path(below, "cgroup.procs").read_text().split()))
        return found - {0}

    def kill(self) -> None:
        """Kill every process in it and wait until they are gone; HostError when they stop going."""
        fewest, deadline = None, time.monotonic() + SETTLE_S
        while pids := self.pids():
            if fewest is None or len(pids) < fewest:
                fewest, deadline = len(pids), time.monotonic() + SETTLE_S
            if time.monotonic() > deadline:
                raise HostError(f"processes {sorted(pids)[:10]} of the control group {self.path} don't end")
            last = None
            for pid in pids:
                last = _kill(pid, last)
            _await_end(last, deadline)

    def remove(self) -> None:
        """Remove it and every group below it; processes in it are killed. Fine when it doesn't exist.

        HostError when the kernel doesn't let it go.
        """
        self.kill()
        for folder in self.folders:
            for below, _, _ in os.walk(folder, topdown=False):
                _remove_folder(Path(below))

    def remove_if_empty(self) -> None:
        """Remove it unless there are groups or processes in it; never ends anything."""
        for folder in self.folders:
            with contextlib.suppress(OSError):
                folder.rmdir()

    def memory_mib(self) -> float:
        """Memory that its processes use now, page cache included; 0 where it isn't counted."""
        name = "memory.current" if unified() else "memory.usage_in_bytes"
        root = MOUNT if unified() else MOUNT / "memory"
        with contextlib.suppress(OSError, ValueError):
            return int((root / self.path / name).read_text()) / (1 << 20)
        return 0.0


def _delegate(folder: Path) -> None:
    """Version 2: let the groups below use our controllers, those of them that the folder itself has."""
    offered = (folder / "cgroup.controllers").read_text().split()
    enabled = (folder / "cgroup.subtree_control").read_text().split()
    wanted = [f"+{name}" for name in CONTROLLERS if name in offered and name not in enabled]
    if wanted:
        (folder / "cgroup.subtree_control").write_text(" ".join(wanted))


def _write(path: Path, value: str) -> None:
    """Set one limit where the kernel has it."""
    if path.exists():
        path.write_text(value)


def _kill(pid: int, last: int | None) -> int | None:
    """Kill that process and no other that may get its number; returns a descriptor that tells of its end.

    One descriptor at a time is open, `last` being closed: a group may hold more processes than we may open files.
    """
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return last
    if last is not None:
        os.close(last)
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
    return descriptor


def _await_end(descriptor: int | None, deadline: float) -> None:
    if descriptor is None:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    poll.poll(1000 * max(0.0, min(0.2, deadline - time.monotonic())))
    os.close(descriptor)


def _remove_folder(folder: Path) -> None:
    """rmdir, with a little patience: a group stays busy for a moment after its last process."""
    deadline = time.monotonic() + SETTLE_S
    while True:
        try:
            folder.rmdir()
        except FileNotFoundError:
            return
        except OSError as error:
            if time.monotonic() > deadline:
                raise HostError(f"can't remove the control group {folder}: {error.strerror}") from error
            time.sleep(0.01)
