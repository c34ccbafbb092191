"""Reads an experiment's file in whichever language it is written."""

from __future__ import annotations

from pathlib import Path

from benito.errors import InputError, Where
from benito.topology.model import Topology


def read(path: Path, *, pid: str = "PID", eid: str = "EID") -> Topology:
    """Read an NS or TopDL file, told apart by what is in it; InputError with every fault found."""
    from benito.topology.ns import read_source
    from benito.topology.text import read_text

    source = read_text(path)
    if source.lstrip().startswith("<") and not source.lstrip().startswith("<<"):
        raise InputError(
            "this is an XML file, and TopDL can't be read yet", where=Where(str(path)), hint="give the NS file instead"
        )
    return read_source(source, str(path), pid=pid, eid=eid)
