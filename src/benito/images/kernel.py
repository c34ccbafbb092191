"""Kernels in the form in which QEMU starts them soonest.

Distributions pack their kernel into a bzImage, which each QEMU reads into memory of its own and each guest unpacks.
Inside is an ELF file. One that can be entered as Xen's PVH says is mapped by QEMU, and shared by all machines of an
image. Offsets: the kernel's Documentation/arch/x86/boot.rst; the note: XEN_ELFNOTE_PHYS32_ENTRY of Xen's ABI.
"""

from __future__ import annotations

import lzma
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

from benito.software.streams import plain

LARGEST = 256 << 20
"""Bytes that a kernel may unpack to."""

_SECTOR = 512
_MAGIC, _PAYLOAD_SINCE = b"HdrS", 0x208
_PHYS32_ENTRY = 18
_GZIP = b"\x1f\x8b"
_MOST_HEADERS, _MOST_NOTES = 64, 1 << 16
"""A kernel has five headers, and a few hundred bytes of notes."""


def unpack(kernel: Path) -> bool:
    """Replace a packed kernel by what is in it, if QEMU can start that; tell whether it has been."""
    inside = _inside(kernel.read_bytes(), kernel.parent)
    if inside is None or not has_pvh_entry(inside):
        return False
    new = kernel.with_name(f"{kernel.name}.new")
    new.write_bytes(inside)
    new.replace(kernel)
    return True


def _inside(packed: bytes, folder: Path) -> bytes | None:
    """Return what a bzImage holds; None for other files, and what can't be unpacked."""
    if packed[0x202:0x206] != _MAGIC or len(packed) < 0x250:
        return None
    sectors, version = packed[0x1F1] or 4, struct.unpack_from("<H", packed, 0x206)[0]
    if version < _PAYLOAD_SINCE:
        return None
    offset, length = struct.unpack_from("<II", packed, 0x248)
    begin = (sectors + 1) * _SECTOR + offset
    payload = packed[begin : begin + length]
    # All but gzip, which has it anyway, are followed by the length unpacked.
    if not payload.startswith(_GZIP):
        payload = payload[:-4]
    with tempfile.TemporaryFile(dir=folder) as file:
        file.write(payload)
        file.flush()
        try:
            with plain(file) as stream:
                inside = stream.read(LARGEST + 1)
        except (OSError, EOFError, lzma.LZMAError):
            return None
    return inside if len(inside) <= LARGEST else None


def has_pvh_entry(elf: bytes) -> bool:
    """Whether this is an ELF file for x86-64 that says where it is entered without real mode."""
    try:
        return any(name == b"Xen" and kind == _PHYS32_ENTRY for name, kind in _notes(elf))
    except (struct.error, OverflowError):
        return False


def _notes(elf: bytes) -> Iterator[tuple[bytes, int]]:
    """Yield owner and type of each note; struct.error or OverflowError when it can't be."""
    if elf[:6] != b"\x7fELF\x02\x01":
        return
    (headers,) = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    for number in range(min(count, _MOST_HEADERS)):
        kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", elf, headers + number * size)
        if kind != 4:
            continue
        at, end = offset, min(offset + min(length, _MOST_NOTES), len(elf))
        while at < end:
            name, text, note = struct.unpack_from("<III", elf, at)
            owner = elf[at + 12 : at + 12 + name].rstrip(b"\0")
            at += 12 + (name + 3) // 4 * 4 + (text + 3) // 4 * 4
            if at <= end:
                yield owner, note
