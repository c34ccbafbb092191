"""Client of the QEMU guest agent, over its Unix socket.

One request is under way at a time; callers queue. The socket is QEMU's, so it outlives reboots of the guest: whatever
an earlier agent or client left in it is passed over by a handshake that marks its answer with a byte of its own.
"""

from __future__ import annotations

import asyncio
import json
import socket
from asyncio import StreamReader, StreamWriter
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from secrets import randbelow
from typing import Any

from benito.errors import NodeError
from benito.machines.sockets import LIMIT, connect_socket

_MARK = b"\xff"
_SYNC_AGAIN = 5.0
"""Seconds after which the handshake is sent once more: the guest may have rebooted with the last one unread."""
_CHUNK = 256 << 10


@dataclass(frozen=True, slots=True)
class ExecResult:
    """What a command in the guest gave; a signal N counts as code 128 + N."""

    code: int
    stdout: bytes
    stderr: bytes


class GuestAgent:
    """The agent of one machine.

    Every method raises NodeError when the agent doesn't answer in time or refuses.
    """

    def __init__(self, path: Path, node: str = "") -> None:
        self._path = path
        self._node = node or path.name
        self._attached: socket.socket | None = None
        self._streams: tuple[StreamReader, StreamWriter] | None = None
        self._synced = False
        self._lock = asyncio.Lock()
        self._numbers = count(randbelow(1 << 24) << 24)

    async def attach(self, timeout: float) -> None:
        """Be there, without a word: a guest whose agent has nobody to listen to looks for somebody ten times a second.

        What it may say waits in the socket, which holds little.
        """
        if self._streams is None and self._attached is None:
            self._attached = await connect_socket(self._path, timeout)

    async def wait_ready(self, timeout: float) -> None:
        """Wait until the agent answers; it may begin to long after the machine's process."""
        async with self._lock:
            await self._bounded(self._handshake(timeout), timeout)

    async def exec(
        self, argv: Sequence[str], *, input: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> ExecResult:
        """Run a command in the guest as root and wait for its end; its output is held by the agent, 16 MiB at most."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        pid = await self.begin(argv, input=input, env=env, timeout=timeout)
        pause = 0.05
        while True:
            left = deadline - loop.time()
            if left <= 0:
                raise NodeError(f"{self._node}: {argv[0]} did not end within {timeout:g} s")
            # The agent has no event for the end of a command; each question costs the guest some milliseconds.
            await asyncio.sleep(min(pause, left))
            pause = min(pause * 2, 0.25)
            if done := await self.ended(pid, argv[0], max(left, 5.0)):
                return done

    async def begin(
        self, argv: Sequence[str], *, input: bytes = b"", env: Mapping[str, str] | None = None, timeout: float = 60
    ) -> int:
        """Start a command in the guest as root and return its process's id."""
        arguments: dict[str, Any] = {"path": argv[0], "arg": list(argv[1:]), "capture-output": True}
        if input:
            arguments["input-data"] = b64encode(input).decode()
        if env is not None:
            arguments["env"] = [f"{name}={value}" for name, value in env.items()]
        return int((await self.call("guest-exec", arguments, timeout))["pid"])

    async def ended(self, pid: int, program: str, timeout: float = 60) -> ExecResult | None:
        """Return what a command that was begun has given; None while it runs. The end is told once."""
        status = await self.call("guest-exec-status", {"pid": pid}, timeout)
        return self._result(program, status) if status["exited"] else None

    def _result(self, program: str, status: Mapping[str, Any]) -> ExecResult:
        if status.get("out-truncated") or status.get("err-truncated"):
            raise NodeError(f"{self._node}: {program} wrote more than 16 MiB", hint="write to a file and read that")
        code = status["exitcode"] if "exitcode" in status else 128 + int(status.get("signal", 0))
        return ExecResult(code, b64decode(status.get("out-data", "")), b64decode(status.get("err-data", "")))

    async def read_file(self, path: str, timeout: float = 60) -> bytes:
        """Return a file's contents, of any size."""
        handle = await self.call("guest-file-open", {"path": path, "mode": "r"}, timeout)
        parts: list[bytes] = []
        try:
            while True:
                part = await self.call("guest-file-read", {"handle": handle, "count": _CHUNK}, timeout)
                parts.append(b64decode(part["buf-b64"]))
                if part["eof"] or not part["count"]:
                    return b"".join(parts)
        finally:
            await self.call("guest-file-close", {"handle": handle}, timeout)

    async def write_file(self, path: str, data: bytes, timeout: float = 60) -> None:
        """Make a file with these contents, replacing what was there."""
        handle = await self.call("guest-file-open", {"path": path, "mode": "w"}, timeout)
        try:
            for start in range(0, len(data), _CHUNK):
                rest = data[start : start + _CHUNK]
                while rest:
                    arguments = {"handle": handle, "buf-b64": b64encode(rest).decode()}
                    rest = rest[(await self.call("guest-file-write", arguments, timeout))["count"] :]
        finally:
            await self.call("guest-file-close", {"handle": handle}, timeout)

    async def shutdown(self, mode: str = "powerdown", timeout: float = 10) -> None:
        """Ask the guest to end: `powerdown`, `halt` or `reboot`; returns when it has been asked."""
        async with self._lock:
            await self._bounded(self._ready_streams(timeout), timeout)
            await self._send({"execute": "guest-shutdown", "arguments": {"mode": mode}})
            # The agent answers only if it refuses, so the next caller must not take that for its own answer.
            self._synced = False

    async def call(self, command: str, arguments: Mapping[str, Any], timeout: float) -> Any:
        """Return the agent's answer to any command of its protocol."""
        async with self._lock:
            return await self._bounded(self._call(command, arguments, timeout), timeout)

    async def close(self) -> None:
        """Let go of the socket; a later call connects again."""
        streams, self._streams, self._synced = self._streams, None, False
        if streams:
            streams[1].close()
        attached, self._attached = self._attached, None
        if attached:
            attached.close()

    async def _bounded(self, step: Any, timeout: float) -> Any:
        """Await a step; a failed or cancelled one leaves the stream to be handshaken anew."""
        try:
            return await asyncio.wait_for(step, timeout)
        except TimeoutError as error:
            self._synced = False
            what = "no machine listens at its socket" if self._streams is None else "the guest agent did not answer"
            raise NodeError(f"{self._node}: {what} within {timeout:g} s") from error
        except (OSError, EOFError) as error:
            await self.close()
            what = (isinstance(error, EOFError) and str(error)) or "the machine has closed its guest agent's socket"
            raise NodeError(f"{self._node}: {what}") from error
        except asyncio.CancelledError:
            self._synced = False
            raise

    async def _call(self, command: str, arguments: Mapping[str, Any], timeout: float) -> Any:
        await self._ready_streams(timeout)
        await self._send({"execute": command, "arguments": arguments})
        answer = await self._receive()
        if "error" in answer:
            raise NodeError(f"{self._node}: {command}: {answer['error'].get('desc', 'refused')}")
        return answer.get("return")

    async def _ready_streams(self, timeout: float) -> None:
        if not self._synced:
            await self._handshake(timeout)

    async def _handshake(self, timeout: float) -> None:
        await self.attach(timeout)
        if self._attached:
            attached, self._attached = self._attached, None
            self._streams = await asyncio.open_unix_connection(sock=attached, limit=LIMIT)
        while True:
            number = next(self._numbers)
            await self._send({"execute": "guest-sync-delimited", "arguments": {"id": number}}, _MARK)
            try:
                await asyncio.wait_for(self._expect(number), _SYNC_AGAIN)
            except TimeoutError:
                continue
            self._synced = True
            return

    async def _expect(self, number: int) -> None:
        """Pass over everything up to the handshake's answer."""
        while True:
            line = await self._line()
            _, mark, answer = line.rpartition(_MARK)
            if not mark:
                continue
            try:
                if json.loads(answer).get("return") == number:
                    return
            except (ValueError, AttributeError):
                continue

    async def _send(self, message: Mapping[str, Any], prefix: bytes = b"") -> None:
        assert self._streams is not None
        self._streams[1].write(prefix + json.dumps(message).encode() + b"\n")
        await self._streams[1].drain()

    async def _receive(self) -> dict[str, Any]:
        line = await self._line()
        try:
            answer = json.loads(line)
        except ValueError as error:
            raise EOFError("the agent's answer is no JSON") from error
        if not isinstance(answer, dict):
            raise EOFError("the agent's answer is no object")
        return answer

    async def _line(self) -> bytes:
        assert self._streams is not None
        try:
            line = await self._streams[0].readline()
        except ValueError as error:
            raise EOFError("the agent's answer is too long") from error
        if not line.endswith(b"\n"):
            raise EOFError
        return line
