"""Client of a sandbox's init: start processes there, and hear when they end."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benito.agent.rpc import Unreachable
from benito.errors import NodeError

REPLY_S = 10.0


@dataclass(frozen=True, slots=True)
class Exit:
    """A job's process ended."""

    job: str
    pid: int
    code: int


def request(path: Path, **words: Any) -> dict[str, Any]:
    """Ask an init once, from code that isn't asynchronous.

    Unreachable when it is gone; NodeError when it refuses or is too busy to answer.
    """
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(REPLY_S)
            connection.connect(str(path))
            connection.sendall(json.dumps(words).encode() + b"\n")
            with connection.makefile("rb") as lines:
                return _reply(lines.readline(), path)
    except TimeoutError:
        raise NodeError(f"the init at {path} doesn't answer", hint="is the host very busy? try again") from None
    except OSError as error:
        raise Unreachable(f"no init answers at {path}: {error}") from None


def _reply(line: bytes, path: Path) -> dict[str, Any]:
    if not line:
        raise Unreachable(f"the init at {path} closed the connection")
    reply: dict[str, Any] = json.loads(line)
    if "error" in reply:
        raise NodeError(f"the init at {path} refused: {reply['error']}")
    return reply


class Spawner:
    """Asynchronous client; a connection a request, so that nothing waits behind anything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    async def _ask(self, **words: Any) -> dict[str, Any]:
        try:
            reader, writer = await asyncio.open_unix_connection(self.path)
        except OSError as error:
            raise Unreachable(f"no init answers at {self.path}: {error}") from None
        try:
            writer.write(json.dumps(words).encode() + b"\n")
            async with asyncio.timeout(REPLY_S):
                return _reply(await reader.readline(), self.path)
        except TimeoutError:
            raise NodeError(f"the init at {self.path} doesn't answer") from None
        except OSError as error:
            raise Unreachable(f"the init at {self.path} went away: {error}") from None
        finally:
            writer.close()

    async def spawn(
        self,
        job: str,
        argv: Sequence[str],
        *,
        log: Path | None = None,
        env: Mapping[str, str] | None = None,
        uid: int = 0,
        gid: int = 0,
        groups: Sequence[int] = (),
        cgroups: Sequence[Path] = (),
        keep: bool = False,
        nice: int = 0,
        pid_file: Path | None = None,
    ) -> int:
        """Start a process and return its pid; the running one's when the job runs already.

        With `pid_file` the program ends once it has started another, whose pid is in that file: that one's end is the
        job's then.
        """
        reply = await self._ask(
            op="spawn",
            name=job,
            argv=list(argv),
            log=None if log is None else str(log),
            env=dict(env or {}),
            uid=uid,
            gid=gid,
            groups=list(groups),
            cgroups=[str(folder) for folder in cgroups],
            keep=keep,
            nice=nice,
            pid_file=None if pid_file is None else str(pid_file),
        )
        return int(reply["pid"])

    async def signal(self, job: str, number: int) -> None:
        """Send a signal to a job; nothing happens when it has ended."""
        await self._ask(op="signal", name=job, signal=number)

    async def jobs(self) -> dict[str, tuple[int | None, int | None]]:
        """Return every job's pid (None when ended) and exit code (None while it runs)."""
        reply = await self._ask(op="list")
        return {name: (job["pid"], job["code"]) for name, job in reply["jobs"].items()}

    async def exits(self) -> AsyncIterator[Exit]:
        """Return what yields each job's end from now on, also while nobody asks for it; it ends when the init does."""
        try:
            reader, writer = await asyncio.open_unix_connection(self.path)
        except OSError as error:
            raise Unreachable(f"no init answers at {self.path}: {error}") from None
        try:
            writer.write(b'{"op": "watch"}\n')
            _reply(await reader.readline(), self.path)
        except BaseException:
            writer.close()
            raise
        return _exits(reader, writer)


async def _exits(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> AsyncIterator[Exit]:
    try:
        while line := await reader.readline():
            message = json.loads(line)
            yield Exit(message["exit"], message["pid"], message["code"])
    finally:
        writer.close()
