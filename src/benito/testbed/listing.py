"""Experiments and nodes as text, in the ways people of DETER and Emulab know them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from benito.testbed.view import ExperimentView, NodeView
from benito.topology.model import Shape, Topology
from benito.topology.text import printable

PHYSICAL = "physical"


def extra_nodes(view: ExperimentView) -> list[NodeView]:
    """Return the nodes that are no pnodes themselves: virtual machines and containers."""
    return [node for node in view.nodes if node.kind != PHYSICAL]


def hosts(view: ExperimentView) -> list[str]:
    """Return what stands for a host in the experiment: physical nodes by their names, else pnodes."""
    own = {node.pnode: node.node for node in view.nodes if node.kind == PHYSICAL}
    pnodes = sorted({node.pnode for node in view.nodes} | set(view.pnodes))
    return [own.get(pnode, pnode) for pnode in pnodes]


def node_list(view: ExperimentView, host: str, *, extra: bool) -> str:
    """Return an experiment's hosts and, with `extra`, its other nodes, as `node_list --extra` prints them."""
    pid, eid = view.experiment.split("/")
    lines = [view.experiment, *(f"    {name}.{eid}.{pid} / {host}" for name in hosts(view))]
    if extra:
        lines += ["  extra nodes:", *(f"    {node.node}.{eid}.{pid}" for node in extra_nodes(view))]
    return "\n".join(lines)


def head(view: ExperimentView) -> str:
    """Return the experiment's name and state."""
    reason = f" ({printable(view.reason)})" if view.reason else ""
    return f"Experiment: {view.experiment}\nState: {view.state}{reason}\n"


def node_section(view: ExperimentView, topology: Topology) -> str:
    """Return the nodes as the file has them."""
    eid_pid = ".".join(reversed(view.experiment.split("/"))).lower()
    rows = [(node.name, node.kind, node.os or "-", f"{node.name.lower()}.{eid_pid}") for node in topology.nodes]
    return _table("Virtual Node Info:", ("ID", "Type", "OS", "Qualified Name"), rows)


def mapping_section(view: ExperimentView, topology: Topology) -> str:
    """Return where the nodes are."""
    rows = [(node.node, node.kind, node.image, node.pnode, node.boot or "unknown") for node in view.nodes]
    return _table("Physical Node Mapping:", ("ID", "Type", "OS", "Physical", "Boot"), rows)


def link_section(view: ExperimentView, topology: Topology) -> str:
    """Return the links and LANs: each member's address and what is asked of it towards the LAN."""
    rows = []
    for name, member, shape, address, mask in _members(topology):
        values = (f"{shape.delay_ms:.2f}", _rate(shape), f"{shape.loss:.8f}")
        rows.append((name, member, f"{address}/{mask}", *values))
    return _table("Virtual Lan/Link Info:", ("ID", "Member", "IP/Mask", "Delay", "BW (Kbs)", "Loss Rate"), rows)


def shaping_section(view: ExperimentView, topology: Topology) -> str:
    """Return the members whose traffic is shaped, and their queues."""
    nodes = {node.name: node for node in topology.nodes}
    rows = []
    for name, member, shape, _, _ in _members(topology):
        node, port = member.rsplit(":", 1)
        queue = nodes[node].interfaces[int(port)].queue
        if shape != Shape():
            limit = f"{queue.limit} {'bytes' if queue.in_bytes else 'packets'}"
            values = (f"{shape.delay_ms:.2f}", _rate(shape), f"{shape.loss:.8f}")
            rows.append((name, member, *values, queue.discipline, limit))
    columns = ("ID", "Member", "Delay", "BW (Kbs)", "Loss Rate", "Queue", "Limit")
    return _table("Shaping:", columns, rows)


def _members(topology: Topology) -> Iterable[tuple[str, str, Shape, str, str]]:
    nodes = {node.name: node for node in topology.nodes}
    for lan in topology.lans:
        for member in lan.members:
            interface = nodes[member.node].interfaces[member.port]
            name = f"{member.node}:{member.port}"
            yield lan.name, name, interface.outward, interface.address or "-", lan.netmask or "-"


def _rate(shape: Shape) -> str:
    return str(shape.bandwidth_kbps) if shape.bandwidth_kbps else "-"


def _table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Return a table in columns as wide as their widest cell; cells are made printable."""
    cells = [columns, *(tuple(printable(cell) for cell in row) for row in rows)]
    widths = [max(len(row[at]) for row in cells) for at in range(len(columns))]
    ruled = [columns, tuple("-" * width for width in widths), *cells[1:]]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in ruled]
    return "\n".join([title, *lines, ""])
