"""Files that only root reads."""

from __future__ import annotations

import os
from pathlib import Path

from benito.errors import HostError


def private_folder(path: Path) -> Path:
    """Make the folder, for root alone."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
    return path


def write_secret(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 whole or not at all; nobody can read it at any moment."""
    private_folder(path.parent)
    half = path.with_name(f".{path.name}.new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    half.replace(path)


def copy_secret(source: Path, target: Path) -> Path:
    """Copy a secret to where its person wants it, for the caller alone; HostError when it can't be written there."""
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(source.read_bytes())
    except OSError as error:
        raise HostError(f"can't write {target}: {error.strerror}", hint="it must be new") from error
    return target
