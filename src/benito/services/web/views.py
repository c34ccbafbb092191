"""What the pages show, put together from store, keepers and files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benito.services.web import looks
from benito.services.web.asked import Asked
from benito.services.web.looks import Look
from benito.services.web.room import Room, url_of
from benito.testbed.store import ExperimentRecord, NodeRecord, State
from benito.testbed.testbed import TRANSITIONAL
from benito.testbed.view import Status
from benito.topology.model import Node

KINDS = {"qemu": "virtual machine", "container": "container", "physical": "physical node"}
UNKNOWN: Status = (None, None)


@dataclass(frozen=True, slots=True)
class Item:
    """One experiment in the list."""

    id: str
    url: str
    state: Look
    reason: str
    file: str
    changed: float
    total: int
    booted: int
    dead: int
    lost: int


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node in the table, and at the head of its page."""

    name: str
    boot: Look
    command: Look
    kind: str
    pnode: str
    image: str
    control: str
    addresses: str
    start_command: str
    status: Status


@dataclass(frozen=True, slots=True)
class Counts:
    """An experiment in numbers."""

    total: int
    booted: int
    dead: int
    unknown: int
    """Of machines that should run."""
    failed: int
    commands: int
    pnodes: int
    links: int


@dataclass(frozen=True, slots=True)
class Steering:
    """What may be done in this state, and how the state looks."""

    chip: Look
    can_swap_in: bool
    can_swap_out: bool
    working: bool


def item(record: ExperimentRecord, boots: Counter[str | None]) -> Item:
    """Return an experiment for the list; `boots`: how many nodes are in which state, as the keeper has stored it."""
    return Item(
        id=str(record.id),
        url=url_of(record.id),
        state=looks.state(record.state),
        reason=record.reason,
        file=Path(record.settings.file).name,
        changed=record.changed,
        total=boots.total(),
        booted=boots["booted"],
        dead=boots["dead"],
        lost=boots[None] if record.state is State.ACTIVE else 0,
    )


def steering(record: ExperimentRecord, working: bool, trouble: bool) -> Steering:
    """Return what may be done; `trouble` when something of an active experiment is down."""
    busy = working or record.state in TRANSITIONAL
    return Steering(
        chip=looks.state(record.state),
        can_swap_in=not busy and (record.state is State.SWAPPED or (record.state is State.ACTIVE and trouble)),
        can_swap_out=not busy and record.state is State.ACTIVE,
        working=busy,
    )


def node_rows(asked: Asked | None, nodes: Sequence[NodeRecord], statuses: Mapping[str, Status]) -> list[NodeRow]:
    """Return the node table: those that run, else those that the file asks for."""
    wanted = {node.name: node for node in asked.topology.nodes} if asked else {}
    if nodes:
        return [_running(node, wanted.get(node.node), statuses.get(node.node, UNKNOWN)) for node in nodes]
    places = asked.assignment.places if asked else {}
    return [_waiting(node, places.get(node.name, "")) for node in wanted.values()]


def _running(node: NodeRecord, wanted: Node | None, status: Status) -> NodeRow:
    said = _command(wanted)
    return NodeRow(
        name=node.node,
        boot=looks.boot(status[0]),
        command=looks.command(*status, bool(wanted and wanted.start_command)),
        kind=KINDS.get(node.kind, node.kind),
        pnode=node.pnode,
        image=node.image,
        control=node.control,
        addresses=" ".join(node.addresses),
        start_command=said,
        status=status,
    )


def _waiting(node: Node, pnode: str) -> NodeRow:
    return NodeRow(
        name=node.name,
        boot=looks.absent(),
        command=Look("", "minus", ""),
        kind=KINDS.get(node.kind, node.kind),
        pnode=pnode,
        image=node.os or "",
        control="",
        addresses=" ".join(interface.address or "" for interface in node.interfaces),
        start_command=_command(node),
        status=UNKNOWN,
    )


def _command(node: Node | None) -> str:
    return (node.start_command or "") if node else ""


def counts(rows: Sequence[NodeRow], asked: Asked | None, running: bool) -> Counts:
    """Return the experiment in numbers; of one that runs, nodes whose state isn't known count."""
    return Counts(
        total=len(rows),
        booted=sum(row.status[0] == "booted" for row in rows),
        dead=sum(row.status[0] == "dead" for row in rows),
        unknown=sum(row.status[0] is None for row in rows) if running else 0,
        failed=sum(row.status[0] not in (None, "dead") and bool(row.status[1]) for row in rows),
        commands=sum(bool(row.start_command) for row in rows),
        pnodes=len({row.pnode for row in rows if row.pnode}),
        links=len(asked.topology.lans) if asked else 0,
    )


async def statuses_of(room: Room, record: ExperimentRecord) -> tuple[Mapping[str, Status], list[str]]:
    """Return the node states as the keeper has them, and the pnodes that can't be reached."""
    watch = await room.doors.watches.of(record)
    if watch is None:
        return {}, []
    return watch.statuses, [name for name, state in watch.pnodes.items() if state == "lost"]
