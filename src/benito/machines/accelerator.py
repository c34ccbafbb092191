"""How machines are run: by the processor (KVM) or emulated (TCG).

`/dev/kvm` proves nothing: there are hosts where it opens and yet no ordinary guest gets past its BIOS. So the
processor's flags decide first, then a trial: a machine whose boot sector ends QEMU with a known exit status.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from benito.errors import HostError, InputError

Accelerator = Literal["kvm", "tcg"]
QEMU = "qemu-system-x86_64"

_DEVICE = Path("/dev/kvm")
_TRIAL_SECONDS = 5.0
_PORT, _WORD = 0x501, 0x15
_TRIAL_STATUS = _WORD << 1 | 1
"""QEMU's isa-debug-exit device ends it with this status when the guest writes _WORD."""
_CODE = bytes([0xBA, _PORT & 0xFF, _PORT >> 8, 0xB0, _WORD, 0xEE, 0xF4, 0xEB, 0xFD])
"""mov dx, port; mov al, word; out dx, al; hlt; jmp to the hlt."""


@dataclass(frozen=True, slots=True)
class Detection:
    """The accelerator of this host, and in a few words why it isn't KVM."""

    name: Accelerator
    reason: str = ""


def decide(choice: str, cache: Path) -> Accelerator:
    """Return the accelerator for `auto`, `kvm` or `tcg`; the trial's answer is remembered in the folder `cache`.

    HostError when KVM is asked for and doesn't work here, InputError for any other word.
    """
    if choice == "tcg":
        return "tcg"
    if choice not in ("auto", "kvm"):
        raise InputError(f"'{choice}' is no accelerator", hint="use auto, kvm or tcg")
    found = detect(cache)
    if choice == "kvm" and found.name != "kvm":
        raise HostError(f"KVM does not work on this host: {found.reason}", hint="use --accelerator tcg")
    return found.name


def detect(cache: Path) -> Detection:
    """Return what machines run with on this host; the folder `cache` holds what an earlier trial has shown."""
    if not has_virtualisation(Path("/proc/cpuinfo").read_text()):
        return Detection("tcg", "the processor shows neither vmx nor svm")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        return Detection("tcg", f"{_DEVICE} is missing or not accessible")
    if not _remembered_trial(cache):
        return Detection("tcg", "a trial machine did not get past its BIOS")
    return Detection("kvm")


def has_virtualisation(cpuinfo: str) -> bool:
    """Return whether /proc/cpuinfo's text shows Intel's or AMD's virtualisation."""
    for line in cpuinfo.splitlines():
        if line.startswith("flags"):
            return not {"vmx", "svm"}.isdisjoint(line.split())
    return False


def _remembered_trial(cache: Path) -> bool:
    """Return the trial's answer, from the cache if this boot of the host and this QEMU have had one."""
    key = f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {qemu_version()}"
    file = cache / "accelerator.json"
    with contextlib.suppress(OSError, ValueError, AttributeError):
        known = json.loads(file.read_text())
        if known.get("key") == key:
            return bool(known.get("kvm"))
    works = trial("kvm")
    with contextlib.suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True)
        new = file.with_name(f".{file.name}.{os.getpid()}")
        new.write_text(json.dumps({"key": key, "kvm": works}) + "\n")
        new.rename(file)
    return works


def qemu_version() -> str:
    """Return the first line of what QEMU says of its version; HostError when it is missing."""
    try:
        done = subprocess.run([QEMU, "--version"], capture_output=True, text=True, timeout=20, check=True)
    except FileNotFoundError as error:
        raise HostError(f"{QEMU} is missing on this host", hint="apt install qemu-system-x86") from error
    except subprocess.SubprocessError as error:
        raise HostError(f"{QEMU} --version failed: {error}") from error
    return done.stdout.splitlines()[0]


def trial(accelerator: Accelerator, seconds: float = _TRIAL_SECONDS) -> bool:
    """Return whether a machine gets through its BIOS to its boot sector within some seconds."""
    with tempfile.TemporaryDirectory(prefix="benito-trial-") as folder:
        disk = Path(folder) / "disk"
        disk.write_bytes(_CODE + bytes(510 - len(_CODE)) + b"\x55\xaa")
        command = [
            QEMU,
            "-nodefaults",
            "-no-user-config",
            *("-display", "none"),
            *("-machine", "pc"),
            *("-accel", accelerator),
            *("-cpu", cpu_model(accelerator)),
            *("-m", "32"),
            *("-drive", f"file={disk},format=raw,if=ide,readonly=off"),
            *("-device", f"isa-debug-exit,iobase={_PORT:#x},iosize=1"),
        ]
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            return False
        except FileNotFoundError as error:
            raise HostError(f"{QEMU} is missing on this host", hint="apt install qemu-system-x86") from error
    return done.returncode == _TRIAL_STATUS


def cpu_model(accelerator: Accelerator) -> str:
    """Return QEMU's CPU model for the accelerator: a plain one emulates faster than one with every feature."""
    return "host" if accelerator == "kvm" else "qemu64"
