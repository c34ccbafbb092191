"""The hosts file, one for all nodes of an experiment.

Lines in order: localhost; each experimental address as `ADDRESS <node>-<lan> [<node>-<port>] [<node>]`, where the first
is the canonical name that ping prints and the plain name goes with the address on the node's lowest LAN (the first in
the file's order of LANs); then each control address as `ADDRESS <node>.<eid>.<pid>`, with the plain name of nodes that
have no experimental address.

A name stands on one line only, case aside: a node's plain name wins over any constructed one, else the first line wins.
"""

from __future__ import annotations

from collections.abc import Iterator

from benito.plan.allocations import Allocations
from benito.topology.model import Node, Topology

LOCALHOST = (
    "127.0.0.1 localhost",
    "::1 localhost ip6-localhost ip6-loopback",
    "ff02::1 ip6-allnodes",
    "ff02::2 ip6-allrouters",
)


def hosts_file(topology: Topology, allocations: Allocations) -> str:
    """Return the text of the hosts file."""
    plain = _plain_ports(topology)
    taken = {name for line in LOCALHOST for name in line.split()[1:]}
    lines = list(LOCALHOST)
    reserved = {node.name.lower() for node in topology.nodes}
    for node in topology.nodes:
        for port, interface in enumerate(node.interfaces):
            if interface.address is None:
                continue
            names = [
                name for name in (f"{node.name}-{interface.lan}", f"{node.name}-{port}") if name.lower() not in reserved
            ]
            if plain[node.name] == port:
                names.append(node.name)
            lines.extend(_line(interface.address, names, taken))
    pid, _, eid = allocations.experiment.lower().partition("/")
    for node in topology.nodes:
        names = [f"{node.name.lower()}.{eid}.{pid}"]
        if plain[node.name] is None:
            names.append(node.name)
        lines.extend(_line(allocations.nodes[node.name].control_address, names, taken))
    return "\n".join(lines) + "\n"


def _line(address: str, names: list[str], taken: set[str]) -> Iterator[str]:
    """Yield the line of an address with those of its names that no line has yet; nothing when none is left."""
    fresh: list[str] = []
    for name in names:
        if name.lower() not in taken:
            taken.add(name.lower())
            fresh.append(name)
    if fresh:
        yield " ".join((address, *fresh))


def _plain_ports(topology: Topology) -> dict[str, int | None]:
    """Return the port whose address each node's plain name means; None for a node without experimental address."""
    order = {lan.name: place for place, lan in enumerate(topology.lans)}
    return {node.name: _lowest(node, order) for node in topology.nodes}


def _lowest(node: Node, order: dict[str, int]) -> int | None:
    ports = (port for port, interface in enumerate(node.interfaces) if interface.address is not None)
    return min(ports, key=lambda port: (order[node.interfaces[port].lan], port), default=None)
