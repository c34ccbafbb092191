"""Sweep: find what a crash, a SIGKILL or a restart of the host left behind, and remove it.

Only things with our mark are looked at, and only those of this BENITO_HOME, or of no living reservation at all, are
removed: experiments of another home are that home's business.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benito.agent.cgroup import Group
from benito.errors import BusyError
from benito.images import store as images
from benito.network import hub
from benito.testbed import names, reservations, templates
from benito.testbed.home import RUNTIME, ExperimentId, Place
from benito.testbed.reservations import Lease
from benito.testbed.store import State
from benito.testbed.swapin import recover
from benito.testbed.swapout import leftovers, release
from benito.testbed.testbed import TRANSITIONAL, Testbed


@dataclass(frozen=True, slots=True)
class Finding:
    """Something left behind."""

    what: str
    done: str
    """`removed`, `would be removed`, or why it wasn't."""


def sweep(bed: Testbed, *, dry_run: bool = False) -> list[Finding]:
    """Put right every experiment of this home and remove what belongs to none; with `dry_run` only tell."""
    done = "would be removed" if dry_run else "removed"
    made = (Finding(what, done) for what in templates.sweep(bed.home, dry_run=dry_run))
    return [*_experiments(bed, dry_run), *_orphans(bed, dry_run), *made, *_images(bed, dry_run)]


def _images(bed: Testbed, dry_run: bool) -> Iterator[Finding]:
    """What interrupted builds and imports left, and contents of images that nothing needs."""
    for folder in images.leftovers(bed.catalog):
        yield Finding(f"{folder.name}, a half-made image", "would be removed" if dry_run else "removed")
    if not dry_run:
        images.clear(bed.catalog)
        for digest in images.collect(bed.catalog):
            yield Finding(f"an image's contents that nothing needs ({digest[:12]})", "removed")


def _experiments(bed: Testbed, dry_run: bool) -> Iterator[Finding]:
    """Experiments whose command died, or that were up when the host went down."""
    for stored in bed.store.experiments() if bed.home.database.exists() else []:
        record, place = bed.record(stored.id), bed.home.place(stored.id)
        stale = record.state in TRANSITIONAL or record.state is not stored.state
        if not stale and not (record.state is State.SWAPPED and leftovers(place)):
            continue
        what = f"{record.id}, left {stored.state}"
        if dry_run:
            yield Finding(what, "would be put right")
            continue
        try:
            with bed.lock(record.id):
                terminating = stored.state is State.TERMINATING
                recover(bed, place)
                if terminating:
                    bed.remove(place)
            yield Finding(what, "removed" if terminating else "put right: swapped")
        except BusyError as busy:
            yield Finding(what, f"left alone: {busy.message}")


def _orphans(bed: Testbed, dry_run: bool) -> Iterator[Finding]:
    """Things of experiments that no store knows."""
    # First what there is, then whose it is: what is being made meanwhile has its reservation before anything else.
    marked = _marked()
    ours = (
        {bed.home.place(record.id).hash for record in bed.store.experiments()} if bed.home.database.exists() else set()
    )
    leases = {lease.hash: lease for lease in reservations.leases()}
    for digest, kinds in sorted(marked.items()):
        lease = leases.get(digest)
        if digest in ours or (lease and not _deserted(bed, lease)):
            continue
        what = f"{', '.join(sorted(kinds))} of {lease.experiment if lease else 'an unknown experiment'} ({digest})"
        if not dry_run:
            experiment = ExperimentId.parse(lease.experiment) if lease else ExperimentId("unknown", digest)
            release(Place(experiment, digest, bed.home.root / "experiments" / "unknown" / digest))
        yield Finding(what, "would be removed" if dry_run else "removed")


def _deserted(bed: Testbed, lease: Lease) -> bool:
    """Whether the lease is of this home (which doesn't know it) or of a home that is gone."""
    return lease.home == str(bed.home.root) or not Path(lease.home).exists()


def _marked() -> dict[str, set[str]]:
    """What there is on this host, by experiment hash; what has another kind of name isn't ours."""
    found: dict[str, set[str]] = {}

    def add(digest: str, kind: str) -> None:
        if re.fullmatch(names.HASH, digest):
            found.setdefault(digest, set()).add(kind)

    for folder in RUNTIME.glob("*/"):
        add(folder.name, "sockets")
    for made in hub.hubs():
        if made.mark:
            add(made.name.removeprefix(hub.PREFIX), "a hub")
    for digest in names.all_published():
        add(digest, "names")
    for root in Group("benito").folders:
        for folder in root.glob("*/"):
            add(folder.name, "processes")
    return found
