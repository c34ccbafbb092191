"""A web server on this host that counts what is asked of it, and a package proxy in front of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from benito.gateway.archives import read
from benito.gateway.cache import Cache
from benito.gateway.proxy import Proxy
from benito.gateway.settings import Proxies, Settings
from benito.gateway.targets import Policy
from benito.gateway.upstream import Upstream


@dataclass
class Mirror:
    """Serves files by their paths; `asked` has every request."""

    files: dict[str, bytes]
    tag: str = '"one"'
    password: str = ""
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    hold: asyncio.Event | None = None
    """Waited for in the middle of each file."""
    cut: bool = False
    """Whether files break off in the middle."""
    port: int = 0

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Mirror]:
        """Listen on a free port of the loopback interface."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        async with server:
            yield self

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                first, *lines = head.strip().split("\r\n")
                headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
                path = first.split()[1]
                self.asked.append((path, headers))
                await self._answer(path, headers, writer)
                if self.cut:
                    break
        writer.close()

    async def _answer(self, path: str, headers: Mapping[str, str], writer: asyncio.StreamWriter) -> None:
        body = self.files.get(path)
        if self.password and headers.get("authorization") != self.password:
            writer.write(b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n")
        elif body is None:
            writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        elif headers.get("if-none-match") == self.tag:
            writer.write(b"HTTP/1.1 304 Not Modified\r\n\r\n")
        elif begin := int(headers.get("range", "bytes=0-")[6:-1]):
            told = f"Content-Range: bytes {begin}-{len(body) - 1}/{len(body)}\r\nContent-Length: {len(body) - begin}"
            writer.write(f"HTTP/1.1 206 Partial Content\r\n{told}\r\n\r\n".encode() + body[begin:])
        else:
            writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\nETag: {self.tag}\r\n\r\n".encode())
            half = len(body) // 2
            writer.write(body[:half])
            await writer.drain()
            if self.hold:
                await self.hold.wait()
            if not self.cut:
                writer.write(body[half:])
        await writer.drain()


@dataclass
class Reply:
    """What a node gets."""

    status: int
    reason: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Node:
    """A client of the proxy."""

    port: int

    async def get(self, url: str, method: str = "GET", **headers: str) -> Reply:
        """Send one request on a connection of its own and read all that comes."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        words = "\r\n".join([f"{method} {url} HTTP/1.1", "Host: proxy", "Connection: close", *lines, "", ""])
        writer.write(words.encode())
        said = await reader.read()
        writer.close()
        head, _, body = said.partition(b"\r\n\r\n")
        first, *rest = head.decode().split("\r\n")
        _, status, *reason = first.split(" ", 2)
        told = {k.lower(): v for k, _, v in (line.partition(": ") for line in rest)}
        return Reply(int(status), " ".join(reason), told, body)


def settings(
    *uris: str, internet: bool = True, proxies: Proxies | None = None, names: Mapping[str, str] | None = None
) -> Settings:
    """Return a gateway's settings with these archives."""
    return Settings(
        namespace="/run/netns/none",
        address="192.168.0.1",
        domain="one.test",
        names=dict(names or {}),
        internet=internet,
        cache="/nonexistent",
        cache_mib=64,
        archives=read(uris),
        proxies=proxies or Proxies(),
    )


@contextlib.asynccontextmanager
async def proxy(told: Settings, cache: Path) -> AsyncIterator[Node]:
    """Run a package proxy with its cache in a folder."""
    served = Proxy(Policy(told), Upstream(told.proxies), Cache(cache, told.cache_mib << 20))
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    async with server:
        yield Node(server.sockets[0].getsockname()[1])
