"""The web application behind uvicorn: guarded, and with a crowd that keeps silent connections from filling it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from benito.services.certificates import Authority
from benito.services.crowd import Crowd
from benito.services.doors import Doors
from benito.services.middleware import guarded
from benito.services.web.app import application

MAX_CONNECTIONS = 1024
SILENT_S = 60.0
GRACE_S = 2
"""How long pages that follow an experiment may take to let go at the end."""


class WebDoor:
    """Serves the pages until told to end."""

    def __init__(self, doors: Doors, names: Iterable[str], port: int, authority: Authority | None) -> None:
        """With an authority it speaks TLS, as it must on a network; `names` are what it may be addressed by."""
        self.crowd = Crowd(MAX_CONNECTIONS, SILENT_S)
        pages = guarded(application(doors), doors.access, hosts=names, port=port, secure=authority is not None)
        certificate: Path | None = authority.server if authority else None
        self._server = _Server(
            uvicorn.Config(
                cast(Any, pages),
                http=_protocol(self.crowd),
                ssl_certfile=certificate,
                ssl_keyfile=certificate,
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
