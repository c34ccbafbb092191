"""A running QEMU machine: started through whoever spawns processes, configured, watched, ended."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from uuid import UUID

from benito.errors import HostError, NodeError
from benito.images.catalog import Image
from benito.machines import guest, qemu
from benito.machines.accelerator import Accelerator
from benito.machines.guest_agent import GuestAgent
from benito.machines.monitor import Monitor
from benito.machines.node_channel import Booted, NodeChannel, NodeEvent
from benito.machines.overlay import create_overlay, virtual_size
from benito.machines.template import Template
from benito.plan.model import Machine

Spawn = Callable[[list[str]], Awaitable[None]]
"""Starts a process from its argv; who it belongs to and how its end is seen is the spawner's business."""

_SOCKET_PATH_LIMIT = 107


class Qemu:
    """One machine from its start to its end; after a restart of the program, `adopt` takes up one that runs."""

    def __init__(
        self,
        machine: Machine,
        image: Image,
        paths: qemu.Paths,
        accelerator: Accelerator,
        *,
        uuid: UUID,
        netdev: Callable[[str], str] = qemu.tap,
        template: Template | None = None,
    ) -> None:
        self.machine = machine
        self.uuid = uuid
        self.template = template
        self.image = image
        self.paths = paths
        self.monitor = Monitor(paths.monitor, machine.node)
        self.agent = GuestAgent(paths.agent, machine.node)
        self.channel = NodeChannel(paths.node)
        self._accelerator = accelerator
        self._netdev = netdev

    def command(self, memory: Path | None = None) -> list[str]:
        """QEMU's command line; with a template's memory, that of a clone."""
        return qemu.command(
            self.machine,
            self.image,
            self.paths,
            self._accelerator,
            uuid=self.uuid,
            netdev=self._netdev,
            memory=memory,
        )

    async def start(self, spawn: Spawn, *, uid: int | None = None, timeout: float = 30) -> bool:
        """Make the disk if there is none, spawn QEMU and connect to it; returns whether the machine is a clone.

        With a template and no disk yet it is, and goes on from the template's moment; a disk that has been written to
        doesn't fit that moment any more. With `uid` the machine's files are given to that user, as whom `spawn` is to
        run QEMU.
        """
        clone = self.template if self.will_be_clone else None
        self._prepare(uid)
        await spawn(self.command(clone.memory if clone else None))
        await self.adopt(timeout)
        if clone:
            with clone.state.open("rb") as state:
                await self.monitor.load(state.fileno())
            if self.machine.disk_mib:
                await self.monitor.tell_disk_size("disk", virtual_size(self.paths.disk))
        return clone is not None

    @property
    def will_be_clone(self) -> bool:
        """Whether `start` would make it a clone."""
        return self.template is not None and not self.paths.disk.exists()

    def forget_template(self) -> None:
        """Have the next start boot the machine, on a fresh disk; for a clone that never came to itself."""
        self.template = None
        self.paths.disk.unlink(missing_ok=True)

    async def adopt(self, timeout: float = 10) -> None:
        """Connect to the machine, which runs already."""
        await self.monitor.connect(timeout)
        await self.channel.connect(timeout)
        await self.agent.attach(timeout)

    async def wake(self, archive: bytes, quiet_s: float = 0) -> None:
        """Have a clone that has just been started become the node of this configuration; the node tells when it is."""
        more = self.machine.software is not None
        await guest.wake(self.channel, archive, self.uuid, more=more, quiet_s=quiet_s)

    async def configure(self, archive: bytes, timeout: float = 300) -> None:
        """Wait for the guest agent's first answer, bring the configuration in and apply it."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        await self.agent.wait_ready(timeout)
        await guest.configure(self.agent, self.machine.node, archive, max(deadline - loop.time(), 10))

    async def wait_booted(self, timeout: float = 300) -> Booted:
        """Return the node's next report that it is up and configured; leaves later events to `channel.events()`."""
        event = await self._wait_event(Booted, timeout)
        assert isinstance(event, Booted)
        return event

    async def _wait_event(self, kind: type[NodeEvent], timeout: float) -> NodeEvent:
        try:
            async with asyncio.timeout(timeout):
                async for event in self.channel.events():
                    if isinstance(event, kind):
                        return event
        except TimeoutError as error:
            raise NodeError(
                f"{self.machine.node} was not up within {timeout:.0f} s", hint=f"see {self.paths.console_log}"
            ) from error
        raise NodeError(f"{self.machine.node}'s machine ended before it was up", hint=f"see {self.paths.console_log}")

    async def stop(self, timeout: float = 20) -> None:
        """Ask the guest to power off and wait; end QEMU if it hasn't within `timeout` seconds (0: at once).

        QEMU's monitor has closed when this returns; the process' end is seen by who spawned it.
        """
        if timeout > 0:
            with contextlib.suppress(NodeError, TimeoutError):
                async with asyncio.timeout(timeout):
                    await self.agent.shutdown(timeout=timeout)
                    await self.monitor.wait_gone()
        await self.monitor.quit()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(10):
                await self.monitor.wait_gone()
        await self.close()

    async def close(self) -> None:
        """Let go of the machine; it runs on."""
        await self.agent.close()
        await self.channel.close()
        await self.monitor.close()

    def _prepare(self, uid: int | None) -> None:
        """Make folders and disk; HostError when QEMU's user could not reach its files."""
        longest = max((str(path) for path in _sockets(self.paths)), key=len)
        if len(os.fsencode(longest)) > _SOCKET_PATH_LIMIT:
            raise HostError(f"{longest} is too long for a socket", hint="use a shorter folder for sockets")
        for folder in (self.paths.folder, self.paths.sockets):
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        for path in _sockets(self.paths):
            path.unlink(missing_ok=True)
        if not self.paths.disk.exists():
            # A template's disk goes by its digest, the same name in every sandbox; an image's folder may be a link.
            below = self.template.disk if self.template else self.image.disk.resolve()
            create_overlay(self.paths.disk, below, self.machine.disk_mib)
        if uid is None:
            return
        files = [self.image.disk, self.paths.disk]
        if self.template:
            files += [self.template.disk, self.template.memory]
        if hidden := unreachable(files, uid):
            raise HostError(f"machines can't reach {hidden}", hint=f"chmod o+x {hidden}")
        for path in (self.paths.folder, self.paths.sockets, *self.paths.folder.iterdir()):
            os.chown(path, uid, uid, follow_symlinks=False)
        # A disk holds the node's keys: it is for root and its machine alone.
        self.paths.folder.chmod(0o700)
        _make_private(self.paths.disk)


def _sockets(paths: qemu.Paths) -> Sequence[Path]:
    return (paths.monitor, paths.agent, paths.node, paths.console)


def _make_private(disk: Path) -> None:
    """Take a disk from all but its owner; what a machine's process may have put in its place is left alone."""
    descriptor = os.open(disk, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def unreachable(files: Sequence[Path], uid: int) -> Path | None:
    """Return the first folder above the files that keeps out a user who has neither group nor rights; None if none."""
    for file in files:
        for folder in reversed(file.resolve().parents):
            status = folder.stat()
            bit = 0o100 if status.st_uid == uid else 0o001
            if not status.st_mode & bit:
                return folder
    return None
