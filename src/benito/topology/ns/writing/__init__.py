"""Writes a topology as an NS file that Benito and Emulab read back with the same meaning, as far as NS can say it.

    written = write(topology)
    written.text, written.warnings

Whatever NS has no words for is listed in comments at the top of the file, and as warnings.
"""

from __future__ import annotations

from dataclasses import dataclass

from benito.errors import Fault
from benito.topology.model import Topology

__all__ = ["Written", "write"]


@dataclass(frozen=True, slots=True)
class Written:
    """An NS file, and what it doesn't say."""

    text: str
    warnings: tuple[Fault, ...] = ()


def write(topology: Topology) -> Written:
    """Return the topology as an NS file."""
    from benito.topology.ns.writing.experiment import Writer

    return Writer(topology).write()
