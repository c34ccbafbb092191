"""The web door over real sockets: who is let in, who makes room, what is too much."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable

import pytest
from simulated import until

from benito.services import web_door
from benito.services.access import folder, new_token
from benito.services.certificates import Authority, own_names
from benito.services.doors import Doors
from benito.services.listening import bound
from benito.services.web_door import WebDoor
from benito.testbed.testbed import Testbed


class Page:
    """An open door and somebody who may come in."""

    def __init__(self, door: WebDoor, port: int, token: str, trust: ssl.SSLContext | None) -> None:
        self.door, self.port, self.trust = door, port, trust
        self.head = f"Host: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nConnection: close\r\n"

    async def send(self, *parts: bytes) -> bytes:
        """Send bytes on a connection and return what comes back."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, ssl=self.trust)
        try:
            for part in parts:
                writer.write(part)
                await writer.drain()
            return await asyncio.wait_for(reader.read(), 20)
        except ConnectionError:
            # What was refused isn't read to its end, and the answer to it may be lost.
            return b""
        finally:
            writer.close()

    async def get(self, path: str = "/experiments") -> bytes:
        """Return the answer to a GET."""
        return await self.send(f"GET {path} HTTP/1.1\r\n{self.head}\r\n".encode())


def run(bed: Testbed, scenario: Callable[[Page], Awaitable[None]], *, exposed: bool = False) -> None:
    """Have a scenario happen at an open web door, as on a network when `exposed`."""
    authority, trust = None, None
    if exposed:
        authority = Authority(folder(bed.home))
        authority.ensure(own_names("127.0.0.1"))
        trust = ssl.create_default_context(cafile=authority.certificate)

    async def happen() -> None:
        doors = Doors.open(bed)
        token = new_token(bed.home, doors.access.people, doors.access.people.add("root", admin=True))
        with bound("127.0.0.1", 0, "a test") as listener:
            port = listener.getsockname()[1]
            door = WebDoor(doors, ["127.0.0.1"], port, authority)
            serving = asyncio.create_task(door.serve(listener))
            await scenario(Page(door, port, token, trust))
            door.end()
            await asyncio.wait_for(serving, 30)
        await doors.watches.close()

    asyncio.run(happen())


def test_who_has_no_token_gets_nothing_but_that_word(bed: Testbed) -> None:
    async def scenario(page: Page) -> None:
        head = f"Host: 127.0.0.1:{page.port}\r\nConnection: close\r\n"
        for path in ("/experiments", "/experiments/Demo/star", "/experiments/Demo/star/map.json", "/nowhere"):
            said = await page.send(f"GET {path} HTTP/1.1\r\n{head}\r\n".encode())
            assert said.startswith(b"HTTP/1.1 401"), path
        assert (await page.get()).startswith(b"HTTP/1.1 200")

    run(bed, scenario)


@pytest.mark.parametrize("path", ["/experiments/../../etc/passwd", "/experiments/%2e%2e/%2e%2e%2fetc%2fpasswd"])
def test_a_path_in_a_name_leads_nowhere(bed: Testbed, path: str) -> None:
    async def scenario(page: Page) -> None:
        said = await page.get(path)
        assert said[:12] in (b"HTTP/1.1 404", b"HTTP/1.1 422")
        assert b"root:" not in said

    run(bed, scenario)


def test_a_gigabyte_is_refused(bed: Testbed) -> None:
    async def scenario(page: Page) -> None:
        head = f"POST /experiments HTTP/1.1\r\n{page.head}"
        announced = await page.send(f"{head}Content-Length: {1 << 30}\r\n\r\n".encode(), b"x" * 100_000)
        assert announced[:12] in (b"HTTP/1.1 413", b"")
        chunk = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
        coming = await page.send(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode(), *[chunk] * 8)
        assert coming[:12] in (b"HTTP/1.1 413", b"HTTP/1.1 422", b"")
        assert (await page.get()).startswith(b"HTTP/1.1 200")

    run(bed, scenario)


def test_a_crowd_that_says_nothing_keeps_nobody_out(bed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_door, "MAX_CONNECTIONS", 30)

    async def scenario(page: Page) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", page.port) for _ in range(100)]
        for _, writer in silent:
            writer.write(b"GET / HT")
        await until(lambda: len(page.door.crowd) == 30, "the crowd is full")
        assert (await page.get()).startswith(b"HTTP/1.1 200")
        for _, writer in silent:
            writer.close()
        await until(lambda: len(page.door.crowd) == 0, "all are gone")

    run(bed, scenario)


def test_who_dawdles_is_let_go(bed: Testbed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_door, "SILENT_S", 0.2)
    monkeypatch.setattr("benito.services.crowd.SWEEP_S", 0.05)

    async def scenario(page: Page) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", page.port)
        writer.write(b"GET / HTTP/1.1\r\nX: ")
        with contextlib.suppress(ConnectionResetError):
            assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()

    run(bed, scenario)


def test_handshakes_that_never_end_are_counted_and_keep_nobody_out(
    bed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_door, "MOST_ENCRYPTED", 30)

    async def scenario(page: Page) -> None:
        pending = [await asyncio.open_connection("127.0.0.1", page.port) for _ in range(100)]
        for _, writer in pending[::2]:
            writer.write(b"\x16\x03\x01\x02\x00\x01")
        await until(lambda: len(page.door.crowd) == 30, "the crowd is full")
        assert (await page.get()).startswith(b"HTTP/1.1 200")
        for _, writer in pending:
            writer.close()
        await until(lambda: len(page.door.crowd) == 0, "all are gone")
        assert b"HTTP/1.1" not in await Page(page.door, page.port, "", None).get()
        assert (await page.get()).startswith(b"HTTP/1.1 200")

    run(bed, scenario, exposed=True)
