"""Calls that tell about experiments and change nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from benito.services.xmlrpc.method import Call, method
from benito.services.xmlrpc.reply import CallError, Code, Reply
from benito.testbed import listing
from benito.testbed.people import Action
from benito.testbed.store import ExperimentRecord, State
from benito.testbed.testbed import Testbed, submitted
from benito.testbed.view import NodeView
from benito.topology import topdl
from benito.topology.model import Topology

T = TypeVar("T")
UP = frozenset({"running", "booted"})
EVENT_STATUS = {"booted": "ISUP", "running": "BOOTING", "dead": "SHUTDOWN"}
SECTIONS = {
    "nodeinfo": listing.node_section,
    "mapping": listing.mapping_section,
    "linkinfo": listing.link_section,
    "shaping": listing.shaping_section,
}


@method("experiment.getlist", positions=("format",))
async def getlist(call: Call) -> Reply:
    """Return `{pid: {gid: [eid]}}`, or structs instead of names in the full format."""
    full = call.arguments.text("format", "brief") == "full"
    found: dict[str, dict[str, list[Any]]] = {}
    for record in call.doors.access.records(call.user):
        entry = _summary(record) if full else record.id.eid
        found.setdefault(record.id.pid, {}).setdefault(record.id.pid, []).append(entry)
    return Reply(found, str(found))


def _summary(record: ExperimentRecord) -> dict[str, Any]:
    return {
        "pid": record.id.pid,
        "gid": record.id.pid,
        "eid": record.id.eid,
        "name": record.settings.file,
        "state": str(record.state),
        "reason": record.reason,
        "created": int(record.created),
    }


@method("experiment.metadata")
async def metadata(call: Call) -> Reply:
    """Return what is known of an experiment as a whole."""
    found = _summary(call.experiment(Action.SEE))
    return Reply(found, str(found))


@method("experiment.state")
async def state(call: Call) -> Reply:
    """Return an experiment's state."""
    found = str(call.experiment(Action.SEE).state)
    return Reply(found, found)


@method("experiment.extra_nodes")
async def extra_nodes(call: Call) -> Reply:
    """Return the names of the nodes that are no pnodes: Benito's own addition to Emulab's calls."""
    view = await call.doors.watches.view(call.experiment(Action.SEE))
    names = [node.node for node in listing.extra_nodes(view)]
    return Reply(names, "\n".join(names))


@method("experiment.info", positions=("proj", "exp", "aspect"))
async def info(call: Call) -> Reply:
    """Return one aspect: `mapping`, `links`, `physical` or `traces`."""
    aspect = call.arguments.text("aspect")
    record = call.experiment(Action.SEE)
    if aspect == "links":
        found: dict[str, Any] = _links(await _topology(call, record))
    elif aspect in ("mapping", "physical"):
        if record.state not in (State.ACTIVE, State.ACTIVATING):
            raise CallError(Code.ERROR, "Experiment is not active!")
        view = await call.doors.watches.view(record)
        if aspect == "mapping":
            found = {node.node: _mapping(node) for node in view.nodes}
        else:
            found = {pnode: {"name": pnode, "status": how} for pnode, how in view.pnodes.items()}
    elif aspect == "traces":
        found = {}
    else:
        raise CallError(Code.BADARGS, "aspect must be one of mapping, links, physical, traces")
    return Reply(found, str(found))


def _mapping(node: NodeView) -> dict[str, Any]:
    return {
        "name": node.node,
        "node": node.name,
        "type": node.kind,
        "pnode": node.pnode,
        "osid": node.image,
        "status": "up" if node.boot in UP else "down",
        "eventstatus": EVENT_STATUS.get(node.boot or "", "UNKNOWN"),
        "erole": "node",
        "startstatus": "" if node.boot == "dead" or node.code is None else node.code,
    }


def _links(topology: Topology) -> dict[str, Any]:
    """Each member of each LAN under `node:port`, with what is asked of both its directions."""
    nodes = {node.name: node for node in topology.nodes}
    found = {}
    for lan in topology.lans:
        for member in lan.members:
            interface = nodes[member.node].interfaces[member.port]
            out, back = interface.outward, interface.inward
            key = f"{member.node}:{member.port}"
            found[key] = {
                "name": lan.name,
                "member": key,
                "ipaddr": interface.address,
                "mask": lan.netmask,
                "delay": float(out.delay_ms),
                "bandwidth": out.bandwidth_kbps,
                "plr": float(out.loss),
                "r_delay": float(back.delay_ms),
                "r_bandwidth": back.bandwidth_kbps,
                "r_plr": float(back.loss),
            }
    return found


@method("experiment.expinfo", positions=("proj", "exp", "show"))
async def expinfo(call: Call) -> Reply:
    """Return tables for people: any of `nodeinfo`, `mapping`, `linkinfo`, `shaping`."""
    wanted = call.arguments.words("show") if "show" in call.arguments else list(SECTIONS)
    if unknown := [section for section in wanted if section not in SECTIONS]:
        raise CallError(Code.BADARGS, f"'show' knows {', '.join(SECTIONS)}, not {unknown[0]}")
    record = call.experiment(Action.SEE)
    view = await call.doors.watches.view(record)
    topology = await _topology(call, record)
    sections = [listing.head(view), *(SECTIONS[section](view, topology) for section in wanted)]
    return Reply(output="\n".join(sections))


@method("experiment.virtual_topology_xml", "experiment.virtual_topology")
async def virtual_topology_xml(call: Call) -> Reply:
    """Return the topology as TopDL, with every address."""
    return Reply(topdl.write(await _topology(call, call.experiment(Action.SEE)), instead="\ufffd"))


@method("experiment.nsfile")
async def nsfile(call: Call) -> Reply:
    """Return the file as it was submitted."""
    record = call.experiment(Action.SEE)
    place = call.doors.bed.home.place(record.id)
    data = await asyncio.to_thread(submitted(place, record.settings).read_bytes)
    return Reply(data.decode("utf-8", "replace"), "ok")


@method("experiment.getviz")
async def getviz(call: Call) -> Reply:
    """Return where the nodes and LANs of a picture stand: `{name: {name, type, x, y}}`."""
    from benito.drawing.layout import lay_out
    from benito.drawing.scene import LAN, scene

    topology = await _topology(call, call.experiment(Action.SEE))

    def places() -> dict[str, Any]:
        drawn = scene(topology, None, None, title="")
        centres = lay_out(drawn).centres
        return {
            vertex.name: {"name": vertex.name, "type": "lan" if vertex.kind == LAN else "node", "x": x, "y": y}
            for vertex, (x, y) in zip(drawn.vertices, centres, strict=True)
        }

    found = await asyncio.to_thread(places)
    return Reply(found, str(found))


async def _topology(call: Call, record: ExperimentRecord) -> Topology:
    """Return the experiment's topology; reading it may take a while."""

    def read(bed: Testbed) -> Topology:
        return bed.topology(bed.home.place(record.id), record.settings)

    return await _apart(call, read)


async def _apart(call: Call, work: Callable[[Testbed], T]) -> T:
    """Do something in a thread, with a testbed of its own."""

    def run() -> T:
        bed = call.doors.bed.again()
        try:
            return work(bed)
        finally:
            bed.store.close()

    return await asyncio.to_thread(run)
