"""Writing a person's files: whole or not at all, and none overwritten without being asked."""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path

from benito.errors import InputError, Where


def write_file(path: Path, text: str, *, overwrite: bool) -> None:
    """Write a text file so that a reader finds all of it or what was there before; InputError where that fails."""
    target = path.resolve() if path.is_symlink() else path
    try:
        if target.exists() and not target.is_file():
            _plain_write(target, text)
            return
        _replace(target, text, overwrite)
    except FileExistsError:
        raise InputError(f"{path} is there already", hint="choose another name, or overwrite it with --force") from None
    except OSError as error:
        raise InputError(f"the file can't be written: {error.strerror}", where=Where(str(path))) from error


def _plain_write(target: Path, text: str) -> None:
    """Write to a device or pipe such as /dev/stdout."""
    with target.open("w", encoding="utf-8") as file:
        file.write(text)


def _replace(target: Path, text: str, overwrite: bool) -> None:
    if not overwrite and target.exists():
        raise FileExistsError(target)
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent or Path())
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        _copy_mode(target, temporary)
        if overwrite:
            temporary.replace(target)
        else:
            target.hardlink_to(temporary)
    finally:
        with suppress(FileNotFoundError):
            temporary.unlink()


def _copy_mode(target: Path, temporary: Path) -> None:
    """Give the new file the old one's permissions and owner, or those that any new file gets."""
    try:
        old = target.stat()
    except FileNotFoundError:
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        return
    temporary.chmod(old.st_mode & 0o7777)
    if os.geteuid() == 0:
        os.chown(temporary, old.st_uid, old.st_gid)
