"""What a picture shows, whatever it is written as: vertices in groups, edges between them, and what is said of each.

Nodes and LANs are vertices; a link is an edge between two nodes, a LAN's member an edge from node to LAN. Groups are
pnodes. A LAN whose members are all on one pnode stands there, others stand between the pnodes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benito import units
from benito.embedding.model import Assignment
from benito.plan.fabric import combine
from benito.plan.model import Direction
from benito.topology.model import Interface, Lan, Node, Topology

LAN = "lan"
LABELS = 60
"""With more different labels than this, edges have none."""
REPEATED = 8
"""From so many edges of one label on, the label is said once for all."""
MAX_NAME = 20
MAX_TOOLTIP = 400


@dataclass(frozen=True, slots=True)
class Vertex:
    """A node or a LAN."""

    name: str
    kind: str
    """`qemu`, `container`, `physical` or `lan`."""
    group: str | None
    tooltip: str
    state: str = ""
    """`good`, `busy`, `bad`, `unknown`; empty when nothing is known of any."""
    label: str = ""
    """What a LAN does to packets, empty when nothing or said elsewhere."""
    members: int = 0
    """Of a LAN."""

    @property
    def short(self) -> str:
        """The name at a length that can be drawn."""
        return shortened(self.name, MAX_NAME)


@dataclass(frozen=True, slots=True)
class Edge:
    """A link, or a member of a LAN."""

    a: int
    b: int
    lan: str
    tooltip: str
    label: str
    spoke: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a picture shows."""

    title: str
    summary: str
    vertices: tuple[Vertex, ...]
    edges: tuple[Edge, ...]
    groups: tuple[str, ...]
    usual: str
    """What the links without a label do, where it is said once for all; empty where they do nothing."""
    hidden: bool
    """Whether labels were left out because there are too many."""

    def grouped(self) -> tuple[Mapping[str, Sequence[tuple[int, Vertex]]], Sequence[tuple[int, Vertex]]]:
        """Return each group's vertices with their places, and those of no group."""
        inside: dict[str, list[tuple[int, Vertex]]] = {group: [] for group in self.groups}
        outside: list[tuple[int, Vertex]] = []
        for place, vertex in enumerate(self.vertices):
            inside.get(vertex.group or "", outside).append((place, vertex))
        return inside, outside


def scene(
    topology: Topology,
    assignment: Assignment | None,
    statuses: Mapping[str, tuple[str | None, int | None]] | None,
    *,
    title: str = "",
) -> Scene:
    """Return what to draw, in the order of the file."""
    places = assignment.places if assignment else {}
    nodes = {node.name: node for node in topology.nodes}
    vertices = [_node(node, places.get(node.name), statuses) for node in topology.nodes]
    index = {node.name: place for place, node in enumerate(topology.nodes)}
    edges: list[Edge] = []
    for lan in topology.lans:
        ends = [(index[member.node], nodes[member.node].interfaces[member.port]) for member in lan.members]
        if len(ends) == 2 and ends[0][0] != ends[1][0]:
            edges.append(_link(lan, ends, vertices))
            continue
        label, spokes = _lan_labels([interface for _, interface in ends])
        homes = {vertices[node].group for node, _ in ends}
        tooltip = _lines(f"LAN {lan.name}, {len(ends)} members", label)
        vertices.append(
            Vertex(lan.name, LAN, homes.pop() if len(homes) == 1 else None, tooltip, label=label, members=len(ends))
        )
        for (node, interface), spoke in zip(ends, spokes, strict=True):
            tooltip = _lines(f"{vertices[node].name} on {lan.name}", interface.address, spoke or label)
            edges.append(Edge(node, len(vertices) - 1, lan.name, tooltip, spoke, spoke=True))
    usual, hidden = _declutter(vertices, edges)
    return Scene(
        title=title,
        summary=_summary(topology, assignment),
        vertices=tuple(vertices),
        edges=tuple(edges),
        groups=assignment.pnodes if assignment else (),
        usual=usual,
        hidden=hidden,
    )


def shortened(text: str, most: int) -> str:
    """Return the text, cut to so many characters."""
    return text if len(text) <= most else text[: most - 1] + "…"


