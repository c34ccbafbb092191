"""What the package proxy keeps on disk: one file an address, the newest uses counted, the oldest removed.

Shared by the gateways of all experiments: each file is written aside and renamed, so that a reader finds it whole or
not at all. A file is one line of JSON about it, then its contents.
"""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO

import msgspec

LASTING = re.compile(r"/pool/.*\.(u?deb|dsc|tar(\.\w+)?|diff\.gz)$|/by-hash/\w+/[0-9a-f]+$")
"""Paths whose contents never change: their names hold a version or a digest."""
INDEXES = re.compile(r"/dists/|\.u?deb$|/(In)?Release(\.gpg)?$|/(Packages|Sources|Contents\S*)(\.\w+)?$")
"""Paths that may change, worth keeping when the server says whether they have."""
STALE_PART_S = 3600.0
"""How old a half-written file must be before it is taken for one that nobody writes any more."""
_MAX_HEAD = 8192


def lasting(path: str) -> bool:
    """Whether what is at that path stays the same for ever."""
    return bool(LASTING.search(path))


def worth_keeping(path: str) -> bool:
    """Whether it is of the kind that package managers fetch over and over again."""
    return "?" not in path and bool(LASTING.search(path) or INDEXES.search(path))


class _Head(msgspec.Struct):
    """The first line of a file."""

    url: str
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Entry:
    """Something kept, open for reading."""

    headers: dict[str, str]
    """Of the response that it came with, names in lower case."""
    file: BinaryIO
    start: int
    """Where in the file its contents begin."""
    size: int
    """Of its contents, in bytes."""


class Cache:
    """One folder of packages, bounded in size."""

    def __init__(self, folder: Path, limit_bytes: int) -> None:
        self.folder = folder
        self.limit = limit_bytes
        self._since_pruning = 0

    def _path(self, url: str) -> Path:
        digest = sha256(url.encode()).hexdigest()
        return self.folder / digest[:2] / digest

    @contextlib.contextmanager
    def open(self, url: str) -> Iterator[Entry | None]:
        """Yield what is kept of an address, or None; it stays readable even if it is removed meanwhile."""
        try:
            file = self._path(url).open("rb")
        except OSError:
            yield None
            return
        with file:
            yield _entry(file, url)

    def touch(self, url: str) -> None:
        """Count a use."""
        with contextlib.suppress(OSError):
            os.utime(self._path(url))

    def begin(self, url: str, headers: dict[str, str]) -> Part:
        """Begin to keep a response."""
        path = self._path(url)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix="part-", dir=path.parent)
        head = msgspec.json.encode(_Head(url, headers)) + b"\n"
        file = os.fdopen(descriptor, "r+b", buffering=0)
        file.write(head)
        return Part(Path(name), path, file, len(head))

    def stored(self, size: int) -> None:
        """Take note of so many bytes more, and make room now and then."""
        self._since_pruning += size
        if self._since_pruning > self.limit // 16:
            self._since_pruning = 0
            self.prune()

    def prune(self) -> None:
        """Remove what was used longest ago until the folder keeps its bound, and what was never finished."""
        found = []
        for path in self.folder.glob("??/*"):
            with contextlib.suppress(OSError):
                facts = path.stat()
                if not path.name.startswith("part-"):
                    found.append((facts.st_mtime, facts.st_blocks * 512, path))
                elif facts.st_mtime < time.time() - STALE_PART_S:
                    path.unlink()
        held = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if held <= self.limit:
                return
            with contextlib.suppress(OSError):
                path.unlink()
            held -= size


@dataclass(slots=True)
class Part:
    """A response on its way into the cache, which others may read as it grows."""

    name: Path
    final: Path
    file: BinaryIO
    start: int
    written: int = 0

    def append(self, data: bytes) -> None:
        """Add to it; OSError when the disk is full."""
        view = memoryview(data)
        while view:
            view = view[self.file.write(view) :]
        self.written += len(data)

    def read(self, offset: int, size: int) -> bytes:
        """Return what is there of the contents from an offset on, at most so much."""
        return os.pread(self.file.fileno(), min(size, self.written - offset), self.start + offset)

    def keep(self) -> None:
        """It is whole: let everybody find it."""
        self.name.replace(self.final)

    def drop(self) -> None:
        """It can't be completed, or isn't wanted any more."""
        self.name.unlink(missing_ok=True)


def _entry(file: BinaryIO, url: str) -> Entry | None:
    head = file.readline(_MAX_HEAD)
    try:
        told = msgspec.json.decode(head, type=_Head)
    except msgspec.DecodeError:
        return None
    if told.url != url:
        return None
    return Entry(told.headers, file, len(head), os.fstat(file.fileno()).st_size - len(head))
