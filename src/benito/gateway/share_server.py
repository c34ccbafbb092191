"""The server of one experiment's shared folders, in a small world of its own.

Its first process makes that world: a root without anything of the host but its programs and the shared folders, in the
network namespace where the nodes are. There it runs one program a folder that shows it (`shares`), and the NFS server.
The server is started again when it ends, and clients go on; when a program that shows a folder ends, all of it does,
and whoever keeps it starts it anew.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec

from benito.agent import sandbox
from benito.errors import HostError
from benito.gateway import shares
from benito.gateway.shares import SOURCES, STATE, VIEWS, Served, ShareSettings
from benito.mounts import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    MS_SLAVE,
    mount,
    open_folder,
    unmount,
)
from benito.network.namespaces import move_into

log = logging.getLogger("shares")
SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
"""Folders of programs; some are links to others."""
DEVICES = ("fuse", "null", "urandom", "zero")
FILES = ("etc/ld.so.cache", "etc/netconfig", "etc/protocols", "etc/services")
SHOWN_S = 10.0
AGAIN_S = 1.0
_SAFE = MS_NOSUID | MS_NODEV


def furnish(root: Path, settings: ShareSettings) -> None:
    """Make the small world below a folder, and go there; the caller is alone in its mount and PID namespaces."""
    mount("none", "/", None, MS_SLAVE | MS_REC)
    # The host's numbers of processes mean nothing here.
    mount("proc", "/proc", "proc", _SAFE | MS_NOEXEC)
    mount("tmpfs", str(root), "tmpfs", _SAFE, "mode=755,size=16m")
    for name in SYSTEM:
        there = Path("/", name)
        if there.is_symlink():
            (root / name).symlink_to(there.readlink())
        elif there.is_dir():
            _bind(there, root / name, read_only=True)
    for name in FILES:
        if Path("/", name).exists():
            (root / name).parent.mkdir(exist_ok=True)
            (root / name).write_bytes(Path("/", name).read_bytes())
    (root / "dev").mkdir()
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", str(root / "dev" / name), None, MS_BIND)
    for name in ("etc", "proc", "run", "tmp", "var", "old"):
        (root / name).mkdir(exist_ok=True)
    mount("proc", str(root / "proc"), "proc", _SAFE | MS_NOEXEC)
    (root / "etc" / "passwd").write_text("root:x:0:0::/:/bin/false\n")
    # The server looks a folder's file system up in this table.
    (root / "etc" / "mtab").symlink_to("/proc/self/mounts")
    _bind(Path(settings.folder), root / STATE.name, read_only=False)
    for number, share in enumerate(settings.shares):
        folder = open_folder(Path(share.source))
        source = Path(f"/proc/self/fd/{folder}")
        _bind(source, root / SOURCES.name / str(number), read_only=share.read_only)
        os.close(folder)
        (root / VIEWS.name / str(number)).mkdir(parents=True)
    (root / "ganesha.conf").write_text(shares.configuration(settings.shares, 1 + secrets.randbelow(60000)))
    _pivot(root)


def _bind(source: Path, target: Path, *, read_only: bool) -> None:
    target.mkdir(parents=True)
    mount(str(source), str(target), None, MS_BIND)
    if read_only:
        mount("none", str(target), None, MS_BIND | MS_REMOUNT | MS_RDONLY | _SAFE)


def _pivot(root: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.pivot_root(os.fsencode(root), os.fsencode(root / "old")):
        raise OSError(ctypes.get_errno(), f"pivot_root: {os.strerror(ctypes.get_errno())}")
    os.chdir("/")
    unmount("/old")
    Path("/old").rmdir()


def show(served: tuple[Served, ...]) -> dict[int, subprocess.Popen[bytes]]:
    """Start the programs that show the folders, and wait until all are there; HostError when one isn't."""
    running = {}
    for number, share in enumerate(served):
        view = VIEWS / str(number)
        outside = view.stat().st_dev
        program = subprocess.Popen(shares.view_command(number, read_only=share.read_only), stdin=subprocess.DEVNULL)
        deadline = time.monotonic() + SHOWN_S
        while view.stat().st_dev == outside:
            if program.poll() is not None or time.monotonic() > deadline:
                raise HostError(f"{share.source} can't be shown")
            time.sleep(0.02)
        running[program.pid] = program
    return running


def serve(settings: ShareSettings) -> None:
    """Keep the server running for as long as every folder is shown."""
    views = show(settings.shares)
    while True:
        server = subprocess.Popen(shares.server_command(), stdin=subprocess.DEVNULL)
        while True:
            pid, status = os.wait()
            if pid in views:
                raise HostError(f"the program that shows a folder ended ({os.waitstatus_to_exitcode(status)})")
            if pid == server.pid:
                break
        log.error("the NFS server ended with %d", os.waitstatus_to_exitcode(status))
        time.sleep(AGAIN_S)


def main() -> None:
    """Serve until killed."""
    ask = argparse.ArgumentParser(prog="benito-shares")
    ask.add_argument("--settings", type=Path, required=True)
    told = ask.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    os.umask(0o022)
    settings = msgspec.json.decode(told.settings.read_bytes(), type=ShareSettings)
    root = Path(settings.folder) / "root"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    move_into(Path(settings.namespace))
    sandbox.unshare(sandbox.CLONE_NEWNS | sandbox.CLONE_NEWPID | sandbox.CLONE_NEWIPC | sandbox.CLONE_NEWUTS)
    pid = os.fork()
    if pid:
        signal.signal(signal.SIGTERM, lambda *_: os.kill(pid, signal.SIGKILL))
        _, status = os.waitpid(pid, 0)
        sys.exit(abs(os.waitstatus_to_exitcode(status)))
    _die_with_parent()
    furnish(root, settings)
    with contextlib.suppress(KeyboardInterrupt):
        serve(settings)


def _die_with_parent() -> None:
    """Have the kernel end this process, and with it all of its world, when the one outside is killed."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
