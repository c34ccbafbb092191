"""The software that an experiment's file wants on its nodes: found on this host or fetched, and made into bundles.

A location is a path on this host (one without a leading slash counts from the experiment file's folder) or an http or
https address. Everything is looked at before anything of the experiment starts.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benito.errors import Fault, InputError
from benito.plan import model
from benito.software.bundle import Item, checksum, digest, make
from benito.software.fetch import fetch, is_url, prune
from benito.testbed import access
from benito.testbed.home import Place
from benito.testbed.progress import Progress
from benito.topology.model import Software, Topology
from benito.topology.text import printable

GO_ON = "to go on without it: --ignore-missing-software"
NAMED = 3
TEST_S = 10.0
PACKAGES = (".deb", ".rpm")


@dataclass(frozen=True, slots=True)
class Downloads:
    """Where fetched files are kept, and how much of them."""

    cache: Path
    most_mib: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """One piece of software and all nodes that want it."""

    software: Software
    nodes: tuple[str, ...]
    place: Fault
    """Carries the line of the file."""

    def fault(self, what: str, hint: str = GO_ON) -> Fault:
        """Say what is the matter with it."""
        more = len(self.nodes) - NAMED
        nodes = ", ".join(self.nodes[:NAMED]) + (f" and {more} more" if more > 0 else "")
        return Fault(f"{printable(self.software.location)[:200]}, wanted on {nodes}, {what}", self.place.where, hint)


def missing(topology: Topology, base: Path | None = None) -> tuple[Fault, ...]:
    """Return what of the software can't be had from this host's files; addresses are not asked."""
    return tuple(fault for wanted in _wanted(topology) if (fault := _refusal(wanted, base or _base(topology))))


def gather(
    topology: Topology, place: Place, downloads: Downloads, person: str, base: Path, *, ignore: bool, progress: Progress
) -> dict[str, model.Software]:
    """Make the bundles in the experiment's folder and return what each node with software gets.

    `person` must be allowed to read the host's files. InputError with everything that can't be had, unless `ignore`,
    which makes notices of that. What was fetched long ago is forgotten where there is too much of it.
    """
    files, faults = _find(list(_wanted(topology)), downloads.cache, person, base, progress)
    if faults and not ignore:
        raise InputError(faults[0].message, faults=faults)
    for fault in faults:
        progress.notice(str(fault))
    sums = {file: checksum(file) for file in dict.fromkeys(files.values())}
    made: dict[tuple[Software, ...], model.Software] = {}
    folder = _fresh(place.software) if files else place.software
    given = {}
    for node in topology.nodes:
        items = [Item(files[each], each.location, each.install) for each in node.software if each in files]
        if not items:
            continue
        if node.software not in made:
            bundle = make(items, digest(items, sums), folder)
            made[node.software] = model.Software(bundle.digest, bundle.debs)
        given[node.name] = made[node.software]
    prune(downloads.cache, downloads.most_mib << 20)
    for item in dict.fromkeys(each for node in topology.nodes for each in node.software if each in files):
        if item.location.lower().endswith(".rpm"):
            progress.notice(f"{item.location} is unpacked; its scripts don't run and its dependencies aren't looked at")
    return given


def _find(
    wanted: Iterable[Wanted], cache: Path, person: str, base: Path, progress: Progress
) -> tuple[dict[Software, Path], list[Fault]]:
    files: dict[Software, Path] = {}
    faults: list[Fault] = []
    for each in wanted:
        location = each.software.location
        refusal = _refusal(each, base)
        if refusal is None and not is_url(location) and not access.may(person, "-r", _path(location, base)):
            refusal = each.fault(f"may not be read by {person}")
        if refusal is not None:
            faults.append(refusal)
            continue
        if not is_url(location):
            files[each.software] = _path(location, base)
            continue
        progress.step(f"fetching {location}")
        try:
            files[each.software] = fetch(location, cache, progress.notice)
        except InputError as error:
            faults.append(each.fault(f"is not to be had: {error.message}"))
    return files, faults


def _wanted(topology: Topology) -> Iterator[Wanted]:
    """Yield every piece of software once."""
    nodes: dict[Software, list[str]] = {}
    places: dict[Software, Fault] = {}
    for node in topology.nodes:
        for software in dict.fromkeys(node.software):
            nodes.setdefault(software, []).append(node.name)
            places.setdefault(software, Fault("", software.where or node.where))
    for software, names in nodes.items():
        yield Wanted(software, tuple(names), places[software])


def _refusal(wanted: Wanted, base: Path) -> Fault | None:
    location = wanted.software.location
    if wanted.software.install is None and not location.lower().endswith(PACKAGES):
        return wanted.fault("names no folder to unpack into and is no .deb or .rpm package")
    if is_url(location):
        return None
    if "://" in location:
        return wanted.fault("can't be fetched: only http and https can")
    try:
        # To open a pipe may take for ever, and to open a device may do harm.
        if not stat.S_ISREG(_path(location, base).stat().st_mode):
            return wanted.fault("is no ordinary file")
        with _path(location, base).open("rb") as file:
            file.read(1)
    except PermissionError:
        # Who only checks a file may have fewer rights than who runs it.
        return None if os.geteuid() else wanted.fault("can't be read")
    except OSError as error:
        return wanted.fault(f"is not on this host: {error.strerror}")
    return None


def _path(location: str, base: Path) -> Path:
    return base / location


def _base(topology: Topology) -> Path:
    """Return the folder of the experiment's file, as its nodes tell it."""
    file = next((node.where.file for node in topology.nodes if node.where), "")
    return Path(file).resolve().parent


def _fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    # Machines' processes open bundles by their names, which are digests: whoever may not look finds none.
    folder.mkdir(mode=0o711, parents=True)
    return folder
