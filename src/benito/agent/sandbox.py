"""The walls of a pnode: namespaces of its own and the few mounts that make them a separate host.

Linux only, through the C library: Python 3.11 has no unshare.
"""

from __future__ import annotations

import ctypes
import os
import socket
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benito.agent import cgroup
from benito.mounts import MS_BIND, MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_REC, MS_SLAVE, mount, open_folder, unmount

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

PROPER = MS_NOSUID | MS_NODEV | MS_NOEXEC

RUNTIME = Path("/run/benito")
"""Where a sandbox finds what is bound into it, whatever the paths outside."""


SHARE = "share-{}"
"""What a shared folder of the host is called there."""
LIGHT = Path("/run/benito-light")
"""Where a sandbox keeps what its containers need in memory."""
RUN_SIZE = "size=512m"
"""Bound of a sandbox's /run; what containers write there counts as their memory, too."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A host folder made visible inside as `/run/benito/<name>`."""

    source: Path
    name: str


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def unshare(flags: int) -> None:
    """Leave the named namespaces of the parent; OSError says why not."""
    if _libc().unshare(flags):
        number = ctypes.get_errno()
        raise OSError(number, f"unshare: {os.strerror(number)}")


def furnish(name: str, binds: Iterable[Bind], isolated: bool) -> None:
    """Give the new mount namespace its own /proc and, when isolated, /sys and /run; called once, by the first process.

    Mounts are slaves of the host's: what the host unmounts later goes away here too, nothing made here goes out.
    """
    socket.sethostname(name)
    mount("none", "/", None, MS_SLAVE | MS_REC)
    mount("proc", "/proc", "proc", PROPER)
    if not isolated:
        return
    _own_sysfs()
    _own_tun()
    sources = [(bind, _open(bind)) for bind in binds]
    mount("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=755,{RUN_SIZE}")
    for bind, descriptor in sources:
        target = RUNTIME / bind.name
        target.mkdir(parents=True)
        mount(f"/proc/self/fd/{descriptor}", str(target), None, MS_BIND | MS_REC)
        os.close(descriptor)


def _open(bind: Bind) -> int:
    """Open what is to be bound; a shared folder is as it was allowed, or not at all."""
    return open_folder(bind.source) if bind.name.startswith(SHARE.format("")) else os.open(bind.source, os.O_PATH)


def _own_tun() -> None:
    """A tun device that machines without privileges may open: some hosts keep theirs for root. Which taps they may
    use is decided by each tap's owner."""
    number = Path("/dev/net/tun").stat().st_rdev
    mount("tmpfs", "/dev/net", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755,size=64k")
    umask = os.umask(0)
    os.mknod("/dev/net/tun", 0o666 | stat.S_IFCHR, number)
    os.umask(umask)


def _own_sysfs() -> None:
    """A sysfs that shows this network namespace's interfaces, with the cgroup hierarchies in use put back below it.

    The others are taken away, so that container runtimes make no groups in them that nobody would count or remove.
    """
    used = {root.resolve() for root in cgroup.roots()}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        at = Path(line.split()[4])
        if cgroup.MOUNT in at.parents and at not in used:
            unmount(str(at))
    cgroups = os.open(cgroup.MOUNT, os.O_PATH)
    mount("sysfs", "/sys", "sysfs", PROPER)
    mount(f"/proc/self/fd/{cgroups}", str(cgroup.MOUNT), None, MS_BIND | MS_REC)
    os.close(cgroups)
