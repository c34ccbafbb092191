"""What all pages work with, and who may have what of it."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse

from benito.errors import InputError, StateError
from benito.services.access import folder
from benito.services.doors import Doors
from benito.services.files import write_secret
from benito.services.middleware import user_of
from benito.services.web.asked import AskedFor
from benito.services.web.journal import Journals
from benito.services.web.meters import Meters
from benito.services.web.pulse import Pulse
from benito.services.web.results import Results
from benito.services.web.words import filters
from benito.testbed.home import ExperimentId
from benito.testbed.people import Action, User
from benito.testbed.store import ExperimentRecord

HERE = Path(__file__).parent
STATIC = HERE / "static"
THEMES = frozenset({"light", "dark"})


@dataclass(frozen=True, slots=True)
class Room:
    """One home's pages; belongs to the event loop's thread."""

    doors: Doors
    asked: AskedFor
    journals: Journals
    meters: Meters
    results: Results
    pulse: Pulse
    templates: Environment
    static_version: str
    key: bytes
    """Makes the tokens that forms carry."""
    terminals: set[object] = field(default_factory=set)
    """Those that are open."""

    @classmethod
    def open(cls, doors: Doors) -> Room:
        """Prepare the pages of a home."""
        version = _static_version()
        templates = Environment(
            loader=FileSystemLoader(HERE / "templates"),
            autoescape=select_autoescape(default=True),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        templates.globals["static"] = lambda name: f"/static/{version}/{name}"
        templates.filters.update(filters())
        return cls(
            doors,
            AskedFor(doors.bed),
            Journals(doors.operations),
            Meters(),
            Results(),
            Pulse(doors.bed.store),
            templates,
            version,
            _form_key(doors),
        )

    def csrf(self, user: User) -> str:
        """Return what this user's forms carry: no other site can know it."""
        return hmac.new(self.key, f"form:{user.name.lower()}".encode(), sha256).hexdigest()

    def record(self, request: HTTPConnection, action: Action) -> ExperimentRecord:
        """Return the experiment that the address names, for somebody who may do that with it.

        404 when there is none, or none that they may know of; AccessError when they may only look.
        """
        path = request.path_params
        try:
            return self.doors.access.experiment(user_of(request.scope), action, path["pid"], path["eid"])
        except (InputError, StateError) as error:
            raise HTTPException(404, "There is no such experiment") from error

    def render(self, name: str, request: Request, status: int = 200, **values: Any) -> HTMLResponse:
        """Return a page."""
        return HTMLResponse(self.text(name, request, **values), status)

    def text(self, name: str, request: Request, **values: Any) -> str:
        """Return a page's text."""
        user = user_of(request.scope)
        theme = request.cookies.get("theme", "")
        return self.templates.get_template(name).render(
            person={"name": user.name, "role": "administrator" if user.admin else "user"},
            csrf=self.csrf(user),
            theme=theme if theme in THEMES else "",
            **{"section": "experiments", **values},
        )


def url_of(experiment: ExperimentId) -> str:
    """Return an experiment's address on this server; its names hold nothing that needs quoting."""
    return f"/experiments/{experiment.pid}/{experiment.eid}"


def project_url(pid: str) -> str:
    """Return a project's address on this server."""
    return f"/projects/{pid}"


def node_url(experiment: ExperimentId, node: str) -> str:
    """Return a node's address on this server."""
    return f"{url_of(experiment)}/nodes/{quote(node, safe='')}"


def _static_version() -> str:
    """Return a digest of the static files: it stands in their addresses, so they may be kept for ever."""
    digest = sha256()
    for file in sorted(STATIC.rglob("*")):
        if file.is_file():
            digest.update(f"{file.relative_to(STATIC)}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _form_key(doors: Doors) -> bytes:
    """Return the home's key for forms, made on first use: pages that are open outlive a restart."""
    file = folder(doors.bed.home) / "form.key"
    try:
        return file.read_bytes()
    except FileNotFoundError:
        key = secrets.token_bytes(32)
        write_secret(file, key)
        return key
