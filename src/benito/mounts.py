"""mount(2) and umount(2) through the C library: Python 3.11 has neither. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
from pathlib import Path

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 32, 4096, 16384, 1 << 19
MS_PRIVATE = 1 << 18
MNT_DETACH = 2
_CLONE_NEWNS = 0x00020000
_MOUNT_SETATTR = 442
"""The same number on every architecture (Linux 5.12)."""
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    """mount(2); OSError names the target."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else os.fsencode(options)
    if _libc.mount(*encoded, ctypes.c_ulong(flags), data):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}", target)


def open_folder(path: Path) -> int:
    """Return a descriptor of a folder, by its absolute path; OSError when there is a link on the way.

    For folders of people, who may put one there after the path has been looked at.
    """
    how = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path.anchor, how)
    for part in path.parts[1:]:
        try:
            inner = os.open(part, how, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def confine(folder: Path) -> None:
    """Have this process, and what it starts, change nothing on this host but one folder, and use no devices; for good.

    For work on what somebody else has made, which may lead anywhere. It needs root, and OSError says what it lacks.
    """
    if _libc.unshare(_CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), f"unshare: {os.strerror(ctypes.get_errno())}")
    mount("none", "/", None, MS_PRIVATE | MS_REC)
    mount(str(folder), str(folder), None, MS_BIND)
    _set_attributes("/", _AT_RECURSIVE, given=_ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)
    _set_attributes(str(folder), 0, taken=_ATTR_RDONLY)


def _set_attributes(target: str, how: int, *, given: int = 0, taken: int = 0) -> None:
    changes = struct.pack("=QQQQ", given, taken, 0, 0)
    words = (ctypes.c_long(_AT_FDCWD), os.fsencode(target), ctypes.c_long(how), changes, ctypes.c_long(len(changes)))
    if _libc.syscall(ctypes.c_long(_MOUNT_SETATTR), *words):
        number = ctypes.get_errno()
        raise OSError(number, f"mount_setattr {target}: {os.strerror(number)}", target)


def unmount(target: str) -> None:
    """Take away whatever is mounted there, at once and lazily; nothing happens when nothing is."""
    with contextlib.suppress(FileNotFoundError):
        while _libc.umount2(os.fsencode(target), MNT_DETACH) == 0:
            pass
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOENT):
            raise OSError(number, f"umount {target}: {os.strerror(number)}", target)
