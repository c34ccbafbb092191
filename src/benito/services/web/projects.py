"""A project's page: who belongs to it and as what, and, for its owners, who is to."""

from __future__ import annotations

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from benito.errors import BenitoError
from benito.services.access import Access
from benito.services.middleware import user_of
from benito.services.web.guard import form_of
from benito.services.web.pages import room_of
from benito.services.web.room import Room, project_url
from benito.testbed.people import Action, Role

MAY = {
    Role.VIEWER: "sees the experiments",
    Role.MEMBER: "also makes, swaps, ends them, and is root on their nodes",
    Role.OWNER: "also says who belongs to the project",
}


async def projects(request: Request) -> Response:
    """The projects that somebody may see."""
    room, user = room_of(request), user_of(request.scope)
    records = room.doors.access.records(user)
    rows = []
    for key, pid in room.doors.access.projects(user).items():
        members = room.doors.access.members(pid)
        made = sum(record.id.pid.lower() == key for record in records)
        rows.append({"pid": pid, "url": project_url(pid), "members": len(members), "experiments": made})
        rows[-1]["role"] = members.get(user.name) or ("administrator" if user.admin else "")
    return room.render("projects.html", request, section="projects", rows=rows)


async def project(request: Request) -> Response:
    """One project."""
    room = room_of(request)
    return _page(room, request, _pid(room, request))


async def appoint(request: Request) -> Response:
    """Say what somebody is in a project, or that they are nothing in it any more."""
    room, user = room_of(request), user_of(request.scope)
    pid = _pid(room, request)
    form = await form_of(request, room)
    name, role = (str(form.get(what) or "").strip() for what in ("user", "role"))
    if role not in tuple(Role) and not form.get("remove"):
        raise HTTPException(422, f"There is no such role. Choose one of {', '.join(Role)}.")
    # A connection of its own: pages that are open learn of changes that others make.
    bed = room.doors.bed.again()
    try:
        Access(bed).appoint(user, pid, name, None if form.get("remove") else Role(role))
    except BenitoError as error:
        if not room.doors.access.may(user, Action.MANAGE, pid):
            raise
        return _page(room, request, pid, status=409, problem=error)
    finally:
        bed.store.close()
    # Who has taken themselves away may not look any more.
    there = room.doors.access.may(user, Action.SEE, pid)
    return RedirectResponse(project_url(pid) if there else "/projects", 303)


def _pid(room: Room, request: Request) -> str:
    """Return the project that the address names, as it is spelled; 404 when there is none, or none to know of."""
    found = room.doors.access.projects(user_of(request.scope)).get(request.path_params["pid"].lower())
    if found is None:
        raise HTTPException(404, "There is no such project")
    return found


def _page(room: Room, request: Request, pid: str, *, status: int = 200, problem: BenitoError | None = None) -> Response:
    user = user_of(request.scope)
    records = [record for record in room.doors.access.records(user) if record.id.pid.lower() == pid.lower()]
    return room.render(
        "project.html",
        request,
        status,
        section="projects",
        pid=pid,
        url=project_url(pid),
        members=room.doors.access.members(pid),
        experiments=[record.id for record in records],
        may_manage=room.doors.access.may(user, Action.MANAGE, pid),
        may=MAY,
        problem=problem,
    )
