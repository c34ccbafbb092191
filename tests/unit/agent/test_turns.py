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


def test_who_gives_up_waiting_keeps_nobody_waiting(tmp_path: Path) -> None:
    async def run() -> None:
        async def hold(turns: Turns) -> None:
            async with turns.one():
                await asyncio.sleep(60)

        # The first has the turn, the second looks for one, the others wait to look.
        agents = [asyncio.create_task(hold(Turns(tmp_path / "turns", 1))) for _ in range(4)]
        await asyncio.sleep(0.1)
        for agent in (agents[2], agents[1], agents[0]):
            agent.cancel()
        await asyncio.wait(agents[:3])
        await asyncio.sleep(0.1)
        agents[3].cancel()
        await asyncio.wait(agents)
        async with asyncio.timeout(5), Turns(tmp_path / "turns", 1).one():
            pass

    asyncio.run(run())
