"""Builds an image: packages into a folder, the recipe's changes, a disk made from the folder, all without root mounts.

A build works in a hidden folder that gets its name at the end, so an interrupted one leaves nothing that looks like
an image; the next build clears it away. Two builders at once build one: the second waits and finds it made.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.resources import as_file, files
from pathlib import Path

from benito.errors import HostError, InputError
from benito.images import recipe
from benito.images.catalog import ABOUT, BUILDABLE, DISK, INITRD, KERNEL, Catalog, Image, ImageInfo
from benito.images.initrd import make_initrd
from benito.images.sources import KEYRING, Sources, find_sources, transport_options
from benito.images.tailor import tailor

Progress = Callable[[str], None]

_PROGRAMS = {"mmdebstrap": "mmdebstrap", "mke2fs": "e2fsprogs", "qemu-img": "qemu-utils", "unshare": "util-linux"}
_SPACE = 3 << 30
"""Bytes that must be free: the folder, the disk made from it, and its copy."""
_HOOKS = Path("/usr/share/mmdebstrap/hooks/merged-usr")


def build(name: str, home: Path, progress: Progress, *, again: bool = False) -> Image:
    """Return the image, made by the present recipe; builds it when it isn't there (`again`: in any case).

    HostError when the host lacks something (root, programs, space, the network).
    """
    if name not in BUILDABLE:
        raise InputError(f"there is no recipe for image {name}", hint=f"known: {', '.join(BUILDABLE)}")
    _check_host()
    catalog = Catalog(home)
    catalog.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    before = _digest_of(catalog, name)
    with _builders_lock(catalog.folder / f".{name}.lock", progress):
        current = _digest_of(catalog, name)
        if current == recipe_digest() and (not again or current != before):
            progress(f"image {name} is up to date")
            return catalog.get(name)
        for leftover in catalog.folder.glob(f".building-{name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        _check_space(catalog.folder)
        work = Path(tempfile.mkdtemp(prefix=f".building-{name}-", dir=catalog.folder))
        try:
            _make(name, work, progress)
            _put_in_place(work / "image", catalog.folder / name)
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return catalog.get(name)


def recipe_digest() -> str:
    """Return the SHA-256 over all that decides what the image contains, but for the packages' own versions."""
    total = hashlib.sha256()
    for module in ("recipe.py", "tailor.py", "initrd.py"):
        total.update(files("benito.images").joinpath(module).read_bytes())
    with as_file(files("benito.images").joinpath("debian12")) as folder:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            total.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes())
    return total.hexdigest()


def _digest_of(catalog: Catalog, name: str) -> str | None:
    try:
        return catalog.get(name).info.made_from
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


def _make(name: str, work: Path, progress: Progress) -> None:
    """Make the image's files in `work/image`."""
    root, image = work / "root", work / "image"
    image.mkdir()
    sources = find_sources()
    progress("fetching and installing packages")
    _install(root, work, sources)
    kernel = next(iter(sorted((root / "boot").glob("vmlinuz-*"), reverse=True)), None)
    if kernel is None:
        raise HostError("the packages brought no kernel", hint=f"is {recipe.KERNEL_PACKAGE} in the archive?")
    shutil.copyfile(kernel, image / KERNEL)
    (image / INITRD).write_bytes(make_initrd(root))
    tailor(root, sources)
    progress("making the disk")
    _make_disk(root, work / "root.raw", image / DISK)
    progress("taking digests")
    _describe(name, image)


