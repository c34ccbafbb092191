"""Folders that hold somebody else's system: its links lead anywhere, so none is followed on this host."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def inside(root: Path, name: str) -> Path | None:
    """Return the path, unless a link on the way or at its end leads somewhere else, or there is no way."""
    path = root
    for part in Path(name).parts:
        if path.is_symlink() or not path.is_dir():
            return None
        path /= part
    return None if path.is_symlink() else path


def remove(root: Path, name: str) -> None:
    """Remove what has this name, with all below it; a link itself, not what it leads to. Fine when there is nothing."""
    parent = inside(root, str(Path(name).parent))
    if parent is None:
        return
    path = parent / Path(name).name
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


def empty(root: Path, name: str, pattern: str = "*") -> None:
    """Remove what a folder holds, as far as the pattern matches; nothing happens where a link stands for the folder."""
    folder = inside(root, name)
    for path in folder.glob(pattern) if folder is not None else ():
        remove(root, str(path.relative_to(root)))
