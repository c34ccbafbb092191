"""What every answer of the page says to browsers, and what every change must carry."""

from __future__ import annotations

import hmac
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from benito.services.middleware import Application, Message, Receive, Scope, Send, user_of
from benito.services.web.room import Room

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
)
NO_STORE = (b"cache-control", b"no-store")


class Headers:
    """Adds the headers that keep what a node or a file says from becoming more than text."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, answers with our headers."""

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers: list[tuple[bytes, bytes]] = list(message["headers"])
                if not any(name.lower() == b"cache-control" for name, _ in headers):
                    headers.append(NO_STORE)
                message["headers"] = [*headers, *HEADERS]
            await send(message)

        await self.application(scope, receive, told)


async def form_of(request: Request, room: Room) -> Any:
    """Return the form of a request that changes something; 403 unless it carries its user's form token.

    A program that shows its token in the header, which no page of another site can, needs none.
    """
    form = await request.form(max_files=1, max_fields=40)
    if "authorization" in request.headers:
        return form
    expected = room.csrf(user_of(request.scope))
    given = form.get("csrf")
    if not isinstance(given, str) or not hmac.compare_digest(given.encode(), expected.encode()):
        raise HTTPException(403, "This form is too old, or not ours. Load the page again.")
    return form
