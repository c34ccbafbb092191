"""Templates: machines that have booted once and sleep on disk; every node is a clone that wakes as one of them.

A template is a folder named by a digest of all that must be the same in its clones, and holds one consistent moment of
a machine without interfaces: its memory, the state of its devices and its disk, an overlay of the image's. Nothing
changes there any more. A clone maps the memory privately, loads the state and has an overlay of the disk.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path

import msgspec

from benito.errors import HostError
from benito.images.catalog import Image
from benito.machines import guest, qemu
from benito.machines.accelerator import QEMU, Accelerator, qemu_version

MEMORY, STATE, DISK, RECORD, USED = "memory", "state", "disk.qcow2", "template.json", "used"
FORMAT = 2
"""Counts changes in how templates are made and clones woken that the digest doesn't see by itself."""
DIGITS = 20


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """What a template was made for and from."""

    digest: str
    image: str
    image_digest: str
    memory_mib: int
    cpus: int
    interfaces: int
    accelerator: str
    emulator: str
    created: float
    """Since 1970."""
    seconds: float
    """How long making it took."""

    @classmethod
    def of(cls, digest: str, body: qemu.Body, image: Image, seconds: float) -> Record:
        """Return the record of a template that has just been made."""
        return cls(
            digest=digest,
            image=image.name,
            image_digest=image.info.digest,
            memory_mib=body.memory_mib,
            cpus=body.cpus,
            interfaces=body.interfaces,
            accelerator=body.accelerator,
            emulator=qemu_version(),
            created=time.time(),
            seconds=round(seconds, 1),
        )

    @property
    def body(self) -> qemu.Body:
        """What its clones consist of."""
        accelerator: Accelerator = "kvm" if self.accelerator == "kvm" else "tcg"
        return qemu.Body(self.memory_mib, self.cpus, self.interfaces, accelerator)


@dataclass(frozen=True, slots=True)
class Template:
    """A template's folder."""

    folder: Path
    copies: Path | None = None
    """Where copies of memories lie that clones may open: QEMU before 8.2 opens for writing what it maps privately, and
    whoever broke out of a machine must not reach into the clones of other experiments."""

    @property
    def digest(self) -> str:
        return self.folder.name

    @property
    def memory(self) -> Path:
        """The guest's memory, a file of its size with holes."""
        return self.folder / MEMORY if self.copies is None else self.copies / self.digest

    @property
    def state(self) -> Path:
        """The devices' state, as QEMU's migration writes it."""
        return self.folder / STATE

    @property
    def disk(self) -> Path:
        """The overlay that is the backing file of each clone's disk."""
        return self.folder / DISK

    @property
    def record(self) -> Record:
        """What it was made for; HostError when it can't be read."""
        try:
            return msgspec.json.decode((self.folder / RECORD).read_bytes(), type=Record)
        except (OSError, msgspec.MsgspecError) as error:
            raise HostError(f"the template {self.digest} is damaged: {error}", hint="run `benito sweep`") from error

    def whole(self) -> bool:
        """Whether everything is there; a folder gets its name when it is, so only others can have taken something."""
        return all((self.folder / name).is_file() for name in (MEMORY, STATE, DISK, RECORD))

    @property
    def size(self) -> int:
        """Bytes on disk."""
        return sum(file.stat().st_blocks * 512 for file in self.folder.iterdir() if file.is_file())

    @property
    def used(self) -> float:
        """When it last served a swap-in, since 1970."""
        try:
            return (self.folder / USED).stat().st_mtime
        except OSError:
            return 0.0

    def write(self, record: Record) -> None:
        """Put down what it was made for."""
        (self.folder / RECORD).write_bytes(msgspec.json.format(msgspec.json.encode(record), indent=1) + b"\n")

    def touch(self) -> None:
        """Remember that it serves now."""
        (self.folder / USED).touch()


def digest(body: qemu.Body, image: Image) -> str:
    """Return what names the template for machines of this body and image on this host.

    Its own command line says the machine type, CPU model, accelerator, memory, CPUs, kernel arguments and devices.
    """
    nowhere = Path("/")
    placeless = Image(nowhere, image.info)
    parts = (
        FORMAT,
        image.info.digest,
        qemu.template_command(body, placeless, qemu.Paths(nowhere, nowhere), nowhere),
        *emulator(),
        processor() if body.accelerator == "kvm" else "",
        guest.template_digest(),
    )
    return sha256(json.dumps(parts).encode()).hexdigest()[:DIGITS]


@cache
def emulator() -> tuple[str, ...]:
    """What tells this QEMU from the one before an update: its version, its size and age."""
    program = shutil.which(QEMU)
    if program is None:
        raise HostError(f"{QEMU} is missing on this host", hint="apt-get install qemu-system-x86")
    status = Path(program).resolve().stat()
    return (qemu_version(), str(status.st_size), str(status.st_mtime_ns))


@cache
def processor() -> str:
    """What a guest run by the processor itself depends on: the processor, its features, and the kernel's KVM."""
    wanted = ("model name", "flags", "microcode")
    text = Path("/proc/cpuinfo").read_text().partition("\n\n")[0]
    return "\n".join(line for line in text.splitlines() if line.startswith(wanted)) + os.uname().release
