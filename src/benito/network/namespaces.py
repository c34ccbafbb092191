"""Network namespaces: making, entering and removing them.

Entering a namespace moves the calling thread only, for as long as the `with` block lasts. pyroute2's handles belong to
the namespace (and the thread) that opened them, so that one opened inside goes on speaking of the inside.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from benito.errors import HostError

RUN = Path("/run/netns")

_CLONE_NEWNET = 0x40000000
_MS_BIND = 4096
_MS_REC = 16384
_MS_SHARED = 1 << 20
_MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def path_of(name: str) -> Path:
    """Return where the named namespace is (or would be) mounted."""
    return RUN / name


def create(name: str) -> None:
    """Make a named network namespace with its loopback down; nothing happens when it exists."""
    path = path_of(name)
    if is_namespace(path):
        return
    RUN.mkdir(parents=True, exist_ok=True)
    _share(RUN)
    path.touch()
    faults: list[BaseException] = []

    def unshare_and_mount() -> None:
        try:
            _call("unshare", _libc.unshare(_CLONE_NEWNET))
            here = f"/proc/self/task/{threading.get_native_id()}/ns/net"
            _call("mount", _libc.mount(here.encode(), str(path).encode(), b"none", _MS_BIND, None))
        except OSError as error:
            faults.append(error)

    # A thread of its own, which ends with the namespace still mounted: the caller stays where it is.
    worker = threading.Thread(target=unshare_and_mount, name=f"netns {name}")
    worker.start()
    worker.join()
    if faults:
        path.unlink(missing_ok=True)
        raise HostError(f"can't make the network namespace {name}: {faults[0]}", hint="this needs root")


def leave() -> None:
    """Move the calling thread into a new namespace that ends with it; for threads that end soon."""
    try:
        _call("unshare", _libc.unshare(_CLONE_NEWNET))
    except OSError as error:
        raise HostError(f"can't make a network namespace: {error}", hint="this needs root") from error


def remove(name: str) -> None:
    """Unmount a named namespace; the kernel ends it when nothing uses it any more. Absent ones are fine."""
    path = path_of(name)
    with contextlib.suppress(FileNotFoundError):
        while is_namespace(path):
            _call("umount", _libc.umount2(str(path).encode(), _MNT_DETACH))
        path.unlink()


def names() -> list[str]:
    """Return the names of all mounted namespaces."""
    if not RUN.is_dir():
        return []
    return sorted(path.name for path in RUN.iterdir() if is_namespace(path))


def is_namespace(path: Path) -> bool:
    """Whether a namespace is mounted at the path (rather than a leftover empty file, or nothing)."""
    try:
        return path.stat().st_dev != path.parent.stat().st_dev
    except OSError:
        return False


def move_into(path: Path) -> None:
    """Move the calling thread into a namespace for good; HostError when it is gone."""
    try:
        with path.open() as target:
            _call("setns", _libc.setns(target.fileno(), _CLONE_NEWNET))
    except OSError as error:
        raise HostError(f"can't enter the network namespace {path}: {error.strerror}") from error


@contextlib.contextmanager
def entered(where: Path | str | int) -> Iterator[None]:
    """Move the calling thread into a namespace: a name, a path, or the network namespace of a process id."""
    if isinstance(where, int):
        path = Path(f"/proc/{where}/ns/net")
    else:
        path = where if isinstance(where, Path) else path_of(where)
    before = os.open(f"/proc/self/task/{threading.get_native_id()}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            target = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(f"the network namespace {path} is gone: {error.strerror}") from error
        try:
            _call("setns", _libc.setns(target, _CLONE_NEWNET))
        finally:
            os.close(target)
        try:
            yield
        finally:
            _call("setns", _libc.setns(before, _CLONE_NEWNET))
    finally:
        os.close(before)


def write_sysctl(key: str, value: str | int) -> bool:
    """Set a sysctl, a path below /proc/sys, in the current namespace; False when it can't be set here."""
    path = Path("/proc/sys") / key
    try:
        if path.read_text().strip() != str(value):
            path.write_text(f"{value}\n")
    except OSError:
        return False
    return True


def quiet() -> None:
    """Make interfaces born in the current namespace silent: no IPv6 of their own, bridges not filtered by iptables."""
    write_sysctl("net/ipv6/conf/default/disable_ipv6", 1)
    for table in ("iptables", "ip6tables", "arptables"):
        write_sysctl(f"net/bridge/bridge-nf-call-{table}", 0)


def _share(folder: Path) -> None:
    # As `ip netns` does: mounts made below /run/netns must be seen, and unmounted, in every other mount namespace.
    if _libc.mount(b"none", str(folder).encode(), b"none", _MS_SHARED | _MS_REC, None) == 0:
        return
    _call("mount", _libc.mount(str(folder).encode(), str(folder).encode(), b"none", _MS_BIND | _MS_REC, None))
    _call("mount", _libc.mount(b"none", str(folder).encode(), b"none", _MS_SHARED | _MS_REC, None))


def _call(name: str, result: int) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
