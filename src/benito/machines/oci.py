"""The OCI configuration of a container: pure, the same arguments give the same words.

A node is free in its own network, PID, mount, UTS and IPC namespaces and has no hand on its host: no capability that
reaches beyond them, no devices but harmless ones, and of /proc/sys only the part that is its network's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "LINUX_IMMUTABLE": 9,
    "NET_BIND_SERVICE": 10,
    "NET_BROADCAST": 11,
    "NET_ADMIN": 12,
    "NET_RAW": 13,
    "IPC_LOCK": 14,
    "IPC_OWNER": 15,
    "SYS_CHROOT": 18,
    "SYS_PTRACE": 19,
    "SYS_NICE": 23,
    "SYS_RESOURCE": 24,
    "LEASE": 28,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
}
"""With their numbers. Without SYS_ADMIN, SYS_MODULE, MKNOD and DAC_READ_SEARCH, each of which opens the host."""
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
MASKED = ("/proc/kcore", "/proc/keys", "/proc/kmsg", "/proc/timer_list", "/proc/sched_debug", "/sys/firmware")
READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sysrq-trigger")
OWN_SYSCTLS = "net"
"""The folder of /proc/sys that shows a network namespace's own settings; the rest is the host's."""
PROCESSES = 16384
"""Most processes of a node."""
_CPU_PERIOD_US = 100_000
_TUN = (10, 200)


@dataclass(frozen=True, slots=True)
class Bind:
    """A folder or file of the host that is seen in the container."""

    source: Path
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """What a container may use; 0 leaves it to what bounds the pnode."""

    memory_mib: int = 0
    cpus: int = 0


@dataclass(frozen=True, slots=True)
class Container:
    """What a container is made of; every path as the runtime sees it."""

    hostname: str
    root: Path
    argv: Sequence[str]
    network: Path
    """Its network namespace, mounted."""
    cgroup: str
    limits: Limits = Limits()
    binds: Sequence[Bind] = ()


@dataclass(frozen=True, slots=True)
class Kernel:
    """What bears on containers of the kernel and of what is allowed here."""

    sysctl_folders: tuple[str, ...]
    """What /proc/sys has."""
    capabilities: int
    """Bits of those that can be given at all."""

    @classmethod
    @cache
    def here(cls) -> Kernel:
        """Return what this process sees."""
        status = Path("/proc/self/status").read_text()
        bits = next(line.split()[1] for line in status.splitlines() if line.startswith("CapBnd:"))
        return cls(tuple(sorted(path.name for path in Path("/proc/sys").iterdir())), int(bits, 16))


def configuration(container: Container, kernel: Kernel) -> dict[str, Any]:
    """Return the contents of `config.json`."""
    return {
        "ociVersion": "1.0.2",
        "hostname": container.hostname,
        "root": {"path": str(container.root), "readonly": False},
        "process": process(container.argv, kernel),
        "mounts": [*mounts(), *map(bind, container.binds)],
        "linux": {
            "namespaces": [
                {"type": "network", "path": str(container.network)},
                *({"type": kind} for kind in ("pid", "mount", "uts", "ipc")),
            ],
            "cgroupsPath": f"/{container.cgroup}",
            "resources": _resources(container.limits),
            "devices": [{"path": "/dev/net/tun", "type": "c", "major": _TUN[0], "minor": _TUN[1], "fileMode": 0o666}],
            "rootfsPropagation": "rprivate",
            "maskedPaths": list(MASKED),
            "readonlyPaths": [
                *READ_ONLY,
                *(f"/proc/sys/{name}" for name in kernel.sysctl_folders if name != OWN_SYSCTLS),
            ],
        },
    }


def process(argv: Sequence[str], kernel: Kernel) -> dict[str, Any]:
    """Return how a program runs in a container, its first one or a later one."""
    held = [f"CAP_{name}" for name, number in CAPABILITIES.items() if kernel.capabilities >> number & 1]
    sets = ("bounding", "effective", "permitted")
    return {
        "terminal": False,
        "user": {"uid": 0, "gid": 0},
        "args": list(argv),
        "env": [PATH, "HOME=/root", "LANG=C.UTF-8"],
        "cwd": "/",
        "capabilities": dict.fromkeys(sets, held),
        "noNewPrivileges": False,
    }


def mounts() -> list[dict[str, Any]]:
    """Return the file systems of the kernel's that every container has."""
    strict = ["nosuid", "noexec", "nodev"]
    kinds = (
        ("/proc", "proc", "proc", strict),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=64k"]),
        ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("/dev/shm", "tmpfs", "shm", [*strict, "mode=1777"]),
        ("/sys", "sysfs", "sysfs", [*strict, "ro"]),
    )
    return [{"destination": at, "type": kind, "source": source, "options": how} for at, kind, source, how in kinds]


def bind(what: Bind) -> dict[str, Any]:
    """Return the mount that shows it."""
    how = ["rbind", "rprivate", "nosuid", "nodev", "ro" if what.read_only else "rw"]
    return {"destination": what.target, "type": "bind", "source": str(what.source), "options": how}


def _resources(limits: Limits) -> dict[str, Any]:
    allowed: list[dict[str, Any]] = [
        {"allow": False, "access": "rwm"},
        {"allow": True, "type": "c", "major": _TUN[0], "minor": _TUN[1], "access": "rw"},
    ]
    resources: dict[str, Any] = {"devices": allowed, "pids": {"limit": PROCESSES}}
    if limits.memory_mib:
        resources["memory"] = {"limit": limits.memory_mib << 20}
    if limits.cpus:
        resources["cpu"] = {"quota": limits.cpus * _CPU_PERIOD_US, "period": _CPU_PERIOD_US}
    return resources
