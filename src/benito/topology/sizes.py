"""How large each node is to be: memory, CPUs and disk, by what the file says of it.

What a file says of a node goes first, then what the host's owner says of its hardware type, then what the person says
for all nodes (`--memory`, ...), then what the image needs and the owner's default.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from benito.errors import Fault, InputError
from benito.topology.model import Node, Topology
from benito.topology.placement import attribute
from benito.units import size_mib

MEMORY, CPUS, DISK = "memory", "cpus", "disk"
"""Attributes under any of the prefixes of `placement`, such as benito:memory."""
EMULAB_MEMORY = "MEMORY_SIZE"
"""Set by `tb-set-node-memory-size`, in MiB."""
LEAST_MEMORY_MIB, MOST_MEMORY_MIB = 64, 1 << 24
MOST_CPUS = 255
MOST_DISK_MIB = 1 << 26


@dataclass(frozen=True, slots=True)
class Size:
    """What is said of a node's size; None where nothing is."""

    memory_mib: int | None = None
    cpus: int | None = None
    disk_mib: int | None = None

    def over(self, other: Size) -> Size:
        """Return this, completed by another."""
        return Size(
            other.memory_mib if self.memory_mib is None else self.memory_mib,
            other.cpus if self.cpus is None else self.cpus,
            other.disk_mib if self.disk_mib is None else self.disk_mib,
        )


def sizes(topology: Topology, hardware: Mapping[str, Size], told: Size = Size()) -> dict[str, Size]:
    """Return each node's size as far as it is said; InputError with everything in the file that can't be one."""
    faults: list[Fault] = []
    types = {name.lower(): size for name, size in hardware.items()}
    found: dict[str, Size] = {}
    for node in topology.nodes:
        own, wrong = said(node)
        faults += wrong
        found[node.name] = own.over(types.get((node.hardware or "").lower(), Size())).over(told)
    if faults:
        raise InputError(faults[0].message, faults=faults)
    return found


def said(node: Node) -> tuple[Size, list[Fault]]:
    """Return what the file says of a node, and what in that makes no sense."""
    faults: list[Fault] = []

    def read(name: str, least: int, most: int, unit: str) -> int | None:
        text = attribute(node.attributes, name)
        if text is None and name == MEMORY:
            text = node.attributes.get(EMULAB_MEMORY)
        if text is None:
            return None
        try:
            return number(text, least, most, unit)
        except InputError as error:
            faults.append(Fault(f"`{node.name}` has the {name} `{text[:60]}`: {error.message}", node.where, error.hint))
            return None

    memory = read(MEMORY, LEAST_MEMORY_MIB, MOST_MEMORY_MIB, "MiB")
    cpus = read(CPUS, 1, MOST_CPUS, "")
    disk = read(DISK, 1, MOST_DISK_MIB, "MiB")
    return Size(memory, cpus, disk), faults


def number(text: str, least: int, most: int, unit: str) -> int:
    """Read a whole number of MiB (other units may be written) or of CPUs; InputError where it is none or too far out.

    A plain number is of the unit that is counted in.
    """
    words = text.strip()
    if words.isdecimal() and len(words) <= 12:
        value = int(words)
    elif unit:
        value = int(size_mib(words))
    else:
        raise InputError("it is not a whole number", hint=f"write one from {least} to {most}")
    if not least <= value <= most:
        raise InputError(f"it is not between {least} and {most}{unit and f' {unit}'}", hint="write another")
    return value


def text(size: Size) -> str:
    """Say a size in a few words: `512 MiB, 2 CPUs, 20 GiB disk`."""
    return ", ".join(_words(size))


def _words(size: Size) -> Iterator[str]:
    if size.memory_mib is not None:
        yield f"{size.memory_mib} MiB"
    if size.cpus is not None:
        yield f"{size.cpus} CPU{'s' * (size.cpus != 1)}"
    if size.disk_mib:
        yield f"{size.disk_mib / 1024:g} GiB disk"
