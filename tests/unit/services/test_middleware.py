"""What stands before the pages: each guard with what it keeps out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from benito.services.access import Access, new_token
from benito.services.middleware import MAX_BODY, Message, Receive, Scope, Send, guarded, user_of
from benito.testbed.testbed import Testbed

Headers = dict[str, str]


async def page(scope: Scope, receive: Receive, send: Send) -> None:
    """An application that reads all it is sent and says who asked for what."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    size = 0
    while True:
        message = await receive()
        size += len(message.get("body", b""))
        if not message.get("more_body"):
            break
    body = f"{user_of(scope).name} {scope['method']} {size}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


class Browser:
    """Asks a guarded application."""

    def __init__(self, bed: Testbed) -> None:
        self.access = Access(bed)
        self.token = new_token(bed.home, self.access.people, self.access.people.add("alice"))
        self.application = guarded(page, self.access, hosts=["127.0.0.1", "localhost"], port=8080, secure=False)
        self.cookie = {"cookie": f"benito-8080={self.token}"}
        self.bearer = {"authorization": f"Bearer {self.token}"}

    def ask(
        self,
        headers: Headers,
        method: str = "GET",
        path: str = "/",
        *,
        query: str = "",
        body: list[bytes] | None = None,
        kind: str = "http",
    ) -> list[Message]:
        """Return what the application sends."""
        scope: Scope = {
            "type": kind,
            "method": method,
            "path": path,
            "query_string": query.encode(),
            "headers": [(k.encode(), v.encode()) for k, v in {"host": "127.0.0.1:8080", **headers}.items()],
        }
        parts = list(body or [b""])
        sent: list[Message] = []

        async def receive() -> Message:
            if kind == "websocket":
                return {"type": "websocket.connect"}
            return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(self.application(scope, receive, send))  # type: ignore[arg-type]
        return sent

    def status(self, headers: Headers, method: str = "GET", **more: Any) -> int:
        """Return the status alone."""
        return int(self.ask(headers, method, **more)[0]["status"])


@pytest.fixture
def browser(bed: Testbed) -> Browser:
    return Browser(bed)


def test_without_a_token_nobody_gets_in(browser: Browser) -> None:
    assert browser.status({}) == 401
    assert browser.status({"authorization": "Bearer wrong"}) == 401
    assert browser.status({"cookie": "benito-8080=wrong"}) == 401
    assert browser.status({"cookie": "benito-8081=" + browser.token}) == 401
    assert browser.status({}, query="token=wrong") == 401
    assert browser.status({}, "POST", query=f"token={browser.token}") == 401
    assert browser.status({"authorization": f"Basic {browser.token}"}) == 401


def test_a_token_opens_as_header_and_as_cookie(browser: Browser) -> None:
    assert browser.ask(browser.bearer)[1]["body"] == b"alice GET 0"
    assert browser.ask(browser.cookie)[1]["body"] == b"alice GET 0"


def test_the_printed_address_becomes_a_cookie_and_vanishes(browser: Browser) -> None:
    start = browser.ask({}, path="/experiments/a", query=f"x=1&token={browser.token}")[0]
    headers = dict(start["headers"])
    assert (start["status"], headers[b"location"]) == (303, b"/experiments/a?x=1")
    assert headers[b"set-cookie"].startswith(f"benito-8080={browser.token}; Path=/; HttpOnly; SameSite=Strict".encode())
    assert headers[b"referrer-policy"] == b"no-referrer"


@pytest.mark.parametrize("path", ["//evil.example/x", "/\\evil.example", "/a\r\nset-cookie: x=y"])
def test_the_way_on_stays_here(browser: Browser, path: str) -> None:
    start = browser.ask({}, path=path, query=f"token={browser.token}")[0]
    location = dict(start["headers"])[b"location"]
    assert location.startswith(b"/")
    assert not location.startswith((b"//", b"/\\"))
    assert b"\n" not in location


FOREIGN = [
    {"origin": "http://evil.example"},
    {"origin": "http://127.0.0.1:9000"},
    {"origin": "null"},
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
def test_another_sites_page_changes_nothing(browser: Browser, headers: Headers, method: str) -> None:
    assert browser.status({**browser.cookie, **headers}, method) == 403


def test_another_sites_page_opens_no_websocket(browser: Browser) -> None:
    closed = browser.ask({**browser.cookie, "origin": "http://evil.example"}, kind="websocket")
    assert [(m["type"], m.get("code")) for m in closed] == [("websocket.close", 1008)]
    assert browser.ask({}, kind="websocket")[0]["type"] == "websocket.close"
    ours = browser.ask({**browser.cookie, "origin": "http://127.0.0.1:8080"}, kind="websocket")
    assert ours[0]["type"] == "websocket.accept"


def test_our_own_pages_and_programs_may_post(browser: Browser) -> None:
    assert browser.status({**browser.cookie, "origin": "http://127.0.0.1:8080"}, "POST") == 200
    assert browser.status({**browser.cookie, "sec-fetch-site": "same-origin"}, "POST") == 200
    assert browser.status(browser.bearer, "POST") == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "", "127.0.0.1.evil.example", "[::1"])
def test_a_name_that_is_not_ours_is_refused(browser: Browser, host: str) -> None:
    assert browser.status({**browser.bearer, "host": host}) == 421


def test_a_gigabyte_is_refused_unread_or_as_it_comes(browser: Browser) -> None:
    announced = {**browser.bearer, "content-length": str(1 << 30)}
    assert browser.status(announced, "POST", body=[]) == 413
    megabyte = b"x" * (1 << 20)
    assert browser.status(browser.bearer, "POST", body=[megabyte] * 1024) == 413
    assert browser.status(browser.bearer, "POST", body=[b"x" * MAX_BODY]) == 200
