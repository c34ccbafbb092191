"""Reads an input file as text, whatever it turns out to be."""

from __future__ import annotations

import stat
from pathlib import Path

from benito.errors import InputError, Where

MAX_BYTES = 64 << 20


def printable(text: str) -> str:
    """Return text from a file as it can be shown: on one line, without what makes a terminal do things or turn round.

    That is control characters, marks of writing direction, line ends of any kind, and what has no meaning (yet).
    """
    return text if text.isprintable() else "".join(char if char.isprintable() else "�" for char in text)


def read_text(path: Path) -> str:
    """Return the file's text with plain line ends; InputError where it is no text file of at most 64 MiB."""
    return decode(read_bytes(path), str(path))


def read_bytes(path: Path) -> bytes:
    """Return what the file holds; InputError where it is no regular file of at most 64 MiB."""
    where = Where(str(path))
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise InputError("this is a directory, not a file", where=where, hint="name the file inside it")
        if not stat.S_ISREG(mode):
            raise InputError("this is not a regular file", where=where)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError("there is no such file", where=where, hint="check the name and the folder") from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise InputError(f"the file can't be read: {reason}", where=where) from error
    if len(data) > MAX_BYTES:
        raise InputError(f"the file is larger than {MAX_BYTES >> 20} MiB", where=where)
    return data


def decode(data: bytes, file: str) -> str:
    """Return bytes as text with plain line ends; InputError where they are none.

    Bytes that are not UTF-8 are taken as Latin-1, as old files have them in comments and names of people.
    """
    for byte, name in ((b"\0", "a NUL byte"), (b"\x1a", "a Ctrl-Z byte")):
        if byte in data:
            line = data.count(b"\n", 0, data.index(byte)) + 1
            raise InputError(f"the file contains {name}", where=Where(file, line), hint="is this a text file?")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    return text.replace("\r\n", "\n").replace("\r", "\n")
