"""Calls about single nodes, which are named `node.eid.pid`."""

from __future__ import annotations

from typing import Any

from benito.errors import InputError
from benito.services.xmlrpc.method import Call, method
from benito.services.xmlrpc.reply import CallError, Code, Reply
from benito.testbed import rebooting
from benito.testbed.people import Action
from benito.testbed.store import ExperimentRecord, State
from benito.testbed.testbed import require_state


@method("node.getlist", positions=("proj", "exp"))
async def getlist(call: Call) -> Reply:
    """Return the nodes of active experiments that the user may see."""
    found: dict[str, Any] = {}
    for record in call.doors.access.records(call.user):
        asked = (("proj", record.id.pid), ("exp", record.id.eid))
        if any(name in call.arguments and call.arguments.text(name).lower() != has.lower() for name, has in asked):
            continue
        for node in (await call.doors.watches.view(record)).nodes:
            found[node.name] = {
                "node_id": node.name,
                "type": node.kind,
                "pid": record.id.pid,
                "eid": record.id.eid,
                "vname": node.node,
                "pnode": node.pnode,
                "osid": node.image,
                "boot": node.boot or "unknown",
            }
    return Reply(found, str(found))


@method("node.reboot", positions=("nodes",))
async def reboot(call: Call) -> Reply:
    """Reset machines (`power`: off and on again); with `wait`, until they are up again."""
    wanted: dict[str, list[str]] = {}
    records: dict[str, ExperimentRecord] = {}
    for name in call.arguments.words("nodes"):
        parts = name.split(".")
        if len(parts) != 3:
            raise CallError(Code.BADARGS, f"{name!r} is no node: write node.eid.pid")
        record = call.doors.access.experiment(call.user, Action.STEER, parts[2], parts[1])
        records[record.id.key] = record
        wanted.setdefault(record.id.key, []).append(parts[0])
    for key, names in wanted.items():
        await _restart(call, records[key], names)
    return Reply(output=f"rebooted: {', '.join(call.arguments.words('nodes'))}")


@method("experiment.reboot")
async def reboot_all(call: Call) -> Reply:
    """Reset all machines of an experiment."""
    record = call.experiment(Action.STEER)
    await _restart(call, record, None)
    return Reply(output=f"rebooted: {record.id}")


async def _restart(call: Call, record: ExperimentRecord, names: list[str] | None) -> None:
    call.arguments.only(("nodes", "reconfig", "power", "wait"))
    if call.arguments.truth("reconfig", False):
        raise CallError(Code.REFUSED, "nodes are configured at each boot; reboot them without `reconfig`")
    require_state(record, State.ACTIVE)
    known = {node.node.lower(): node.node for node in call.doors.watches.nodes(record)}
    asked = list(known) if names is None else [name.lower() for name in names]
    if unknown := [name for name in asked if name not in known]:
        raise InputError(f"{record.id} has no node {unknown[0]!r}")
    power, wait = call.arguments.truth("power", False), call.arguments.truth("wait", False)
    place = call.doors.bed.home.place(record.id)
    await rebooting.reboot(place, [known[name] for name in asked], power=power, wait=wait)


@method("node.available", positions=())
async def available(call: Call) -> Reply:
    """Refuse: there is no pool of machines to count; a swap-in tells whether the host has room."""
    raise CallError(Code.REFUSED, "there is no pool of machines here: nodes are made as long as the host has room")
