"""The web application: its addresses, and how errors look."""

from __future__ import annotations

from pathlib import PurePosixPath

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from benito.errors import AccessError, BenitoError, BusyError, InputError, StateError
from benito.services.doors import Doors
from benito.services.middleware import Application
from benito.services.web import actions, node_pages, pages, projects, upload
from benito.services.web.guard import Headers
from benito.services.web.room import STATIC, Room
from benito.services.web.terminal import terminal

ONE = "/experiments/{pid}/{eid}"
NODE = ONE + "/nodes/{node}"
STATUSES: tuple[tuple[type[BenitoError], int], ...] = (
    (InputError, 422),
    (AccessError, 403),
    (StateError, 409),
    (BusyError, 409),
)
TITLES = {
    403: "You may not do that",
    404: "Not found",
    405: "Not found",
    409: "Not now",
    413: "Too large",
    422: "That won't do",
}


def application(doors: Doors) -> Application:
    """Return the pages of a home's experiments; who asks is known by the time they are asked."""
    room = Room.open(doors)
    made = Starlette(
        routes=[
            Route("/", pages.home),
            Route("/logout", actions.log_out, methods=["POST"]),
            Route("/experiments", pages.experiments),
            Route("/experiments", upload.create, methods=["POST"]),
            Route("/experiments/new", upload.new),
            Route("/experiments/rows", pages.experiment_rows),
            Route("/experiments/stream", pages.list_stream),
            Route("/projects", projects.projects),
            Route("/projects/{pid}", projects.project),
            Route("/projects/{pid}/members", projects.appoint, methods=["POST"]),
            *_experiment_routes(),
            Mount(f"/static/{room.static_version}", _Static(directory=STATIC)),
        ],
        exception_handlers={BenitoError: _refused, HTTPException: _missing, Exception: _broken},
    )
    made.state.room = room
    return Headers(made)


def _experiment_routes() -> list[Route | WebSocketRoute]:
    return [
        Route(ONE, pages.experiment),
        Route(ONE + "/head", pages.experiment_head),
        Route(ONE + "/map.json", pages.experiment_map),
        Route(ONE + "/stream", pages.experiment_stream),
        Route(ONE + "/file", pages.experiment_file),
        Route(ONE + "/swapin", actions.swap_in, methods=["POST"]),
        Route(ONE + "/swapout", actions.swap_out, methods=["POST"]),
        Route(ONE + "/terminate", actions.terminate, methods=["POST"]),
        Route(ONE + "/measure", actions.measure, methods=["POST"]),
        Route(NODE, node_pages.node),
        Route(NODE + "/output", node_pages.output),
        Route(NODE + "/console.log", node_pages.console_file),
        Route(NODE + "/console/stream", node_pages.console_stream),
        *(Route(f"{NODE}/{action}", actions.control, methods=["POST"]) for action in sorted(actions.CONTROLS)),
        WebSocketRoute(NODE + "/terminal", terminal),
    ]


class _Static(StaticFiles):
    """Files that may be kept for ever: their address changes when they do."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Return a file."""
        answer = await super().get_response(path, scope)
        answer.headers["cache-control"] = "public, max-age=31536000, immutable"
        if PurePosixPath(path).suffix in (".js", ".mjs"):
            answer.headers["content-type"] = "text/javascript; charset=utf-8"
        return answer


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, BenitoError)
    status = next((status for kind, status in STATUSES if isinstance(error, kind)), 503)
    return _problem(request, status, error.message, error.hint)


async def _missing(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    text = error.detail if error.status_code != 404 or error.detail != "Not Found" else "There is no such page."
    return _problem(request, error.status_code, text, "")


async def _broken(request: Request, error: Exception) -> Response:
    return _problem(request, 500, "Something went wrong here", "The log of `benito serve` has more.")


def _problem(request: Request, status: int, text: str, hint: str) -> Response:
    if "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"message": text, "hint": hint}, status)
    title = TITLES.get(status, "Something went wrong")
    room = pages.room_of(request)
    said = {"code": status, "title": title, "text": text, "hint": hint}
    return room.render("problem.html", request, status, **said)
