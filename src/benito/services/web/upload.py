"""Making an experiment from an uploaded file: the form, the check, the creation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from benito.errors import BenitoError, InputError
from benito.services.making import ADDRESSINGS, SHAPINGS, Options, settings
from benito.services.middleware import user_of
from benito.services.operations import MAX_FILE, Kind
from benito.services.operations import Request as Wanted
from benito.services.web.actions import begin
from benito.services.web.checking import Source, examine, file_name, suggested_eid
from benito.services.web.guard import form_of
from benito.services.web.pages import may_create, room_of
from benito.services.web.room import Room, url_of
from benito.testbed.home import ExperimentId
from benito.testbed.people import Action, User
from benito.testbed.store import Settings
from benito.topology.sizes import LEAST_MEMORY_MIB, MOST_CPUS, MOST_MEMORY_MIB

DEFAULTS: dict[str, str] = {
    "pid": "",
    "eid": "",
    "packing": "10",
    "memory": "",
    "cpus": "",
    "image": "",
    "addressing": "benito",
    "shaping": "auto",
    "internet": "1",
    "strict_os": "",
    "ignore_missing_software": "",
    "swapin": "1",
}
CREATE_S = 60.0
CHOICES = {"addressing": ADDRESSINGS, "shaping": SHAPINGS}
MOST_PACKING = 100_000


@dataclass(slots=True)
class Told:
    """What somebody filled in, and what is wrong with it."""

    values: dict[str, str]
    faults: dict[str, str]
    name: str = ""
    data: bytes = b""


async def new(request: Request) -> Response:
    """The empty form."""
    room = room_of(request)
    if not may_create(room, request):
        raise HTTPException(403, "You may not make experiments")
    values = dict(DEFAULTS)
    projects = _projects(room, user_of(request.scope))
    values["pid"] = projects[0][0] if projects else user_of(request.scope).name
    return _form(room, request, Told(values, {}), None)


async def create(request: Request) -> Response:
    """Check what was sent; make the experiment when all is well, else show what is wrong."""
    room = room_of(request)
    told = await _read(await form_of(request, room))
    user = user_of(request.scope)
    if not told.data and "file" not in told.faults:
        told.faults["file"] = "Choose a file."
    if told.data and not told.values["eid"]:
        told.values["eid"] = suggested_eid(told.name)
    experiment = _named(told)
    wanted = _settings(user, told)
    if experiment is None or wanted is None or told.faults:
        return _form(room, request, told, None, status=422)
    room.doors.access.require(user, Action.STEER, experiment.pid)
    bed = room.doors.bed.again()
    source = await asyncio.to_thread(examine, bed, experiment, told.name, told.data, wanted)
    if source.errors or told.values["action"] == "check":
        return _form(room, request, told, source, status=422 if source.errors else 200)
    try:
        await _create(room, user, experiment, wanted, told)
    except BenitoError as error:
        return _form(room, request, told, source, status=409, problem=error)
    return RedirectResponse(url_of(experiment), 303)


async def _create(room: Room, user: User, experiment: ExperimentId, settings: Settings, told: Told) -> None:
    """Make it, and begin its swap-in when that is wanted."""
    doors = room.doors
    wanted = Wanted(kind=Kind.CREATE, pid=experiment.pid, eid=experiment.eid, user=user.name, settings=settings)
    operation = doors.operations.start(wanted, told.data)
    async with asyncio.timeout(CREATE_S):
        outcome = await doors.operations.wait(operation.id)
    if not outcome.done:
        raise BenitoError(outcome.error, hint=outcome.hint)
    if told.values["swapin"]:
        begin(room, user, doors.bed.record(experiment), Kind.SWAPIN)


async def _read(form: FormData) -> Told:
    values = {name: _text(form, name) for name in DEFAULTS}
    # A program may leave out what it has no wish about; a box that isn't ticked is left out by browsers.
    values.update({name: values[name] or DEFAULTS[name] for name in ("packing", *CHOICES)})
    values["action"] = _text(form, "action")
    told = Told(values, {})
    sent = form.get("file")
    text = form.get("text")
    if isinstance(sent, UploadFile) and sent.filename:
        told.name, told.data = file_name(sent.filename), await sent.read(MAX_FILE + 1)
    elif isinstance(text, str):
        told.name, told.data = file_name(_text(form, "name")), text.replace("\r\n", "\n").encode()
    if len(told.data) > MAX_FILE:
        told.faults["file"] = f"The file is too large: at most {MAX_FILE >> 10} KiB are taken."
        told.data = b""
    return told


def _text(form: FormData, name: str) -> str:
    value = form.get(name, "")
    return value.strip() if isinstance(value, str) else ""


def _named(told: Told) -> ExperimentId | None:
    for what in ("pid", "eid"):
        try:
            ExperimentId.checked(told.values["pid"] if what == "pid" else "x", told.values["eid"] or "x")
        except InputError as error:
            told.faults[what] = f"{error.message}: {error.hint}"
            return None
    return ExperimentId(told.values["pid"], told.values["eid"])


def _settings(user: User, told: Told) -> Settings | None:
    """Return the settings that were filled in; faults are noted at their fields."""
    values = told.values
    options = Options(
        packing=_number(told, "packing", 1, MOST_PACKING) or 10,
        memory_mib=_number(told, "memory", LEAST_MEMORY_MIB, MOST_MEMORY_MIB),
        cpus=_number(told, "cpus", 1, MOST_CPUS),
        addressing=values["addressing"],
        shaping=values["shaping"],
        internet=bool(values["internet"]),
        strict_os=bool(values["strict_os"]),
        image=values["image"] or None,
        ignore_missing_software=bool(values["ignore_missing_software"]),
    )
    for name, choices in CHOICES.items():
        if values[name] not in choices:
            told.faults[name] = f"one of {', '.join(choices)}"
    return None if told.faults else settings(user, told.name, options)


def _number(told: Told, name: str, least: int, most: int) -> int | None:
    """Return a number; None for an empty field."""
    text = told.values[name]
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        told.faults[name] = f"a whole number from {least:,} to {most:,}"
        return None
    return int(text)


def _projects(room: Room, user: User) -> list[tuple[str, str]]:
    """Return the projects that the user may choose from; nothing for who may name any."""
    if user.admin:
        return []
    allowed = [
        (pid, name, role) for pid, name, role in room.doors.access.people.members() if Action.STEER in role.allows
    ]
    return [(pid, pid) for pid, name, _ in allowed if name.lower() == user.name.lower()]


def _form(
    room: Room,
    request: Request,
    told: Told,
    source: Source | None,
    *,
    status: int = 200,
    problem: BenitoError | None = None,
) -> Response:
    values: dict[str, Any] = told.values
    more = {"memory", "cpus", "image", "addressing", "shaping"}
    images = [("", "as the file says"), *((name, name) for name in room.doors.bed.catalog.names())]
    title = {"title": problem.message, "text": problem.hint} if problem else None
    if title is None and "file" in told.faults:
        title = {"title": told.faults["file"], "text": ""}
    return room.render(
        "new.html",
        request,
        status,
        values=values,
        faults=told.faults,
        source=source,
        problem=title,
        projects=_projects(room, user_of(request.scope)),
        images=images,
        limit=MAX_FILE,
        limit_text=f"{MAX_FILE >> 10} KiB",
        more_open=any(values[name] != DEFAULTS[name] for name in more) or bool(more & set(told.faults)),
    )
