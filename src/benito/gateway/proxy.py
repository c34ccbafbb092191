"""The package proxy: nodes' apt fetches through it, and what one node has fetched the next gets from the cache.

GET and HEAD of http addresses, and tunnels (CONNECT) for https; where to is the policy's decision (`targets`). What
never changes is served from the cache without a question; of indexes the server is asked whether they have changed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Mapping

import h11

from benito.gateway.cache import Cache, Entry, lasting, worth_keeping
from benito.gateway.downloads import CHUNK, Answer, Downloads, passed, unchanged_since
from benito.gateway.targets import Policy, RefusedError, Target
from benito.gateway.upstream import UnavailableError, Upstream

log = logging.getLogger("gateway")
IDLE_S = 60.0
"""How long a connection may be silent."""
TUNNEL_IDLE_S = 600.0
CLIENTS = 256
"""Most connections of nodes at a time."""
_RANGE = re.compile(r"bytes=(\d+)-")
_SERVER = "benito"


class Proxy:
    """Serves the nodes of one experiment."""

    def __init__(self, policy: Policy, upstream: Upstream, cache: Cache) -> None:
        self.policy = policy
        self.upstream = upstream
        self.cache = cache
        self.downloads = Downloads(upstream, cache)
        self._clients = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        if self._clients >= CLIENTS:
            writer.close()
            return
        self._clients += 1
        try:
            await Conversation(self, reader, writer).run()
        except (OSError, TimeoutError, h11.ProtocolError, UnavailableError):
            # The node went away, or what it was being sent broke off: closing says it.
            pass
        except Exception:
            log.exception("a connection failed")
        finally:
            self._clients -= 1
            writer.close()


class Conversation:
    """One connection of a node."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy, self._reader, self._writer = proxy, reader, writer
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=16384)

    async def run(self) -> None:
        """Answer request after request."""
        while True:
            request = await self._next_request()
            if request is None:
                return
            method, url = request.method.decode(), request.target.decode("latin-1")
            asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in request.headers}
            try:
                if method == "CONNECT":
                    await self._tunnel(self._proxy.policy.connect(url))
                    return
                if method not in ("GET", "HEAD"):
                    raise RefusedError(f"this proxy knows no {method}")
                await self._answer(self._proxy.policy.get(url), method, asked)
            except RefusedError as refused:
                await self._say(403, refused.message)
            except UnavailableError as fault:
                if self._http.our_state is not h11.SEND_RESPONSE:
                    raise
                await self._say(502, str(fault))
            if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
                return
            self._http.start_next_cycle()

    async def _next_request(self) -> h11.Request | None:
        """Return the next request, its body thrown away; None at the end of the conversation."""
        request: h11.Request | None = None
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                async with asyncio.timeout(IDLE_S):
                    self._http.receive_data(await self._reader.read(CHUNK))
            elif isinstance(event, h11.Request):
                request = event
                if request.method == b"CONNECT":
                    return request
            elif isinstance(event, h11.EndOfMessage):
                return request
            elif isinstance(event, h11.ConnectionClosed) or event is h11.PAUSED:
                return None

    async def _answer(self, target: Target, method: str, asked: Mapping[str, str]) -> None:
        if method == "HEAD" or not worth_keeping(target.path):
            await self._pass_on(target, method, asked)
            return
        cache = self._proxy.cache
        with cache.open(target.url) as entry:
            fresh = entry is not None and lasting(target.path) and "no-cache" not in asked.get("cache-control", "")
            if entry and fresh:
                cache.touch(target.url)
                await self._serve_kept(entry, asked)
                return
            try:
                answer = await self._proxy.downloads.get(target, entry.headers if entry else {})
            except UnavailableError as fault:
                if entry is None:
                    raise
                log.info("%s; what is kept is given instead", fault)
                await self._serve_kept(entry, asked)
                return
            if answer.status == 304 and entry:
                cache.touch(target.url)
                await self._serve_kept(entry, asked)
                return
        await self._serve_fresh(answer, asked)

    async def _serve_fresh(self, answer: Answer, asked: Mapping[str, str]) -> None:
        if answer.download is None:
            headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
            await self._send_head(answer.status, {**headers, "content-length": "0"})
            await self._send(h11.EndOfMessage())
            return
        if unchanged_since(answer.headers, asked):
            await self._not_modified(answer.headers)
            return
        await self._send_head(200, answer.headers)
        await self._send_body(answer.download.body())

    async def _serve_kept(self, entry: Entry, asked: Mapping[str, str]) -> None:
        headers = {**entry.headers, "content-length": str(entry.size)}
        if unchanged_since(headers, asked):
            await self._not_modified(headers)
            return
        status, begin = 200, 0
        wanted = _RANGE.fullmatch(asked.get("range", "").strip())
        if wanted and asked.get("if-range", headers.get("etag")) in (headers.get("etag"), headers.get("last-modified")):
            begin = int(wanted[1])
            if begin >= entry.size:
                await self._send_head(416, {"content-range": f"bytes */{entry.size}", "content-length": "0"})
                await self._send(h11.EndOfMessage())
                return
            status = 206
            headers["content-range"] = f"bytes {begin}-{entry.size - 1}/{entry.size}"
            headers["content-length"] = str(entry.size - begin)
        await self._send_head(status, headers)
        await self._send_body(_contents(entry, begin))

    async def _not_modified(self, headers: Mapping[str, str]) -> None:
        kept = {name: value for name, value in headers.items() if name in ("etag", "last-modified", "date")}
        await self._send_head(304, kept)
        await self._send(h11.EndOfMessage())

    async def _pass_on(self, target: Target, method: str, asked: Mapping[str, str]) -> None:
        """Fetch for this node alone, keeping nothing."""
        wanted = ("range", "if-range", "if-none-match", "if-modified-since", "cache-control", "accept", "user-agent")
        headers = {name: asked[name] for name in wanted if name in asked}
        async with self._proxy.upstream.fetch(target, method, headers) as response:
            told = passed(response.headers)
            await self._send_head(response.status, told)
            if method == "HEAD" or response.status in (204, 304):
                await self._send(h11.EndOfMessage())
            else:
                await self._send_body(response.aiter_stream())

    async def _tunnel(self, target: Target) -> None:
        far_reader, far_writer = await self._proxy.upstream.tunnel(target)
        try:
            await self._send(h11.Response(status_code=200, headers=[]))
            early, _ = self._http.trailing_data
            far_writer.write(early)
            await _join((self._reader, self._writer), (far_reader, far_writer))
        finally:
            far_writer.close()

    async def _say(self, status: int, text: str) -> None:
        body = f"{text}\n".encode()
        headers = {"content-type": "text/plain; charset=utf-8", "content-length": str(len(body))}
        # apt shows a person the reason and nothing else of a refusal.
        await self._send_head(status, headers, reason=text)
        await self._send(h11.Data(data=body))
        await self._send(h11.EndOfMessage())

    async def _send_head(self, status: int, headers: Mapping[str, str], reason: str = "") -> None:
        lines = [*headers.items(), ("via", f"1.1 {_SERVER}")]
        words = re.sub(r"[^ -~]", "?", reason).encode()
        await self._send(h11.Response(status_code=status, headers=lines, reason=words))

    async def _send_body(self, chunks: AsyncIterator[bytes]) -> None:
        async for chunk in chunks:
            await self._send(h11.Data(data=chunk))
        await self._send(h11.EndOfMessage())

    async def _send(self, event: h11.Event) -> None:
        self._writer.write(self._http.send(event) or b"")
        async with asyncio.timeout(IDLE_S):
            await self._writer.drain()


async def _contents(entry: Entry, begin: int) -> AsyncIterator[bytes]:
    entry.file.seek(entry.start + begin)
    while chunk := entry.file.read(CHUNK):
        yield chunk


Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def _join(near: Ends, far: Ends) -> None:
    """Carry bytes both ways until both sides have ended or nothing has come from either for long."""

    loop = asyncio.get_running_loop()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(CHUNK):
                # Who only listens isn't silent: a long download is one side's talk alone.
                if not silence.expired():
                    silence.reschedule(loop.time() + TUNNEL_IDLE_S)
                writer.write(data)
                await writer.drain()
            if writer.can_write_eof():
                writer.write_eof()
        except OSError:
            writer.close()

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(TUNNEL_IDLE_S) as silence:
            await asyncio.gather(carry(near[0], far[1]), carry(far[0], near[1]))
