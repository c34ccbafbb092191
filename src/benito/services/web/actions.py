"""What changes something: swap in, swap out, terminate, measure, and a node's machine."""

from __future__ import annotations

from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from benito.agent.rpc import Client
from benito.services.middleware import user_of
from benito.services.operations import Kind
from benito.services.operations import Request as Wanted
from benito.services.web.guard import form_of
from benito.services.web.measuring import measure_links
from benito.services.web.pages import room_of
from benito.services.web.room import Room, node_url, url_of
from benito.testbed.people import Action, User
from benito.testbed.store import ExperimentRecord, State
from benito.testbed.testbed import require_state

CONTROL_S = 60.0
CONTROLS = frozenset({"start", "stop", "restart"})


async def swap_in(request: Request) -> Response:
    """Begin a swap-in."""
    return await _begin(request, Kind.SWAPIN)


async def swap_out(request: Request) -> Response:
    """Begin a swap-out."""
    return await _begin(request, Kind.SWAPOUT)


async def terminate(request: Request) -> Response:
    """Begin to remove an experiment for good."""
    return await _begin(request, Kind.TERMINATE)


async def _begin(request: Request, kind: Kind) -> Response:
    room = room_of(request)
    record = room.record(request, Action.STEER)
    form = await form_of(request, room)
    begin(room, user_of(request.scope), record, kind, keep=bool(form.get("keep")))
    return _accepted(request, url_of(record.id))


def begin(room: Room, user: User, record: ExperimentRecord, kind: Kind, *, keep: bool = False) -> None:
    """Begin a long operation and have open pages told of it."""
    wanted = Wanted(kind=kind, pid=record.id.pid, eid=record.id.eid, user=user.name, keep=keep)
    operation = room.doors.operations.start(wanted)
    room.journals.follow(operation, len(room.doors.watches.nodes(record)))


def _accepted(request: Request, back: str) -> Response:
    """Answer a script in JSON, a plain form with the page."""
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"accepted": True}, 202)
    return RedirectResponse(back, 303)


async def control(request: Request) -> Response:
    """Start, stop or restart a node's machine."""
    room = room_of(request)
    record = room.record(request, Action.STEER)
    await form_of(request, room)
    require_state(record, State.ACTIVE)
    node = running_node(room, record, request)
    async with Client(room.doors.bed.home.place(record.id).keeper_socket) as client:
        arguments: dict[str, Any] = {"node": node, "action": request.url.path.rpartition("/")[2]}
        await client.call("control", arguments, deadline_s=CONTROL_S)
    return _accepted(request, node_url(record.id, node))


async def measure(request: Request) -> Response:
    """Begin to measure round trips; results go to all who look."""
    room = room_of(request)
    record = room.record(request, Action.STEER)
    form = await form_of(request, room)
    require_state(record, State.ACTIVE)
    asked = await room.asked.of(record, room.doors.watches.nodes(record))
    link = str(form.get("link") or "")
    names = [lan.name for lan in asked.topology.lans if not link or lan.name == link]
    measure_links(room, record, asked.topology, names)
    return _accepted(request, url_of(record.id))


async def log_out(request: Request) -> Response:
    """Have the browser forget its token."""
    room = room_of(request)
    await form_of(request, room)
    answer = RedirectResponse("/", 303)
    for name in request.cookies:
        if name.startswith("benito-"):
            answer.delete_cookie(name)
    return answer


def running_node(room: Room, record: ExperimentRecord, request: Request) -> str:
    """Return the node that the address names, spelled as it is; 404 when there is none."""
    wanted = request.path_params["node"].lower()
    for node in room.doors.watches.nodes(record):
        if node.node.lower() == wanted:
            return node.node
    raise HTTPException(404, f"{record.id} has no such node")
