"""Making an experiment from an uploaded file: the form, the check, the creation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from benito.errors import AccessError, BenitoError, InputError
from benito.idmap import is_person
from benito.services import wishes
from benito.services.making import local_account, settings
from benito.services.middleware import user_of
from benito.services.operations import MAX_FILE, Kind
from benito.services.operations import Request as Wanted
from benito.services.web.actions import begin
from benito.services.web.checking import Source, examine, file_name, suggested_eid
from benito.services.web.checking import source as unchecked
from benito.services.web.guard import form_of
from benito.services.web.pages import may_create, room_of
from benito.services.web.room import Room, url_of
from benito.testbed import config
from benito.testbed.home import ExperimentId
from benito.testbed.people import Action, User
from benito.testbed.store import Settings

DEFAULTS: dict[str, str] = {
    "pid": "",
    "eid": "",
    **dict.fromkeys(wishes.WORDS, ""),
    "packing": "10",
    **{name: choices[0] for name, choices in wishes.CHOICES.items()},
    **{name: "1" if default else "" for name, default in wishes.TRUTHS.items()},
    "own_shares": "",
    "swapin": "1",
}
GROUPS = {
    "machines": ("memory", "cpus", "disk", "image", "default_os", "strict_os", "cold", "accelerator"),
    "placement": ("size", "default_container", "nodes_only", "force_partition"),
    "network": ("addressing", "shaping", "internet"),
    "folders": ("own_shares", "share", "ignore_missing_software"),
}
"""The form's fields that are folded away until somebody wants them."""
CREATE_S = 60.0


@dataclass(slots=True)
class Told:
    """What somebody filled in, and what is wrong with it."""

    values: dict[str, str]
    faults: dict[str, str]
    name: str = ""
    data: bytes = b""
    shares: tuple[str, ...] = ()
    """Those that were chosen from the host's list, and the person's own."""


async def new(request: Request) -> Response:
    """The empty form."""
    room = room_of(request)
    if not may_create(room, request):
        raise HTTPException(
            403, "You may look at experiments, not make them. An owner of your project can make you a member."
        )
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
    options = _options(told)
    if experiment is None or told.faults:
        return _form(room, request, told, None, status=422)
    room.doors.access.require(user, Action.STEER, experiment.pid)
    try:
        wanted, source = await asyncio.to_thread(_examined, room, user, experiment, told, options)
    except (AccessError, InputError) as error:
        told.faults["share"] = f"{error.message} ({error.hint})" if error.hint else error.message
        return _form(room, request, told, None, status=422)
    if source.errors or told.values["action"] == "check":
        return _form(room, request, told, source, status=422 if source.errors else 200)
    try:
        await _create(room, user, experiment, wanted, told)
    except BenitoError as error:
        return _form(room, request, told, source, status=409, problem=error)
    return RedirectResponse(url_of(experiment), 303)


def _examined(
    room: Room, user: User, experiment: ExperimentId, told: Told, options: wishes.Options
) -> tuple[Settings, Source]:
    """Return the settings, and the file with what is wrong with it; raises for a folder that may not be shared."""
    bed = room.doors.bed.again()
    try:
        wanted = settings(bed, user, experiment.pid, told.name, options)
        return wanted, examine(bed, experiment, told.name, told.data, wanted)
    finally:
        bed.store.close()


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
    values.update({name: values[name] or DEFAULTS[name] for name in ("packing", *wishes.CHOICES)})
    values["action"] = _text(form, "action")
    own = [line.strip() for line in values["own_shares"].splitlines() if line.strip()]
    # One's own are for reading only, which nobody needs to write.
    own = [line if line.endswith(":ro") else f"{line}:ro" for line in own]
    told = Told(values, {}, shares=(*_listed(form), *own))
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


def _listed(form: FormData) -> list[str]:
    return [text for text in form.getlist("share") if isinstance(text, str)]


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


def _options(told: Told) -> wishes.Options:
    """Return what was filled in; faults are noted at their fields."""
    truths = {name: bool(told.values[name]) for name in wishes.TRUTHS}
    options, faults = wishes.read(told.values, truths, told.shares)
    told.faults.update(faults)
    return options


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
    unchecked_yet = source is None
    if source is None and told.data:
        # Something else is wrong: the file needn't be chosen again.
        source = unchecked(told.name, told.data, (), (), "")
    user = user_of(request.scope)
    names = room.doors.bed.catalog.names()
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
        unchecked=unchecked_yet,
        problem=title,
        projects=_projects(room, user),
        images=[("", "as the file says"), *((name, name) for name in names)],
        names=names,
        shares=_offered(room, user),
        shared=told.shares,
        may_share_own=(account := local_account(user)) is not None and is_person(account.pw_uid),
        limit=MAX_FILE,
        limit_text=f"{MAX_FILE >> 10} KiB",
        folded=_folded(told),
    )


def _folded(told: Told) -> dict[str, bool]:
    """Return which groups of options stay closed: those that are as they were and in which nothing is wrong."""
    changed = {name for name, default in DEFAULTS.items() if told.values[name] != default} | set(told.faults)
    changed |= {"share"} if told.shares else set()
    return {group: not changed & set(names) for group, names in GROUPS.items()}


def _offered(room: Room, user: User) -> list[tuple[str, str, str]]:
    """Return the folders that the host's owner lends: what is sent, the folder, and what is said of it."""
    found = []
    for source, rule in sorted(config.load(room.doors.bed.home.root).shares.items()):
        mine = [pid for pid in rule.projects if room.doors.access.may(user, Action.STEER, pid)]
        if mine or not rule.projects:
            said = [
                *(["read and write"] if rule.write else ["read only"]),
                *([f"in {', '.join(mine)}"] if mine else []),
            ]
            text = ":".join([source, *([rule.at] if rule.at else []), *([] if rule.write else ["ro"])])
            found.append((text, f"{source} as {rule.at}" if rule.at else source, ", ".join(said)))
    return found
