"""What stands before the web application: host names, sizes, who it is, and whether our own page asks.

Plain ASGI, outermost first as `guarded` puts them: `KnownHost`, `BodyLimit`, `TokenGate`, `SameOrigin`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from http import HTTPStatus
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from benito.services import refusal
from benito.services.access import Access
from benito.testbed.people import User

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

USER = "benito.user"
"""Where the scope has the `User`."""
AGAIN = "benito.again"
"""Where the scope has what tells who that is by now: what lasts long asks again."""
MAX_BODY = 1 << 20
"""Bytes: a file of 512 KiB as a form sends it."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
COOKIE_AGE_S = 30 * 24 * 3600
POLICY_VIOLATION = 1008
"""Close code of a WebSocket that is refused."""


def user_of(scope: Scope) -> User:
    """Return who asks; the gate has seen to it that somebody does."""
    user: User = scope[USER]
    return user


def asker(scope: Scope) -> Callable[[], User | None]:
    """Return what tells who asks by now: None when the token was replaced or its user removed."""
    again: Callable[[], User | None] = scope[AGAIN]
    return again


def guarded(application: Application, access: Access, *, hosts: Iterable[str], port: int, secure: bool) -> Application:
    """Put every guard before the application; `hosts` are the names by which it may be addressed."""
    origins = SameOrigin(application)
    gate = TokenGate(origins, access, cookie=f"benito-{port}", secure=secure)
    return KnownHost(BodyLimit(gate), hosts)


class KnownHost:
    """Refuses requests addressed to a name that isn't ours: a page elsewhere may have its name point here."""

    def __init__(self, application: Application, hosts: Iterable[str]) -> None:
        self.application = application
        self.hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is addressed to us."""
        if scope["type"] in ("http", "websocket") and _host_name(_header(scope, b"host")) not in self.hosts:
            await refuse(scope, receive, send, HTTPStatus.MISDIRECTED_REQUEST, "This is not a name of this server.")
            return
        await self.application(scope, receive, send)


class BodyLimit:
    """Refuses bodies that are too large: by what they announce, and by what comes."""

    def __init__(self, application: Application, most: int = MAX_BODY) -> None:
        self.application = application
        self.most = most

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what fits."""
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        announced = _header(scope, b"content-length")
        if announced.isdecimal() and int(announced) > self.most:
            await self._refuse(scope, receive, send)
            return
        came = 0
        begun = False
        rest = announced not in ("", "0") or bool(_header(scope, b"transfer-encoding"))

        async def counted() -> Message:
            nonlocal came, rest
            if came > self.most:
                return {"type": "http.disconnect"}
            message = await receive()
            came += len(message.get("body", b""))
            rest = rest and bool(message.get("more_body"))
            return message if came <= self.most else {"type": "http.disconnect"}

        async def watched(message: Message) -> None:
            # What the application makes of a body that was cut off is nobody's business.
            nonlocal begun
            if not begun and came > self.most:
                return
            if not begun and rest:
                # An answer before the body has come: the server would read on to the end of whatever is sent.
                message["headers"] = [*message.get("headers", ()), (b"connection", b"close")]
            begun = True
            await send(message)

        try:
            await self.application(scope, counted, watched)
        except Exception:
            if came <= self.most:
                raise
        if came > self.most and not begun:
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        text = f"A request has at most {self.most} bytes."
        await refuse(scope, receive, send, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, text)


