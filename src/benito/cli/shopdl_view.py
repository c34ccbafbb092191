"""What `shopdl.py` prints about nodes and packings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from benito.topology.model import Node, Topology
from benito.topology.selection import value
from benito.topology.text import printable

COLUMNS = ("node", "kind", "partition", "os", "links", "start command")
MAX_LINKS = 8
"""Of a node, in the table."""


def nodes_json(topology: Topology, names: tuple[str, ...], attributes: tuple[str, ...]) -> str:
    """Return a JSON list of the nodes; each has the chosen attributes, or all if none is chosen."""
    return json.dumps([_object(node, attributes) for node in _chosen(topology, names)], indent=1)


def _chosen(topology: Topology, names: tuple[str, ...]) -> list[Node]:
    chosen = set(names)
    return [node for node in topology.nodes if node.name in chosen]


def _object(node: Node, attributes: tuple[str, ...]) -> dict[str, Any]:
    shown = {key: value(node, key) for key in attributes} if attributes else dict(node.attributes)
    return {
        "name": node.name,
        "kind": node.kind,
        "partition": node.partition,
        "os": node.os,
        "start_command": node.start_command,
        "links": [each.lan for each in node.interfaces],
        "attributes": shown,
    }


def nodes_table(topology: Topology, names: tuple[str, ...], attributes: tuple[str, ...]) -> str:
    """Return the nodes as columns of text; `-` stands for nothing."""
    rows = [(*COLUMNS, *attributes)]
    for node in _chosen(topology, names):
        links = ",".join(each.lan for each in node.interfaces[:MAX_LINKS])
        more = len(node.interfaces) - MAX_LINKS
        links += f" and {more} more" if more > 0 else ""
        partition = None if node.partition is None else str(node.partition)
        cells = (node.name, node.kind, partition, node.os, links, node.start_command)
        rows.append(tuple(printable(cell or "-") for cell in (*cells, *(value(node, key) for key in attributes))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def node_text(topology: Topology, node: Node) -> str:
    """Return all that is known of a node, one thing a line."""
    return "\n".join(printable(line) for line in _lines(node))


def _lines(node: Node) -> Iterator[str]:
    yield node.name
    for name, text in (
        ("kind", node.kind),
        ("partition", node.partition),
        ("os", node.os),
        ("hardware", node.hardware),
        ("start command", node.start_command),
        ("failure action", node.failure_action),
    ):
        if text is not None:
            yield f"  {name}: {text}"
    for software in node.software:
        yield f"  software: {software.location}{f' into {software.install}' if software.install else ''}"
    for key, said in node.attributes.items():
        yield f"  attribute {key}: {said}"
    for interface in node.interfaces:
        address = f" {interface.address}" if interface.address else ""
        yield f"  interface {interface.name or '-'} on {interface.lan}{address}"


def packed(topology: Topology, names: tuple[str, ...], packing: int) -> tuple[dict[str, int | None], str]:
    """Share the chosen virtual nodes out; return their partitions and a line about the cut.

    Numbers go on from those of the nodes that aren't chosen. Physical nodes stay as they are.
    """
    from benito.embedding.packing import pack
    from benito.topology.edit import part
    from benito.topology.placement import PHYSICAL

    chosen = set(names)
    virtual = [node.name for node in topology.nodes if node.name in chosen and node.kind != PHYSICAL]
    taken = [node.partition for node in topology.nodes if node.name not in chosen and node.partition is not None]
    first = max(taken, default=-1) + 1
    assignment = pack(part(topology, virtual), packing)
    numbers = {pnode: first + number for number, pnode in enumerate(assignment.pnodes)}
    cut = assignment.cut
    rate = f" ({cut.bandwidth_kbps / 1000:g} Mb/s asked for)" if cut.bandwidth_kbps else ""
    what = "1 link or LAN crosses" if cut.lans == 1 else f"{cut.lans} links or LANs cross"
    crossing = f"{what} between them{rate}" if cut.lans else "nothing crosses between them"
    report = f"{len(virtual)} nodes in {len(numbers)} partitions of at most {packing}; {crossing}"
    return {name: numbers[pnode] for name, pnode in assignment.places.items()}, report
