"""What a machine that is thrown away does to a disk: make it an image, or take from it what one node had.

The machine itself is the business of `machines.throwaway`; here is what it is given and what it gives back.
"""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from benito import run
from benito.errors import HostError, InputError
from benito.images.rootfs import os_release
from benito.images.sources import find_archives, public

RESULT_SERIAL = "benito-result"
RESULT_MIB = 512
"""Room for a kernel and its initrd; the file has holes."""
FIRST_BOOT_S = 900.0
SEAL_S = 180.0
SEAL_ARGUMENTS = "benito_seal=/dev/vdb init=/bin/sh -- /dev/vdb"
"""Make the script on the second disk the only process: the first word is for Benito's initrd, the others for others."""
OVMF = Path("/usr/share/ovmf/OVMF.fd")
_UNITS = ("benito.service", "benito-start.path", "benito-start.service", "serial-getty@ttyS0.service")
_WANTS = {
    "benito.service": "sysinit.target.wants",
    "benito-start.path": "multi-user.target.wants",
    "serial-getty@ttyS0.service": "multi-user.target.wants",
}
_SSHD = "etc/ssh/sshd_config.d/benito.conf"


@dataclass(frozen=True, slots=True)
class Errand:
    """One boot of a disk that ends by itself."""

    disk: Path
    """Changed by it."""
    script: Path
    """The second disk: a seed that cloud-init reads, or a script that is the only process."""
    result: Path
    """The third disk, raw, where the machine leaves what it found."""
    deadline_s: float
    kernel: Path | None = None
    """None: the disk's own boot loader."""
    initrd: Path | None = None
    arguments: str = ""
    firmware: Path | None = None
    network: bool = False
    """Whether it may reach what this host reaches."""
    memory_mib: int = 1024


Boot = Callable[[Errand], None]
"""Runs an errand to its end; NodeError with the console's last lines when the machine doesn't end in time."""


def script(*names: str) -> str:
    """Return scripts for the inside, one after the other."""
    return "\n".join(files("benito.images").joinpath(f"inside/{name}").read_text() for name in names)


def result_disk(path: Path) -> Path:
    """Make an empty result."""
    with path.open("wb") as file:
        file.truncate(RESULT_MIB << 20)
    return path


def seal_script(path: Path) -> Path:
    """Write the disk whose sectors are the script that seals a copy of a node's disk."""
    text = script("forget", "seal").encode()
    # A shell reads until the end of the disk: what follows must mean nothing.
    path.write_bytes(text + b"exit\n" + b"\n" * (-(len(text) + 5) % 4096))
    return path


def seed(folder: Path, path: Path) -> Path:
    """Write the disk that cloud-init takes the work of the first boot from (its NoCloud source)."""
    folder.mkdir()
    (folder / "meta-data").write_text("instance-id: benito-import\nlocal-hostname: localhost\n")
    (folder / "user-data").write_text("\n".join(["#!/bin/sh", _mirrors(), _units(), script("forget", "prepare")]))
    (folder / "vendor-data").write_text("")
    run.checked(["xorrisofs", "-quiet", "-V", "CIDATA", "-J", "-r", "-o", path, folder])
    return path


def _mirrors() -> str:
    """Return the host's own archives: a fresh image names others, which may be out of reach."""
    found = {name: find_archives(name) for name in ("debian", "ubuntu")}
    return "\n".join(f"mirror_{name}='{public(where.main) if where else ''}'" for name, where in found.items())


def _units() -> str:
    """Return the function that puts Benito's units into the system."""
    lines = ["write_units() {", "mkdir -p /etc/systemd/system /etc/ssh/sshd_config.d"]
    tree = files("benito.images").joinpath("node/tree")
    for path in (*(f"etc/systemd/system/{unit}" for unit in _UNITS), _SSHD):
        lines += [f"cat > /{path} <<'END-OF-FILE'", tree.joinpath(path).read_text().rstrip("\n"), "END-OF-FILE"]
    for unit, wants in _WANTS.items():
        folder = f"/etc/systemd/system/{wants}"
        lines += [f"mkdir -p {folder}", f"ln -sf /etc/systemd/system/{unit} {folder}/{unit}"]
    return "\n".join([*lines, "}"])


@dataclass(frozen=True, slots=True)
class Found:
    """What the first boot found in a disk."""

    facts: dict[str, str]
    """The system's os-release."""
    arguments: str
    """Of the kernel, so that it finds its root; empty when kernel or initrd weren't found."""


def gather(result: Path, kernel: Path, initrd: Path) -> Found:
    """Take the result apart; InputError when the disk can't be a node, HostError when it left nothing."""
    try:
        with tarfile.open(result, "r:") as archive:
            parts = {member.name: member for member in archive.getmembers() if member.isreg()}
            texts = {name: _text(archive, parts[name]) for name in ("status", "os-release", "cmdline") if name in parts}
            _copy(archive, parts.get("kernel"), kernel)
            _copy(archive, parts.get("initrd"), initrd)
    except (tarfile.TarError, EOFError):
        texts = {}
    if "status" not in texts:
        hint = "is cloud-init in the image? else import it --as-is"
        raise HostError("the first boot ended without a result", hint=hint)
    status = texts["status"].strip()
    if status != "done":
        hint = "the archives it knows must be reachable from this host; or import an image that has them"
        raise InputError(f"the disk can't be made a node: {status.removeprefix('failed: ')}", hint=hint)
    bootable = kernel.exists() and initrd.exists()
    return Found(os_release(texts.get("os-release", "")), _arguments(texts.get("cmdline", "")) if bootable else "")


def _text(archive: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    file = archive.extractfile(member)
    return file.read(1 << 16).decode(errors="replace") if file else ""


def _copy(archive: tarfile.TarFile, member: tarfile.TarInfo | None, target: Path) -> None:
    source = archive.extractfile(member) if member else None
    if member is not None and source is not None:
        # A member with holes may be larger than all of the archive.
        if member.size > RESULT_MIB << 20:
            raise InputError(f"the disk's {member.name} has {member.size >> 20} MiB", hint=f"at most {RESULT_MIB}")
        with target.open("wb") as file:
            shutil.copyfileobj(source, file)


_KEPT = ("root=", "rootfstype=", "rootflags=", "ro", "rw")
_OURS = "console=ttyS0 loglevel=3 mitigations=off net.ifnames=0 panic=-1 tsc=nowatchdog"


def _arguments(cmdline: str) -> str:
    """Return the kernel's arguments: where its root is, as its own boot loader said, and ours."""
    words = cmdline.split()
    kept = [word for word in words if word in _KEPT or word.startswith(tuple(w for w in _KEPT if w.endswith("=")))]
    if not any(word.startswith("root=") for word in kept):
        kept += [f"root=UUID={word.partition('=')[2]}" for word in words if word.startswith("filesystem=")]
    return " ".join([*kept, _OURS])
