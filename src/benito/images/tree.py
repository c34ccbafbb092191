"""An image's root file system as a folder, the lower layer of every container's root; made on first use.

It is taken out of the image's disk by debugfs, without mounting anything, so that it works where there are no loop
devices, and for images made elsewhere. What debugfs loses is put back: set-id bits, file capabilities, hard links.

The folder lies in one that only root may enter: it holds set-uid programs of another system. The disk may be a node's,
whose root writes what he likes into it, names with slashes and links to anywhere: it is taken apart by a process that
can change nothing else on this host.
"""

from __future__ import annotations

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benito.errors import HostError
from benito.images.catalog import ARCHIVE, DISK, Image
from benito.images.rootfs import unpack
from benito.mounts import confine

FOLDER = "tree"
"""Within the image's folder."""
MADE_FROM = "made-from"
_CAPABILITY = "security.capability"
_SET_ID = 0o6000
_PROGRAM_FOLDERS = ("bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/libexec")
"""Where files with capabilities are looked for."""
_DEADLINE_S = 600
_ENTRY = re.compile(r"^/(\d+)/(\d+)/(\d+)/(\d+)/(.*)/(\d*)/$", re.MULTILINE)
_PROMPT = "debugfs: "
_HEX = re.compile(r"\((\d+)\) = ((?:[0-9a-f]{2} ?)+)")


def root_of(image: Image) -> Path:
    """Return where the image's root folder is, or would be."""
    return image.folder / FOLDER / "root"


def has_tree(image: Image) -> bool:
    """Whether the folder is there, made from the image's present disk."""
    try:
        return (image.folder / FOLDER / MADE_FROM).read_text().strip() == _source(image)
    except (OSError, KeyError):
        return False


def _source(image: Image) -> str:
    """Return the digest of what the folder is made from."""
    return image.info.files[DISK if image.info.for_machines else ARCHIVE]


def ensure_tree(image: Image, progress: Callable[[str], None]) -> Path:
    """Return the image's root folder, made if need be; HostError when a program or room is missing."""
    if has_tree(image):
        return root_of(image)
    with (image.folder / ".tree.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if has_tree(image):
            return root_of(image)
        progress(f"unpacking the image {image.name} for containers")
        _make(image)
    return root_of(image)


def _make(image: Image) -> None:
    missing = [program for program in ("qemu-img", "debugfs") if shutil.which(program) is None]
    if missing:
        raise HostError(f"missing on this host: {', '.join(missing)}", hint="apt-get install qemu-utils e2fsprogs")
    for leftover in image.folder.glob(f".{FOLDER}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f".{FOLDER}-", dir=image.folder))
    try:
        if image.info.for_machines:
            with _raw(image, work) as raw:
                extract_apart(raw, work)
        else:
            unpack(image.archive, work / "root")
        (work / MADE_FROM).write_text(f"{_source(image)}\n")
        shutil.rmtree(image.folder / FOLDER, ignore_errors=True)
        work.rename(image.folder / FOLDER)
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextmanager
def _raw(image: Image, work: Path) -> Iterator[Path]:
    """The disk as a plain file with holes."""
    raw = work / "disk"
    _run(["qemu-img", "convert", "-O", "raw", str(image.disk), str(raw)])
    yield raw
    raw.unlink()


def extract_apart(disk: Path, work: Path) -> None:
    """Take an ext4 file system out of a plain file into `work/root`, by a process that can write nowhere else."""
    cell = work / "cell"
    cell.mkdir()
    _run([sys.executable, "-I", "-m", "benito.images.tree", str(disk), str(cell)])
    made = cell / "root"
    if made.is_symlink() or not made.is_dir():
        raise HostError("the image's file system is damaged", hint="build or import it again")
    made.rename(work / "root")
    shutil.rmtree(cell)


def main() -> None:
    """Extract a disk into the folder `root` of another folder, the only one that this process can change."""
    disk, cell = map(Path, sys.argv[1:])
    try:
        confine(cell)
        extract(disk, cell / "root")
    except (HostError, OSError) as error:
        sys.exit(str(error))


def extract(disk: Path, root: Path) -> None:
    """Take an ext4 file system out of a plain file into a new folder; only for a process that is confined to it."""
    root.mkdir(mode=0o755)
    _debugfs(disk, [f"rdump / {_quoted(root)}"])
    (root / "lost+found").rmdir()
    entries = list(_entries(disk, root))
    _link_again(root, entries)
    _restore_capabilities(disk, root)
    # Last: a change of a file's owner, links or content takes its set-id bits away.
    for entry in entries:
        if entry.mode & _SET_ID and not (root / entry.path).is_symlink():
            (root / entry.path).chmod(entry.mode & 0o7777)


@dataclass(frozen=True, slots=True)
class _Entry:
    """A name in the file system on the disk."""

    path: str
    inode: int
    mode: int

    @property
    def plain(self) -> bool:
        return self.mode & 0o170000 == 0o100000


def _entries(disk: Path, root: Path) -> Iterator[_Entry]:
    """Yield what the disk's own folders say of everything below its root."""
    folders = [Path(top).relative_to(root) for top, _, _ in os.walk(root)]
    said = _debugfs(disk, [f"ls -p {_quoted(Path('/') / folder)}" for folder in folders])
    # Each command is repeated in the output before its answer.
    for folder, answer in zip(folders, said.split(_PROMPT)[1:], strict=False):
        for match in _ENTRY.finditer(answer):
            if match[5] not in (".", ".."):
                yield _Entry(str(folder / match[5]), int(match[1]), int(match[2], 8))


def _link_again(root: Path, entries: Sequence[_Entry]) -> None:
    """Make one file of the copies that stand for one."""
    first: dict[int, Path] = {}
    for entry in entries:
        path = root / entry.path
        if not entry.plain or not path.is_file():
            continue
        original = first.setdefault(entry.inode, path)
        if original is not path:
            path.unlink()
            path.hardlink_to(original)


def _restore_capabilities(disk: Path, root: Path) -> None:
    files = [
        file.relative_to(root)
        for folder in _PROGRAM_FOLDERS
        if not (root / folder).is_symlink()
        for file in sorted((root / folder).glob("*"))
        if file.is_file() and not file.is_symlink()
    ]
    said = _debugfs(disk, [f"ea_get -x {_quoted(Path('/') / file)} {_CAPABILITY}" for file in files])
    # Each command is repeated in the output before its answer.
    for file, answer in zip(files, said.split(_PROMPT)[1:], strict=False):
        if value := _HEX.search(answer):
            os.setxattr(root / file, _CAPABILITY, bytes.fromhex(value[2]))


def _quoted(path: Path) -> str:
    return '"' + str(path).replace('"', '""') + '"'


def _debugfs(disk: Path, commands: Sequence[str]) -> str:
    """Run debugfs on a script and return what it printed."""
    return _run(["debugfs", "-f", "/dev/stdin", str(disk)], "".join(f"{command}\n" for command in commands))


def _run(argv: Sequence[str], stdin: str = "") -> str:
    try:
        done = subprocess.run(
            argv, input=stdin, capture_output=True, text=True, errors="surrogateescape", timeout=_DEADLINE_S, check=True
        )
    except subprocess.TimeoutExpired:
        raise HostError(f"{shlex.join(argv[:1])} didn't end within {_DEADLINE_S} s") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr or error.stdout or "it said nothing").strip().splitlines()
        raise HostError(f"{shlex.join(argv[:1])} failed: {said[-1]}") from error
    return done.stdout


if __name__ == "__main__":
    main()
