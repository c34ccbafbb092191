"""Disks as files: made from folders and from each other, without root mounts."""

from __future__ import annotations

from pathlib import Path

from benito import run

_DEADLINE_S = 1800


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