def _node(node: Node, group: str | None, statuses: Mapping[str, tuple[str | None, int | None]] | None) -> Vertex:
    addresses = [f"{interface.lan}: {interface.address or 'no address'}" for interface in node.interfaces[:8]]
    if len(node.interfaces) > 8:
        addresses.append(f"and {len(node.interfaces) - 8} more")
    command = node.start_command or node.startup
    state, said = "", ""
    if statuses is not None:
        state, said = _state(*statuses.get(node.name, (None, None)))
    tooltip = _lines(
        f"{node.name} ({node.kind}{f' on {group}' if group else ''})",
        said,
        f"OS: {node.os}" if node.os else "",
        f"hardware: {node.hardware}" if node.hardware else "",
        *addresses,
        f"start command: {command}" if command else "",
    )
    return Vertex(node.name, node.kind, group, tooltip, state)


def _state(boot: str | None, code: int | None) -> tuple[str, str]:
    """Return a node's state for the picture and for reading."""
    if boot is None:
        return "unknown", "state not known"
    if boot == "dead":
        return "bad", f"dead, machine ended with {code}" if code is not None else "dead"
    if code:
        return "bad", f"{boot}, start command ended with {code}"
    return ("good", boot) if boot == "booted" else ("busy", boot)


def _link(lan: Lan, ends: Sequence[tuple[int, Interface]], vertices: Sequence[Vertex]) -> Edge:
    (a, here), (b, there) = ends
    forward, backward = does(combine(here, there)), does(combine(there, here))
    label = forward if forward == backward else f"→ {forward or 'unshaped'}  ← {backward or 'unshaped'}"
    names = vertices[a].name, vertices[b].name
    way = label if forward == backward else f"{names[0]} {label} {names[1]}"
    addresses = [f"{name}: {end.address}" for name, end in zip(names, (here, there), strict=True) if end.address]
    return Edge(
        a, b, lan.name, _lines(f"link {lan.name}: {names[0]} - {names[1]}", way, *addresses), label, spoke=False
    )


def _lan_labels(interfaces: Sequence[Interface]) -> tuple[str, list[str]]:
    """Return what a LAN does between any two members, or what each member has of its own where they differ."""
    ways = {does(combine(each, each)) for each in interfaces}
    if len(ways) == 1 and all(each.outward == each.inward for each in interfaces):
        return ways.pop(), [""] * len(interfaces)
    spokes = []
    for each in interfaces:
        still = Interface(each.lan)
        out, into = does(combine(each, still)), does(combine(still, each))
        spokes.append(out if out == into else f"out {out or 'unshaped'}, in {into or 'unshaped'}")
    return "", spokes


def does(way: Direction) -> str:
    """Say what happens to packets one way; empty when nothing."""
    parts = (
        units.bandwidth_text(way.rate_kbps) if way.rate_kbps else "",
        units.delay_text(way.delay_ms) if way.delay_ms else "",
        f"{units.loss_text(way.loss)} loss" if way.loss else "",
    )
    return " ".join(part for part in parts if part)


def _declutter(vertices: list[Vertex], edges: list[Edge]) -> tuple[str, bool]:
    """Take away the label that most links have, and all where there are too many; return the first and whether so."""
    from dataclasses import replace

    counts = Counter(edge.label for edge in edges if not edge.spoke)
    counts.update(vertex.label for vertex in vertices if vertex.kind == LAN)
    usual, times = max(counts.items(), key=lambda item: (item[1], item[0]), default=("", 0))
    if not usual or times < REPEATED or 2 * times < counts.total():
        usual = ""
    drawn = sum(1 for edge in edges if edge.label and edge.label != usual)
    hidden = drawn > LABELS
    for place, edge in enumerate(edges):
        if edge.spoke:
            label = "" if hidden else edge.label
        elif usual and not edge.label and not hidden:
            label = "unshaped"
        else:
            label = "" if hidden or edge.label == usual else edge.label
        if label != edge.label:
            edges[place] = replace(edge, label=label)
    for place, vertex in enumerate(vertices):
        if usual and vertex.label == usual:
            vertices[place] = replace(vertex, label="")
    return usual, hidden


def _summary(topology: Topology, assignment: Assignment | None) -> str:
    links = sum(len(lan.members) == 2 for lan in topology.lans)
    counts = [(len(topology.nodes), "node"), (links, "link"), (len(topology.lans) - links, "LAN")]
    text = ", ".join(f"{count:,} {what}{'' if count == 1 else 's'}" for count, what in counts if count) or "nothing"
    if assignment and assignment.pnodes:
        pnodes = len(assignment.pnodes)
        text += f" on {pnodes:,} pnode{'' if pnodes == 1 else 's'}"
    return text


def _lines(*lines: str | None) -> str:
    return "\n".join(shortened(line, MAX_TOOLTIP) for line in lines if line)
