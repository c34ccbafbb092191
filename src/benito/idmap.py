"""Mounts that show a folder's files with other owners (mount_setattr(2), Linux 5.12): the host's folders in containers.

The nodes' root is an ordinary user on the host, OWNER; people who are named are themselves on both sides; whoever else
owns a file, the host's root above all, is nobody in the nodes. The kernel gives nobody power over files of an owner
that the mount doesn't know, whatever their privileges elsewhere: such a file is as open to nodes as it is to strangers.
"""

from __future__ import annotations

import ctypes
import errno
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from benito.errors import HostError

OWNER = 64072
"""An id that Debian leaves to nobody."""
PEOPLE = range(1000, 60000)
"""Ids that belong to persons (Debian Policy, 9.2.2)."""

_CLONE_NEWUSER = 0x10000000
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
"""System calls of the same number on every architecture."""
_AT_FDCWD, _AT_EMPTY_PATH = -100, 0x1000
_OPEN_TREE_CLONE, _MOVE_MOUNT_F_EMPTY_PATH = 1, 4
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV, _ATTR_IDMAP = 1, 2, 4, 0x100000

_libc = ctypes.CDLL(None, use_errno=True)


def is_person(uid: int) -> bool:
    """Whether that id is a person's, who may be the same in nodes and on the host."""
    return uid in PEOPLE


def require_idmap(source: Path) -> None:
    """HostError unless the folder can be mounted for nodes."""
    os.close(_prepared(source, (), read_only=True))


def mount_for_nodes(source: Path, target: Path, people: Iterable[int], *, read_only: bool) -> None:
    """Show a folder at another place as nodes are to have it; HostError where the kernel can't."""
    tree = _prepared(source, people, read_only=read_only)
    try:
        _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
    except OSError as error:
        raise HostError(f"{source} can't be mounted on {target}: {error.strerror}") from error
    finally:
        os.close(tree)


def _prepared(source: Path, people: Iterable[int], *, read_only: bool) -> int:
    """Return the folder as a mount that is nowhere yet."""
    attributes = _ATTR_IDMAP | _ATTR_NOSUID | _ATTR_NODEV | (_ATTR_RDONLY if read_only else 0)
    namespace = _owners(people)
    try:
        tree = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(source), _OPEN_TREE_CLONE | os.O_CLOEXEC)
        try:
            changes = struct.pack("=QQQQ", attributes, 0, 0, namespace)
            _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, changes, len(changes))
        except BaseException:
            os.close(tree)
            raise
        return tree
    except OSError as error:
        what = "its file system or this kernel can't show files with other owners (idmapped mounts)"
        reason = what if error.errno in (errno.EINVAL, errno.ENOSYS, errno.EPERM) else error.strerror
        raise HostError(
            f"{source} can't be shared with nodes: {reason}",
            hint="share a folder of an ext4, xfs or btrfs file system on Linux 5.12 or later",
        ) from error
    finally:
        os.close(namespace)


def _owners(people: Iterable[int]) -> int:
    """Return a user namespace that says which owner on disk is which in the nodes."""
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            if _libc.unshare(_CLONE_NEWUSER) == 0:
                os.write(done, b"+")
                _libc.pause()
        finally:
            os._exit(1)
    os.close(done)
    try:
        if os.read(ready, 1) != b"+":
            raise HostError("this kernel makes no user namespaces", hint="see user.max_user_namespaces (sysctl)")
        lines = f"{OWNER} 0 1\n" + "".join(f"{uid} {uid} 1\n" for uid in sorted(set(people)) if is_person(uid))
        for kind in ("uid", "gid"):
            Path(f"/proc/{pid}/{kind}_map").write_text(lines)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        os.close(ready)
        os.kill(pid, 9)
        os.waitpid(pid, 0)


def _call(number: int, *arguments: int | bytes) -> int:
    converted = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result = int(_libc.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
