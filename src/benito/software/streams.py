"""Compressed files as plain streams, told apart by their first bytes."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

from benito import run

PROGRAMS = {
    b"\x28\xb5\x2f\xfd": ("zstd", "-dc"),
    b"\x02\x21\x4c\x18": ("lz4", "-dc"),
    b"\x04\x22\x4d\x18": ("lz4", "-dc"),
    b"\x1f\x9d": ("gzip", "-dc"),
}
"""Formats that Python 3.11 can't read: zstd, lz4 (as kernels have it, and as files do), and Unix compress (`.Z`)."""
LONGEST_MAGIC = 6
END_S = 10.0


@contextmanager
def plain(file: IO[bytes], start: int = 0) -> Iterator[IO[bytes]]:
    """Give what a file holds from `start` on, decompressed; OSError, EOFError or lzma.LZMAError when it is damaged."""
    file.seek(start)
    magic = file.read(LONGEST_MAGIC)
    file.seek(start)
    program = next((argv for first, argv in PROGRAMS.items() if magic.startswith(first)), None)
    if program:
        with _through(program, file, start) as stream:
            yield stream
    elif magic.startswith(b"\x1f\x8b"):
        with gzip.GzipFile(fileobj=file) as unzipped:
            yield unzipped  # type: ignore[misc]
    elif magic.startswith(b"BZh"):
        with bz2.BZ2File(file) as unzipped:
            yield unzipped
    elif magic.startswith((b"\xfd7zXZ\0", b"\x5d\0\0")):
        with lzma.LZMAFile(file) as unzipped:
            yield unzipped
    else:
        yield file


@contextmanager
def _through(argv: tuple[str, ...], file: IO[bytes], start: int) -> Iterator[IO[bytes]]:
    """Give the output of a program that reads the file."""
    run.require(argv[0])
    os.lseek(file.fileno(), start, os.SEEK_SET)
    process = subprocess.Popen(argv, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process.stdout
        ended = not process.stdout.read(1)
        process.stdout.close()
        code = process.wait(END_S) if ended else 0
        if code:
            said = process.stderr.read(4096).decode(errors="replace").strip()
            raise OSError(said or f"{argv[0]} ended with {code}")
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
