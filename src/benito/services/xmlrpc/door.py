"""The TLS door of the XML-RPC: HTTP/1.1 for who shows a certificate of ours, one path, bounded in every way."""

from __future__ import annotations

import asyncio
import importlib
import logging
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar

import h11

from benito.errors import BenitoError
from benito.services import listening
from benito.services.crowd import Crowd
from benito.services.doors import Doors
from benito.services.xmlrpc import wire
from benito.services.xmlrpc.arguments import arguments
from benito.services.xmlrpc.method import METHODS, Call
from benito.services.xmlrpc.reply import Code, Reply, failure
from benito.testbed.people import User

log = logging.getLogger(__name__)
PORT = 3069
PATH = "/usr/testbed"
MAX_BODY = 2 << 20
"""Bytes: a file of 512 KiB whose every byte is escaped still fits."""
MAX_HEADERS = 16 << 10
MAX_CONNECTIONS = 256
SILENT_S = 60.0
MAX_CALLS = 64
HANDSHAKE_S = 10.0
WRITE_S = 60.0
CHUNK = 64 << 10
GONE_S = 1.0
"""How often it is looked whether who waits for an answer is still there."""

T = TypeVar("T")

for _module in ("steering", "looking", "nodes"):
    importlib.import_module(f"benito.services.xmlrpc.{_module}")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    kind: str = "text/xml"


class XmlRpcDoor:
    """Answers Emulab's calls."""

    def __init__(self, doors: Doors, context: Callable[[], ssl.SSLContext]) -> None:
        self.doors = doors
        self.crowd = Crowd(MAX_CONNECTIONS, SILENT_S)
        self._context = context()
        self._calls: Counter[str] = Counter()
        """Calls of each user that are being answered: nobody's waiting takes all the room."""

    async def serve(self, listener: socket.socket) -> None:
        """Answer until cancelled."""
        await listening.serve(listener, self.crowd, self._converse, CHUNK)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Nothing may be awaited before this: what the client has sent belongs to the handshake.
        try:
            await writer.start_tls(self._context, ssl_handshake_timeout=HANDSHAKE_S)
        except AttributeError:
            # asyncio looks for the transport of a connection that was cut off in the handshake.
            raise ConnectionResetError("cut off in the handshake") from None
        shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEADERS)
        while True:
            try:
                request = await self._request(connection, reader)
                if request is None:
                    return
                body = await self._body(connection, reader, writer, request)
            except h11.RemoteProtocolError as error:
                await self._send(connection, writer, _Answer(error.error_status_hint, b"", "text/plain"))
                return
            self.crowd.busy(writer)
            # A certificate may be taken back while its connection lasts.
            user = self.doors.access.by_certificate(shown or b"")
            answer = await _unless_gone(writer, self._answer(user, request, body))
            if answer is None:
                return
            self.crowd.heard(writer)
            await self._send(connection, writer, answer)
            if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
                return
            connection.start_next_cycle()

    async def _request(self, connection: h11.Connection, reader: asyncio.StreamReader) -> h11.Request | None:
        event = await _next(connection, reader)
        return event if isinstance(event, h11.Request) else None

    async def _body(
        self,
        connection: h11.Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        request: h11.Request,
    ) -> bytes | None:
        """Return the request's body; None, and nothing read of it, when it is too large."""
        headers = dict(request.headers)
        if int(headers.get(b"content-length", b"0")) > MAX_BODY:
            return None
        if connection.they_are_waiting_for_100_continue:
            writer.write(connection.send(h11.InformationalResponse(status_code=100, headers=[])) or b"")
        parts, size = [], 0
        while isinstance(event := await _next(connection, reader), h11.Data):
            size += len(event.data)
            if size > MAX_BODY:
                return None
            parts.append(bytes(event.data))
        return b"".join(parts)

    async def _answer(self, user: User | None, request: h11.Request, body: bytes | None) -> _Answer:
        if user is None:
            return _Answer(403, b"this certificate is nobody's any more\n", "text/plain")
        if request.target.decode("latin-1").rstrip("/") != PATH:
            return _Answer(404, f"the calls are at {PATH}\n".encode(), "text/plain")
        if request.method != b"POST":
            return _Answer(405, b"calls are POST requests\n", "text/plain")
        if body is None:
            return _Answer(413, f"a call has at most {MAX_BODY} bytes\n".encode(), "text/plain")
        if self._calls[user.name] >= MAX_CALLS:
            busy = Reply(1, f"{user.name} has {MAX_CALLS} calls waiting already", Code.REFUSED)
            return _Answer(200, wire.write_reply(busy.struct))
        self._calls[user.name] += 1
        try:
            return _Answer(200, await answer(self.doors, user, body))
        finally:
            self._calls[user.name] -= 1

    async def _send(self, connection: h11.Connection, writer: asyncio.StreamWriter, answer: _Answer) -> None:
        if connection.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        headers = [("content-type", answer.kind), ("content-length", str(len(answer.body)))]
        if answer.status != 200:
            headers.append(("connection", "close"))
        parts = (
            connection.send(h11.Response(status_code=answer.status, headers=headers)),
            connection.send(h11.Data(data=answer.body)),
            connection.send(h11.EndOfMessage()),
        )
        writer.write(b"".join(part for part in parts if part))
        async with asyncio.timeout(WRITE_S):
            await writer.drain()


async def _next(connection: h11.Connection, reader: asyncio.StreamReader) -> Any:
    while (event := connection.next_event()) is h11.NEED_DATA:
        connection.receive_data(await reader.read(CHUNK))
    return event


async def _unless_gone(writer: asyncio.StreamWriter, work: Coroutine[Any, Any, T]) -> T | None:
    """Do the work while the client stays; None when it has gone."""
    task = asyncio.create_task(work)
    try:
        while not (await asyncio.wait({task}, timeout=GONE_S))[0]:
            if writer.transport.is_closing():
                return None
        return task.result()
    finally:
        task.cancel()


async def answer(doors: Doors, user: User, body: bytes) -> bytes:
    """Return the reply to one call, whatever it is."""
    try:
        name, parameters = wire.read_call(body)
    except BenitoError as error:
        return wire.write_fault(wire.FAULT_PARSE, error.message)
    method = METHODS.get(name)
    if method is None:
        return wire.write_fault(wire.FAULT_METHOD, f"unknown method '{name[:100]}'")
    try:
        reply = await method.body(Call(doors, user, arguments(parameters, method.positions)))
    except BenitoError as error:
        reply = failure(error)
    except Exception:
        log.exception("%s failed", name)
        reply = Reply(1, "this call failed in a way that is a defect of Benito; its log has more", Code.SERVERERROR)
    log.info("%s %s: %s", user.name, name, reply.code.name)
    return wire.write_reply(reply.struct)
