"""Logs kept within a bound: a node that floods its console, or what it is served by, must not fill the host's disk."""

from __future__ import annotations

import asyncio
import contextlib
import os
import stat
from pathlib import Path

MOST = 16 << 20
"""Bytes above which a log loses its beginning."""
KEPT = 4 << 20
"""Bytes of its end that stay."""
EVERY_S = 5.0
NOTE = b"\n[what came before was dropped: this log had grown too long]\n"


async def keep_bounded(folder: Path, *patterns: str) -> None:
    """Look at the logs in the folder that match the patterns every few seconds, for ever."""
    while True:
        await asyncio.sleep(EVERY_S)
        for pattern in patterns:
            with contextlib.suppress(OSError):
                for log in folder.glob(pattern):
                    if log.lstat().st_size > MOST:
                        await asyncio.to_thread(bound, log)


def bound(log: Path) -> None:
    """Drop a log's beginning when it is too long; its writer appends, so it goes on at the new end.

    The folder may be a machine's process's own: a link or another file that it may have put there is left alone.
    """
    try:
        descriptor = os.open(log, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return
    with contextlib.closing(os.fdopen(descriptor, "r+b", buffering=0)) as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_size <= MOST:
            return
        tail = os.pread(descriptor, KEPT, status.st_size - KEPT)
        file.truncate(0)
        file.write(NOTE + tail.partition(b"\n")[2])
