"""Swap-out: take back everything an experiment holds of the host. Each step is fine when there is nothing to take."""

from __future__ import annotations

import contextlib
import shutil
import signal
from collections.abc import Callable, Iterator

from benito.agent.cgroup import Group
from benito.errors import BenitoError, HostError, StateError
from benito.network.hub import Hub
from benito.network.namespaces import is_namespace
from benito.testbed import names, templates
from benito.testbed.home import ExperimentId, Home, Place
from benito.testbed.imaging import let_go
from benito.testbed.keeping import STOPPING, Request, ask_keeper
from benito.testbed.progress import Progress, Quiet, Silence
from benito.testbed.store import State
from benito.testbed.testbed import Testbed, require_root

POWER_OFF_S = 60.0
UNFINISHED = frozenset({State.ACTIVATING, State.SWAPPING})


def swap_out(bed: Testbed, experiment: ExperimentId, *, keep: bool = False, progress: Progress | None = None) -> None:
    """Take an experiment's resources back. With `keep` its machines are shut down in order and their disks stay."""
    require_root("`benito swapout`")
    progress = progress or Silence()
    with bed.lock(experiment) as place:
        record = bed.record(experiment)
        if record.state is State.SWAPPED and not leftovers(place):
            if record.kept and not keep:
                remove_disks(place)
                let_go(place)
                bed.store.move(record.id, State.SWAPPED, kept=False)
                return
            raise StateError(f"{record.id} is swapped out already")
        # What a swap-in of kept disks left half done keeps them too; only a whole swap-in makes them the machines' own.
        keep = keep or (record.kept and record.state in UNFINISHED)
        with uninterrupted(progress) as told:
            bed.store.move(record.id, State.SWAPPING, kept=keep)
            if keep and record.state is State.ACTIVE:
                told.step("shutting the machines down")
                _power_off(bed, place, told)
            told.step("taking everything back")
            release(place, keep=keep)
            bed.store.set_nodes(record.id, [])
            bed.store.move(record.id, State.SWAPPED, kept=keep)


def terminate(bed: Testbed, experiment: ExperimentId, progress: Progress | None = None) -> None:
    """Remove an experiment for good: its machines, disks, logs and its entry."""
    require_root("`benito terminate`")
    progress = progress or Silence()
    with bed.lock(experiment) as place, uninterrupted(progress) as told:
        bed.store.move(place.experiment, State.TERMINATING)
        told.step("taking everything back")
        release(place)
        bed.remove(place)


def release(place: Place, *, keep: bool = False) -> None:
    """Remove what the experiment has on this host: processes, namespaces, interfaces, groups, sockets, disks, names.

    A step that fails doesn't keep the others from being done. HostError then tells every failure.
    """
    steps: list[Callable[[], object]] = [
        Group(place.cgroup).remove,
        _hub(place).remove,
        lambda: shutil.rmtree(place.runtime, ignore_errors=True),
        lambda: shutil.rmtree(place.memory, ignore_errors=True),
        lambda: None if keep else remove_disks(place),
        lambda: None if keep else let_go(place),
        lambda: names.withdraw(place),
        lambda: templates.sweep(Home(place.folder.parents[2]), dry_run=False),
        Group("benito").remove_if_empty,
    ]
    faults = []
    for step in steps:
        try:
            step()
        except (BenitoError, OSError) as error:
            faults.append(error.message if isinstance(error, BenitoError) else str(error))
    if faults:
        raise HostError(
            f"not everything of {place.experiment} could be taken back: {'; '.join(faults)}",
            hint="mend that, then run `benito sweep`",
        )


def remove_disks(place: Place) -> None:
    """Remove the machines' disks and the software meant for them; their consoles' logs stay until the next swap-in."""
    for file in place.nodes.glob("*/*"):
        if file.is_dir() and not file.is_symlink():
            shutil.rmtree(file, ignore_errors=True)
        elif file.suffix != ".log":
            file.unlink(missing_ok=True)
    shutil.rmtree(place.software, ignore_errors=True)


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
    answers = ask_keeper(place, requests, POWER_OFF_S, at_once=STOPPING)
    for node, answer in zip(nodes, answers, strict=True):
        if isinstance(answer, BenitoError):
            progress.notice(f"{node} is powered off without a shutdown: {answer.message}")


ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextlib.contextmanager
def uninterrupted(progress: Progress) -> Iterator[Progress]:
    """Put Ctrl-C, SIGTERM and SIGHUP off until the block is done: half a release is a state that nobody knows.

    Yields a progress that may fail (a terminal that is gone) without harm to what it tells of.
    """
    asked: list[int] = []
    before = {}
    try:
        for number in ENDING:
            before[number] = signal.signal(number, lambda received, _: asked.append(received))
    except ValueError:
        # Not the main thread: nobody is interrupted here.
        pass
    try:
        yield Quiet(progress)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
