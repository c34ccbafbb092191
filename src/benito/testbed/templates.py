"""Templates for an experiment's machines: there before they start, and never removed under a disk that lies on them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from hashlib import blake2s
from pathlib import Path

import msgspec

from benito import run
from benito.errors import BenitoError, BusyError, InputError, NodeError
from benito.images.catalog import Catalog, Image
from benito.machines import qemu
from benito.machines.accelerator import decide
from benito.machines.casting import cast
from benito.machines.guest import UnfitError
from benito.machines.shelf import Shelf
from benito.machines.template import Record, Template, digest
from benito.plan import model
from benito.testbed.home import RUNTIME, Home, Place
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
    served = asyncio.run(_have(shelf, wanted, progress, held))
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


async def _have(shelf: Shelf, wanted: Wanted, progress: Progress, held: ExitStack) -> list[str]:
    """Return the digests of the templates that are there, made if need be, and held."""
    missing = [name for name in wanted if shelf.find(name) is None and shelf.refusal(name) is None]
    if missing:
        what = ", ".join(
            dict.fromkeys(f"{image.name} with {_cards(body)}" for body, image in map(wanted.__getitem__, missing))
        )
        progress.step(f"making {_templates(len(missing))} of {what}; later swap-ins find them")
    turns = asyncio.Semaphore(AT_ONCE)
    faults: dict[str, str] = {}

    async def have(name: str) -> str | None:
        body, image = wanted[name]
        async with turns:
            try:
                await _make(shelf, name, body, image, progress, held)
                return name
            except BenitoError as error:
                faults.setdefault(f"machines of {image.name} boot, which takes longer: {error.message}", name)
                return None

    found = await asyncio.gather(*(have(name) for name in wanted))
    for fault in faults:
        progress.notice(fault)
    return [name for name in found if name is not None]


async def _make(shelf: Shelf, name: str, body: qemu.Body, image: Image, progress: Progress, held: ExitStack) -> None:
    """Have the template, made by us or by somebody else, and hold it."""
    told = False
    while True:
        try:
            with ExitStack() as holding:
                holding.enter_context(shelf.held(name))
                if shelf.find(name) is not None:
                    held.push(holding.pop_all())
                    return
            if reason := shelf.refusal(name):
                raise NodeError(reason)
            with shelf.alone(name):
                if shelf.find(name) is None:
                    await _cast(shelf, name, body, image)
        except BusyError:
            if not told:
                progress.step(f"waiting for a template of {image.name} that somebody else is making")
            told = True
            await asyncio.sleep(LOOK_AGAIN_S)


async def _cast(shelf: Shelf, name: str, body: qemu.Body, image: Image) -> None:
    run.require("setpriv")
    folder = shelf.making(name)
    try:
        await cast(body, image, name, folder, RUNTIME / f"{_prefix(shelf)}{name}")
        await asyncio.to_thread(shelf.put, name, folder)
    except UnfitError as error:
        shelf.refuse(name, error.message)
        raise
    finally:
        shutil.rmtree(folder, ignore_errors=True)


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


class TemplateView(msgspec.Struct, frozen=True, kw_only=True):
    """A template as people see it."""

    record: Record
    size: int
    """Bytes on disk."""
    used: float
    """When it last served a swap-in, since 1970."""
    nodes: int
    """How many disks, of running nodes or kept, lie on it."""
    stale: bool


def list_all(bed: Testbed) -> list[TemplateView]:
    """Return every template that can be read, the one used last first."""
    shelf = Shelf(bed.home.templates)
    found = []
    for template in shelf.all():
        with contextlib.suppress(BenitoError):
            found.append(
                TemplateView(
                    record=template.record,
                    size=template.size,
                    used=template.used,
                    nodes=len(shelf.users(template.digest)),
                    stale=stale(template, bed.catalog),
                )
            )
    return found


def remove(bed: Testbed, start: str) -> str:
    """Remove the template whose digest begins so; returns the digest. InputError when that isn't one."""
    shelf = Shelf(bed.home.templates)
    found = [template.digest for template in shelf.all() if start and template.digest.startswith(start)]
    if len(found) != 1:
        raise InputError(
            f"{'more than one template begins' if found else 'no template begins'} with {start!r}",
            hint="`benito image templates` lists them",
        )
    shelf.remove(found[0])
    return found[0]


def remove_unused(bed: Testbed) -> list[str]:
    """Remove all that nobody needs now; returns their digests."""
    return Shelf(bed.home.templates).trim(0, lambda _: True)


def sweep(home: Home, *, dry_run: bool) -> list[str]:
    """Remove what interrupted makers of templates left behind; returns what it was."""
    shelf = Shelf(home.templates)
    found = [f"a half-made template ({folder.name})" for folder in shelf.leftovers()]
    prefix = _prefix(shelf)
    sockets = [path for path in RUNTIME.glob(f"{prefix}*/") if _deserted(shelf, path.name.removeprefix(prefix))]
    found += [f"sockets of a template ({path.name})" for path in sockets]
    if not dry_run:
        shelf.clear()
        for path in sockets:
            shutil.rmtree(path, ignore_errors=True)
    return found


def _prefix(shelf: Shelf) -> str:
    """Return what the names of sockets' folders begin with; other homes have others."""
    return f"template-{blake2s(bytes(shelf.folder.resolve())).hexdigest()[:8]}-"


def _deserted(shelf: Shelf, name: str) -> bool:
    """Whether nobody makes that template now."""
    try:
        with shelf.alone(name):
            return True
    except BusyError:
        return False


def _templates(count: int) -> str:
    return "a template" if count == 1 else f"{count} templates"


def _cards(body: qemu.Body) -> str:
    return "one interface" if body.interfaces == 1 else f"{body.interfaces} interfaces"
