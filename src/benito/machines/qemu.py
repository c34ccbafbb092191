"""QEMU's command line for a machine: pure, the same arguments give the same words."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from benito.errors import CapacityError
from benito.images.catalog import Image
from benito.machines.accelerator import QEMU, Accelerator, cpu_model
from benito.machines.files import bundle
from benito.plan.model import Machine

QEMU_UID = 64070
"""The user id, without a name or rights, under which machines run."""

AGENT_PORT = "org.qemu.guest_agent.0"
NODE_PORT = "org.benito.node.0"

SOFTWARE_SERIAL = "benito-software"
"""Serial number of the disk that holds a node's software; at most 20 characters."""

TRANSLATION_BUFFER_MIB = 64
"""Emulated code kept by TCG: half of it slows boots, twice of it only takes memory."""
CLONE_BUFFER_MIB = 48
"""Of a clone, which needn't boot: waking and a start command fill 40 MiB, a login a few more. When it is full, all
of it is thrown away and translated again."""

_SLOT = "02"
_FIRST_NIC_SLOT = 6
_FEW_NICS = 16
_LAST_SLOT = 31
MAX_INTERFACES = (_LAST_SLOT - _FIRST_NIC_SLOT + 1) * 8
# A guest sets up one of four interrupt links for each slot modulo 4, a tenth of a second each under emulation: so what
# every machine has shares one slot, and the first eight interfaces come four slots later.
_WHOLE_FRAMES = ("host_tso4", "host_tso6", "host_ufo", "host_ecn", "guest_tso4", "guest_tso6", "guest_ufo", "guest_ecn")
"""Features of a network card by which frames grow beyond the MTU."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where a machine's files and sockets lie; both folders must belong to the user that QEMU runs as."""

    folder: Path
    sockets: Path
    """Short: a socket's path has 107 bytes at most."""

    @property
    def disk(self) -> Path:
        """The machine's own disk, an overlay of its image's."""
        return self.folder / "disk.qcow2"

    @property
    def console_log(self) -> Path:
        """Everything the serial console has shown."""
        return self.folder / "console.log"

    @property
    def monitor(self) -> Path:
        """QMP."""
        return self.sockets / "monitor"

    @property
    def agent(self) -> Path:
        """The guest agent."""
        return self.sockets / "agent"

    @property
    def node(self) -> Path:
        """What the node tells by itself."""
        return self.sockets / "node"

    @property
    def console(self) -> Path:
        """The serial console."""
        return self.sockets / "console"


def tap(name: str) -> str:
    """Return the backend for a tap that exists already and belongs to QEMU's user."""
    return f"tap,ifname={name},script=no,downscript=no,vhost=off"


@dataclass(frozen=True, slots=True)
class Body:
    """What a machine consists of before it becomes some node's: all that its template must have alike."""

    memory_mib: int
    cpus: int
    interfaces: int
    accelerator: Accelerator


def body(machine: Machine, accelerator: Accelerator) -> Body:
    """Return what a machine needs its template to be."""
    return Body(machine.memory_mib, machine.cpus, len(machine.nics) + 1, accelerator)


def command(
    machine: Machine,
    image: Image,
    paths: Paths,
    accelerator: Accelerator,
    *,
    uuid: UUID,
    netdev: Callable[[str], str] = tap,
    memory: Path | None = None,
) -> list[str]:
    """Return the command that runs a machine; it stays in the foreground and ends when the guest powers off.

    `netdev` gives the backend of an interface by its name. With `memory`, a template's, the machine waits for that
    template's state instead of booting; what it writes to its memory stays its own. CapacityError when there are more
    than MAX_INTERFACES.
    """
    own = f" systemd.machine_id={uuid.hex}"
    return [
        *_body(machine.node, body(machine, accelerator), image, paths, own, memory, share=False),
        *("-uuid", str(uuid)),
        # No template has this disk: a clone's kernel finds it when it looks at its PCI bus again.
        *_software(machine, paths),
        *_network(machine, accelerator, netdev),
        *([] if memory is None else ["-incoming", "defer"]),
    ]


def template_command(body: Body, image: Image, paths: Paths, memory: Path, *, waits: bool = False) -> list[str]:
    """Return the command of a machine that becomes a template, its memory being that file.

    With `waits` it doesn't boot but waits for the state that goes with the memory.
    """
    whole = [*_body("template", body, image, paths, "", memory, share=True), *_cards(body)]
    return [*whole, "-incoming", "defer"] if waits else whole


def _body(
    name: str, body: Body, image: Image, paths: Paths, arguments: str, memory: Path | None, *, share: bool
) -> list[str]:
    backend = "" if memory is None else ",memory-backend=ram"
    return [
        QEMU,
        *("-name", f"{_quoted(name)},debug-threads=on"),
        "-nodefaults",
        "-no-user-config",
        *("-display", "none"),
        *("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"),
        *("-machine", f"pc,usb=off,vmport=off,smm=off,graphics=off{backend}"),
        *("-accel", _accelerator(body.accelerator, clone=memory is not None and not share)),
        *("-cpu", cpu_model(body.accelerator)),
        *("-smp", str(body.cpus)),
        *("-m", str(body.memory_mib)),
        *([] if memory is None else _memory(body.memory_mib, memory, share)),
        *("-rtc", "base=utc"),
        *_system(image, arguments),
        *_console(paths),
        *_monitor(paths),
        *_devices(paths),
    ]