def _install(root: Path, work: Path, sources: Sources) -> None:
    """Install the recipe's packages into the folder `root`."""
    log = work / "packages.log"
    settings = work / "apt.conf"
    settings.write_text("\n".join([*transport_options(), *_credentials(), 'Acquire::Languages "none";', ""]))
    listing = work / "sources.list"
    listing.write_text(sources.entries(recipe.RELEASE, private=True))
    listing.chmod(0o600)
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=apt",
        "--format=directory",
        "--architectures=amd64",
        "--skip=check/empty",
        f"--aptopt={settings}",
        "--dpkgopt=force-unsafe-io",
        *(f"--dpkgopt=path-exclude=/{pattern}" for pattern in recipe.UNWANTED_FILES),
        *(f"--dpkgopt=path-include=/{pattern}" for pattern in recipe.KEPT_FILES),
        f"--include={','.join(recipe.PACKAGES)}",
        *([f"--hook-dir={_HOOKS}"] if _HOOKS.is_dir() else []),
        *([f"--keyring={KEYRING}"] if KEYRING.exists() else []),
        recipe.RELEASE,
        str(root),
        str(listing),
    ]
    # The kernel package would have a stock initrd made, which takes longer than all the rest of its installation.
    _run_contained(command, log, {"INITRD": "No", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"})


def _credentials() -> list[str]:
    """Return apt settings that let the build read the host's own credentials for its archives."""
    if any(Path("/etc/apt/auth.conf.d").glob("*.conf")) or Path("/etc/apt/auth.conf").exists():
        return ['Dir::Etc::netrc "/etc/apt/auth.conf";', 'Dir::Etc::netrcparts "/etc/apt/auth.conf.d";']
    return []


def _run_contained(command: Sequence[str], log: Path, variables: dict[str, str]) -> None:
    """Run a command in mount and process namespaces of its own, which end with it and with this process.

    So no mount in the new root and no child outlives a failure, Ctrl-C or SIGKILL.
    """
    contained = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--fork", "--kill-child"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*contained, "--mount-proc", "--", *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **variables},
            start_new_session=True,
        )
        try:
            status = process.wait(timeout=3600)
        except subprocess.TimeoutExpired as error:
            raise HostError(f"{command[0]} took more than an hour", hint="is the package archive reachable?") from error
        finally:
            process.kill()
            process.wait()
    if status != 0:
        raise _explained(command[0], log.read_text(errors="replace"))


def _explained(program: str, log: str) -> HostError:
    """Say in one sentence why the packages could not be installed."""
    if any(text in log for text in ("Could not resolve", "Could not connect", "Temporary failure resolving")):
        return HostError("the package archive can't be reached", hint="check the network and apt's proxy settings")
    if "No space left on device" in log:
        return HostError("the disk is full", hint="make room under Benito's home")
    errors = [line for line in log.splitlines() if line.startswith(("E:", "W:", "dpkg: error"))]
    last = (errors or log.splitlines() or ["it said nothing"])[-1]
    return HostError(f"{program} failed: {last.strip()}", hint="does `apt-get update` work on this host?")


def _make_disk(root: Path, raw: Path, disk: Path) -> None:
    """Make an ext4 file system from a folder, without mounting anything, and pack it as qcow2."""
    # The journal and inode tables lie in holes of a new file: they are zero already.
    options = ["-E", "lazy_journal_init=1,root_owner=0:0", "-J", "size=32", "-i", "32768", "-m", "1"]
    _run(["mke2fs", "-q", "-F", "-t", "ext4", "-L", "benito", *options, "-d", str(root), str(raw), recipe.DISK_SIZE])
    _run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(disk)])


def _run(command: Sequence[str]) -> None:
    try:
        subprocess.run(command, check=True, capture_output=True, text=True, timeout=900)
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "it said nothing").strip().splitlines()
        raise HostError(f"{command[0]} failed: {said[-1]}") from error


def _describe(name: str, image: Path) -> None:
    """Write `image.json` and make everything readable for the machines' own user."""
    import msgspec

    digests = {file: _sha256(image / file) for file in (DISK, KERNEL, INITRD)}
    made_from = recipe_digest()
    info = ImageInfo(
        name=name,
        description=recipe.DESCRIPTION,
        distribution="debian",
        release="12",
        digest=hashlib.sha256("".join([made_from, *digests.values()]).encode()).hexdigest(),
        made_from=made_from,
        files=digests,
        size=sum((image / file).stat().st_blocks * 512 for file in digests),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        memory_mib=recipe.DEFAULT_MEMORY_MIB,
        kernel_arguments=recipe.KERNEL_COMMAND_LINE,
        login="ssh with the experiment's keys, as root or as a member with sudo; root on the serial console",
    )
    (image / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=1) + b"\n")
    for path in image.iterdir():
        path.chmod(0o644)
    image.chmod(0o755)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _put_in_place(made: Path, target: Path) -> None:
    """Give the finished image its name; an older one of that name goes."""
    old = target.with_name(f".removing-{target.name}")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        target.rename(old)
    made.rename(target)
    shutil.rmtree(old, ignore_errors=True)
