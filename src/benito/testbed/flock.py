"""File locks that only root can hold, and that nobody waits for without end."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benito.errors import BusyError

PATIENCE_S = 60.0
RETRY_S = 0.05


@contextmanager
def held(path: Path, *, wait: bool = True) -> Iterator[int]:
    """Hold the lock at the path, made if need be; yields its descriptor. It dies with its holder.

    BusyError when another process has it, at once or, with `wait`, after a minute.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    deadline = time.monotonic() + PATIENCE_S
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            # Whoever can open it can hold it: nobody but root may.
            os.fchmod(descriptor, 0o600)
            if _locked(descriptor) and _same(descriptor, path):
                yield descriptor
                return
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip()
        finally:
            os.close(descriptor)
        if not wait or time.monotonic() > deadline:
            raise BusyError(f"{path} is held by {holder or 'another process'}", hint="try again when it is done")
        time.sleep(RETRY_S)


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _same(descriptor: int, path: Path) -> bool:
    """Whether the file is still the one at the path: a holder may have removed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
