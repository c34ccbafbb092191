"""Builds an image: packages into a folder, the recipe's changes, a disk made from the folder, all without root mounts.

A build works in a folder of its own, whose contents get their name at the end, so that an interrupted one leaves
nothing that looks like an image. Two builders at once build one: the second waits and finds it made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benito.errors import HostError, InputError
from benito.images import store
from benito.images.catalog import DISK, INITRD, KERNEL, LOGIN, Catalog, Image, ImageInfo, check_name
from benito.images.disk import make_disk
from benito.images.initrd import make_initrd
from benito.images.kernel import unpack
from benito.images.packages import IncompleteError, install
from benito.images.recipe import KERNEL_COMMAND_LINE, Recipe, named
from benito.images.sources import Sources, archives, find_sources, public
from benito.images.tailor import tailor

Progress = Callable[[str], None]

_PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mke2fs": "e2fsprogs",
    "qemu-img": "qemu-utils",
    "unshare": "util-linux",
    "lz4": "lz4",
    "zstd": "zstd",
}
_SPACE = 3 << 30
"""Bytes that must be free: the folder, the disk made from it, and its copy."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where packages come from when it isn't the host's own archive."""

    mirror: str | None = None
    keyring: Path | None = None


def build(
    wanted: str | Recipe, home: Path, progress: Progress, *, again: bool = False, origin: Origin = Origin()
) -> Image:
    """Return the image, made by the present recipe; builds it when it isn't there (`again`: in any case).

    HostError when the host lacks something (root, programs, space, the network).
    """
    recipe = named(wanted) if isinstance(wanted, str) else wanted
    check_name(recipe.name)
    _check_host()
    catalog = Catalog(home)
    catalog.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    digest = recipe_digest(recipe, origin)
    before = _created(catalog, recipe.name)
    with _builders_lock(catalog.folder / f".{recipe.name}.lock", progress):
        made_from, created = _made_from(catalog, recipe.name), _created(catalog, recipe.name)
        if made_from == digest and (not again or created != before):
            progress(f"image {recipe.name} is up to date")
            return catalog.get(recipe.name)
        _check_space(catalog.folder)
        with store.making(catalog) as work:
            info = _make(recipe, digest, work, progress, origin)
            return store.put(catalog, recipe.name, work / "image", info)


def recipe_digest(recipe: Recipe, origin: Origin = Origin()) -> str:
    """Return the SHA-256 over all that decides what the image contains, but for the packages' own versions."""
    if origin.mirror is None:
        return recipe.digest
    return hashlib.sha256(f"{recipe.digest}\0{origin.mirror}".encode()).hexdigest()


def _made_from(catalog: Catalog, name: str) -> str | None:
    try:
        return catalog.get(name).info.made_from
    except InputError:
        return None


def _created(catalog: Catalog, name: str) -> str | None:
    try:
        return catalog.get(name).info.created
    except InputError:
        return None


def _check_host() -> None:
    if os.geteuid() != 0:
        raise HostError("building an image needs root", hint="run it with sudo")
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        raise HostError(f"missing on this host: {', '.join(missing)}", hint=f"apt install {' '.join(missing)}")


def _check_space(folder: Path) -> None:
    free = shutil.disk_usage(folder).free
    if free < _SPACE:
        raise HostError(f"{folder} has {free >> 20} MiB free, an image needs {_SPACE >> 20}", hint="make room there")


@contextmanager
def _builders_lock(path: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock that lets one build at a time run; it goes with its holder, whatever ends that."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress("waiting for another build of the same image")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(recipe: Recipe, digest: str, work: Path, progress: Progress, origin: Origin) -> ImageInfo:
    """Make the image's files in `work/image`."""
    root, image = work / "root", work / "image"
    image.mkdir()
    sources = _install(recipe, root, work, progress, origin)
    _take_kernel(root, image, recipe.kernel)
    tailor(root, sources)
    progress("making the disk")
    make_disk(root, work / "root.raw", image / DISK, recipe.size_mib)
    progress("taking digests")
    return store.describe(image, about(recipe, digest, origin))


def _install(recipe: Recipe, root: Path, work: Path, progress: Progress, origin: Origin) -> Sources:
    """Install the packages and return where they came from."""
    sources = find_sources(recipe.suite, recipe.components, archives(recipe.distribution, origin.mirror))
    progress(f"fetching and installing the packages of {recipe.title}")
    try:
        try:
            install(recipe, root, work, sources, origin.keyring)
        except IncompleteError as error:
            if len(sources.suites) == 1:
                raise
            progress(f"{error.message}: once more, as the release came out, without updates")
            shutil.rmtree(root)
            sources = replace(sources, suites=sources.suites[:1])
            install(recipe, root, work, sources, origin.keyring)
    except HostError as error:
        kept = _keep_log(work, work.parent / f".{recipe.name}.log")
        raise HostError(error.message, hint="; ".join(filter(None, (error.hint, kept)))) from error
    return sources


def _keep_log(work: Path, kept: Path) -> str:
    """Keep what the failed installation said, and say where."""
    try:
        shutil.copyfile(work / "packages.log", kept)
        kept.chmod(0o600)
    except OSError:
        return ""
    return f"the whole log is {kept}"


def _take_kernel(root: Path, image: Path, package: str) -> None:
    kernel = next(iter(sorted((root / "boot").glob("vmlinuz-*"), reverse=True)), None)
    if kernel is None:
        raise HostError("the packages brought no kernel", hint=f"is {package} in the archive?")
    shutil.copyfile(kernel, image / KERNEL)
    unpack(image / KERNEL)
    (image / INITRD).write_bytes(make_initrd(root))


def about(recipe: Recipe, digest: str, origin: Origin) -> ImageInfo:
    """Return what is known of the image before its files are looked at."""
    facts = {name: value for name, value in asdict(recipe).items() if name not in ("name", "title")}
    return ImageInfo(
        name=recipe.name,
        description=recipe.description,
        distribution=recipe.distribution,
        release=recipe.release,
        digest="",
        made_from=digest,
        files={},
        size=0,
        created="",
        memory_mib=recipe.memory_mib,
        kernel_arguments=KERNEL_COMMAND_LINE,
        login=LOGIN,
        disk_mib=recipe.size_mib,
        origin=store.origin(kind="built", mirror=origin.mirror and public(origin.mirror), **facts),
    )
