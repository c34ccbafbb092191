"""The templates of a home as people see them: listed, removed, cleared of what interrupted makers left."""

from __future__ import annotations

import contextlib
import shutil

import msgspec

from benito.errors import BenitoError, BusyError, InputError
from benito.machines.shelf import Shelf
from benito.machines.template import Record
from benito.testbed.home import RUNTIME, Home
from benito.testbed.templating import prefix, stale
from benito.testbed.testbed import Testbed


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
    begin = prefix(shelf)
    sockets = [path for path in RUNTIME.glob(f"{begin}*/") if _deserted(shelf, path.name.removeprefix(begin))]
    found += [f"sockets of a template ({path.name})" for path in sockets]
    if not dry_run:
        shelf.clear()
        for path in sockets:
            shutil.rmtree(path, ignore_errors=True)
    return found


def _deserted(shelf: Shelf, name: str) -> bool:
    """Whether nobody makes that template now."""
    try:
        with shelf.alone(name):
            return True
    except BusyError:
        return False
