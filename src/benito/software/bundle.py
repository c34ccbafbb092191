"""A bundle: one plain tar archive of all that a node gets, with the paths that it has there from the root on.

Archives of any compression, RPM packages and Debian packages are taken in on the host, so that a node needs nothing
but tar to unpack it, and dpkg for Debian packages. Nodes with the same software share a bundle.
"""

from __future__ import annotations

import copy
import hashlib
import lzma
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from benito.errors import InputError
from benito.software import rpm
from benito.software.streams import plain

DEBS = "var/lib/benito/software"
"""Where Debian packages wait in the node for their installation."""
FORMAT = b"1"
"""Counts changes of what a bundle is made of the same files; part of its digest."""
_DAMAGED = (tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, ValueError, OSError)


@dataclass(frozen=True, slots=True)
class Item:
    """One archive or package: where it lies on this host, what the experiment calls it, where it is unpacked."""

    file: Path
    name: str
    install: str | None

    @property
    def is_deb(self) -> bool:
        """Whether dpkg installs it."""
        return self.name.lower().endswith(".deb")

    @property
    def is_rpm(self) -> bool:
        """Whether it is an RPM package, which is unpacked at the root."""
        return self.name.lower().endswith(".rpm")


@dataclass(frozen=True, slots=True)
class Bundle:
    """A finished bundle."""

    digest: str
    debs: tuple[str, ...]
    """Paths in the node, in the order of installation."""


def digest(items: Sequence[Item], sums: dict[Path, str]) -> str:
    """Return the name of the bundle of these items; `sums` holds each file's SHA-256."""
    made = hashlib.sha256(FORMAT)
    for item in items:
        made.update(f"\0{sums[item.file]}\0{PurePosixPath(item.name).name}\0{item.install}".encode())
    return made.hexdigest()


def make(items: Sequence[Item], name: str, folder: Path) -> Bundle:
    """Make the bundle unless it is there; InputError names the item that can't be read."""
    debs = tuple(f"/{DEBS}/{place}-{PurePosixPath(i.name).name}" for place, i in enumerate(items) if i.is_deb)
    target = folder / f"{name}.tar"
    if not target.exists():
        new = folder / f"{name}.new"
        with tarfile.open(new, "w", format=tarfile.GNU_FORMAT) as tar:
            for place, item in enumerate(items):
                _add(tar, item, place)
        new.chmod(0o644)
        new.replace(target)
    return Bundle(name, debs)


def _add(tar: tarfile.TarFile, item: Item, place: int) -> None:
    try:
        with item.file.open("rb") as file:
            if item.is_deb:
                info = tar.gettarinfo(fileobj=file, arcname=f"{DEBS}/{place}-{PurePosixPath(item.name).name}")
                info.uid, info.gid, info.uname, info.gname, info.mode = 0, 0, "", "", 0o644
                tar.addfile(info, file)
                return
            found = rpm.entries(file) if item.is_rpm else _members(file)
            folder = "" if item.is_rpm else (item.install or "/").strip("/")
            for member, data in found:
                moved = _moved(member, folder)
                if moved is not None:
                    tar.addfile(moved, data)
    except _DAMAGED as error:
        raise InputError(f"{item.name} can't be unpacked: {error}", hint="see that the file is whole") from error


def _members(file: IO[bytes]) -> Iterator[rpm.Entry]:
    with plain(file) as stream, tarfile.open(fileobj=stream, mode="r|") as source:
        for member in source:
            yield member, source.extractfile(member) if member.isreg() else None


def _moved(member: tarfile.TarInfo, folder: str) -> tarfile.TarInfo | None:
    """Return the member as it lies below the folder; None for the archive's own top, whose folder stays as it is."""
    path = _inside(member.name)
    if not path:
        return None
    moved = copy.copy(member)
    moved.name = f"{folder}/{path}" if folder else path
    if moved.islnk():
        moved.linkname = f"{folder}/{_inside(moved.linkname)}" if folder else _inside(moved.linkname)
    if moved.issparse():
        moved.sparse = None
        moved.type = tarfile.REGTYPE
    moved.pax_headers = {}
    return moved


def _inside(name: str) -> str:
    """Return a member's path without what would lead out of the folder, as tar itself reads it."""
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ValueError(f"{name!r} in it leads out of its folder")
    return "/".join(parts)


def checksum(file: Path) -> str:
    """Return a file's SHA-256."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()
