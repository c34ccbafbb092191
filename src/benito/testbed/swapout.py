"""Swap-out: take back everything an experiment holds of the host. Each step is fine when there is nothing to take."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Iterator

from benito.agent.cgroup import Group
from benito.errors import BenitoError, StateError
from benito.network.hub import Hub
from benito.network.namespaces import is_namespace
from benito.testbed import names
from benito.testbed.home import ExperimentId, Place
from benito.testbed.keeping import Request, ask_keeper
from benito.testbed.progress import Progress, Silence
from benito.testbed.store import State
from benito.testbed.testbed import Testbed, require_root

POWER_OFF_S = 60.0


def swap_out(bed: Testbed, experiment: ExperimentId, *, keep: bool = False, progress: Progress | None = None) -> None:
    """Take an experiment's resources back. With `keep` its machines are shut down in order and their disks stay."""
    require_root("`benito swapout`")
    progress = progress or Silence()
    with bed.lock(experiment) as place:
        record = bed.record(experiment)
        if record.state is State.SWAPPED and not leftovers(place):
            if record.kept and not keep:
                remove_disks(place)
                bed.store.move(record.id, State.SWAPPED, kept=False)
                return
            raise StateError(f"{record.id} is swapped out already")
        bed.store.move(record.id, State.SWAPPING)
        with uninterrupted():
            if keep and record.state is State.ACTIVE:
                progress.step("shutting the machines down")
                _power_off(bed, place, progress)
            progress.step("taking everything back")
            release(place, keep=keep)
            bed.store.set_nodes(record.id, [])
            bed.store.move(record.id, State.SWAPPED, kept=keep)


def terminate(bed: Testbed, experiment: ExperimentId, progress: Progress | None = None) -> None:
    """Remove an experiment for good: its machines, disks, logs and its entry."""
    require_root("`benito terminate`")
    progress = progress or Silence()
    with bed.lock(experiment) as place:
        bed.store.move(place.experiment, State.TERMINATING)
        with uninterrupted():
            progress.step("taking everything back")
            release(place)
            bed.remove(place)


def release(place: Place, *, keep: bool = False) -> None:
    """Remove what the experiment has on this host: names, processes, namespaces, interfaces, groups, sockets, disks."""
    names.withdraw(place)
    Group(place.cgroup).remove()
    _hub(place).remove()
    shutil.rmtree(place.runtime, ignore_errors=True)
    if not keep:
        remove_disks(place)
    with contextlib.suppress(OSError):
        Group("benito").remove() if not any(_experiments()) else None


def remove_disks(place: Place) -> None:
    """Remove the machines' disks and the software meant for them; their consoles' logs stay until the next swap-in."""
    for file in place.nodes.glob("*/*"):
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)
        elif file.suffix != ".log":
            file.unlink(missing_ok=True)
    shutil.rmtree(place.software, ignore_errors=True)


def _experiments() -> Iterator[str]:
    for folder in Group("benito").folders:
        if folder.is_dir():
            yield from (entry.name for entry in folder.iterdir() if entry.is_dir())


def _hub(place: Place) -> Hub:
    return Hub(place.hub, str(place.experiment))


def leftovers(place: Place) -> bool:
    """Whether anything of the experiment is on this host."""
    return (
        place.runtime.exists()
        or names.published(place)
        or any(folder.exists() for folder in Group(place.cgroup).folders)
        or is_namespace(_hub(place).path)
    )


def _power_off(bed: Testbed, place: Place, progress: Progress) -> None:
    """Have every guest shut itself down; one that doesn't is powered off as it stands."""
    nodes = [record.node for record in bed.store.nodes(place.experiment)]
    for node in nodes:
        progress.node(node, "stopping")
    requests = [Request("control", {"node": node, "action": "stop"}) for node in nodes]
    for node, answer in zip(nodes, ask_keeper(place, requests, POWER_OFF_S), strict=True):
        if isinstance(answer, BenitoError):
            progress.notice(f"{node} is powered off without a shutdown: {answer.message}")


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the block is done: half a release would be a state that nobody knows."""
    asked: list[int] = []
    try:
        before = signal.signal(signal.SIGINT, lambda number, _: asked.append(number))
    except ValueError:
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if asked:
        raise KeyboardInterrupt
