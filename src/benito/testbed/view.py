"""What an experiment looks like now: for tables, JSON and the doors."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

import msgspec

from benito.errors import BenitoError
from benito.plan import files as plan_files
from benito.testbed.home import ExperimentId, Place
from benito.testbed.keeping import Request, ask_keeper, keeper_alive, start_keeper
from benito.testbed.store import ExperimentRecord, NodeRecord, State
from benito.testbed.testbed import Testbed

ASK_S = 10.0

Status = tuple[str | None, int | None]


class NodeView(msgspec.Struct, frozen=True, kw_only=True):
    """One node."""

    node: str
    pnode: str
    kind: str
    image: str
    control: str
    addresses: tuple[str, ...]
    boot: str | None
    """`running`, `booted`, `dead`; None when not known."""
    code: int | None
    """The start command's exit code; the machine process's when dead."""
    name: str
    """What to give to ssh."""
    memory_mib: int = 0
    """0 where it wasn't looked up (`with_plans`)."""
    cpus: int = 0
    disk_mib: int = 0
    """0: as large as the image's."""
    commanded: bool = False
    """Whether it has a start command, where that was looked up (`with_plans`)."""


class ExperimentView(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment."""

    experiment: str
    state: str
    reason: str
    packing: int
    file: str
    created: float
    changed: float
    nodes: tuple[NodeView, ...] = ()
    pnodes: dict[str, str] = {}
    """Each pnode `up` or `lost`."""


def experiment_view(bed: Testbed, record: ExperimentRecord) -> ExperimentView:
    """Return what an experiment looks like now, asking its keeper when it is active."""
    place = bed.home.place(record.id)
    nodes = bed.store.nodes(record.id) if record.state is not State.SWAPPED else []
    statuses: dict[str, Status] = {node.node: (node.boot, node.code) for node in nodes}
    pnodes: dict[str, str] = {}
    if record.state is State.ACTIVE:
        statuses, pnodes = _ask(bed, place, record, nodes)
    return assemble(bed, record, nodes, statuses, pnodes)


def with_plans(bed: Testbed, view: ExperimentView) -> ExperimentView:
    """Return the view with what its nodes' plans know besides; without it for who may not read those."""
    place = bed.home.place(ExperimentId.parse(view.experiment))
    try:
        plans = plan_files.read(place.plans)
    except OSError:
        return view
    machines = {machine.node: machine for plan in plans for machine in plan.machines}
    nodes = [
        msgspec.structs.replace(
            node,
            memory_mib=machine.memory_mib,
            cpus=machine.cpus,
            disk_mib=machine.disk_mib,
            commanded=machine.start_command is not None,
        )
        if (machine := machines.get(node.node))
        else node
        for node in view.nodes
    ]
    return msgspec.structs.replace(view, nodes=tuple(nodes))


def assemble(
    bed: Testbed,
    record: ExperimentRecord,
    nodes: Iterable[NodeRecord],
    statuses: Mapping[str, Status],
    pnodes: dict[str, str],
) -> ExperimentView:
    """Put together what is known of an experiment; a node without a status is unknown."""
    place = bed.home.place(record.id)
    return ExperimentView(
        experiment=str(record.id),
        state=record.state,
        reason=record.reason,
        packing=record.settings.packing,
        file=record.settings.file,
        created=record.created,
        changed=record.changed,
        nodes=tuple(_node(place, node, *statuses.get(node.node, (None, None))) for node in nodes),
        pnodes=pnodes,
    )


def _ask(
    bed: Testbed, place: Place, record: ExperimentRecord, nodes: list[NodeRecord]
) -> tuple[dict[str, Status], dict[str, str]]:
    """Ask the keeper; nothing is known of nodes when it doesn't answer. A keeper that is gone is started again."""
    if os.geteuid() != 0:
        # Only root talks to the keeper; what it has stored is a moment old.
        return {node.node: (node.boot, node.code) for node in nodes}, {}
    try:
        if not keeper_alive(place):
            revive_keeper(bed, record)
        statuses, pnodes = ask_keeper(place, [Request("status"), Request("pnodes")], ASK_S)
    except BenitoError:
        return {node.node: (None, None) for node in nodes}, dict.fromkeys((node.pnode for node in nodes), "lost")
    return {node: (boot, code) for node, (boot, code) in statuses.items()}, pnodes


def revive_keeper(bed: Testbed, record: ExperimentRecord) -> None:
    """Start the keeper of an active experiment again, unless somebody is changing the experiment."""
    with bed.lock(record.id) as place:
        if bed.record(record.id).state is State.ACTIVE:
            start_keeper(place, bed.home, record.settings, bed.config)


def _node(place: Place, node: NodeRecord, boot: str | None, code: int | None) -> NodeView:
    return NodeView(
        node=node.node,
        pnode=node.pnode,
        kind=node.kind,
        image=node.image,
        control=node.control,
        addresses=node.addresses,
        boot=boot,
        code=code,
        name=f"{node.node}.{place.experiment.domain}".lower(),
    )
