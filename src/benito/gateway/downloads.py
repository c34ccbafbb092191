"""Downloads under way: one from the world at a time for each address, however many nodes ask for it.

A download goes on when the node that asked first goes away: the others read along, and the next finds it whole.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

from benito.gateway.cache import Cache, Part
from benito.gateway.targets import Target
from benito.gateway.upstream import UnavailableError, Upstream

log = logging.getLogger("gateway")
CHUNK = 1 << 16
KEPT_HEADERS = ("content-type", "content-length", "last-modified", "etag", "date", "accept-ranges")
PASSED_HEADERS = (*KEPT_HEADERS, "content-range", "location", "cache-control", "expires", "retry-after")


@dataclass
class Download:
    """A response from the world while it comes in; followers read what is there and wait for more."""

    status: int
    headers: dict[str, str]
    part: Part
    done: bool = False
    fault: str = ""
    _grown: asyncio.Event = field(default_factory=asyncio.Event)

    def grow(self) -> None:
        """Tell the followers that there is more, or an end."""
        self._grown.set()
        self._grown = asyncio.Event()

    async def body(self) -> AsyncIterator[bytes]:
        """Yield the contents; UnavailableError when they break off."""
        offset = 0
        while True:
            grown = self._grown
            if data := self.part.read(offset, CHUNK):
                offset += len(data)
                yield data
            elif self.fault:
                raise UnavailableError(self.fault)
            elif self.done:
                return
            else:
                await grown.wait()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the world says to a request: a status and headers, and a body of either kind or none."""

    status: int
    headers: dict[str, str]
    download: Download | None = None


class Downloads:
    """Fetches into the cache for one gateway."""

    def __init__(self, upstream: Upstream, cache: Cache) -> None:
        self._upstream = upstream
        self._cache = cache
        self._running: dict[str, asyncio.Task[None]] = {}
        self._answers: dict[str, asyncio.Future[Answer]] = {}
        self._held = 0
        """Bytes of unfinished downloads on disk: nodes that begin many must not fill it."""

    async def get(self, target: Target, known: Mapping[str, str]) -> Answer:
        """Ask for what is worth keeping; with `known`, the headers of what is kept, 304 says that it is good still.

        UnavailableError when the world doesn't answer.
        """
        url = target.url
        if url not in self._answers:
            answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            # Asked for by nobody any more when all of them went away.
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._answers[url] = answer
            self._running[url] = asyncio.create_task(self._fetch(target, dict(known), answer))
        return await asyncio.shield(self._answers[url])

    async def _fetch(self, target: Target, known: dict[str, str], answer: asyncio.Future[Answer]) -> None:
        url = target.url
        conditions = {"If-None-Match": known.get("etag", ""), "If-Modified-Since": known.get("last-modified", "")}
        headers = {name: value for name, value in conditions.items() if value} | {"Accept-Encoding": "identity"}
        try:
            async with self._upstream.fetch(target, "GET", headers) as response:
                told = passed(response.headers)
                log.info("asked for %s: %d", url, response.status)
                if response.status != 200:
                    answer.set_result(Answer(response.status, told))
                    return
                await self._take_in(target, told, response.aiter_stream(), answer)
        except Exception as error:
            if not isinstance(error, UnavailableError | OSError):
                log.exception("%s", target.host)
            if not answer.done():
                answer.set_exception(error if isinstance(error, UnavailableError) else UnavailableError(str(error)))
        finally:
            self._answers.pop(url, None)
            self._running.pop(url, None)

    async def _take_in(
        self, target: Target, headers: dict[str, str], chunks: AsyncIterator[bytes], answer: asyncio.Future[Answer]
    ) -> None:
        kept = {name: value for name, value in headers.items() if name in KEPT_HEADERS}
        part = self._cache.begin(target.url, kept)
        download = Download(200, headers, part)
        answer.set_result(Answer(200, headers, download))
        whole = False
        try:
            limit = self._cache.limit // 2
            async for chunk in chunks:
                if self._held + len(chunk) > limit:
                    raise UnavailableError("it is more than the package cache takes at a time")
                part.append(chunk)
                self._held += len(chunk)
                download.grow()
            size = headers.get("content-length")
            whole = size is None or int(size) == part.written
            download.fault = "" if whole else "the server closed the connection early"
        except (UnavailableError, OSError, ValueError) as error:
            download.fault = str(error) or type(error).__name__
            raise UnavailableError(download.fault) from error
        except BaseException:
            download.fault = "the download was ended"
            raise
        finally:
            self._held -= part.written
            if whole:
                part.keep()
                self._cache.stored(part.written)
            else:
                part.drop()
            download.done = True
            download.grow()


def passed(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Return the headers of a response that nodes get to see."""
    plain = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in headers}
    return {name: value for name, value in plain.items() if name in PASSED_HEADERS}


def unchanged_since(headers: Mapping[str, str], asked: Mapping[str, str]) -> bool:
    """Whether who asks has just this version of something, by its own conditions."""
    if (tag := asked.get("if-none-match")) is not None:
        return bool(headers.get("etag")) and headers["etag"] in (each.strip() for each in tag.split(","))
    since, changed = asked.get("if-modified-since"), headers.get("last-modified")
    if not since or not changed:
        return False
    return since == changed or _seconds(changed) <= _seconds(since)


def _seconds(date: str) -> float:
    """Return the time that a header tells; a thing that is no time is neither before nor after another."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return float("nan")
