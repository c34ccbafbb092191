"""Changes of the image folder: contents come in whole or not at all, and go when nothing needs them any more.

A content is needed while a name points to it, or while one of its users is there: an experiment whose nodes' disks,
living or kept, lie on it. A user is a file `users/KEY` beside the content, which holds the path of the user's folder;
one whose folder is gone counts no more, so that nothing has to be put right after a crash.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benito.errors import InputError, StateError
from benito.images.catalog import ABOUT, CONTENTS, Catalog, Image, ImageInfo, check_name

USERS = "users"
WORK = ".making-"
"""How the names of folders begin in which images are being made."""
_LOCK = ".lock"
_GONE = ".removing-"
_UNBORN = ".beginning-"
"""How the names of folders begin that nobody holds yet."""
_MOMENT_S = 60


@dataclass(frozen=True, slots=True)
class Damage:
    """A file of an image that isn't as it was made."""

    file: str
    what: str


@contextmanager
def _locked(catalog: Catalog) -> Iterator[None]:
    """Be the only one who changes names, contents and users; short, for others wait."""
    catalog.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (catalog.folder / _LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def making(catalog: Catalog) -> Iterator[Path]:
    """Give a folder to make an image in, gone at the end whatever happens; leftovers of the dead are cleared first."""
    catalog.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    clear(catalog)
    work = unborn = Path(tempfile.mkdtemp(prefix=_UNBORN, dir=catalog.folder))
    try:
        # Machines that boot what is made here run as a user of their own, who must pass but not look.
        work.chmod(0o711)
        with (work / "maker").open("w") as alive:
            # Held for as long as this process lives: so the next one knows whose folder is a leftover.
            fcntl.flock(alive, fcntl.LOCK_EX)
            work = unborn.rename(catalog.folder / f"{WORK}{unborn.name.removeprefix(_UNBORN)}")
            yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


def leftovers(catalog: Catalog) -> list[Path]:
    """Return what was left by makers that died, and what was being removed."""
    return [
        *(folder for folder in sorted(catalog.folder.glob(f"{WORK}*")) if _deserted(folder)),
        *(folder for folder in sorted(catalog.folder.glob(f"{_UNBORN}*")) if _old(folder)),
        *sorted(catalog.folder.glob(f"{_GONE}*")),
    ]


def clear(catalog: Catalog) -> None:
    """Remove leftovers."""
    for folder in leftovers(catalog):
        shutil.rmtree(folder, ignore_errors=True)


def _deserted(work: Path) -> bool:
    try:
        with (work / "maker").open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except FileNotFoundError:
        return work.exists()
    return True


def _old(work: Path) -> bool:
    import time

    try:
        return time.time() - work.stat().st_mtime > _MOMENT_S
    except OSError:
        return False


def describe(folder: Path, info: ImageInfo) -> ImageInfo:
    """Complete what is known of the files in the folder, and write it there; everything becomes readable for all."""
    import msgspec

    names = sorted(path.name for path in folder.glob("[!.]*") if path.is_file() and path.name != ABOUT)
    digests = {name: sha256(folder / name) for name in names}
    whole = hashlib.sha256("".join([info.made_from, info.boot, info.kernel_arguments, *digests.values()]).encode())
    info = replace(
        info,
        digest=whole.hexdigest(),
        files=digests,
        lengths={name: (folder / name).stat().st_size for name in names},
        size=sum((folder / name).stat().st_blocks * 512 for name in names),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    (folder / ABOUT).write_bytes(msgspec.json.format(msgspec.json.encode(info), indent=1) + b"\n")
    for path in folder.iterdir():
        path.chmod(0o644)
        _flush(path)
    folder.chmod(0o755)
    return info


def _flush(path: Path) -> None:
    """Have a file on the host's disk before a name points to it, for hosts that lose power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(catalog: Catalog, name: str, made: Path, info: ImageInfo) -> Image:
    """Take a described folder in and give it the name; what had the name stays for as long as it is needed."""
    check_name(name)
    with _locked(catalog):
        catalog.contents.mkdir(mode=0o755, exist_ok=True)
        target = catalog.contents / info.digest
        if target.exists() and not (target / ABOUT).is_file():
            shutil.rmtree(target)
        if not target.exists():
            made.rename(target)
        _point(catalog, name, info.digest)
        _collect(catalog)
    return catalog.get(name)


def _point(catalog: Catalog, name: str, digest: str) -> None:
    """Have the name point to a content; a folder of that name, as there was one in former times, goes."""
    link = catalog.folder / name
    if link.exists() and not link.is_symlink():
        _discard(catalog, link)
    new = catalog.folder / f".{name}.new"
    new.unlink(missing_ok=True)
    new.symlink_to(f"{CONTENTS}/{digest}")
    new.rename(link)


def _discard(catalog: Catalog, folder: Path) -> None:
    """Remove a folder; renamed first, so that a half-removed one is never seen."""
    gone = catalog.folder / f"{_GONE}{folder.name}"
    shutil.rmtree(gone, ignore_errors=True)
    folder.rename(gone)
    shutil.rmtree(gone, ignore_errors=True)


def remove(catalog: Catalog, name: str) -> bool:
    """Take the name away, and the content with it unless it has other names or users; returns whether it went too."""
    check_name(name)
    with _locked(catalog):
        link = catalog.folder / name
        if not (link / ABOUT).exists() and not link.is_symlink():
            raise InputError(f"there is no image {name}", hint=catalog.at_hand())
        try:
            content = link.resolve()
            if link.is_symlink():
                link.unlink()
            else:
                _discard(catalog, link)
            _collect(catalog)
        except OSError as error:
            raise StateError(f"image {name} could not be removed: {error.strerror}") from error
        return not content.exists()


def users(catalog: Catalog, digest: str) -> list[str]:
    """Return who lies on a content, as they named themselves."""
    return sorted(title for title, _ in _users(catalog.contents / digest))


def _users(content: Path) -> Iterator[tuple[str, Path]]:
    for file in sorted((content / USERS).glob("*")):
        try:
            folder, _, title = file.read_text().partition("\n")
        except OSError:
            continue
        if Path(folder).exists():
            yield title.strip(), file


def hold(catalog: Catalog, wanted: Collection[tuple[str, str]], key: str, title: str, folder: Path) -> None:
    """Make a user of the contents (name -> digest), for as long as `folder` is there; it holds nothing else then.

    StateError when one of them is gone.
    """
    with _locked(catalog):
        for name, digest in wanted:
            if catalog.exactly(name, digest) is None:
                raise StateError(f"the image {name} has just been removed", hint="try again")
        _drop(catalog, key)
        for digest in {digest for _, digest in wanted}:
            content = catalog.contents / digest
            if content.is_dir():
                (content / USERS).mkdir(exist_ok=True)
                (content / USERS / key).write_text(f"{folder}\n{title}\n")
        _collect(catalog)


def drop(catalog: Catalog, key: str) -> None:
    """Let a user go; contents that nobody needs any more go with it."""
    if not any(catalog.contents.glob(f"*/{USERS}/{key}")):
        return
    with _locked(catalog):
        _drop(catalog, key)
        _collect(catalog)


def _drop(catalog: Catalog, key: str) -> None:
    for file in catalog.contents.glob(f"*/{USERS}/{key}"):
        file.unlink(missing_ok=True)


def collect(catalog: Catalog) -> list[str]:
    """Remove contents that have neither name nor user; returns their digests."""
    if not catalog.contents.is_dir():
        return []
    with _locked(catalog):
        return _collect(catalog)


def _collect(catalog: Catalog) -> list[str]:
    named = {link.resolve() for link in catalog.folder.glob("[!.]*") if link.is_symlink()}
    removed = []
    for content in sorted(catalog.contents.glob("*/")):
        if content.resolve() in named or any(True for _ in _users(content)):
            continue
        _discard(catalog, content)
        removed.append(content.name)
    return removed


def verify(image: Image) -> list[Damage]:
    """Read all of an image's files and return those that aren't as they were made."""
    found = []
    for name, digest in image.info.files.items():
        path = image.folder / name
        length = image.info.lengths.get(name)
        if not path.is_file():
            found.append(Damage(name, "it is missing"))
        elif length is not None and path.stat().st_size != length:
            found.append(Damage(name, f"it has {path.stat().st_size} bytes, and had {length}"))
        elif sha256(path) != digest:
            found.append(Damage(name, "its contents have changed"))
    return found


def sha256(path: Path) -> str:
    """Return a file's digest."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def origin(**facts: Any) -> dict[str, Any]:
    """Return facts about how an image came about, without those that say nothing."""
    return {name: value for name, value in facts.items() if value not in (None, "", (), [])}
