"""Templates for an experiment's machines: there before they start, and never removed under a disk that lies on them."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import blake2s
from pathlib import Path

from benito import run
from benito.errors import BenitoError, BusyError, NodeError
from benito.images.catalog import Catalog, Image
from benito.machines import casting, qemu
from benito.machines.accelerator import decide
from benito.machines.guest import UnfitError
from benito.machines.shelf import Shelf
from benito.machines.template import Template, digest
from benito.plan import model
from benito.testbed.home import RUNTIME, Place
from benito.testbed.progress import Progress
from benito.testbed.store import Settings
from benito.testbed.testbed import Testbed

AT_ONCE = os.cpu_count() or 1
"""Templates that are made at the same time: each keeps a processor busy."""
LOOK_AGAIN_S = 0.2

Wanted = Mapping[str, tuple[qemu.Body, Image]]
"""What machines need to be cloned from, by its template's digest."""


def provide(
    bed: Testbed,
    place: Place,
    settings: Settings,
    plans: Sequence[model.PnodePlan],
    progress: Progress,
    held: ExitStack,
) -> tuple[model.PnodePlan, ...]:
    """Return the plans with a template for every machine that can have one; those that are missing are made.

    Nobody removes them before `held` is closed, nor as long as the experiment's disks are there. A machine without
    one boots; why is said once. Disks with a boot loader of their own always boot.
    """
    accelerator = decide(settings.accelerator, bed.home.cache)
    shelf = Shelf(bed.home.templates)
    wanted: dict[str, tuple[qemu.Body, Image]] = {}
    digests: dict[str, str] = {}
    for machine in (machine for plan in plans for machine in plan.machines if _clonable(machine)):
        image = bed.catalog.exactly(machine.image.name, machine.image.digest)
        if image is not None and image.info.boot == "kernel":
            body = qemu.body(machine, accelerator)
            digests[machine.node] = name = digest(body, image)
            wanted[name] = (body, image)
    served = asyncio.run(Maker(shelf, progress, held).have(wanted))
    for name in served:
        shelf.use(name, place.hash, place.nodes.absolute())
        _copy_memory(shelf.folder / name, place)
    shelf.trim(bed.config.templates, lambda template: stale(template, bed.catalog))
    return tuple(
        replace(plan, machines=tuple(_cloned(machine, digests, served) for machine in plan.machines)) for plan in plans
    )


def _cloned(machine: model.Machine, digests: Mapping[str, str], served: Iterable[str]) -> model.Machine:
    name = digests.get(machine.node, "")
    return replace(machine, template=name) if name in served else machine


def make_plain(bed: Testbed, image: Image, progress: Progress) -> None:
    """Have the template that the first swap-in of machines of an image needs, one with the memory that is usual.

    An image whose machines always boot is left alone. Why no template could be made is said: nodes boot without one.
    """
    if image.info.boot != "kernel":
        return
    memory = max(bed.config.memory_mib, image.info.memory_mib)
    shelf = Shelf(bed.home.templates)
    with ExitStack() as held:
        try:
            body = qemu.Body(memory, 1, 1, decide("auto", bed.home.cache))
            wanted = {digest(body, image): (body, image)}
        except BenitoError as error:
            progress.notice(f"no template of {image.name}: {error.message}")
            return
        asyncio.run(Maker(shelf, progress, held).have(wanted))
        shelf.trim(bed.config.templates, lambda template: stale(template, bed.catalog))


