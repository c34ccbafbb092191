"""`benito status -w`: everything that happens is shown, many things at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from benito.cli.status import gathered


def test_a_burst_is_shown_once_and_what_comes_later_again() -> None:
    happened = 0

    async def events() -> AsyncIterator[int]:
        nonlocal happened
        for pause in (0.3, 0.3, 5):
            for _ in range(100):
                happened += 1
                yield happened
            await asyncio.sleep(pause)

    async def steps() -> list[int]:
        shown = []
        async for _ in gathered(events(), 0.1):
            shown.append(happened)
            if happened == 300:
                break
        return shown

    shown = asyncio.run(asyncio.wait_for(steps(), 20))
    assert (shown[0], shown[-1]) == (100, 300)
    assert len(shown) <= 3


def test_the_end_of_the_events_is_the_end() -> None:
    async def broken() -> AsyncIterator[int]:
        yield 1
        await asyncio.sleep(0.05)
        raise ValueError("gone")

    async def steps() -> None:
        async for _ in gathered(broken(), 0.01):
            pass

    with pytest.raises(ValueError, match="gone"):
        asyncio.run(asyncio.wait_for(steps(), 20))