def _memory(size_mib: int, file: Path, share: bool) -> list[str]:
    backend = f"memory-backend-file,id=ram,size={size_mib}M,mem-path={_quoted(file)},share={'on' if share else 'off'}"
    return ["-object", backend]


def _system(image: Image, arguments: str) -> list[str]:
    """Return what is booted: the image's kernel, or nothing where the disk's own boot loader does that."""
    if image.info.boot == "disk":
        return []
    words = f"{image.info.kernel_arguments}{arguments}"
    return ["-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append", words]


def _accelerator(accelerator: Accelerator, *, clone: bool) -> str:
    buffer = CLONE_BUFFER_MIB if clone else TRANSLATION_BUFFER_MIB
    return "kvm" if accelerator == "kvm" else f"tcg,thread=multi,tb-size={buffer}"


def _quoted(value: object) -> str:
    """Return a value for one of QEMU's comma-separated lists."""
    return str(value).replace(",", ",,")


def _socket(name: str, path: Path) -> tuple[str, str]:
    return "-chardev", f"socket,id={name},path={_quoted(path)},server=on,wait=off"


def _console(paths: Paths) -> list[str]:
    option, value = _socket("console", paths.console)
    log = f"logfile={_quoted(paths.console_log)},logappend=on"
    return [option, f"{value},{log}", "-serial", "chardev:console"]


def _monitor(paths: Paths) -> list[str]:
    return [*_socket("monitor", paths.monitor), "-mon", "chardev=monitor,mode=control"]


def _devices(paths: Paths) -> list[str]:
    disk = {
        "driver": "qcow2",
        "node-name": "disk",
        "discard": "unmap",
        # Machines are made anew at each swap-in, so waiting for the host's disk would save nothing from its crash.
        "cache": {"no-flush": True},
        "file": {"driver": "file", "filename": str(paths.disk), "cache": {"no-flush": True}},
    }
    return [
        *("-blockdev", json.dumps(disk)),
        *("-device", f"virtio-blk-pci,drive=disk,addr={_SLOT}.0,multifunction=on"),
        *("-object", "rng-random,id=entropy,filename=/dev/urandom"),
        *("-device", f"virtio-rng-pci,rng=entropy,addr={_SLOT}.1,multifunction=on"),
        *("-device", "vmgenid,guid=auto"),
        *("-device", f"virtio-serial-pci,id=ports,max_ports=3,addr={_SLOT}.2,multifunction=on"),
        *_socket("agent", paths.agent),
        *("-device", f"virtserialport,bus=ports.0,nr=1,chardev=agent,id=agent,name={AGENT_PORT}"),
        *_socket("node", paths.node),
        *("-device", f"virtserialport,bus=ports.0,nr=2,chardev=node,id=node,name={NODE_PORT}"),
    ]


def _software(machine: Machine, paths: Paths) -> list[str]:
    """Return the disk whose sectors are the archive of what the node is to unpack, so that it needs no file system."""
    if machine.software is None:
        return []
    file = {"driver": "file", "filename": str(bundle(paths.folder, machine.software.bundle)), "read-only": True}
    archive = {"driver": "raw", "node-name": "software", "read-only": True, "file": file}
    return [
        *("-blockdev", json.dumps(archive)),
        *("-device", f"virtio-blk-pci,drive=software,serial={SOFTWARE_SERIAL},addr={_SLOT}.3,multifunction=on"),
    ]


def _network(machine: Machine, accelerator: Accelerator, netdev: Callable[[str], str]) -> list[str]:
    """Return the interfaces, the control one first, eight to a PCI slot so that over 200 have room."""
    interfaces = [(machine.control.name, machine.control.mac, True)]
    interfaces += [(nic.name, nic.mac, nic.large_frames) for nic in machine.nics]
    if len(interfaces) > MAX_INTERFACES:
        raise CapacityError(
            f"{machine.node} has {len(interfaces)} interfaces, a machine has room for {MAX_INTERFACES}",
            hint="join some of its links into LANs",
        )
    words, whole = [], body(machine, accelerator)
    for number, (name, mac, large_frames) in enumerate(interfaces):
        features = "" if large_frames else "".join(f",{feature}=off" for feature in _WHOLE_FRAMES)
        words += ["-netdev", f"{netdev(name)},id=net{number}"]
        words += ["-device", f"{_card(number, whole)},netdev=net{number},mac={mac}{features}"]
    return words


def _cards(body: Body) -> list[str]:
    """Return network cards that lead nowhere; a clone's in their place may have any address and features."""
    return [word for number in range(body.interfaces) for word in ("-device", _card(number, body))]


def _card(number: int, body: Body) -> str:
    slot, function = _FIRST_NIC_SLOT + number // 8, number % 8
    if body.accelerator == "tcg" and body.interfaces > _FEW_NICS:
        # Setting up the events by which QEMU hears of frames takes longer the more there are, a fifth of the boot of a
        # machine with sixty cards; without them, an emulated processor sends a tenth less.
        lean = "ioeventfd=off,"
        # So does mapping a card's newer registers and its table of interrupts; without them it is no slower. All
        # templates have the first card alike.
        lean += "disable-modern=on,vectors=0," if number else ""
    else:
        lean = ""
    return f"virtio-net-pci,id=nic{number},romfile=,{lean}addr={slot:02x}.{function:x},multifunction=on"
