"""Routes of an experiment's nodes."""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import IPv4Network

from benito.topology.model import Lan, Routing, Topology

DEFAULT_PREFIX = 24


def prefix_length(lan: Lan) -> int:
    """Return the length of a LAN's prefix."""
    return IPv4Network(f"0.0.0.0/{lan.netmask}").prefixlen if lan.netmask else DEFAULT_PREFIX


def forwards(topology: Topology) -> set[str]:
    """Return the nodes that forward between their interfaces."""
    hops = {route.next_hop for route in topology.routes}
    if topology.routing is Routing.NONE:
        return hops
    return hops | {node.name for node in topology.nodes if len(node.interfaces) > 1}


def routes(topology: Topology) -> Mapping[str, tuple[tuple[str, str], ...]]:
    """Return the routes of each node."""
    return {}
