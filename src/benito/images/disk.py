"""Disks as files: told apart, made from folders and from each other, without root mounts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benito import run
from benito.errors import InputError

_DEADLINE_S = 1800
_HEAD = 1 << 20
_MAGICS = {
    b"QFI\xfb": "qcow2",
    b"KDMV": "vmdk",
    b"COWD": "vmdk",
    b"# Disk DescriptorFile": "vmdk",
    b"vhdxfile": "vhdx",
    b"conectix": "vpc",
}
_VDI = b"\x7f\x10\xda\xbe"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the beginning of a disk says."""

    size_mib: int
    partitioned: bool
    starts_by_bios: bool
    """Whether its first sector is a boot loader's."""


def make_disk(root: Path, raw: Path, disk: Path, size_mib: int) -> None:
    """Make an ext4 file system from a folder, without mounting anything, and pack it as qcow2."""
    # The journal and inode tables lie in holes of a new file: they are zero already.
    options = ["-E", "lazy_journal_init=1,root_owner=0:0", "-J", "size=32", "-i", "32768", "-m", "1"]
    options += ["-L", "benito", "-d", str(root)]
    run.checked(["mke2fs", "-q", "-F", "-t", "ext4", *options, raw, f"{size_mib}M"], deadline_s=_DEADLINE_S)
    convert(raw, disk, source_format="raw")


def convert(source: Path, target: Path, *, source_format: str) -> None:
    """Make a qcow2 disk of its own, without a backing file, from any disk."""
    run.checked(["qemu-img", "convert", "-f", source_format, "-O", "qcow2", source, target], deadline_s=_DEADLINE_S)


def recognise(file: Path) -> str | None:
    """Return a disk's format by its first bytes (`raw` for a disk as it is), None for a file that is no disk."""
    with file.open("rb") as opened:
        head = opened.read(_HEAD)
    for magic, name in _MAGICS.items():
        if head.startswith(magic):
            return name
    if head[0x40:0x44] == _VDI:
        return "vdi"
    if head[510:512] == b"\x55\xaa" or head[512:520] == b"EFI PART" or head[1080:1082] == b"\x53\xef":
        return "raw"
    return None


def refuse_foreign(file: Path, kind: str) -> None:
    """InputError for a disk that is encrypted or leans on other files: they may be any of this host's."""
    told: dict[str, Any] = json.loads(run.checked(["qemu-img", "info", "--output=json", "-f", kind, file]))
    specific = told.get("format-specific", {}).get("data", {})
    extents = [extent.get("filename") for extent in specific.get("extents", [])]
    if told.get("backing-filename") or specific.get("data-file") or any(Path(name) != file for name in extents if name):
        raise InputError(
            f"the disk {file.name} leans on other files", hint="make it whole first: qemu-img convert -O qcow2 IT NEW"
        )
    if told.get("encrypted"):
        raise InputError(f"the disk {file.name} is encrypted", hint="decrypt it first, with qemu-img convert")


def facts(disk: Path, work: Path) -> Facts:
    """Return what a qcow2 disk's beginning says."""
    told = json.loads(run.checked(["qemu-img", "info", "--output=json", "-f", "qcow2", disk]))
    head = work / "head"
    run.checked(["qemu-img", "dd", "-f", "qcow2", "-O", "raw", "bs=4096", "count=16", f"if={disk}", f"of={head}"])
    return read_head(head.read_bytes(), int(told["virtual-size"]))


def read_head(head: bytes, size: int) -> Facts:
    """Return what the first sectors of a disk say."""
    # Four entries of 16 bytes, each with a partition's type as its fifth byte.
    table = head[510:512] == b"\x55\xaa" and any(head[446 + 4 : 510 : 16])
    partitioned = (table or head[512:520] == b"EFI PART") and head[1080:1082] != b"\x53\xef"
    return Facts(-(-size >> 20), partitioned, any(head[:440]))
