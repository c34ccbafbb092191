"""A machine for one errand: boots a disk once, without an experiment, and ends by itself.

It runs without root and with QEMU's sandbox on, as nodes do: the disk may be anybody's.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from benito.errors import HostError, NodeError
from benito.images.errand import RESULT_SERIAL, Errand
from benito.machines.accelerator import QEMU, Accelerator, cpu_model
from benito.machines.qemu import QEMU_UID, TRANSLATION_BUFFER_MIB

_SHOWN = 6
"""Lines of the console in an error."""
_KEPT = 4096
"""Bytes of the console's end that are remembered: a hostile disk may write to it without end."""
_LAST_WORDS_S = 5.0
_KVM = Path("/dev/kvm")


def run_errand(errand: Errand, accelerator: Accelerator) -> None:
    """Boot, wait for the end; NodeError when that doesn't come in time, HostError when QEMU can't run it."""
    if errand.firmware is not None and not errand.firmware.exists():
        raise HostError("the disk starts by UEFI, and there is no firmware for that here", hint="apt-get install ovmf")
    files = [errand.disk, errand.script, errand.result]
    for file in files:
        os.chown(file, QEMU_UID, QEMU_UID)
    try:
        _run(errand, command(errand, accelerator), accelerator)
    finally:
        for file in files:
            os.chown(file, 0, 0)


class _Tail(threading.Thread):
    """Reads what a process writes, however much that is, and remembers the end."""

    def __init__(self, stream: IO[bytes]) -> None:
        super().__init__(daemon=True)
        self._stream = stream
        self._kept = b""
        self.start()

    def run(self) -> None:
        with self._stream:
            while data := os.read(self._stream.fileno(), _KEPT):
                self._kept = (self._kept + data)[-_KEPT:]

    def lines(self) -> list[str]:
        """Return the last lines of what it has written so far, harmless to a terminal."""
        lines = self._kept.decode(errors="replace").splitlines()
        harmless = ["".join(char for char in line if char.isprintable()).strip() for line in lines]
        return [line for line in harmless if line][-_SHOWN:]


def _run(errand: Errand, argv: list[str], accelerator: Accelerator) -> None:
    groups = ["--groups", str(_KVM.stat().st_gid)] if accelerator == "kvm" else ["--clear-groups"]
    rights = ["setpriv", "--pdeathsig", "KILL", f"--reuid={QEMU_UID}", f"--regid={QEMU_UID}", *groups, "--"]
    process = subprocess.Popen(
        [*rights, *argv],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    console, said = _Tail(process.stdout), _Tail(process.stderr)
    try:
        process.wait(timeout=errand.deadline_s)
    except subprocess.TimeoutExpired:
        raise NodeError(
            f"the disk's system didn't come to its end within {errand.deadline_s:g} s; its console ends: "
            f"{' / '.join(console.lines()) or 'it showed nothing'}",
            hint="is cloud-init in it, and a console on the first serial port?",
        ) from None
    finally:
        process.kill()
        process.wait()
    if process.returncode:
        said.join(_LAST_WORDS_S)
        raise HostError(f"QEMU could not run the disk: {(said.lines() or [str(process.returncode)])[-1]}")


def command(errand: Errand, accelerator: Accelerator) -> list[str]:
    """Return QEMU's command line for an errand; its serial console is the standard output."""
    accel = "kvm" if accelerator == "kvm" else f"tcg,thread=multi,tb-size={2 * TRANSLATION_BUFFER_MIB}"
    return [
        QEMU,
        *("-nodefaults", "-no-user-config", "-no-reboot"),
        *("-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", "pc,usb=off,vmport=off,smm=off,graphics=off"),
        *("-accel", accel),
        *("-cpu", cpu_model(accelerator)),
        *("-smp", "2" if errand.kernel is None else "1"),
        *("-m", str(errand.memory_mib)),
        *("-serial", "stdio"),
        *("-object", "rng-random,id=entropy,filename=/dev/urandom"),
        *("-device", "virtio-rng-pci,rng=entropy,addr=02.0"),
        *_starting(errand),
        *_disks(errand),
        *_network(errand),
    ]


def _starting(errand: Errand) -> Iterator[str]:
    if errand.firmware is not None:
        yield from ("-bios", str(errand.firmware))
    if errand.kernel is not None:
        yield from ("-kernel", str(errand.kernel), "-initrd", str(errand.initrd), "-append", errand.arguments)


def _disks(errand: Errand) -> Iterator[str]:
    for number, (name, path, kind) in enumerate(
        (("disk", errand.disk, "qcow2"), ("script", errand.script, "raw"), ("result", errand.result, "raw"))
    ):
        file = {"driver": "file", "filename": str(path)}
        unmap = {"discard": "unmap", "detect-zeroes": "unmap"} if name == "disk" else {}
        yield from ("-blockdev", json.dumps({"driver": kind, "node-name": name, "file": file, **unmap}))
        serial = RESULT_SERIAL if name == "result" else f"benito-{name}"
        boot = ",bootindex=0" if name == "disk" and errand.kernel is None else ""
        yield from ("-device", f"virtio-blk-pci,drive={name},serial={serial},addr=0{3 + number}.0{boot}")


def _network(errand: Errand) -> Iterator[str]:
    if errand.network:
        yield from ("-netdev", "user,id=net0,restrict=off,ipv6=off")
        yield from ("-device", "virtio-net-pci,netdev=net0,romfile=,addr=06.0")
