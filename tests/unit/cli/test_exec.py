"""What `benito exec` makes of a node's output."""

from __future__ import annotations

import asyncio

import pytest

from benito.cli.exec import LONGEST_LINE, _lines


@pytest.mark.parametrize(
    ("output", "pieces"),
    [
        (b"", []),
        (b"one\ntwo\n", [b"one\n", b"two\n"]),
        (b"one\ntwo", [b"one\n", b"two"]),
        (b"\0" * 10, [b"\0" * 10]),
    ],
)
def test_output_comes_line_by_line(output: bytes, pieces: list[bytes]) -> None:
    assert asyncio.run(_taken(output)) == pieces


def test_output_without_any_line_end_is_not_gathered_for_ever() -> None:
    output = b"x" * (3 * LONGEST_LINE)
    taken = asyncio.run(_taken(output))
    assert b"".join(taken) == output
    assert len(taken) > 1


async def _taken(output: bytes) -> list[bytes]:
    reader = asyncio.StreamReader()
    reader.feed_data(output)
    reader.feed_eof()
    return [line async for line in _lines(reader)]
