"""Client of QEMU's monitor (QMP) for what Benito needs of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError
from qemu.qmp.protocol import ConnectError, Runstate

from benito.errors import NodeError
from benito.machines.sockets import connect_socket

_CALL_TIMEOUT = 30.0
_STEP = 0.005
"""Seconds between two looks at how far a migration is: tens of milliseconds in all."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something QEMU tells unasked: RESET, SHUTDOWN, STOP, VSERPORT_CHANGE..."""

    name: str
    data: Mapping[str, Any]
    seconds: float
    """Since 1970."""


class Monitor:
    """The monitor of one machine; QEMU lets one client in at a time, the next one when that has gone."""

    def __init__(self, path: Path, node: str = "") -> None:
        self._path = path
        self._node = node or path.name
        self._client: QMPClient | None = None

    async def connect(self, timeout: float = 10) -> None:
        """Connect, waiting for the socket to appear; NodeError when that takes longer than `timeout` seconds."""
        connection = await connect_socket(self._path, timeout)
        client = QMPClient(self._node)
        try:
            await asyncio.wait_for(client.connect(connection), timeout)
        except (ConnectError, TimeoutError) as error:
            raise NodeError(f"{self._node}: QEMU's monitor does not answer") from error
        self._client = client

    async def execute(self, command: str, arguments: Mapping[str, Any] | None = None) -> Any:
        """Return QEMU's answer to a command; NodeError when it refuses, is gone or takes half a minute."""
        client = self._connected()
        try:
            return await asyncio.wait_for(client.execute(command, dict(arguments or {})), _CALL_TIMEOUT)
        except ExecuteError as error:
            raise NodeError(f"{self._node}: QEMU refused {command}: {error.error_class}: {error}") from error
        except (QMPError, EOFError, OSError, TimeoutError) as error:
            raise NodeError(f"{self._node}: QEMU is gone or does not answer {command}") from error

    async def hand_over(self, name: str, file: int) -> None:
        """Give QEMU an open file by its descriptor; as `fd:NAME` it is the end of a migration, once."""
        try:
            self._connected().send_fd_scm(file)
        except (QMPError, OSError) as error:
            raise NodeError(f"{self._node}: QEMU takes no files") from error
        await self.execute("getfd", {"fdname": name})

    async def save(self, file: int) -> None:
        """Stop the machine and write its devices' state; shared memory is in its own file already."""
        await self.execute("stop")
        await self._migrate("migrate", file)
        while (state := (await self.execute("query-migrate")).get("status")) != "completed":
            if state in ("failed", "cancelled"):
                raise NodeError(f"{self._node}: its state could not be saved")
            await asyncio.sleep(_STEP)

    async def load(self, file: int) -> None:
        """Have a machine that waits for a state take it from there, and go on.

        It hasn't moved: its cards needn't tell every switch where they are.
        """
        await self.execute("migrate-set-parameters", {"announce-rounds": 0})
        await self._migrate("migrate-incoming", file)
        while await self.status() == "inmigrate":
            await asyncio.sleep(_STEP)
        await self.resume()

    async def tell_disk_size(self, node: str, size: int) -> None:
        """Have the guest hear how large a disk is: it may have seen it smaller."""
        await self.execute("block_resize", {"node-name": node, "size": size})

    async def resume(self) -> None:
        """Have a machine that is stopped go on."""
        await self.execute("cont")

    async def _migrate(self, command: str, file: int) -> None:
        capability = {"capability": "x-ignore-shared", "state": True}
        await self.execute("migrate-set-capabilities", {"capabilities": [capability]})
        await self.hand_over("state", file)
        await self.execute(command, {"uri": "fd:state"})

    async def status(self) -> str:
        """Return the run state: `running`, `paused`, `shutdown`, `inmigrate`, ..."""
        return str((await self.execute("query-status"))["status"])

    async def reset(self) -> None:
        """Press the reset button."""
        await self.execute("system_reset")

    async def quit(self) -> None:
        """End QEMU now; no error when it has ended already."""
        with contextlib.suppress(NodeError):
            await self.execute("quit")

    async def events(self) -> AsyncIterator[Event]:
        """Yield QEMU's events from now on, until it ends or `close` is called."""
        client = self._connected()
        with client.listener() as listener:
            ended = asyncio.ensure_future(self._gone(client))
            waiting = asyncio.ensure_future(_next(listener))
            try:
                while True:
                    await asyncio.wait({waiting, ended}, return_when=asyncio.FIRST_COMPLETED)
                    if not waiting.done():
                        return
                    event = waiting.result()
                    waiting = asyncio.ensure_future(_next(listener))
                    yield event
            finally:
                waiting.cancel()
                ended.cancel()

    async def wait_gone(self) -> None:
        """Wait until QEMU has closed the monitor, as it does when it ends."""
        if self._client is not None:
            await self._gone(self._client)

    async def close(self) -> None:
        """Let go of the monitor; the machine runs on."""
        client, self._client = self._client, None
        if client is not None:
            # Disconnecting reports again whatever ended the connection before.
            with contextlib.suppress(Exception):
                await client.disconnect()

    def _connected(self) -> QMPClient:
        if self._client is None:
            raise NodeError(f"{self._node}: not connected to QEMU's monitor")
        return self._client

    @staticmethod
    async def _gone(client: QMPClient) -> None:
        while client.runstate is Runstate.RUNNING:
            await client.runstate_changed()


async def _next(listener: EventListener) -> Event:
    message = await listener.get()
    body: Mapping[str, Any] = dict(message)
    stamp = body.get("timestamp", {})
    seconds = stamp.get("seconds", 0) + stamp.get("microseconds", 0) / 1e6
    return Event(str(body["event"]), body.get("data", {}), seconds)