class TokenGate:
    """Lets in who shows a token: as `Authorization: Bearer`, our cookie, or `?token=` of the URL that `serve` prints.

    The last becomes a cookie, and the address without the token is what stays in the browser.
    """

    def __init__(self, application: Application, access: Access, *, cookie: str, secure: bool) -> None:
        self.application = application
        self.access = access
        self.cookie = cookie
        self.secure = secure

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who asks, and pass on what somebody asks."""
        if scope["type"] not in ("http", "websocket"):
            await self.application(scope, receive, send)
            return
        shown = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)).get("token")
        if shown is not None and scope["type"] == "http" and scope["method"] == "GET":
            await self._welcome(shown, scope, receive, send)
            return
        token = self._token(scope)
        user = self.access.by_token(token)
        if user is None:
            await self._unknown(scope, receive, send)
            return
        scope[USER] = user
        scope[AGAIN] = lambda: self.access.by_token(token)
        await self.application(scope, receive, send)

    def _token(self, scope: Scope) -> str:
        kind, _, token = _header(scope, b"authorization").partition(" ")
        if kind.lower() == "bearer":
            return token.strip()
        try:
            cookies = SimpleCookie(_header(scope, b"cookie"))
        except CookieError:
            return ""
        return cookies[self.cookie].value if self.cookie in cookies else ""

    async def _welcome(self, token: str, scope: Scope, receive: Receive, send: Send) -> None:
        if self.access.by_token(token) is None:
            await self._unknown(scope, receive, send)
            return
        query = [(k, v) for k, v in parse_qsl(scope["query_string"].decode("latin-1"), True) if k != "token"]
        target = _address(scope, query)
        attributes = f"Path=/; HttpOnly; SameSite=Strict; Max-Age={COOKIE_AGE_S}" + ("; Secure" if self.secure else "")
        headers = [
            (b"location", target.encode()),
            (b"set-cookie", f"{self.cookie}={token}; {attributes}".encode("latin-1")),
            (b"referrer-policy", b"no-referrer"),
            (b"cache-control", b"no-store"),
            (b"content-length", b"0"),
        ]
        await send({"type": "http.response.start", "status": int(HTTPStatus.SEE_OTHER), "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    async def _unknown(self, scope: Scope, receive: Receive, send: Send) -> None:
        if _from_elsewhere(scope):
            await answer(send, HTTPStatus.OK, refusal.again(_address(scope)))
            return
        text = "Open the address that “benito serve” printed, or paste the token that your administrator gave you."
        await refuse(scope, receive, send, HTTPStatus.UNAUTHORIZED, text)


class SameOrigin:
    """Refuses changes, and WebSockets, that a page of another site asks for with this browser's cookie."""

    def __init__(self, application: Application) -> None:
        self.application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what our own pages and programs ask."""
        unsafe = scope["type"] == "websocket" or (scope["type"] == "http" and scope["method"] not in SAFE)
        if unsafe and not self._ours(scope):
            await refuse(scope, receive, send, HTTPStatus.FORBIDDEN, "Another site's page asked for this.")
            return
        await self.application(scope, receive, send)

    def _ours(self, scope: Scope) -> bool:
        origin = _header(scope, b"origin")
        if origin:
            return urlsplit(origin).netloc.lower() == _header(scope, b"host").lower()
        site = _header(scope, b"sec-fetch-site")
        if site:
            return site in ("same-origin", "none")
        # No browser: programs show a token in the header, which no other site's page can have them do.
        return bool(_header(scope, b"authorization"))


async def refuse(scope: Scope, receive: Receive, send: Send, status: HTTPStatus, text: str) -> None:
    """Answer with a short page, or close the WebSocket."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": POLICY_VIOLATION, "reason": text})
        return
    await answer(send, status, refusal.page(status, text))


async def answer(send: Send, status: HTTPStatus, page: bytes) -> None:
    """Answer with a page that needs nothing else, and end the connection."""
    headers = [
        (b"content-security-policy", refusal.POLICY.encode()),
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(page)).encode()),
        (b"cache-control", b"no-store"),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": int(status), "headers": headers})
    await send({"type": "http.response.body", "body": page})


def _address(scope: Scope, query: list[tuple[str, str]] | None = None) -> str:
    """Return what was asked for, on this server, with that query instead of its own."""
    if query is None:
        query = parse_qsl(scope["query_string"].decode("latin-1"), True)
    # One slash in front: two would make the path another server's name.
    path = "/" + quote(scope["path"].lstrip("/\\"))
    return path + (f"?{urlencode(query)}" if query else "")


def _from_elsewhere(scope: Scope) -> bool:
    """Whether somebody has followed a link on another site's page: browsers keep our cookie back then."""
    return (
        scope["type"] == "http"
        and scope["method"] == "GET"
        and _header(scope, b"sec-fetch-site") in ("cross-site", "same-site")
        and (_header(scope, b"sec-fetch-mode"), _header(scope, b"sec-fetch-dest")) == ("navigate", "document")
    )


def _header(scope: Scope, name: bytes) -> str:
    """Return a header's value; nothing when it is missing, or there twice."""
    values = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else ""


def _host_name(host: str) -> str:
    """Return the name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""
