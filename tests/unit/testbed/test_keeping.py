"""Waiting for nodes: as long as they come up, however many there are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from benito.agent.rpc import Server
from benito.errors import NodeError
from benito.testbed import keeping
from benito.testbed.home import ExperimentId, Home, Place
from benito.testbed.keeping import Request, ask_keeper, await_booted
from benito.testbed.progress import Silence

NODES = ["a", "b", "c", "d"]
Told = list[tuple[float, dict[str, Any]]]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Home(tmp_path).place(ExperimentId("Demo", "star"))


def tell(monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
    """Have the keeper tell this, each after so many seconds, and then nothing."""

    async def follow(_: Place) -> AsyncIterator[dict[str, Any]]:
        for seconds, event in told:
            await asyncio.sleep(seconds)
            yield event
        await asyncio.Event().wait()

    monkeypatch.setattr(keeping, "follow", follow)


def booted(node: str) -> dict[str, Any]:
    return {"node": node, "status": ["booted", None]}


def test_nodes_that_boot_one_after_the_other_may_take_longer_in_all(
    monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    tell(monkeypatch, [(0.25, booted(node)) for node in NODES])
    assert await_booted(place, NODES, (), Silence(), 0.5) == []


def test_what_comes_no_further_is_named(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    again: Told = [(0.05, {"node": "a", "phase": "booting"}), *[(0.05, booted("a"))] * 100]
    tell(monkeypatch, [(0, booted("b")), (0.05, booted("c")), *again])
    with pytest.raises(NodeError, match=r"for 0\.4 s, and these are not booted: d \("):
        await_booted(place, NODES, (), Silence(), 0.4)


def test_a_node_that_dies_ends_the_wait_unless_it_is_optional(monkeypatch: pytest.MonkeyPatch, place: Place) -> None:
    tell(monkeypatch, [(0, {"statuses": {"a": ["booted", 0], "b": ["dead", 1]}}), (0, booted("c")), (0, booted("d"))])
    assert await_booted(place, NODES, ("b",), Silence(), 10) == ["b"]
    with pytest.raises(NodeError, match="b: its machine ended with exit code 1"):
        await_booted(place, NODES, (), Silence(), 10)


def test_an_agent_that_is_away_is_waited_for_and_a_pnode_that_ended_is_not(
    monkeypatch: pytest.MonkeyPatch, place: Place
) -> None:
    away = {"pnode": "pnode-0000", "event": "lost", "why": "away", "nodes": NODES}
    tell(monkeypatch, [(0, away), (0.1, {"again": {node: ["booted", None] for node in NODES}})])
    assert await_booted(place, NODES, (), Silence(), 5) == []
    tell(monkeypatch, [(0, away), (0.1, away | {"why": "ended"})])
    with pytest.raises(NodeError, match="pnode-0000 ended while its nodes booted"):
        await_booted(place, NODES, (), Silence(), 5)


def test_questions_may_be_asked_a_few_at_a_time(tmp_path: Path) -> None:
    at_work = most = 0

    async def control(node: str) -> str:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        await asyncio.sleep(0.01)
        at_work -= 1
        if node == "c":
            raise NodeError("c is stuck")
        return node

    def ask(at_once: int | None) -> list[Any]:
        requests = [Request("control", {"node": node}) for node in NODES]
        return ask_keeper(cast(Place, SimpleNamespace(keeper_socket=tmp_path / "s")), requests, 10, at_once=at_once)

    async def serve() -> None:
        nonlocal most
        await Server({"control": control}).listen(tmp_path / "s")
        for at_once, wanted in ((2, 2), (None, 4)):
            most = 0
            answers = await asyncio.to_thread(ask, at_once)
            assert most == wanted
            assert [*answers[:2], *answers[3:]] == ["a", "b", "d"]
            assert isinstance(answers[2], NodeError)

    asyncio.run(asyncio.wait_for(serve(), 20))


def test_nodes_that_were_up_when_their_agent_came_back_are_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statuses: dict[str, tuple[str | None, int | None]] = dict.fromkeys(NODES, (None, None))
    place = SimpleNamespace(keeper_socket=tmp_path / "s", nodes=tmp_path, logs=tmp_path)

    async def status() -> dict[str, tuple[str | None, int | None]]:
        told = dict(statuses)
        # Right after, the agent is back and says how its nodes are; none of them changes any more.
        statuses.update(dict.fromkeys(NODES, ("booted", None)))
        return told

    async def serve() -> None:
        server = Server({"status": status})
        await server.listen(tmp_path / "s")
        waiting = asyncio.create_task(asyncio.to_thread(await_booted, cast(Any, place), NODES, (), Silence(), 5.0))
        while not waiting.done():
            server.publish({"time": 1.0, "pnode": "pnode-0000", "event": "reached"})
            await asyncio.sleep(0.05)
        assert await waiting == []

    asyncio.run(asyncio.wait_for(serve(), 20))


@pytest.mark.parametrize("init_runs", [True, False])
def test_a_keeper_whose_init_runs_is_waited_for(monkeypatch: pytest.MonkeyPatch, place: Place, init_runs: bool) -> None:
    asked = []

    class Slow(keeping.Client):
        async def __aenter__(self) -> keeping.Client:
            asked.append(self)
            if len(asked) < 5:
                raise keeping.Unreachable("nobody answers")
            return self

        async def call(self, *_: Any, **__: Any) -> Any:
            return {}

    monkeypatch.setattr(keeping, "Client", Slow)
    monkeypatch.setattr(keeping, "ABSENT_S", 0.0)
    monkeypatch.setattr(keeping, "keeper_alive", lambda _: init_runs)
    if init_runs:
        keeping.await_keeper(place)
        assert len(asked) == 5
    else:
        with pytest.raises(keeping.Unreachable):
            keeping.await_keeper(place)
        assert len(asked) == 1
