"""A listening TCP socket with a crowd: what the line and the XML-RPC door have in common."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from asyncio import sslproto
from collections.abc import Awaitable, Callable
from typing import Any

from benito.errors import HostError
from benito.services.crowd import Crowd

log = logging.getLogger(__name__)
BACKLOG = 1024
LINGER_S = 5.0
"""How long the last words to a client wait for it to read them."""

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def bound(host: str, port: int, what: str) -> socket.socket:
    """Return a socket that listens there; HostError when the port is taken or the address isn't ours."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise HostError(
                f"port {port} of {host} is taken: {what} can't listen there",
                hint="is another `benito serve` running? Else choose another port, see `benito serve --help`",
            ) from None
        raise HostError(f"{what} can't listen on {host} port {port}: {error.strerror or error}") from None


def small_buffers() -> None:
    """Have each encrypted connection of this process take a buffer of 32 KiB, two records, instead of 256."""
    sslproto.SSLProtocol.max_size = 32 << 10


def many_files() -> None:
    """Let this process have as many connections as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


async def serve(listener: socket.socket, crowd: Crowd, converse: Conversation, limit: int) -> None:
    """Have each connection converse while the crowd lets it, until cancelled; `limit` bounds what is read ahead."""
    talks: set[asyncio.Task[Any]] = set()

    async def welcome(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        talks.add(talk)
        transport = writer.transport
        try:
            if crowd.enter(writer, transport.abort):
                await converse(reader, writer)
                await _close(writer)
        except (OSError, EOFError, TimeoutError, asyncio.CancelledError):
            # A talk is cancelled when the door closes, and nobody waits for it to say so.
            pass
        except Exception:
            log.exception("a connection's talk failed")
        finally:
            talks.discard(talk)
            crowd.leave(writer)
            if writer.transport is None:
                # A TLS handshake that was cut off leaves a writer without transport, over which asyncio stumbles.
                writer._transport = transport
            writer.transport.abort()

    server = await asyncio.start_server(welcome, sock=listener, limit=limit, backlog=BACKLOG)
    try:
        await crowd.watch()
    finally:
        server.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


async def _close(writer: asyncio.StreamWriter) -> None:
    """End a connection when what was written has been read, or a while later."""
    writer.close()
    async with asyncio.timeout(LINGER_S):
        await writer.wait_closed()
