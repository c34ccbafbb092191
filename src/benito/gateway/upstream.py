"""The way from the package proxy to the world: requests and tunnels to targets that the policy has let pass.

Everything here speaks from the host's own network namespace, with the host's resolver. Whatever isn't one of the host's
own archives is connected to by an address that has been looked at, so that no name can lead elsewhere in between.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import h11
import httpcore

from benito.gateway.settings import Proxies
from benito.gateway.targets import RefusedError, Target, public

CONNECT_S = 20.0
READ_S = 60.0
CONNECTIONS = 32
"""Most connections to the world at a time, of one gateway."""
_TIMES = {"connect": CONNECT_S, "read": READ_S, "write": READ_S, "pool": READ_S}
_OWN_HEADERS = ("host", "connection", "proxy-authorization", "authorization", "cookie", "te", "upgrade")


class UnavailableError(Exception):
    """The target can't be reached; the message is for the node's user."""


class _PublicOnly(httpcore.AsyncNetworkBackend):
    """Connects to public addresses alone."""

    def __init__(self) -> None:
        self._inner = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        fault: Exception | None = None
        for address in await public_addresses(host, port):
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except httpcore.ConnectError as error:
                fault = error
        raise fault or httpcore.ConnectError(f"{host} can't be reached")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        raise RefusedError("this proxy uses no sockets of its host")

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def public_addresses(host: str, port: int) -> list[str]:
    """Return a server's addresses that anybody may be led to; RefusedError when it has no such address."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise UnavailableError(f"the name {host} can't be resolved: {error}") from error
    addresses = public(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not addresses:
        raise RefusedError(f"{host} has no public address, and is none of the host's own package archives")
    return addresses


class Upstream:
    """Fetches for one gateway; connections are kept open for a while."""

    def __init__(self, proxies: Proxies) -> None:
        self._proxies = proxies
        self._context = ssl.create_default_context()
        self._direct = httpcore.AsyncConnectionPool(self._context, max_connections=CONNECTIONS)
        self._guarded = httpcore.AsyncConnectionPool(
            self._context, max_connections=CONNECTIONS, network_backend=_PublicOnly()
        )
        self._through: dict[str, httpcore.AsyncHTTPProxy] = {}

    @asynccontextmanager
    async def fetch(self, target: Target, method: str, headers: Mapping[str, str]) -> AsyncIterator[httpcore.Response]:
        """Send a request and yield the response, its body still to be read; UnavailableError when none comes."""
        sent = {"Host": urlsplit(target.url).netloc}
        sent |= {name: value for name, value in headers.items() if name.lower() not in _OWN_HEADERS}
        if target.archive and target.archive.user:
            sent["Authorization"] = _basic(target.archive.user, target.archive.password)
        pool = await self._pool(target)
        try:
            async with pool.stream(
                method, target.url, headers=list(sent.items()), extensions={"timeout": _TIMES}
            ) as response:
                yield response
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError, httpcore.ProxyError) as error:
            raise UnavailableError(f"{target.host}: {error or type(error).__name__}") from error

    async def _pool(self, target: Target) -> httpcore.AsyncConnectionPool:
        proxy = self._proxies.to(target.scheme, target.host)
        if not proxy:
            return self._direct if target.archive else self._guarded
        if target.archive is None:
            await public_addresses(target.host, target.port)
        if proxy not in self._through:
            parts = urlsplit(proxy)
            auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
            self._through[proxy] = httpcore.AsyncHTTPProxy(
                f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/",
                proxy_auth=auth,
                ssl_context=self._context,
                max_connections=CONNECTIONS,
            )
        return self._through[proxy]

    async def tunnel(self, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the target; UnavailableError when that fails."""
        proxy = self._proxies.to("https", target.host)
        try:
            async with asyncio.timeout(CONNECT_S):
                if proxy:
                    return await self._tunnel_through(proxy, target)
                addresses = [target.host] if target.archive else await public_addresses(target.host, target.port)
                return await _connect_any(addresses, target.port)
        except (OSError, TimeoutError, h11.ProtocolError) as error:
            raise UnavailableError(f"{target.host}: {error or type(error).__name__}") from error

    async def _tunnel_through(self, proxy: str, target: Target) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if target.archive is None:
            await public_addresses(target.host, target.port)
        parts = urlsplit(proxy)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            authority = f"{target.host}:{target.port}"
            headers = [("Host", authority)]
            if parts.username:
                headers.append(("Proxy-Authorization", _basic(unquote(parts.username), unquote(parts.password or ""))))
            connection = h11.Connection(h11.CLIENT)
            asked = connection.send(h11.Request(method="CONNECT", target=authority, headers=headers))
            writer.write(asked or b"")
            while (event := connection.next_event()) is h11.NEED_DATA:
                # A byte at a time: what follows the answer belongs to the tunnel.
                connection.receive_data(await reader.read(1))
            if not isinstance(event, h11.Response) or event.status_code >= 300:
                raise UnavailableError(f"{target.host}: the host's proxy makes no tunnel to it")
        except BaseException:
            writer.close()
            raise
        return reader, writer


async def _connect_any(addresses: Iterable[str], port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    fault: OSError | None = None
    for address in addresses:
        try:
            return await asyncio.open_connection(address, port)
        except OSError as error:
            fault = error
    raise fault or OSError("no address")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