class Maker:
    """Has templates, made if need be, and holds them; says of each image once why there is none."""

    def __init__(self, shelf: Shelf, progress: Progress, held: ExitStack) -> None:
        self._shelf = shelf
        self._progress = progress
        self._held = held
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._failed: dict[str, str] = {}

    async def have(self, wanted: Wanted) -> list[str]:
        """Return the digests of those that are there now."""
        missing = {name: each for name, each in wanted.items() if self._shelf.find(name) is None}
        coming = [each for name, each in missing.items() if not any(map(self._shelf.refusal, (name, _plain(*each))))]
        if coming:
            what = ", ".join(dict.fromkeys(f"{image.name} with {_cards(body)}" for body, image in coming))
            self._progress.step(f"making {_templates(len(coming))} of {what}; later swap-ins find them")
        plain = {_plain(body, image): (replace(body, interfaces=1), image) for body, image in missing.values()}
        with ExitStack() as using:
            await self._all(plain, using)
            found = await self._all(wanted, self._held)
        for fault in dict.fromkeys(
            f"machines of {wanted[name][1].name} boot, which takes longer: {reason}"
            for name, reason in self._failed.items()
            if name in wanted
        ):
            self._progress.notice(fault)
        return found

    async def _all(self, wanted: Wanted, held: ExitStack) -> list[str]:
        have = (self._have(name, *each, held) for name, each in wanted.items())
        return [name for name, is_there in zip(wanted, await asyncio.gather(*have), strict=True) if is_there]

    async def _have(self, name: str, body: qemu.Body, image: Image, held: ExitStack) -> bool:
        async with self._turns:
            try:
                await self._make(name, body, image, held)
            except BenitoError as error:
                self._failed[name] = error.message
        return name not in self._failed

    async def _make(self, name: str, body: qemu.Body, image: Image, held: ExitStack) -> None:
        """Have the template, made by us or by somebody else, and hold it."""
        told = False
        while True:
            try:
                with ExitStack() as holding:
                    holding.enter_context(self._shelf.held(name))
                    if self._shelf.find(name) is not None:
                        held.push(holding.pop_all())
                        return
                if reason := self._shelf.refusal(name):
                    raise NodeError(reason)
                with self._shelf.alone(name):
                    if self._shelf.find(name) is None:
                        await self._cast(name, body, image)
            except BusyError:
                if not told:
                    self._progress.step(f"waiting for a template of {image.name} that somebody else is making")
                told = True
                await asyncio.sleep(LOOK_AGAIN_S)

    async def _cast(self, name: str, body: qemu.Body, image: Image) -> None:
        plain = _plain(body, image)
        if plain in self._failed:
            raise NodeError(self._failed[plain])
        run.require("setpriv")
        folder = self._shelf.making(name)
        sockets = RUNTIME / f"{prefix(self._shelf)}{name}"
        try:
            if name == plain:
                await casting.cast(body, image, name, folder, sockets)
            else:
                template = Template(self._shelf.folder / plain)
                template.touch()
                await casting.extend(template, body, image, name, folder, sockets)
            await asyncio.to_thread(self._shelf.put, name, folder)
        except UnfitError as error:
            self._shelf.refuse(name, error.message)
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _plain(body: qemu.Body, image: Image) -> str:
    """Return the digest of the template with one interface, of which others are made."""
    return digest(replace(body, interfaces=1), image)


def _copy_memory(folder: Path, place: Place) -> None:
    """Give the experiment its own copy of a template's memory, which shares the disk's blocks where that can be."""
    place.memory.mkdir(mode=0o711, exist_ok=True)
    copy = place.memory / folder.name
    new = copy.with_suffix(".new")
    run.checked(["cp", "--reflink=auto", "--sparse=auto", Template(folder).memory, new])
    os.chown(new, qemu.QEMU_UID, qemu.QEMU_UID)
    new.chmod(0o600)
    new.replace(copy)


def _clonable(machine: model.Machine) -> bool:
    """Whether a template may serve a machine: a saved guest knows its disk's size, and wouldn't see it grow."""
    return machine.kind == "qemu" and not machine.disk_mib


def stale(template: Template, catalog: Catalog) -> bool:
    """Whether no machine will ask for the template again: its image is gone or another, or QEMU has been updated."""
    try:
        record = template.record
        image = catalog.exactly(record.image, record.image_digest)
        return image is None or digest(record.body, image) != template.digest
    except BenitoError:
        return True


def prefix(shelf: Shelf) -> str:
    """Return what the names of sockets' folders begin with; other homes have others."""
    return f"template-{blake2s(bytes(shelf.folder.resolve())).hexdigest()[:8]}-"


def _templates(count: int) -> str:
    return "a template" if count == 1 else f"{count} templates"


def _cards(body: qemu.Body) -> str:
    return "one interface" if body.interfaces == 1 else f"{body.interfaces} interfaces"
