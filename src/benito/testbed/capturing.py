"""Makes an image of a running node: what people did to it stays, who it was goes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from benito.errors import BenitoError, BusyError, InputError, NodeError, StateError
from benito.images import disk, errand, store
from benito.images.catalog import DISK, INITRD, KERNEL, Image, ImageInfo, check_name
from benito.images.errand import Boot, Errand
from benito.images.merging import merge
from benito.plan import model
from benito.testbed import flock
from benito.testbed.home import ExperimentId, Place
from benito.testbed.imaging import LIGHT
from benito.testbed.keeping import Request, ask_keeper
from benito.testbed.preparing import written
from benito.testbed.progress import Progress
from benito.testbed.store import State
from benito.testbed.testbed import Testbed, require_root, require_state

COPY = "image-copy.qcow2"
"""The copy's name in the node's folder, for as long as it is being made."""
COPY_S = 1800.0


def capture(
    bed: Testbed, experiment: ExperimentId, node: str, name: str, boot: Boot, progress: Progress, description: str = ""
) -> Image:
    """Make the image `name` of a node, which runs on; nothing is left of it when that fails."""
    require_root("`benito image create`")
    check_name(name)
    record = bed.record(experiment)
    require_state(record, State.ACTIVE)
    place = bed.home.place(record.id)
    machine = _machine(place, node)
    base = bed.catalog.exactly(machine.image.name, machine.image.digest)
    if base is None:
        raise StateError(f"the image {machine.image.name} that {node} was made from is gone")
    with store.making(bed.catalog) as work:
        image = work / "image"
        image.mkdir(mode=0o755)
        if machine.kind in LIGHT:
            progress.step(f"putting the files of {machine.node} together")
            _of_container(place, machine, base, work, image)
        else:
            _of_machine(place, machine, base, work, image, boot, progress)
        progress.step("taking digests")
        info = store.describe(image, _about(record.id, machine, base, name, description))
        return store.put(bed.catalog, name, image, info)


def _machine(place: Place, node: str) -> model.Machine:
    machines = (machine for plan in written(place) for machine in plan.machines)
    found = next((machine for machine in machines if machine.node.lower() == node.lower()), None)
    if found is None:
        raise InputError(f"there is no node {node} in {place.experiment}", hint="`benito nodes` lists them")
    return found


def _of_machine(
    place: Place, machine: model.Machine, base: Image, work: Path, image: Path, boot: Boot, progress: Progress
) -> None:
    if base.info.boot != "kernel":
        raise StateError(
            f"{machine.node} runs the image {base.name}, which starts by its own boot loader: what it knows of this "
            "experiment can't be taken from it",
            hint="import the disk without --as-is, so that Benito knows its kernel",
        )
    progress.step(f"copying the disk of {machine.node}, which runs on")
    copy = place.nodes / machine.node / COPY
    with _alone(place, machine.node):
        try:
            request = Request("copy", {"node": machine.node, "name": COPY, "deadline_s": COPY_S})
            answer = ask_keeper(place, [request], COPY_S + 60)[0]
            if isinstance(answer, BenitoError):
                raise answer
            shutil.move(copy, image / DISK)
        finally:
            copy.unlink(missing_ok=True)
    progress.step("taking from the copy what is this node's alone")
    for name in (KERNEL, INITRD):
        shutil.copyfile(base.folder / name, image / name)
    _seal(image, work, base, boot)
    _pack(image, work)


@contextmanager
def _alone(place: Place, node: str) -> Iterator[None]:
    """Be the one who copies the node's disk: every copy has the same name. BusyError when somebody else is."""
    with ExitStack() as stack:
        try:
            stack.enter_context(flock.held(place.runtime / f"copy-{node}.lock", wait=False))
        except BusyError:
            raise BusyError(f"an image of {node} is being made already", hint="try again when it is done") from None
        yield


def _seal(image: Path, work: Path, base: Image, boot: Boot) -> None:
    """Have a machine that is thrown away remove the identity; NodeError when it didn't say that it did."""
    result = errand.result_disk(work / "result")
    boot(
        Errand(
            disk=image / DISK,
            script=errand.seal_script(work / "seal"),
            result=result,
            deadline_s=errand.SEAL_S,
            kernel=image / KERNEL,
            initrd=image / INITRD,
            arguments=f"{base.info.kernel_arguments} {errand.SEAL_ARGUMENTS}",
            memory_mib=base.info.memory_mib,
        )
    )
    with result.open("rb") as file:
        if not file.read(16).startswith(b"sealed"):
            raise NodeError("the copy could not be cleaned of the node's identity", hint="try again")


def _pack(image: Path, work: Path) -> None:
    """Drop from the disk's file what the disk no longer holds."""
    packed = work / "packed.qcow2"
    # Machines' processes have written it: one that somebody broke out of may have had it lean on a file of the host's.
    disk.refuse_foreign(image / DISK, "qcow2")
    disk.convert(image / DISK, packed, source_format="qcow2")
    packed.replace(image / DISK)


def _of_container(place: Place, machine: model.Machine, base: Image, work: Path, image: Path) -> None:
    own = place.nodes / machine.node / "own"
    root = merge(base, own, work)
    if base.info.for_machines:
        disk.make_disk(root, work / "root.raw", image / DISK, base.info.disk_mib)
        for name in (KERNEL, INITRD):
            shutil.copyfile(base.folder / name, image / name)
        return
    from benito.images.rootfs import pack

    pack(root, image)


def _about(experiment: ExperimentId, machine: model.Machine, base: Image, name: str, description: str) -> ImageInfo:
    origin = store.origin(kind="created", node=f"{machine.node}.{experiment.domain}", base=base.name)
    return replace(
        base.info,
        name=name,
        description=description or f"{base.info.description}, as {machine.node} of {experiment} had it",
        made_from=base.info.digest,
        disk_mib=machine.disk_mib or base.info.disk_mib,
        memory_mib=base.info.memory_mib if machine.kind in LIGHT else machine.memory_mib,
        origin=origin,
    )
