"""Reader of NS files: a safe Tcl records, Python gives the records their meaning."""

from __future__ import annotations

from pathlib import Path

from benito.errors import Fault, InputError, Where
from benito.topology.model import Topology
from benito.topology.ns.recording import Limits

__all__ = ["Limits", "read"]


def read(path: Path, *, pid: str = "PID", eid: str = "EID", limits: Limits | None = None) -> Topology:
    """Read an NS file; InputError with every fault found, in the order of the file.

    `pid` and `eid` are what `${GLOBALS::pid}` and `${GLOBALS::eid}` give to the file.
    """
    from benito.topology.text import read_text

    return read_source(read_text(path), str(path), pid=pid, eid=eid, limits=limits)


def read_source(
    source: str, file: str, *, pid: str = "PID", eid: str = "EID", limits: Limits | None = None
) -> Topology:
    """Read the text of an NS file; `file` is its name in messages."""
    from benito.topology.ns.finish import finish
    from benito.topology.ns.interpret import interpret
    from benito.topology.ns.recording import record

    limits = limits or Limits()
    if not source.strip():
        raise InputError("the file is empty", where=Where(file), hint="an NS file begins with: set ns [new Simulator]")
    experiment = interpret(record(source, limits, pid, eid), source, file, limits)
    topology = finish(experiment)
    if experiment.faults:
        faults: list[Fault] = sorted(experiment.faults, key=lambda fault: fault.where.line if fault.where else 0)
        raise InputError(f"{file} has {len(faults)} error{'s' * (len(faults) != 1)}", faults=faults)
    return topology
