"""RPM packages, as far as unpacking needs: the payload's files. No scripts are run and no dependencies looked at.

A package is a lead of 96 bytes, two headers and a compressed cpio archive in the "new ASCII" form (rpm's own format
description, `docs/manual/format`).
"""

from __future__ import annotations

import stat
import struct
import tarfile
from collections.abc import Iterator
from io import BytesIO
from typing import IO

from benito.software.streams import plain

MAGIC = b"\xed\xab\xee\xdb"
_LEAD = 96
_HEADER_MAGIC = b"\x8e\xad\xe8"
_CPIO_MAGICS = (b"070701", b"070702")
_END = "TRAILER!!!"
_NAME_LIMIT = 4096
_KINDS = {
    stat.S_IFREG: tarfile.REGTYPE,
    stat.S_IFDIR: tarfile.DIRTYPE,
    stat.S_IFLNK: tarfile.SYMTYPE,
    stat.S_IFCHR: tarfile.CHRTYPE,
    stat.S_IFBLK: tarfile.BLKTYPE,
    stat.S_IFIFO: tarfile.FIFOTYPE,
}

Entry = tuple[tarfile.TarInfo, IO[bytes] | None]


def entries(file: IO[bytes]) -> Iterator[Entry]:
    """Yield the package's files as members of a tar archive, each with its data; ValueError when it is no package."""
    with plain(file, _payload(file)) as payload:
        yield from _cpio(payload)


def _payload(file: IO[bytes]) -> int:
    """Return where the payload begins."""
    file.seek(0)
    if file.read(_LEAD)[:4] != MAGIC:
        raise ValueError("it is no RPM package")
    position = _skip_header(file, _LEAD)
    return _skip_header(file, position + -position % 8)


def _skip_header(file: IO[bytes], position: int) -> int:
    file.seek(position)
    head = file.read(16)
    if len(head) < 16 or head[:3] != _HEADER_MAGIC:
        raise ValueError("its headers are damaged")
    count, size = struct.unpack(">II", head[8:])
    return int(position + 16 + 16 * count + size)


def _cpio(payload: IO[bytes]) -> Iterator[Entry]:
    """Yield the archive's entries; of files with several names only the last carries the data."""
    waiting: dict[int, list[tarfile.TarInfo]] = {}
    while True:
        head = _exactly(payload, 110)
        if head[:6] not in _CPIO_MAGICS:
            raise ValueError("its archive is damaged")
        fields = [int(head[6 + 8 * i : 14 + 8 * i], 16) for i in range(13)]
        inode, mode, uid, gid, links, mtime, size, _, _, major, minor, length, _ = fields
        if length > _NAME_LIMIT:
            raise ValueError("its archive is damaged")
        name = _padded(payload, length, 110).rstrip(b"\0").decode(errors="surrogateescape")
        if name == _END:
            return
        info = tarfile.TarInfo(name)
        info.type = _KINDS.get(stat.S_IFMT(mode), tarfile.REGTYPE)
        info.mode, info.uid, info.gid, info.mtime = stat.S_IMODE(mode), uid, gid, mtime
        info.devmajor, info.devminor = major, minor
        if info.issym():
            info.linkname = _padded(payload, size, 0).decode(errors="surrogateescape")
            yield info, None
        elif not info.isreg():
            yield info, None
        elif links > 1 and not size:
            waiting.setdefault(inode, []).append(info)
        else:
            info.size = size
            yield info, BytesIO(_padded(payload, size, 0))
            yield from ((_linked(other, name), None) for other in waiting.pop(inode, []))
    # Hard links without data are empty files; rpm doesn't make them.


def _linked(info: tarfile.TarInfo, name: str) -> tarfile.TarInfo:
    info.type, info.linkname = tarfile.LNKTYPE, name
    return info


def _padded(payload: IO[bytes], size: int, before: int) -> bytes:
    """Read so many bytes and the padding to a multiple of four, counted with what came before them."""
    data = _exactly(payload, size)
    _exactly(payload, -(before + size) % 4)
    return data


def _exactly(payload: IO[bytes], size: int) -> bytes:
    data = payload.read(size)
    if len(data) < size:
        raise ValueError("its archive is cut off")
    return data
