"""Connecting to QEMU's Unix sockets, which appear some time after its process."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from pathlib import Path

from benito.errors import NodeError

LIMIT = 64 << 20
"""Longest line that is taken from a guest, in bytes: what a command has written, 16 MiB of each kind in base64."""
_STEP = 0.02


async def connect(path: Path, timeout: float, limit: int = LIMIT) -> tuple[StreamReader, StreamWriter]:
    """Connect to a socket that QEMU makes as it starts; NodeError when it isn't there within `timeout` seconds.

    A line that is longer than the limit is a ValueError for its reader.
    """
    return await asyncio.open_unix_connection(sock=await connect_socket(path, timeout), limit=limit)


async def connect_socket(path: Path, timeout: float) -> socket.socket:
    """Return a connected socket, as `connect` does streams.

    Linux tells nobody that a socket has begun to listen, hence the tries.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    while True:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            await loop.sock_connect(connection, str(path))
            return connection
        except (FileNotFoundError, ConnectionRefusedError, BlockingIOError) as error:
            connection.close()
            if loop.time() >= deadline:
                raise NodeError(f"no machine listens at {path}", hint="its console.log may say why") from error
            await asyncio.sleep(_STEP)
        except BaseException:
            connection.close()
            raise
