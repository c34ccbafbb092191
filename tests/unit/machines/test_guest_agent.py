"""The guest agent's client, against an agent of ours that misbehaves on demand."""

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from benito.errors import NodeError
from benito.machines import guest_agent
from benito.machines.guest_agent import ExecResult, GuestAgent

Answer = Callable[[str, dict[str, Any]], Any]


@asynccontextmanager
async def an_agent(path: Path, answer: Answer, *, greeting: bytes = b"", deaf: int = 0) -> AsyncIterator[GuestAgent]:
    """An agent that says `greeting` first and passes over the first `deaf` messages."""

    async def serve(reader: StreamReader, writer: StreamWriter) -> None:
        nonlocal deaf
        writer.write(greeting)
        while line := await reader.readline():
            if deaf:
                deaf -= 1
                continue
            message = json.loads(line.lstrip(b"\xff"))
            if message["execute"] == "guest-sync-delimited":
                writer.write(b'{"error": {"desc": "parse error"}}\n\xff')
                value = message["arguments"]["id"]
            else:
                value = answer(message["execute"], message.get("arguments", {}))
            if value is not None:
                reply = value if isinstance(value, dict) and "error" in value else {"return": value}
                writer.write(json.dumps(reply).encode() + b"\n")
        writer.close()

    server = await asyncio.start_unix_server(serve, path, limit=1 << 26)
    client = GuestAgent(path, "node-1")
    try:
        yield client
    finally:
        await client.close()
        server.close()


def run(step: Awaitable[None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(step, 20)

    asyncio.run(bounded())


def running(result: dict[str, Any], polls: int = 2) -> Answer:
    """An agent on which a command ends at the given question."""
    left = polls

    def answer(command: str, arguments: dict[str, Any]) -> Any:
        nonlocal left
        if command == "guest-exec":
            return {"pid": 7}
        left -= 1
        return {"exited": True, **result} if left <= 0 else {"exited": False}

    return answer


def test_a_commands_end_and_output(tmp_path: Path) -> None:
    async def steps() -> None:
        result = {"exitcode": 3, "out-data": b64encode(b"out").decode(), "err-data": b64encode(b"err").decode()}
        async with an_agent(tmp_path / "s", running(result)) as agent:
            assert await agent.exec(["/bin/x"]) == ExecResult(3, b"out", b"err")

    run(steps())


def test_a_signal_is_a_code(tmp_path: Path) -> None:
    async def steps() -> None:
        async with an_agent(tmp_path / "s", running({"signal": 9})) as agent:
            assert (await agent.exec(["/bin/x"])).code == 137

    run(steps())


def test_big_outputs_come_whole_and_cut_ones_are_refused(tmp_path: Path) -> None:
    async def steps() -> None:
        data = bytes(range(256)) * 20_000
        async with an_agent(tmp_path / "a", running({"exitcode": 0, "out-data": b64encode(data).decode()})) as agent:
            assert (await agent.exec(["/bin/x"])).stdout == data
        async with an_agent(tmp_path / "b", running({"exitcode": 0, "out-truncated": True})) as agent:
            with pytest.raises(NodeError, match="more than 16 MiB"):
                await agent.exec(["/bin/x"])

    run(steps())


def test_what_an_earlier_client_left_is_passed_over(tmp_path: Path) -> None:
    async def steps() -> None:
        stale = b'0, "half": "an answer"}\n{"return": {"pid": 1}}\n\xff{"return": 12}\n'
        async with an_agent(tmp_path / "s", lambda *_: "fresh", greeting=stale) as agent:
            assert await agent.call("guest-ping", {}, 5) == "fresh"

    run(steps())


def test_a_handshake_that_nobody_read_is_sent_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_agent, "_SYNC_AGAIN", 0.05)

    async def steps() -> None:
        async with an_agent(tmp_path / "s", lambda *_: "here", deaf=3) as agent:
            await agent.wait_ready(10)
            assert await agent.call("guest-ping", {}, 5) == "here"

    run(steps())


def test_after_a_lost_answer_the_next_call_gets_its_own(tmp_path: Path) -> None:
    async def steps() -> None:
        silent = ["once"]

        def answer(command: str, arguments: dict[str, Any]) -> Any:
            return None if command == "lost" and silent.pop() else command

        async with an_agent(tmp_path / "s", answer) as agent:
            with pytest.raises(NodeError, match=r"did not answer within 0\.2 s"):
                await agent.call("lost", {}, 0.2)
            assert await agent.call("found", {}, 5) == "found"

    run(steps())


def test_a_refusal_says_who_and_why(tmp_path: Path) -> None:
    async def steps() -> None:
        async with an_agent(tmp_path / "s", lambda *_: {"error": {"desc": "no such file"}}) as agent:
            with pytest.raises(NodeError, match="node-1: guest-file-open: no such file"):
                await agent.read_file("/x")

    run(steps())


def test_no_machine_is_said_within_the_deadline(tmp_path: Path) -> None:
    async def steps() -> None:
        with pytest.raises(NodeError, match="no machine listens"):
            await GuestAgent(tmp_path / "none").wait_ready(0.1)

    run(steps())


def test_somebody_listens_who_has_asked_nothing_and_closes_it_again(tmp_path: Path) -> None:
    async def steps() -> None:
        async with an_agent(tmp_path / "s", lambda command, _: {"asked": command}) as agent:
            await agent.attach(5)
            await agent.attach(5)
            assert await agent.call("guest-info", {}, 5) == {"asked": "guest-info"}
            await agent.close()
            await agent.attach(5)
            await agent.close()

    run(steps())


def test_an_answer_without_end_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest_agent, "LIMIT", 1 << 16)

    async def steps() -> None:
        async with an_agent(tmp_path / "s", lambda *_: "x" * (1 << 18)) as agent:
            with pytest.raises(NodeError, match="the agent's answer is too long"):
                await agent.call("guest-info", {}, 5)

    run(steps())
