"""The pages that only show: the list, an experiment, what it is told by."""

from __future__ import annotations

from collections import Counter
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from benito.errors import BenitoError
from benito.services.middleware import asker, user_of
from benito.services.web import happening, views
from benito.services.web.asked import Asked
from benito.services.web.room import Room, url_of
from benito.services.web.stream import ExperimentStream, list_messages, sent
from benito.testbed.people import Action
from benito.testbed.store import ExperimentRecord, State

FILE_LINES = 5000


def room_of(request: Request) -> Room:
    """Return what the pages work with."""
    room: Room = request.app.state.room
    return room


async def home(request: Request) -> Response:
    """Go to the list."""
    return RedirectResponse("/experiments", 303)


async def experiments(request: Request) -> Response:
    """The list of experiments."""
    room = room_of(request)
    return room.render("experiments.html", request, **_list(room, request))


async def experiment_rows(request: Request) -> Response:
    """The list's rows alone, for a page that is open."""
    room = room_of(request)
    return room.render("experiment_rows.html", request, **_list(room, request))


def _list(room: Room, request: Request) -> dict[str, Any]:
    user = user_of(request.scope)
    records = room.doors.access.records(user)
    items = [views.item(record, _boots(room, record)) for record in records]
    return {"items": items, "may_create": may_create(room, request)}


def _boots(room: Room, record: ExperimentRecord) -> Counter[str | None]:
    return Counter() if record.state is State.SWAPPED else room.pulse.boots(record.id)


def may_create(room: Room, request: Request) -> bool:
    """Whether this user may make an experiment in any project."""
    user = user_of(request.scope)
    return user.admin or any(Action.STEER in role.allows for role in room.doors.access.people.roles(user).values())


async def list_stream(request: Request) -> Response:
    """Tell the list's page when to look again."""
    return event_stream(list_messages(room_of(request), asker(request.scope)))


async def experiment(request: Request) -> Response:
    """One experiment."""
    room = room_of(request)
    record = room.record(request, Action.SEE)
    nodes = room.doors.watches.nodes(record)
    asked, trouble = await _asked(room, record)
    rows = views.node_rows(asked, nodes, (await views.statuses_of(room, record))[0])
    tabs = [("map", "Map", None), ("nodes", "Nodes", len(rows)), ("links", "Links", len(asked.links) if asked else 0)]
    return room.render(
        "experiment.html",
        request,
        **await _head(room, request, record, asked),
        tabs=[*tabs, ("events", "Events", None), ("file", "File", None)],
        nodes=rows,
        kinds={node.kind for node in asked.topology.nodes} | _lan_kinds(asked) if asked else set(),
        links=asked.links if asked else (),
        entries=happening.latest(room.doors.bed.home.place(record.id).events),
        file_lines=asked.text.split("\n")[:FILE_LINES] if asked else [],
        map_version=asked.version if asked else "",
        trouble=trouble,
    )


async def experiment_head(request: Request) -> Response:
    """What stands at the head of an experiment's page, for one that is open."""
    room = room_of(request)
    record = room.record(request, Action.SEE)
    asked, _ = await _asked(room, record)
    return room.render("experiment_head.html", request, **await _head(room, request, record, asked))


async def _asked(room: Room, record: ExperimentRecord) -> tuple[Asked | None, str]:
    """Return what the file asks for, or why it can't be read any more."""
    try:
        return await room.asked.of(record, room.doors.watches.nodes(record)), ""
    except (BenitoError, OSError) as error:
        return None, str(error)


def _lan_kinds(asked: Asked) -> set[str]:
    return {"lan"} if any(len(lan.members) != 2 for lan in asked.topology.lans) else set()


async def _head(room: Room, request: Request, record: ExperimentRecord, asked: Asked | None) -> dict[str, Any]:
    statuses, lost = await views.statuses_of(room, record)
    rows = views.node_rows(asked, room.doors.watches.nodes(record), statuses)
    working = room.doors.operations.current(record.id) is not None
    trouble = bool(lost) or any(row.status[0] in (None, "dead") for row in rows)
    return {
        "record": record,
        "url": url_of(record.id),
        "look": views.steering(record, working, trouble),
        "counts": views.counts(rows, asked, record.state is State.ACTIVE),
        "lost": lost,
        "file_name": record.settings.file.rsplit("/", 1)[-1],
        "may_steer": room.doors.access.may(user_of(request.scope), Action.STEER, record.id.pid),
    }


async def experiment_map(request: Request) -> Response:
    """The map, as data; the address has its version, so it may be kept."""
    room = room_of(request)
    record = room.record(request, Action.SEE)
    asked = await room.asked.of(record, room.doors.watches.nodes(record))
    headers = {"cache-control": "private, max-age=86400"}
    return Response(await room.asked.map(asked), media_type="application/json", headers=headers)


async def experiment_stream(request: Request) -> Response:
    """Tell an experiment's page what happens."""
    room = room_of(request)
    record = room.record(request, Action.SEE)
    since = request.query_params.get("since", "")
    return event_stream(ExperimentStream(room, asker(request.scope), record, since).messages())


async def experiment_file(request: Request) -> Response:
    """The file as it was submitted."""
    from benito.testbed.testbed import submitted

    room = room_of(request)
    record = room.record(request, Action.SEE)
    data = submitted(room.doors.bed.home.place(record.id), record.settings).read_bytes()
    return attachment(data, record.settings.file.rsplit("/", 1)[-1])


def attachment(data: bytes, name: str) -> Response:
    """Return bytes to be saved, never to be shown as a page."""
    safe = "".join(each if each.isalnum() or each in "._-" else "-" for each in name)
    headers = {"content-disposition": f'attachment; filename="{safe.encode("ascii", "replace").decode()}"'}
    return Response(data, media_type="application/octet-stream", headers=headers)


def event_stream(messages: Any) -> StreamingResponse:
    """Return an answer that goes on as long as there is something to tell."""
    return StreamingResponse(sent(messages), media_type="text/event-stream")
