"""What all nodes find inside besides the hosts file: the experiment's description in the forms that old tools read."""

from __future__ import annotations

import re
from collections.abc import Mapping

from benito.embedding.model import Assignment
from benito.plan.model import Inside
from benito.topology.model import Topology

TOPDL = "var/containers/config/topo.xml"
ASSIGNMENT = "var/containers/config/assignment"
TOPOMAP = "var/emulab/boot/topomap"
LARGEST_TOPDL = 1 << 20
"""Characters; a larger description stays on the host, where `topology.xml` has it, for each node would carry a copy."""
_LEAST = 50
"""Characters that any node, and any interface, takes in it at least."""
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def inside(topology: Topology, assignment: Assignment) -> Inside:
    """Return what the nodes get alike."""
    texts = {
        TOPOMAP: topomap(topology),
        ASSIGNMENT: "".join(f"{node} {pnode}\n" for node, pnode in assignment.places.items()),
    }
    parts = sum(1 + len(node.interfaces) for node in topology.nodes)
    if parts * _LEAST <= LARGEST_TOPDL and len(description := one_line(topology)) <= LARGEST_TOPDL:
        texts[TOPDL] = description
    return Inside(texts, environment(topology), sync_server(topology))


def environment(topology: Topology) -> Mapping[str, str]:
    """Return the experiment's variables that a shell can have."""
    return {name: value for name, value in topology.environment.items() if _VARIABLE.fullmatch(name)}


def sync_server(topology: Topology) -> str:
    """Return the node that keeps the barriers: the one that the file names, else the first by name (Emulab)."""
    names = sorted(node.name for node in topology.nodes)
    named = topology.attributes.get("sync_server")
    return named if named in names else next(iter(names), "")


def topomap(topology: Topology) -> str:
    """Return nodes with their addresses, then LANs with mask and cost, as Emulab's `topomap` lists them."""
    lines = ["# nodes: vname,links"]
    for node in topology.nodes:
        links = " ".join(f"{each.lan}:{each.address}" for each in node.interfaces if each.address)
        lines.append(f"{node.name},{links}")
    lines.append("# lans: vname,mask,cost")
    lines += [f"{lan.name},{lan.netmask or '255.255.255.0'},1" for lan in topology.lans]
    return "\n".join(lines) + "\n"


def one_line(topology: Topology) -> str:
    """Return the topology as TopDL in one line without a prolog, as DETER's tools wrote it and MAGI reads it."""
    from lxml import etree

    from benito.topology import topdl

    parser = etree.XMLParser(remove_blank_text=True, resolve_entities=False, no_network=True, huge_tree=True)
    root = etree.fromstring(topdl.write(topology, instead="\ufffd").encode(), parser)
    return etree.tostring(root, encoding="unicode").replace("\n", "&#10;") + "\n"
