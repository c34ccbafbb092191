"""Requests and events as JSON lines over a Unix socket: how keeper, agents and commands talk.

    client -> {"id": 1, "op": "status", "arguments": {...}}
    server -> {"id": 1, "reply": ...}   or   {"id": 1, "error": {"kind", "message", "hint"}}
    server -> {"event": ...}            to clients that asked with op "subscribe"

Requests of one client are answered as they finish, not in order. A slow reader of events is dropped, not waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from benito import errors

MAX_LINE = 64 << 20
"""Bytes; the plan of a large pnode is the longest line."""
MAX_BACKLOG = 16 << 20
"""Bytes of unread events after which a client is dropped."""

Handler = Callable[..., Awaitable[Any]]
log = logging.getLogger(__name__)


class Unreachable(errors.NodeError):
    """Nobody listens at the socket, or the connection broke before the reply."""


class Server:
    """Answers requests with its handlers; `publish` tells every subscriber."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        self.handlers = handlers
        self._subscribers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def listen(self, path: Path) -> None:
        """Serve at the path, in place of whoever left a socket there."""
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._converse, path, limit=MAX_LINE)
        path.chmod(0o600)

    async def close(self) -> None:
        """Stop listening and let go of all clients."""
        if self._server:
            self._server.close()
        for writer in list(self._subscribers):
            writer.close()

    def publish(self, event: Any) -> None:
        """Send the event to every subscriber."""
        line = json.dumps({"event": event}).encode() + b"\n"
        for writer in list(self._subscribers):
            if writer.transport.get_write_buffer_size() > MAX_BACKLOG or writer.is_closing():
                self._subscribers.discard(writer)
                writer.transport.abort()
            else:
                writer.write(line)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                task = asyncio.create_task(self._answer(line, writer))
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        except (OSError, ValueError) as error:
            log.warning("client dropped: %s", error)
        finally:
            self._subscribers.discard(writer)
            writer.close()

    async def _answer(self, line: bytes, writer: asyncio.StreamWriter) -> None:
        number = None
        try:
            request = json.loads(line)
            number = request["id"]
            if request["op"] == "subscribe":
                self._subscribers.add(writer)
            handler = self.handlers.get(request["op"], _accepted if request["op"] == "subscribe" else None)
            if handler is None:
                raise errors.NodeError(f"unknown request {request['op']!r}")
            answer = {"id": number, "reply": await handler(**request.get("arguments", {}))}
        except errors.BenitoError as error:
            answer = {
                "id": number,
                "error": {"kind": type(error).__name__, "message": error.message, "hint": error.hint},
            }
        except Exception as error:
            log.exception("request failed: %.200r", line)
            answer = {
                "id": number,
                "error": {"kind": "NodeError", "message": f"{type(error).__name__}: {error}", "hint": ""},
            }
        with contextlib.suppress(OSError):
            writer.write(json.dumps(answer).encode() + b"\n")
            await writer.drain()


async def _accepted() -> bool:
    return True


class Client:
    """One connection; `call` asks, `events` listens."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def connect(self) -> Client:
        """Connect now; Unreachable when nobody listens."""
        try:
            reader, self._writer = await asyncio.open_unix_connection(self.path, limit=MAX_LINE)
        except OSError as error:
            raise Unreachable(f"nobody answers at {self.path}: {error.strerror}") from None
        self._reader = asyncio.create_task(self._read(reader))
        return self

    async def __aenter__(self) -> Client:
        return await self.connect()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of the connection; pending calls raise Unreachable."""
        if self._writer:
            self._writer.close()
        if self._reader:
            self._reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._reader

    async def call(
        self, operation: str, arguments: Mapping[str, Any] | None = None, *, deadline_s: float | None = 60.0
    ) -> Any:
        """Ask and return the reply; raises what the other side raised, Unreachable, or NodeError at the deadline."""
        if self._writer is None or self._reader is None or self._reader.done():
            raise Unreachable(f"the connection to {self.path} is closed")
        number = next(self._numbers)
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        try:
            request = {"id": number, "op": operation, "arguments": dict(arguments or {})}
            self._writer.write(json.dumps(request).encode() + b"\n")
            # Not wait_for: Python 3.11's loses a cancellation that comes when the future is done.
            async with asyncio.timeout(deadline_s):
                return await future
        except TimeoutError:
            raise errors.NodeError(f"{operation}: no reply within {deadline_s:g} s from {self.path}") from None
        except OSError as error:
            raise Unreachable(f"{self.path}: {error}") from None
        finally:
            self._waiting.pop(number, None)

    async def events(self) -> AsyncIterator[Any]:
        """Yield events after a call of `subscribe`; ends when the connection does."""
        while True:
            event = await self._events.get()
            if event is None:
                return
            yield event

    async def _read(self, reader: asyncio.StreamReader) -> None:
        try:
            while line := await reader.readline():
                self._take(json.loads(line))
        except (OSError, ValueError):
            pass
        finally:
            self._events.put_nowait(None)
            for future in self._waiting.values():
                if not future.done():
                    future.set_exception(Unreachable(f"the connection to {self.path} broke"))

    def _take(self, message: dict[str, Any]) -> None:
        if "event" in message:
            self._events.put_nowait(message["event"])
            return
        future = self._waiting.get(message["id"])
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(_raised(message["error"]))
        else:
            future.set_result(message["reply"])


def _raised(error: dict[str, str]) -> errors.BenitoError:
    kind = getattr(errors, error["kind"], errors.NodeError)
    raised: errors.BenitoError = kind(error["message"], hint=error["hint"])
    return raised
