"""Calls that change experiments: each begins an operation and, if asked, waits for its end."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterable
from pathlib import Path

from benito.services import making, wishes
from benito.services.operations import MAX_FILE, Kind, Operation, Outcome, Request, swapping
from benito.services.xmlrpc.method import Call, method
from benito.services.xmlrpc.reply import CallError, Code, Reply, failed
from benito.testbed.home import ExperimentId
from benito.testbed.people import Action
from benito.testbed.store import Settings

NO_MODIFY = "experiments can't be modified yet: end this one and start it anew from the changed file"
FILE = ("nsfilestr", "nsfilepath")
WITHOUT_EFFECT = (
    *("batch", "description", "linktest", "swappable", "noswap_reason", "idleswap", "noidleswap_reason"),
    "max_duration",
)
"""Arguments of Emulab's startexp that are taken: nothing here swaps out idle experiments, queues or sends mail."""
STARTING = (*FILE, "wait", "noswapin", *WITHOUT_EFFECT)
POLL_S = 0.2
MAX_WAIT_S = 24 * 3600


@method("experiment.startexp", "experiment.batchexp", positions=("proj", "exp", "nsfilestr"))
async def startexp(call: Call) -> Reply:
    """Create an experiment and, unless told not to, swap it in."""
    name = ExperimentId.checked(call.arguments.text("proj"), call.arguments.text("exp"))
    call.doors.access.require(call.user, Action.STEER, name.pid)
    file, data = await _file(call)
    options = _options(call, beside=STARTING)
    settings = await _settings(call, name, file, options)
    kind = Kind.CREATE if call.arguments.truth("noswapin", False) else Kind.UP
    # What is wrong with the file is said at once, whether or not the caller waits for the rest.
    await _examine(call, name, data, settings)
    request = Request(kind=kind, pid=name.pid, eid=name.eid, user=call.user.name, settings=settings)
    operation = call.doors.operations.start(request, data)
    if kind is Kind.CREATE:
        return _reply(await call.doors.operations.wait(operation.id), f"{name} is created")
    return await _end(call, operation, f"{name} is active", f"{name} is being started")


@method("experiment.swapexp", positions=("proj", "exp", "direction"))
async def swapexp(call: Call) -> Reply:
    """Swap an experiment in or out."""
    call.arguments.only(("direction", "wait", "keep"))
    direction = call.arguments.text("direction").lower()
    record = call.experiment(Action.STEER)
    request = swapping(record, direction, call.user.name, keep=call.arguments.truth("keep", False))
    operation = call.doors.operations.start(request)
    after = "active" if direction == "in" else "swapped"
    return await _end(call, operation, f"{record.id} is {after}", f"{record.id} is being swapped {direction}")


@method("experiment.endexp")
async def endexp(call: Call) -> Reply:
    """Terminate an experiment."""
    call.arguments.only(("wait",))
    record = call.experiment(Action.STEER)
    request = Request(kind=Kind.TERMINATE, pid=record.id.pid, eid=record.id.eid, user=call.user.name)
    operation = call.doors.operations.start(request)
    return await _end(call, operation, f"{record.id} is gone", f"{record.id} is being terminated")


@method("experiment.modify", positions=("proj", "exp", "nsfilestr"))
async def modify(call: Call) -> Reply:
    """Refuse, with the reason."""
    call.experiment(Action.STEER)
    raise CallError(Code.REFUSED, NO_MODIFY)


@method("experiment.nscheck", positions=("nsfilestr",))
async def nscheck(call: Call) -> Reply:
    """Read a file and tell everything that is wrong with it."""
    file, data = await _file(call)
    name = ExperimentId.checked(call.arguments.text("proj", "Project"), call.arguments.text("exp", "Experiment"))
    options = _options(call, beside=FILE)
    if options.share:
        call.doors.access.require(call.user, Action.STEER, name.pid)
    settings = await _settings(call, name, file, options)
    return Reply(output=await _examine(call, name, data, settings))


