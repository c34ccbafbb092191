"""Files by http and https, kept in a cache by what they hold.

Beside the contents, named by their SHA-256, a small note for each address remembers which contents it gave and what the
server said of their age, so that an unchanged file isn't sent again and one is at hand while the server is away.
"""

from __future__ import annotations

import hashlib
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path
from typing import IO

import msgspec

from benito.errors import InputError

MOST_BYTES = 2 << 30
STALL_S = 30.0
"""How long the server may say nothing."""
WHOLE_S = 900.0
CHUNK = 1 << 20
IN_USE_S = 3600.0
"""How long a file that was asked for is surely kept: somebody may be making a bundle of it."""
Tell = Callable[[str], None]


class Note(msgspec.Struct, frozen=True):
    """What an address gave last."""

    url: str
    digest: str
    etag: str = ""
    modified: str = ""


def is_url(location: str) -> bool:
    """Whether a location is one that can be fetched."""
    return location.lower().startswith(("http://", "https://"))


def fetch(url: str, cache: Path, tell: Tell) -> Path:
    """Return the file that the address gives, from the cache when it is unchanged; InputError with the reason else."""
    cache.mkdir(parents=True, exist_ok=True)
    # Addresses may hold what opens them, and what they give is for the nodes of those who asked.
    cache.chmod(0o700)
    note_file = cache / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
    note = _note(note_file, url, cache)
    headers = {"User-Agent": "benito"}
    if note is not None:
        headers |= {"If-None-Match": note.etag} if note.etag else {}
        headers |= {"If-Modified-Since": note.modified} if note.modified else {}
    try:
        # Only http and https come here, and redirections to files of this host are not followed.
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=STALL_S) as answer:
            fresh = _receive(url, answer, cache)
            etag, modified = answer.headers.get("ETag", ""), answer.headers.get("Last-Modified", "")
            note = Note(url, fresh, etag, modified)
    except urllib.error.HTTPError as error:
        if error.code != 304 or note is None:
            raise InputError(f"{url} can't be fetched: {error.code} {error.reason}", hint="mend the address") from error
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        if note is None:
            hint = "fetch it by hand and name the file instead"
            raise InputError(f"{url} can't be fetched: {reason}", hint=hint) from error
        tell(f"{url} can't be asked ({reason}); the copy fetched before is used")
    note_file.write_bytes(msgspec.json.encode(note))
    (cache / note.digest).touch()
    return cache / note.digest


def prune(cache: Path, most_bytes: int) -> None:
    """Remove the files that nobody has asked for longest until the others have no more bytes than that.

    What was asked for within `IN_USE_S` stays in any case; what interrupted fetches left goes.
    """
    kept = sorted(_ages(cache), reverse=True)
    total = 0
    for last, size, file in kept:
        total += size
        if time.time() - last > IN_USE_S and (total > most_bytes or file.name.startswith("new-")):
            file.unlink(missing_ok=True)
            total -= size
    for file in cache.glob("*.json"):
        note = _read_note(file)
        if note is None or not (cache / note.digest).exists():
            file.unlink(missing_ok=True)


def _ages(cache: Path) -> Iterator[tuple[float, int, Path]]:
    """Yield of each file when it was last asked for, its size, and where it lies."""
    for file in cache.glob("*"):
        if file.suffix != ".json":
            with suppress(FileNotFoundError):
                found = file.stat()
                yield found.st_mtime, found.st_size, file


def _note(file: Path, url: str, cache: Path) -> Note | None:
    note = _read_note(file)
    return note if note and note.url == url and (cache / note.digest).exists() else None


def _read_note(file: Path) -> Note | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError):
        return None


def _receive(url: str, answer: IO[bytes], cache: Path) -> str:
    """Write the answer into the cache and return its digest."""
    began, size, made = time.monotonic(), 0, hashlib.sha256()
    length = getattr(answer, "length", None)
    new = cache / f"new-{os.getpid()}"
    try:
        with new.open("wb") as file:
            while data := answer.read(CHUNK):
                size += len(data)
                if size > MOST_BYTES:
                    raise InputError(f"{url} is larger than {MOST_BYTES >> 30} GiB", hint="put it into an image")
                if time.monotonic() - began > WHOLE_S:
                    raise InputError(f"{url} took longer than {WHOLE_S:g} s", hint="fetch it by hand, name the file")
                made.update(data)
                file.write(data)
        if length is not None and size < length:
            raise OSError(f"the connection broke after {size} of {length} bytes")
        new.replace(cache / made.hexdigest())
    finally:
        new.unlink(missing_ok=True)
    return made.hexdigest()
