"""Calls about single nodes, which are named `node.eid.pid`."""

from __future__ import annotations

import asyncio
from typing import Any

from benito.agent.rpc import Client
from benito.errors import InputError
from benito.services.xmlrpc.method import Call, method
from benito.services.xmlrpc.reply import CallError, Code, Reply
from benito.testbed.home import Place
from benito.testbed.keeping import follow
from benito.testbed.people import Action
from benito.testbed.store import ExperimentRecord, State
from benito.testbed.testbed import require_state

CONTROL_S = 120.0
BOOT_S = 600.0
AT_ONCE = 32


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
    if call.arguments.truth("reconfig", False):
        raise CallError(Code.REFUSED, "nodes are configured at each boot; reboot them without `reconfig`")
    require_state(record, State.ACTIVE)
    known = {node.node.lower(): node.node for node in call.doors.watches.nodes(record)}
    asked = list(known) if names is None else [name.lower() for name in names]
    if unknown := [name for name in asked if name not in known]:
        raise InputError(f"{record.id} has no node {unknown[0]!r}")
    await restart(call, record, [known[name] for name in asked], wait=call.arguments.truth("wait", False))


async def restart(call: Call, record: ExperimentRecord, nodes: list[str], *, wait: bool) -> None:
    """Reset these machines through the keeper; raises what the first that couldn't be says."""
    actions = ["kill", "start"] if call.arguments.truth("power", False) else ["restart"]
    place = call.doors.bed.home.place(record.id)
    if not wait:
        await _control(place, nodes, actions)
        return
    try:
        async with asyncio.timeout(BOOT_S):
            await _until_booted_again(place, nodes, actions)
    except TimeoutError:
        raise CallError(Code.TIMEDOUT, f"not up after {BOOT_S:g} s") from None


async def _control(place: Place, nodes: list[str], actions: list[str]) -> None:
    turns = asyncio.Semaphore(AT_ONCE)
    async with Client(place.keeper_socket) as keeper:

        async def one(node: str) -> None:
            async with turns:
                for action in actions:
                    await keeper.call("control", {"node": node, "action": action}, deadline_s=CONTROL_S)

        answers = await asyncio.gather(*map(one, nodes), return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer


async def _until_booted_again(place: Place, nodes: list[str], actions: list[str]) -> None:
    """Reset machines and wait until each has been down and is up."""
    events = follow(place)
    # Listening begins before anything happens, so that no going down is missed.
    await anext(events)
    await _control(place, nodes, actions)
    down: set[str] = set()
    up: set[str] = set()
    async for event in events:
        if "statuses" in event:
            # The keeper was away, and what happened meanwhile is not told.
            down |= set(nodes)
            up |= {node for node, (boot, _) in event["statuses"].items() if boot == "booted"}
        elif "status" in event:
            node, boot = event["node"], event["status"][0]
            if boot != "booted":
                down.add(node)
                up.discard(node)
            elif node in down:
                up.add(node)
        if down & up >= set(nodes):
            return


@method("node.available", positions=())
async def available(call: Call) -> Reply:
    """Refuse: there is no pool of machines to count; a swap-in tells whether the host has room."""
    raise CallError(Code.REFUSED, "there is no pool of machines here: nodes are made as long as the host has room")
