"""Reads an experiment's file in whichever language it is written."""

from __future__ import annotations

from pathlib import Path

from benito.topology.model import Topology


def read(path: Path, *, pid: str = "PID", eid: str = "EID") -> Topology:
    """Read an NS or TopDL file, told apart by what is in it; InputError with every fault found."""
    from benito.topology import topdl
    from benito.topology.ns import read_source
    from benito.topology.text import decode, read_bytes

    data = read_bytes(path)
    if topdl.is_xml(data):
        return topdl.read_source(data, str(path))
    return read_source(decode(data, str(path)), str(path), pid=pid, eid=eid)
