"""Helpers for tests that read NS text."""

from __future__ import annotations

import pytest

from benito.errors import Fault, InputError
from benito.topology.model import Interface, Topology
from benito.topology.ns import Limits, read_source

BEGIN = "source tb_compat.tcl\nset ns [new Simulator]\n"


def topology(body: str) -> Topology:
    """Read the body between `new Simulator` (line 2) and `$ns run`."""
    return read_source(f"{BEGIN}{body}\n$ns run\n", "t.ns")


def faults(body: str, limits: Limits | None = None) -> list[Fault]:
    """Read a body that is wrong; return what is wrong."""
    with pytest.raises(InputError) as raised:
        read_source(f"{BEGIN}{body}\n$ns run\n", "t.ns", limits=limits)
    return list(raised.value.faults)


def interface(read: Topology, node: str, port: int = 0) -> Interface:
    """Return a node's interface."""
    return read.node(node).interfaces[port]
