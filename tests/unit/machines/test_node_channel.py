"""What a node says by itself."""

import asyncio
import contextlib
from asyncio import StreamReader, StreamWriter
from pathlib import Path

import pytest

from benito.machines.node_channel import Booted, NodeChannel, NodeEvent, StartExit, parse


@pytest.mark.parametrize(
    ("line", "event"),
    [
        ("booted 1b4e28ba\n", Booted("1b4e28ba")),
        ("start-exit 0\n", StartExit(0)),
        ("start-exit 255", StartExit(255)),
        ("", None),
        ("booted", None),
        ("start-exit -1", None),
        ("start-exit ٣", None),
        ("start-exit 1234", None),
        ("booted " + "x" * 100, None),
        ("rm -rf /", None),
    ],
)
def test_lines_are_events_or_nothing(line: str, event: NodeEvent | None) -> None:
    assert parse(line) == event


def test_events_come_in_order_until_the_machine_ends(tmp_path: Path) -> None:
    async def steps() -> list[NodeEvent]:
        async def serve(_: StreamReader, writer: StreamWriter) -> None:
            writer.write(b"booted a\nstart-ex")
            await writer.drain()
            writer.write(b"it 3\nnonsense \xff\nbooted b\n")
            writer.close()

        server = await asyncio.start_unix_server(serve, tmp_path / "s")
        async with server:
            channel = NodeChannel(tmp_path / "s")
            await channel.connect()
            return [event async for event in channel.events()]

    assert asyncio.run(asyncio.wait_for(steps(), 10)) == [Booted("a"), StartExit(3), Booted("b")]


def test_lines_without_end_wait_in_the_port(tmp_path: Path) -> None:
    async def steps() -> int:
        sent = 0

        async def serve(_: StreamReader, writer: StreamWriter) -> None:
            nonlocal sent
            with contextlib.suppress(ConnectionError):
                while True:
                    writer.write(b"nonsense\n" * 1000 + b"x" * 10_000)
                    await writer.drain()
                    sent += 1

        server = await asyncio.start_unix_server(serve, tmp_path / "s")
        async with server:
            channel = NodeChannel(tmp_path / "s")
            await channel.connect()
            events = channel.events()
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.5):
                    await anext(events)
            await channel.close()
            return sent

    # A few socket buffers' worth, however fast it writes.
    assert asyncio.run(asyncio.wait_for(steps(), 10)) < 100


def test_a_line_too_long_is_passed_over(tmp_path: Path) -> None:
    async def steps() -> NodeEvent:
        async def serve(_: StreamReader, writer: StreamWriter) -> None:
            writer.write(b"x" * 100_000 + b"\nbooted a\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_unix_server(serve, tmp_path / "s")
        async with server:
            channel = NodeChannel(tmp_path / "s")
            return await anext(channel.events())

    assert asyncio.run(asyncio.wait_for(steps(), 10)) == Booted("a")
