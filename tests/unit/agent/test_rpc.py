"""The line RPC between keeper, agents and commands."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from benito.agent.rpc import Client, Server, Unreachable
from benito.errors import NodeError, StateError


async def double(n: int) -> int:
    await asyncio.sleep(n / 100)
    return 2 * n


async def refuse() -> None:
    raise StateError("not now", hint="later")


async def never() -> None:
    await asyncio.get_running_loop().create_future()


def served(tmp_path: Path, use: Callable[[Server, Client], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        server = Server({"double": double, "refuse": refuse, "never": never})
        await server.listen(tmp_path / "s")
        async with Client(tmp_path / "s") as client:
            outcome = await use(server, client)
        await server.close()
        return outcome

    return asyncio.run(run())


def test_quick_answers_do_not_wait_for_slow_ones(tmp_path: Path) -> None:
    async def use(_: Server, client: Client) -> list[int]:
        order: list[int] = []

        async def ask(n: int) -> None:
            order.append(await client.call("double", {"n": n}))

        await asyncio.gather(ask(20), ask(1))
        return order

    assert served(tmp_path, use) == [2, 40]


def test_errors_keep_their_kind_and_hint(tmp_path: Path) -> None:
    async def use(_: Server, client: Client) -> None:
        with pytest.raises(StateError, match=r"not now \(later\)"):
            await client.call("refuse")

    served(tmp_path, use)


def test_unknown_requests_and_wrong_arguments_are_errors(tmp_path: Path) -> None:
    async def use(_: Server, client: Client) -> None:
        with pytest.raises(NodeError, match="unknown request 'fly'"):
            await client.call("fly")
        with pytest.raises(NodeError, match="TypeError"):
            await client.call("double", {"m": 1})

    served(tmp_path, use)


def test_a_late_answer_is_an_error_at_the_deadline(tmp_path: Path) -> None:
    async def use(_: Server, client: Client) -> None:
        with pytest.raises(NodeError, match=r"no reply within 0\.05 s"):
            await client.call("never", deadline_s=0.05)
        assert await client.call("double", {"n": 1}) == 2

    served(tmp_path, use)


def test_subscribers_hear_events(tmp_path: Path) -> None:
    async def use(server: Server, client: Client) -> Any:
        await client.call("subscribe")
        server.publish({"node": "a"})
        return await anext(client.events())

    assert served(tmp_path, use) == {"node": "a"}


def test_nobody_there_is_unreachable(tmp_path: Path) -> None:
    async def run() -> None:
        with pytest.raises(Unreachable):
            await Client(tmp_path / "none").connect()

    asyncio.run(run())


def test_a_broken_connection_ends_waiting_calls(tmp_path: Path) -> None:
    async def run() -> None:
        async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readline()
            writer.close()

        async with await asyncio.start_unix_server(hang_up, tmp_path / "s"), Client(tmp_path / "s") as client:
            with pytest.raises(Unreachable):
                await client.call("double", {"n": 1})

    asyncio.run(run())
