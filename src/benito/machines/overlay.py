"""Disk overlays: an empty qcow2 file on top of an image, written directly because a process for each costs more."""

from __future__ import annotations

import os
import stat
import struct
from pathlib import Path

from benito.errors import HostError

_MAGIC = b"QFI\xfb"
_CLUSTER_BITS = 16
_CLUSTER = 1 << _CLUSTER_BITS
_BACKING_FORMAT = 0xE2792ACA
_LONGEST_NAME = 1023
_HEADER = struct.Struct(">4sIQIIQIIQQIIQQQQII")
"""The version 3 header of qcow2 up to its length field (QEMU: docs/interop/qcow2.txt)."""


def virtual_size(disk: Path) -> int:
    """Return the size in bytes of the disk that a qcow2 file shows to a guest."""
    with disk.open("rb") as file:
        head = file.read(32)
    if len(head) < 32 or head[:4] != _MAGIC:
        raise HostError(f"{disk} is no qcow2 disk", hint="build or import its image again")
    return int(struct.unpack_from(">Q", head, 24)[0])


def backing_file(disk: Path) -> str | None:
    """Return the name of the disk that a qcow2 file is an overlay of, as written in it; None when it has none.

    The file may be a machine's process's own: what is no plain file isn't waited for, and no link is followed
    (OSError).
    """
    descriptor = os.open(disk, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        head = file.read(32)
        if len(head) < 32 or head[:4] != _MAGIC:
            return None
        place, length = struct.unpack_from(">QI", head, 8)
        if not place or length > _LONGEST_NAME:
            return None
        file.seek(place)
        return file.read(length).decode(errors="surrogateescape")


def create_overlay(path: Path, backing: Path, size_mib: int = 0) -> None:
    """Make an empty overlay of `backing` (qcow2), of the same size unless `size_mib` is larger.

    Replaces what is there. A `backing` that isn't absolute is meant from the overlay's own folder.
    """
    size = max(virtual_size(path.parent / backing), size_mib << 20)
    # One table entry names a cluster of 8-byte entries, each naming a cluster of data.
    tables = -(-size // (_CLUSTER * (_CLUSTER // 8)))
    table_clusters = -(-tables * 8 // _CLUSTER)
    # Clusters: header, refcount table, refcount block, first-level table.
    used = 3 + table_clusters
    name = str(backing).encode()
    extension = struct.pack(">II8sII", _BACKING_FORMAT, 5, b"qcow2", 0, 0)
    name_at = _HEADER.size + len(extension)
    header = _HEADER.pack(
        *(_MAGIC, 3, name_at, len(name), _CLUSTER_BITS, size, 0),
        *(tables, 3 * _CLUSTER, _CLUSTER, 1, 0, 0),
        *(0, 0, 0, 4, _HEADER.size),
    )
    if name_at + len(name) > _CLUSTER or len(name) > _LONGEST_NAME:
        raise HostError(f"the path of {backing.name} is too long for a disk overlay", hint="use a shorter BENITO_HOME")
    temporary = path.with_name(f".{path.name}.new")
    with temporary.open("wb") as file:
        file.write(header + extension + name)
        file.seek(_CLUSTER)
        file.write(struct.pack(">Q", 2 * _CLUSTER))
        file.seek(2 * _CLUSTER)
        file.write(struct.pack(">H", 1) * used)
        file.truncate(used * _CLUSTER)
    temporary.rename(path)
