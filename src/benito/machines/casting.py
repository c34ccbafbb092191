"""Making a template: a machine boots, is made ready to be everyone's, stops, and is saved.

One with many interfaces needn't boot: the template with one goes on, finds more cards, and is saved again.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from benito import run
from benito.errors import HostError, NodeError
from benito.images.catalog import CONTENTS, DISK, Image
from benito.machines import guest, qemu
from benito.machines.guest_agent import GuestAgent
from benito.machines.monitor import Monitor
from benito.machines.overlay import create_overlay
from benito.machines.template import Record, Template

BOOT_S = 240.0
PREPARE_S = 180.0
FIND_S, FIND_CARD_S = 60.0, 2.0
_KVM = Path("/dev/kvm")
_SCRATCH = ("console.log", "qemu.log")


async def cast(body: qemu.Body, image: Image, digest: str, folder: Path, sockets: Path) -> None:
    """Fill the folder, two below a home, with a template for such machines.

    `sockets` is a short path where a folder can be made. UnfitError when the image can't be a template, NodeError or
    HostError when this machine didn't become one.
    """
    template = Template(folder)
    create_overlay(template.disk, _from_beside(image))
    with template.memory.open("wb") as memory:
        memory.truncate(body.memory_mib << 20)
    async with _saved(body, image, digest, template, sockets) as (agent, _):
        await agent.wait_ready(BOOT_S)
        await guest.prepare_template(agent, PREPARE_S)


async def extend(plain: Template, body: qemu.Body, image: Image, digest: str, folder: Path, sockets: Path) -> None:
    """Fill the folder as `cast` does, from the template of a machine that is the same but for its one interface."""
    template = Template(folder)
    for own, its in ((template.memory, plain.memory), (template.disk, plain.disk)):
        await asyncio.to_thread(run.checked, ["cp", "--reflink=auto", "--sparse=auto", its, own])
        own.chmod(0o600)
    async with _saved(body, image, digest, template, sockets, waits=True) as (agent, monitor):
        with plain.state.open("rb") as state:
            await monitor.load(state.fileno())
        await guest.find_cards(agent, body.interfaces, FIND_S + FIND_CARD_S * body.interfaces)


@asynccontextmanager
async def _saved(
    body: qemu.Body, image: Image, digest: str, template: Template, sockets: Path, *, waits: bool = False
) -> AsyncIterator[tuple[GuestAgent, Monitor]]:
    """A machine on the template's memory and disk, and what it has become when the block ends, as the template."""
    began = time.monotonic()
    paths = qemu.Paths(template.folder, sockets)
    command = qemu.template_command(body, image, paths, template.memory, waits=waits)
    async with _running(command, paths, image.name) as monitor:
        agent = GuestAgent(paths.agent, f"the template of {image.name}")
        try:
            await agent.attach(10)
            yield agent, monitor
            # A clone's agent finds somebody to listen to, as it had.
            with template.state.open("wb") as state:
                await monitor.save(state.fileno())
        finally:
            await agent.close()
    for name in _SCRATCH:
        (template.folder / name).unlink(missing_ok=True)
    template.write(Record.of(digest, body, image, time.monotonic() - began))


def _from_beside(image: Image) -> Path:
    """Return the image's disk as seen from a template: alike in the home and in every sandbox."""
    folder = image.folder.resolve()
    inner = Path(CONTENTS, folder.name) if folder.parent.name == CONTENTS else Path(image.name)
    return Path("../../images") / inner / DISK


@asynccontextmanager
async def _running(command: list[str], paths: qemu.Paths, name: str) -> AsyncIterator[Monitor]:
    """The machine, without rights; it ends with the block, and with this process whatever happens."""
    shutil.rmtree(paths.sockets, ignore_errors=True)
    paths.sockets.mkdir(mode=0o711, parents=True)
    for path in (paths.folder, paths.sockets, *paths.folder.iterdir()):
        os.chown(path, qemu.QEMU_UID, qemu.QEMU_UID, follow_symlinks=False)
    log = paths.folder / "qemu.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *_without_rights(), *command, stdin=asyncio.subprocess.DEVNULL, stdout=output, stderr=output
        )
    monitor = Monitor(paths.monitor, f"the template of {name}")
    try:
        await monitor.connect(30)
        yield monitor
        await monitor.quit()
        await asyncio.wait_for(process.wait(), 30)
    except (NodeError, TimeoutError) as error:
        said = log.read_text(errors="replace").strip().rpartition("\n")[2]
        if process.returncode is None:
            raise
        raise HostError(f"the machine that was to be a template of {name} ended: {said or error}") from error
    finally:
        await monitor.close()
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        shutil.rmtree(paths.sockets, ignore_errors=True)


def _without_rights() -> list[str]:
    """Return the words that run a program as the machines' user, until its parent ends."""
    groups = ["--groups", str(_KVM.stat().st_gid)] if _KVM.exists() else ["--clear-groups"]
    user = str(qemu.QEMU_UID)
    return ["setpriv", "--reuid", user, "--regid", user, *groups, "--no-new-privs", "--pdeathsig", "KILL"]
