"""Bytes between a browser and a node: no faster than they are shown, and nothing of ssh's own."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from typing import Any

from benito.services.web.terminal import CHUNK, SSH, WINDOW, SerialLine, Talk


class Browser:
    """A WebSocket whose other end the test holds."""

    def __init__(self) -> None:
        self.shown = 0
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def send_bytes(self, data: bytes) -> None:
        self.shown += len(data)

    async def receive(self) -> dict[str, Any]:
        return await self.said.get()


async def never() -> None:
    """Nobody forbids it."""
    await asyncio.Event().wait()


async def flooded(browser: Browser, machine: socket.socket) -> int:
    """Have the machine write as long as it gets rid of anything; returns how much it was."""
    written, quiet = 0, 0
    while quiet < 20:
        try:
            written += machine.send(bytes(CHUNK))
            quiet = 0
        except BlockingIOError:
            quiet += 1
        await asyncio.sleep(0.002)
    return written


def test_a_node_that_floods_its_terminal_is_read_no_faster_than_it_is_shown() -> None:
    async def scene() -> None:
        ours, machine = socket.socketpair()
        machine.setblocking(False)
        browser = Browser()
        talk: Any = asyncio.create_task(Talk(browser, SerialLine(ours)).run(never()))  # type: ignore[arg-type]
        await flooded(browser, machine)
        assert WINDOW < browser.shown <= WINDOW + CHUNK
        before = browser.shown
        await browser.said.put({"type": "websocket.receive", "text": json.dumps({"ack": before})})
        await flooded(browser, machine)
        assert WINDOW < browser.shown - before <= WINDOW + CHUNK
        await browser.said.put({"type": "websocket.disconnect"})
        await talk
        ours.close()
        machine.close()

    asyncio.run(scene())


def test_what_is_typed_arrives_and_what_makes_no_sense_is_left() -> None:
    async def scene() -> None:
        ours, machine = socket.socketpair()
        browser = Browser()
        talk: Any = asyncio.create_task(Talk(browser, SerialLine(ours)).run(never()))  # type: ignore[arg-type]
        for text in ("", "{", "[]", '"ack"', '{"ack": "x"}', '{"columns": null}', '{"columns": 1e999, "rows": 1}'):
            await browser.said.put({"type": "websocket.receive", "text": text})
        await browser.said.put({"type": "websocket.receive", "bytes": b"typed\n"})
        assert await asyncio.to_thread(os.read, machine.fileno(), 100) == b"typed\n"
        await browser.said.put({"type": "websocket.disconnect"})
        await talk
        ours.close()
        machine.close()

    asyncio.run(scene())


def test_who_may_not_type_any_more_is_cut_off() -> None:
    async def scene() -> None:
        ours, machine = socket.socketpair()
        forbidden = asyncio.Event()

        async def watched() -> None:
            await forbidden.wait()

        talk: Any = asyncio.create_task(Talk(Browser(), SerialLine(ours)).run(watched()))  # type: ignore[arg-type]
        done, _ = await asyncio.wait({talk}, timeout=0.1)
        assert not done
        forbidden.set()
        async with asyncio.timeout(10):
            await talk
        ours.close()
        machine.close()

    asyncio.run(scene())


def test_ssh_takes_no_commands_of_its_own_and_hands_nothing_on() -> None:
    assert SSH[SSH.index("-e") + 1] == "none"
    assert {"-a", "-x"} <= set(SSH)
