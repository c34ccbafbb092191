"""A topology as tables for people."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from benito import units
from benito.topology.model import Interface, Lan, Node, Shape, Topology
from benito.topology.text import printable

MAX_MEMBERS = 12
"""Of a LAN, shown by name."""
UNBOUND = 1000
"""Columns when the table goes to a file or program, so that a row stays a line."""


def print_topology(topology: Topology) -> None:
    """Print nodes, links and LANs with what was asked, and what the person should know."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = UNBOUND
    console.print(_nodes(topology))
    if topology.lans:
        console.print(_lans(topology))
    console.print(_summary(topology))
    for warning in topology.warnings:
        console.print(Text.assemble(("warning: ", "yellow"), str(warning)))


def _nodes(topology: Topology) -> Table:
    table = Table(title="Nodes", title_justify="left", show_edge=False, pad_edge=False)
    for name in ("node", "kind", "image", "hardware", "addresses", "start command"):
        table.add_column(name, overflow="fold")
    for node in topology.nodes:
        table.add_row(
            Text(printable(node.name)),
            Text(printable(_kind(node))),
            Text(printable(node.os or "-")),
            Text(printable(node.hardware or "-")),
            Text(", ".join(each.address or "?" for each in node.interfaces) or "-"),
            Text(printable(node.start_command or node.startup or "-")),
        )
    return table


def _kind(node: Node) -> str:
    return node.kind if node.partition is None else f"{node.kind} @{node.partition}"


def _lans(topology: Topology) -> Table:
    interfaces = {(node.name, port): each for node in topology.nodes for port, each in enumerate(node.interfaces)}
    table = Table(title="Links and LANs", title_justify="left", show_edge=False, pad_edge=False)
    for name in ("name", "kind", "members", "bandwidth", "delay", "loss"):
        table.add_column(name, overflow="fold")
    for lan in topology.lans:
        for row in _rows(lan, [interfaces[member.node, member.port] for member in lan.members]):
            table.add_row(*(Text(printable(cell)) for cell in row))
    return table


def _rows(lan: Lan, interfaces: list[Interface]) -> list[tuple[str, ...]]:
    """Return one row for a LAN whose members are all alike, else one more for each direction of each member."""
    shapes = {shape for each in interfaces for shape in (each.outward, each.inward)}
    names = [member.node for member in lan.members]
    more = f" and {len(names) - MAX_MEMBERS} more" if len(names) > MAX_MEMBERS else ""
    members = " - ".join(names) if lan.kind == "link" else ", ".join(names[:MAX_MEMBERS]) + more
    if len(shapes) == 1:
        one = shapes.pop()
        pair = 1 - (1 - one.loss) ** 2
        return [(lan.name, str(lan.kind), members, *_cells(Shape(2 * one.delay_ms, one.bandwidth_kbps, pair)))]
    rows: list[tuple[str, ...]] = [(lan.name, str(lan.kind), members, "", "", "")]
    for name, each in zip(names, interfaces, strict=True):
        rows.append(("", "", f"  {name} out", *_cells(each.outward)))
        rows.append(("", "", f"  {name} in", *_cells(each.inward)))
    return rows


def _cells(shape: Shape) -> tuple[str, str, str]:
    return (
        units.bandwidth_text(shape.bandwidth_kbps) if shape.bandwidth_kbps else "unlimited",
        units.delay_text(shape.delay_ms) if shape.delay_ms else "-",
        units.loss_text(shape.loss) if shape.loss else "-",
    )


def _summary(topology: Topology) -> Text:
    links = sum(lan.kind == "link" for lan in topology.lans)
    parts = [(len(topology.nodes), "node"), (links, "link"), (len(topology.lans) - links, "LAN")]
    parts += [(len(topology.events), "event"), (len(topology.programs), "program")]
    counted = ", ".join(f"{count} {noun}{'s' * (count != 1)}" for count, noun in parts if count)
    return Text(f"{counted or 'nothing'}; routing: {topology.routing}; delay and loss are between two members, one way")