@method("experiment.statewait", positions=("proj", "exp", "state", "timeout"))
async def statewait(call: Call) -> Reply:
    """Wait until an experiment is in one of the states."""
    return await _wait(call, call.arguments.words("state"))


@method("experiment.waitforactive", positions=("proj", "exp", "timeout"))
async def waitforactive(call: Call) -> Reply:
    """Wait until an experiment is active."""
    return await _wait(call, ["active"])


async def _wait(call: Call, states: list[str]) -> Reply:
    timeout = call.arguments.number("timeout")
    record = call.experiment(Action.SEE)
    try:
        async with asyncio.timeout(min(timeout or MAX_WAIT_S, MAX_WAIT_S)):
            # The state is in the store, which other processes write.
            while (record := call.experiment(Action.SEE)).state not in states:
                await asyncio.sleep(POLL_S)
    except TimeoutError:
        raise CallError(Code.TIMEDOUT, f"Timed out waiting for states: {states}; it is {record.state}") from None
    return Reply(str(record.state), str(record.state))


async def _end(call: Call, operation: Operation, done: str, begun: str) -> Reply:
    """Return the outcome to who waits, else that it has begun."""
    if not call.arguments.truth("wait", False):
        return Reply(output=begun)
    return _reply(await call.doors.operations.wait(operation.id), done)


def _reply(outcome: Outcome, done: str) -> Reply:
    if outcome.done:
        return Reply(output=done)
    return failed(outcome.raised, outcome.error)


async def _file(call: Call) -> tuple[str, bytes]:
    """Return the experiment's file and its name: sent along, or one of this host that the user may read."""
    name = ""
    if "nsfilestr" in call.arguments:
        data = call.arguments.text("nsfilestr").encode("utf-8", "surrogateescape")
    elif "nsfilepath" in call.arguments:
        name = call.arguments.text("nsfilepath")
        data = await asyncio.to_thread(making.read_for, call.user, name)
    else:
        raise CallError(Code.BADARGS, "Must supply one of 'nsfilestr' or 'nsfilepath'")
    if len(data) > MAX_FILE:
        raise CallError(Code.TOOBIG, f"the file is larger than {MAX_FILE} bytes")
    return name or making.file_name(data), data


def _options(call: Call, *, beside: Iterable[str]) -> wishes.Options:
    """Return what the call chooses by names that Emulab doesn't have; CallError for what nobody knows."""
    told = call.arguments
    told.only((*beside, *wishes.WORDS, *wishes.TRUTHS, "share"))
    options, faults = wishes.read(
        {name: told.text(name, "") for name in wishes.WORDS},
        {name: told.truth(name, default) for name, default in wishes.TRUTHS.items()},
        told.several("share"),
    )
    if faults:
        raise CallError(Code.BADARGS, "\n".join(f"'{name}': {what}" for name, what in faults.items()))
    return options


async def _settings(call: Call, name: ExperimentId, file: str, options: wishes.Options) -> Settings:
    """Return the settings; folders that are to be shared may be slow to look at."""

    def look() -> Settings:
        bed = call.doors.bed.again()
        try:
            return making.settings(bed, call.user, name.pid, file, options)
        finally:
            bed.store.close()

    return await asyncio.to_thread(look)


async def _examine(call: Call, name: ExperimentId, data: bytes, settings: Settings) -> str:
    """Read the file as `create` would; returns what should be known of it."""

    def examine() -> str:
        bed = call.doors.bed.again()
        try:
            with tempfile.TemporaryDirectory(prefix="benito-") as folder:
                file = Path(folder, Path(settings.file).name)
                file.write_bytes(data)
                topology = bed.examine(name, file, settings)
        finally:
            bed.store.close()
        return "\n".join(str(warning) for warning in topology.warnings)

    return await asyncio.to_thread(examine)
