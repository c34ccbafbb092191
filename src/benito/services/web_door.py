"""The web application behind uvicorn: guarded, and with a crowd that keeps silent connections from filling it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable, Generator, Iterable
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from benito.services.certificates import Authority
from benito.services.crowd import Crowd
from benito.services.doors import Doors
from benito.services.middleware import guarded
from benito.services.web.app import application

MAX_CONNECTIONS = 1024
MOST_ENCRYPTED = 256
"""On a network: each encrypted connection, and each whose handshake isn't done, has buffers of some 300 KiB."""
SILENT_S = 60.0
HANDSHAKE_S = 10.0
GRACE_S = 2
"""How long pages that follow an experiment may take to let go at the end."""


class WebDoor:
    """Serves the pages until told to end."""

    def __init__(self, doors: Doors, names: Iterable[str], port: int, authority: Authority | None) -> None:
        """With an authority it speaks TLS, as it must on a network; `names` are what it may be addressed by."""
        self.crowd = Crowd(MOST_ENCRYPTED if authority else MAX_CONNECTIONS, SILENT_S)
        pages = guarded(application(doors), doors.access, hosts=names, port=port, secure=authority is not None)
        protocol = _protocol(self.crowd)
        context = authority.pages_context() if authority else None
        self._server = _Server(
            uvicorn.Config(
                cast(Any, pages),
                http=cast(Any, _encrypted(self.crowd, protocol, context) if context else protocol),
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                lifespan="off",
                ws_max_size=1 << 20,
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    async def serve(self, listener: socket.socket) -> None:
        """Answer until `end`."""
        watching = asyncio.create_task(self.crowd.watch())
        try:
            await self._server.serve(sockets=[listener])
        finally:
            watching.cancel()

    def end(self) -> None:
        """Let the answers under way finish, and no more."""
        self._server.should_exit = True


class _Server(uvicorn.Server):
    """Leaves signals to `serve`, which has other doors too."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _protocol(crowd: Crowd) -> type[H11Protocol]:
    """Return uvicorn's HTTP protocol with each connection known to the crowd."""

    class Crowded(H11Protocol):
        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            if not crowd.enter(self, transport.abort):
                transport.abort()

        def connection_lost(self, exc: Exception | None) -> None:
            crowd.leave(self)
            super().connection_lost(exc)

        def handle_events(self) -> None:
            super().handle_events()
            if self.cycle is not None and not self.cycle.response_complete:
                crowd.busy(self)

        def on_response_complete(self) -> None:
            crowd.heard(self)
            super().on_response_complete()

        def handle_websocket_upgrade(self, event: Any) -> None:
            crowd.leave(self)
            super().handle_websocket_upgrade(event)

    return Crowded


class _Handshake(asyncio.Protocol):
    """A connection until it is encrypted: the crowd counts it as it does all others, and may let it go."""

    def __init__(
        self,
        pending: set[asyncio.Task[None]],
        crowd: Crowd,
        context: ssl.SSLContext,
        made: Callable[[], asyncio.Protocol],
    ) -> None:
        self.pending = pending
        self.crowd = crowd
        self.context = context
        self.made = made
        self.early: list[bytes] = []
        """What was decrypted before its protocol knows of the connection."""

    def connection_made(self, transport: Any) -> None:
        if not self.crowd.enter(self, transport.abort):
            transport.abort()
            return
        # What has come belongs to the handshake.
        transport.pause_reading()
        task = asyncio.ensure_future(self._shake(transport))
        self.pending.add(task)
        task.add_done_callback(self.pending.discard)

    def data_received(self, data: bytes) -> None:
        self.early.append(data)

    async def _shake(self, transport: Any) -> None:
        if transport.is_closing():
            # Others came in the same moment and it has made room for them: it costs nothing more.
            self.crowd.leave(self)
            return
        try:
            encrypted = await asyncio.get_running_loop().start_tls(
                transport, self, self.context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S
            )
        except (OSError, AttributeError):
            # AttributeError: asyncio looks for the transport of a connection that was cut off.
            transport.abort()
            return
        finally:
            self.crowd.leave(self)
        if encrypted is not None and not encrypted.is_closing():
            protocol: Any = self.made()
            encrypted.set_protocol(protocol)
            protocol.connection_made(encrypted)
            for data in self.early:
                protocol.data_received(data)


def _encrypted(crowd: Crowd, protocol: type[H11Protocol], context: ssl.SSLContext) -> Callable[..., asyncio.Protocol]:
    """Return what makes a connection's protocol, as uvicorn does, but for one that has its handshake before it."""
    pending: set[asyncio.Task[None]] = set()
    return lambda **told: _Handshake(pending, crowd, context, lambda: protocol(**told))
