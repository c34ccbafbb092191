"""TopDL 1.0, DETER's XML for topologies: reader and writer.

    topology = topdl.read(Path("star.xml"))
    text = topdl.write(topology)

What the file says and the model doesn't name stays in the `source` elements, so that reading and writing lose nothing.
"""

from __future__ import annotations

from pathlib import Path

from benito.topology.model import Topology
from benito.topology.topdl.document import is_xml

__all__ = ["is_xml", "read", "read_source", "write"]


def read(path: Path) -> Topology:
    """Read a TopDL file; InputError with every fault found, in the order of the file."""
    from benito.topology.text import read_bytes

    return read_source(read_bytes(path), str(path))


def read_source(source: bytes | str, file: str) -> Topology:
    """Read the bytes of a TopDL file; `file` is its name in messages."""
    from benito.topology.topdl.document import parse
    from benito.topology.topdl.reader import interpret

    return interpret(parse(source.encode() if isinstance(source, str) else source, file), file)


def write(topology: Topology, *, instead: str | None = None) -> str:
    """Write a topology as TopDL; InputError where a text of it can't stand in XML.

    With `instead` that stands for every such character: good enough to look at, and nothing fails for it.
    """
    from benito.topology.topdl.document import serialise
    from benito.topology.topdl.writer import document

    return serialise(document(topology), instead)
