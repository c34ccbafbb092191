"""mount(2) and umount(2) through the C library: Python 3.11 has neither. Linux only."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_REMOUNT, MS_BIND, MS_REC, MS_SLAVE = 32, 4096, 16384, 1 << 19
MNT_DETACH = 2

_libc = ctypes.CDLL(None, use_errno=True)


def mount(source: str, target: str, kind: str | None, flags: int = 0, options: str | None = None) -> None:
    """mount(2); OSError names the target."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind)]
    data = None if options is None else os.fsencode(options)
    if _libc.mount(*encoded, ctypes.c_ulong(flags), data):
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}", target)


def unmount(target: str) -> None:
    """Take away whatever is mounted there, at once and lazily; nothing happens when nothing is."""
    with contextlib.suppress(FileNotFoundError):
        while _libc.umount2(os.fsencode(target), MNT_DETACH) == 0:
            pass
        number = ctypes.get_errno()
        if number not in (errno.EINVAL, errno.ENOENT):
            raise OSError(number, f"umount {target}: {os.strerror(number)}", target)
