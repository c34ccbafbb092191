"""Which image each node of an experiment gets: had before anything starts, and held for as long as its disks are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from benito.errors import Fault, InputError, StateError
from benito.images import store
from benito.images.catalog import Catalog, Image
from benito.plan import model
from benito.testbed.home import Place
from benito.testbed.progress import Progress
from benito.testbed.store import ExperimentRecord, Settings
from benito.testbed.testbed import Testbed
from benito.topology.model import Topology
from benito.topology.sizes import Size, sizes

LIGHT = frozenset({"container", "physical"})
"""Kinds of nodes that share the host's kernel: they take what they use, and no more."""


def have_images(
    bed: Testbed,
    topology: Topology,
    place: Place,
    record: ExperimentRecord,
    kept: Mapping[str, model.Image],
    progress: Progress,
) -> dict[str, model.Image]:
    """Return each node's image, built when it is one that Benito builds and isn't there yet, and hold them all.

    A kept disk (`kept`: node -> image) goes on with the image that it was made from.
    """
    resolutions = bed.images(topology, record.settings)
    for notice in dict.fromkeys(resolution.notice for resolution in resolutions.values()):
        if notice:
            progress.notice(notice)
    named: dict[str, model.Image] = {}
    chosen: dict[str, model.Image] = {}
    for node in topology.nodes:
        if node.name in kept:
            chosen[node.name] = kept[node.name]
            continue
        name = resolutions[node.name].name
        if name not in named:
            named[name] = _have(bed, name, progress)
        chosen[node.name] = named[name]
    for image in dict.fromkeys(kept.values()):
        _refuse_gone(bed.catalog, image, place)
    images = {image: _exactly(bed.catalog, image) for image in dict.fromkeys(chosen.values())}
    _refuse_unfit(topology, chosen, images)
    _hold(bed.catalog, place, chosen.values())
    _have_trees(topology, chosen, images, progress)
    return chosen


def node_sizes(
    bed: Testbed, topology: Topology, settings: Settings, images: Mapping[str, model.Image]
) -> dict[str, Size]:
    """Return each node's memory, CPUs and disk; InputError for a disk that is smaller than the image's.

    A disk size of 0 is the image's own.
    """
    usual = usual_size(bed).over(Size(disk_mib=0))
    found = sizes(topology, bed.config.sizes, told_size(settings))
    facts = {image: _exactly(bed.catalog, image).info for image in set(images.values())}
    faults = []
    for node in topology.nodes:
        info = facts[images[node.name]]
        least = replace(usual, memory_mib=max(usual.memory_mib or 0, info.memory_mib))
        size = found[node.name] = found[node.name].over(least)
        if node.kind in LIGHT or (size.disk_mib or 0) == info.disk_mib:
            found[node.name] = replace(size, disk_mib=0)
        elif size.disk_mib and size.disk_mib < info.disk_mib:
            asked = f"the disk of {node.name} is to have {size.disk_mib} MiB, its image {info.name} {info.disk_mib}"
            faults.append(Fault(asked, node.where, "ask for a larger one, or none"))
    if faults:
        raise InputError(faults[0].message, faults=faults)
    return found


def told_size(settings: Settings) -> Size:
    """Return what the person said of all nodes whose file is silent."""
    return Size(settings.memory_mib, settings.cpus, settings.disk_mib)


def usual_size(bed: Testbed) -> Size:
    """Return what a node gets of which nobody says anything."""
    return Size(bed.config.memory_mib, 1)


def _exactly(catalog: Catalog, image: model.Image) -> Image:
    found = catalog.exactly(image.name, image.digest)
    if found is None:
        raise StateError(f"the image {image.name} has just been removed or replaced", hint="try again")
    return found


def _have(bed: Testbed, name: str, progress: Progress) -> model.Image:
    """Return a named image, built if need be."""
    if not bed.catalog.has(name):
        from benito.images.build import build as build_image

        progress.step(f"building the image {name}")
        build_image(name, bed.home.root, progress.step)
    return model.Image(name, bed.catalog.get(name).info.digest)


def _refuse_gone(catalog: Catalog, image: model.Image, place: Place) -> None:
    if catalog.exactly(image.name, image.digest) is None:
        raise StateError(
            f"the image {image.name} that kept disks of {place.experiment} were made from is gone",
            hint=f"`benito swapout {place.experiment}` drops the kept disks",
        )


def _refuse_unfit(topology: Topology, chosen: Mapping[str, model.Image], images: Mapping[model.Image, Image]) -> None:
    """InputError with all nodes whose image isn't for their kind."""
    if faults := list(_unfit(topology, chosen, images)):
        raise InputError(faults[0].message, faults=faults)


def _unfit(
    topology: Topology, chosen: Mapping[str, model.Image], images: Mapping[model.Image, Image]
) -> Iterator[Fault]:
    for node in topology.nodes:
        image = images[chosen[node.name]]
        if node.kind == "qemu" and not image.info.for_machines:
            yield Fault(
                f"the image {image.name} has no kernel, and {node.name} is a virtual machine",
                node.where,
                "make the node a container (attribute containers:node_type openvz), or choose another image",
            )
        if node.kind in LIGHT and not image.info.for_containers:
            yield Fault(
                f"the image {image.name} is a disk with partitions, and {node.name} is a {node.kind} node",
                node.where,
                "make the node a virtual machine, or choose an image that Benito built",
            )


def _hold(catalog: Catalog, place: Place, images: Iterable[model.Image]) -> None:
    """Keep the images' contents for the experiment, until `let_go`."""
    wanted = {(image.name, image.digest) for image in images}
    store.hold(catalog, wanted, place.hash, str(place.experiment), place.folder)


def let_go(place: Place) -> None:
    """Let the experiment's images go; what is named or used by others stays."""
    store.drop(Catalog(place.folder.parents[2]), place.hash)


def _have_trees(
    topology: Topology,
    chosen: Mapping[str, model.Image],
    images: Mapping[model.Image, Image],
    progress: Progress,
) -> None:
    from benito.images.tree import ensure_tree

    for image in dict.fromkeys(chosen[node.name] for node in topology.nodes if node.kind in LIGHT):
        ensure_tree(images[image], progress.step)
