"""The templates that a host keeps: made once, whoever asks first; removed when nothing lies on them any more.

templates/1f3a...           a template, read-only for all but root
templates/1f3a.../users/    who may have disks that are overlays of its disk
templates/.1f3a....lock     shared by those who are about to use it, alone for whoever makes or removes it
templates/.making-1f3a...   one being made; it gets its name when it is whole
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benito.errors import BusyError, HostError
from benito.machines.overlay import backing_file
from benito.machines.template import DISK, Template

MAKING = ".making-"
USERS = "users"
REFUSED = ".refused-"


class Shelf:
    """The templates of one home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, digest: str) -> Template | None:
        """Return the template of that digest; None when there is none."""
        found = Template(self.folder / digest)
        return found if digest and found.whole() else None

    def all(self) -> list[Template]:
        """Return every template, the one used last first."""
        found = [Template(folder) for folder in self.folder.glob("[!.]*/")]
        return sorted((template for template in found if template.whole()), key=lambda t: (-t.used, t.digest))

    @contextmanager
    def held(self, digest: str) -> Iterator[None]:
        """Keep others from removing the template meanwhile; ends with the process at the latest.

        BusyError while somebody makes or removes it.
        """
        with self._lock(digest, fcntl.LOCK_SH):
            yield

    @contextmanager
    def alone(self, digest: str) -> Iterator[None]:
        """Be the one who makes or removes the template; BusyError when somebody makes, uses or removes it now."""
        with self._lock(digest, fcntl.LOCK_EX):
            yield

    @contextmanager
    def _lock(self, digest: str, kind: int) -> Iterator[None]:
        self.folder.mkdir(mode=0o755, parents=True, exist_ok=True)
        file = os.open(self.folder / f".{digest}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise BusyError(f"the template {digest} is being made, used or removed", hint="try again later") from None
        try:
            yield
        finally:
            os.close(file)

    def making(self, digest: str) -> Path:
        """Return an empty folder for a template that is being made, instead of what an interrupted maker has left."""
        folder = self.folder / f"{MAKING}{digest}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o711)
        return folder

    def put(self, digest: str, made: Path) -> Template:
        """Give a whole template its name; what it is made of is on disk before."""
        target = self.folder / digest
        for file in made.iterdir():
            os.chown(file, 0, 0, follow_symlinks=False)
            file.chmod(0o444)
            _flush(file)
        (made / USERS).mkdir(mode=0o755)
        os.chown(made, 0, 0)
        made.chmod(0o755)
        _flush(made)
        shutil.rmtree(target, ignore_errors=True)
        made.rename(target)
        _flush(self.folder)
        return Template(target)

    def refuse(self, digest: str, reason: str) -> None:
        """Remember that there can be no such template, so that nobody tries again."""
        (self.folder / f"{REFUSED}{digest}").write_text(reason)

    def refusal(self, digest: str) -> str | None:
        """Return why there can be no such template; None when that isn't known."""
        try:
            return (self.folder / f"{REFUSED}{digest}").read_text()
        except OSError:
            return None

    def use(self, digest: str, key: str, nodes: Path) -> None:
        """Note that below that folder of nodes' folders there may be disks that lie on the template."""
        users = self.folder / digest / USERS
        users.mkdir(exist_ok=True)
        link = users / key
        link.unlink(missing_ok=True)
        link.symlink_to(nodes)
        Template(self.folder / digest).touch()

    def users(self, digest: str) -> list[Path]:
        """Return the disks, living or kept, that lie on the template's."""
        return [
            disk
            for link in sorted((self.folder / digest / USERS).glob("*"))
            for disk in sorted(link.glob(f"*/{DISK}"))
            if _lies_on(disk, digest)
        ]

    def remove(self, digest: str) -> None:
        """Remove a template; BusyError when somebody is about to use it, or disks lie on it."""
        if not (self.folder / digest).is_dir():
            raise HostError(f"there is no template {digest}", hint="`benito image templates` lists them")
        with self.alone(digest):
            if disks := self.users(digest):
                raise BusyError(
                    f"the disks of {len(disks)} nodes lie on the template {digest}, {disks[0].parent} among them",
                    hint="swap their experiments out without --keep",
                )
            gone = self.folder / f"{MAKING}{digest}"
            shutil.rmtree(gone, ignore_errors=True)
            (self.folder / digest).rename(gone)
            shutil.rmtree(gone)

    def trim(self, most: int, stale: Callable[[Template], bool]) -> list[str]:
        """Remove stale templates, and those used longest ago beyond `most`, as far as nobody needs them."""
        removed = []
        for place, template in enumerate(self.all()):
            if place < most and not stale(template):
                continue
            with contextlib.suppress(BusyError, OSError):
                self.remove(template.digest)
                removed.append(template.digest)
        return removed

    def leftovers(self) -> list[Path]:
        """Return what makers and removers that were interrupted have left."""
        found = []
        for folder in sorted(self.folder.glob(f"{MAKING}*/")):
            with contextlib.suppress(BusyError), self.alone(folder.name.removeprefix(MAKING)):
                found.append(folder)
        return found

    def clear(self) -> None:
        """Remove what makers and removers that were interrupted have left."""
        for folder in self.leftovers():
            with contextlib.suppress(BusyError), self.alone(folder.name.removeprefix(MAKING)):
                shutil.rmtree(folder, ignore_errors=True)


def _lies_on(disk: Path, digest: str) -> bool:
    try:
        backing = backing_file(disk)
    except OSError:
        return False
    return backing is not None and Path(backing).parent.name == digest


def _flush(path: Path) -> None:
    """Have a file's or folder's content on disk: a template that a power cut tears must not have its name."""
    file = os.open(path, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
