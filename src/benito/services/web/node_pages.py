"""A node's page: the output of its start command, its console log, and what it is."""

from __future__ import annotations

import asyncio
import codecs
import os
import re
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from benito.agent.rpc import Client
from benito.errors import BenitoError
from benito.machines.guest import LOGS as INSIDE
from benito.services.web import views
from benito.services.web.actions import running_node
from benito.services.web.pages import attachment, event_stream, room_of
from benito.services.web.room import Room, url_of
from benito.services.web.stream import Message
from benito.testbed.consoles import LOGS
from benito.testbed.people import Action
from benito.testbed.store import ExperimentRecord, State
from benito.topology.model import Node

TAIL = 256 << 10
"""Bytes of the end of a log that are shown."""
DOWNLOAD = 64 << 20
OUTPUT_S = 15.0
LOOK_S = 0.3
"""How often a console log is looked at while somebody follows it."""
HELD_BACK = 64
SEQUENCE = re.compile(r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-~]|\x1b[@-Z\\^_]")
CONTROL = re.compile(SEQUENCE.pattern + r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


async def node(request: Request) -> Response:
    """One node."""
    room = room_of(request)
    record = room.record(request, Action.SEE)
    name = running_node(room, record, request) if record.state is not State.SWAPPED else _wanted_name(request)
    asked = await room.asked.of(record, room.doors.watches.nodes(record))
    rows = views.node_rows(asked, room.doors.watches.nodes(record), (await views.statuses_of(room, record))[0])
    row = next((row for row in rows if row.name.lower() == name.lower()), None)
    if row is None:
        raise HTTPException(404, f"{record.id} has no such node")
    wanted = next((each for each in asked.topology.nodes if each.name == row.name), None)
    may_steer = room.doors.access.may(request.scope["benito.user"], Action.STEER, record.id.pid)
    tabs = [("output", "Start command"), ("console", "Console log"), ("terminal", "Terminal"), ("about", "About")]
    return room.render(
        "node.html",
        request,
        record=record,
        url=url_of(record.id),
        node=row,
        facts=_facts(wanted),
        ssh=f"{row.name}.{record.id.domain}".lower(),
        has_serial=wanted is None or wanted.kind == "qemu",
        active=record.state is State.ACTIVE,
        may_steer=may_steer,
        tabs=[tab for tab in tabs if tab[0] != "terminal" or (may_steer and record.state is State.ACTIVE)],
    )


def _wanted_name(request: Request) -> str:
    return str(request.path_params["node"])


def _facts(wanted: Node | None) -> dict[str, Any]:
    if wanted is None:
        return {"os": "", "interfaces": []}
    return {
        "os": wanted.os or "",
        "interfaces": [(interface.lan, interface.address or "no address") for interface in wanted.interfaces],
    }


async def output(request: Request) -> Response:
    """What the start command has written, read in the node now."""
    room = room_of(request)
    record = room.record(request, Action.SEE)
    name = running_node(room, record, request)
    try:
        async with Client(room.doors.bed.home.place(record.id).keeper_socket) as client:
            out, err = await asyncio.gather(*(_tail(client, name, kind) for kind in ("out", "err")))
    except BenitoError as error:
        return JSONResponse({"message": f"It can't be read now: {error.message}", "hint": error.hint}, 503)
    return JSONResponse({"out": out, "err": err})


async def _tail(client: Client, name: str, kind: str) -> str:
    argv = ["tail", "-c", str(TAIL), f"{INSIDE}/start_command.{kind}"]
    reply = await client.call("run", {"node": name, "argv": argv, "deadline_s": OUTPUT_S}, deadline_s=2 * OUTPUT_S)
    return harmless(str(reply["stdout"])) if reply["code"] == 0 else ""


def harmless(text: str) -> str:
    """Return the text without escape sequences and control characters, which a page has no use for."""
    return CONTROL.sub("", text.replace("\r\n", "\n"))


async def console_file(request: Request) -> Response:
    """The console log, to be saved."""
    room = room_of(request)
    record = room.record(request, Action.SEE)
    name = _log_name(room, record, request)
    descriptor = _opened(room, record, name)
    if descriptor is None:
        raise HTTPException(404, "There is no console log yet")
    with os.fdopen(descriptor, "rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - DOWNLOAD))
        return attachment(file.read(DOWNLOAD), f"{name}-console.log")


async def console_stream(request: Request) -> Response:
    """The end of the console log, and what is added to it."""
    room = room_of(request)
    record = room.record(request, Action.SEE)
    return event_stream(_console(room, record, _log_name(room, record, request)))


def _log_name(room: Room, record: ExperimentRecord, request: Request) -> str:
    """Return a node whose log there may be: also of an experiment that is swapped out."""
    wanted = str(request.path_params["node"])
    folder = room.doors.bed.home.place(record.id).nodes
    try:
        names = [entry.name for entry in folder.iterdir()]
    except FileNotFoundError:
        names = []
    return next((name for name in names if name.lower() == wanted.lower()), wanted if "/" not in wanted else "")


def _opened(room: Room, record: ExperimentRecord, name: str) -> int | None:
    """Open a console log, which a machine's process writes: never anything that it may have put in its place."""
    folder: Path = room.doors.bed.home.place(record.id).nodes / name
    if not name or name in (".", ".."):
        return None
    for log in LOGS:
        try:
            descriptor = os.open(folder / log, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            continue
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    return None


async def _console(room: Room, record: ExperimentRecord, name: str) -> AsyncIterator[Message]:
    while True:
        descriptor = _opened(room, record, name)
        if descriptor is not None:
            try:
                async for message in _followed(descriptor):
                    yield message
            finally:
                os.close(descriptor)
        await asyncio.sleep(LOOK_S)


async def _followed(descriptor: int) -> AsyncIterator[Message]:
    """Yield the end of an open log and what is added, until it is removed or cut."""
    at = max(0, os.fstat(descriptor).st_size - TAIL)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    rest = ""
    yield "from", at
    while True:
        data = os.pread(descriptor, TAIL, at)
        at += len(data)
        ready, rest = whole(rest + decode(data))
        if ready:
            yield "text", harmless(ready)
        if len(data) < TAIL:
            status = os.fstat(descriptor)
            if status.st_nlink == 0 or status.st_size < at:
                return
            await asyncio.sleep(LOOK_S)


def whole(text: str) -> tuple[str, str]:
    """Hold back an escape sequence, or a line's end, that may not be complete yet."""
    escape = text.rfind("\x1b", max(0, len(text) - HELD_BACK))
    if escape >= 0 and not SEQUENCE.match(text, escape):
        return text[:escape], text[escape:]
    return (text[:-1], "\r") if text.endswith("\r") else (text, "")
