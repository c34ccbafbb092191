"""Turns among agents: as many as there are, and free again when their holder is gone."""

import asyncio
from pathlib import Path

from benito.agent.turns import Turns


def test_no_more_are_held_than_there_are_turns(tmp_path: Path) -> None:
    held = most = 0

    async def work(turns: Turns) -> None:
        nonlocal held, most
        async with turns.one():
            held += 1
            most = max(most, held)
            await asyncio.sleep(0.01)
            held -= 1

    async def run() -> None:
        agents = [Turns(tmp_path / "turns", 3) for _ in range(4)]
        await asyncio.gather(*(work(agent) for agent in agents for _ in range(4)))

    asyncio.run(run())
    assert most == 3


def test_a_turn_is_given_back_by_one_that_is_cancelled(tmp_path: Path) -> None:
    async def run() -> None:
        turns = Turns(tmp_path / "turns", 1)

        async def hold() -> None:
            async with turns.one():
                await asyncio.sleep(60)

        holder = asyncio.create_task(hold())
        await asyncio.sleep(0.01)
        waiting = asyncio.create_task(hold())
        await asyncio.sleep(0.01)
        waiting.cancel()
        holder.cancel()
        await asyncio.gather(holder, waiting, return_exceptions=True)
        async with turns.one():
            pass

    asyncio.run(run())
