"""Where a node's configuration goes: an archive that the node unpacks, or the folder that will be its root."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import stat
import tarfile
from pathlib import Path, PurePosixPath
from typing import Protocol


def bundle(folder: Path, digest: str) -> Path:
    """Return where a bundle of software lies, beside the folders of the nodes that share it."""
    return folder.parent.with_name("software") / f"{digest}.tar"


class Files(Protocol):
    """Takes plain files by their paths below the node's root; owners are numbers."""

    def file(self, path: str, text: str, *, mode: int = 0o644, owner: int = 0) -> None:
        """Put a file there; surrogates in its text stand for bytes that are no UTF-8."""

    def folder(self, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
        """Have a folder there."""

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link there."""


class Archive:
    """A tar archive of small files, dated 1970."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115

    def file(self, path: str, text: str, *, mode: int = 0o644, owner: int = 0) -> None:
        """Add a file."""
        data = text.encode(errors="surrogateescape")
        member = self._member(path, tarfile.REGTYPE, mode, owner)
        member.size = len(data)
        self._tar.addfile(member, io.BytesIO(data))

    def folder(self, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
        """Add a folder."""
        self._tar.addfile(self._member(path, tarfile.DIRTYPE, mode, owner))

    def link(self, path: str, target: str) -> None:
        """Add a symbolic link."""
        member = self._member(path, tarfile.SYMTYPE, 0o777, 0)
        member.linkname = target
        self._tar.addfile(member)

    def close(self) -> bytes:
        """End the archive and return it."""
        self._tar.close()
        return self._buffer.getvalue()

    @staticmethod
    def _member(path: str, kind: bytes, mode: int, owner: int) -> tarfile.TarInfo:
        member = tarfile.TarInfo(path)
        member.type, member.mode, member.uid, member.gid = kind, mode, owner, owner
        return member


class Tree:
    """A folder that is, or will be, a layer of a node's root, written from outside.

    Whoever is root in the node may have put a link anywhere in it, so none is ever followed: what stands in the way
    of a folder, and every file that is written anew, is removed first.
    """

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        self._root = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
        self._folders: dict[str, int] = {"": self._root}

    def __enter__(self) -> Tree:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self._folders.values():
            os.close(descriptor)

    def file(self, path: str, text: str, *, mode: int = 0o644, owner: int = 0) -> None:
        """Write a file in place of whatever has the name."""
        folder, name = self._split(path)
        self._clear(folder, name)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        descriptor = os.open(name, flags, 0o600, dir_fd=folder)
        try:
            os.write(descriptor, text.encode(errors="surrogateescape"))
            if owner:
                os.fchown(descriptor, owner, owner)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def folder(self, path: str, *, mode: int = 0o755, owner: int = 0) -> None:
        """Have a folder with this mode and owner."""
        descriptor = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=self._folder(path))
        try:
            if owner:
                os.fchown(descriptor, owner, owner)
            os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)

    def link(self, path: str, target: str) -> None:
        """Put a symbolic link in place of whatever has the name."""
        folder, name = self._split(path)
        self._clear(folder, name)
        os.symlink(target, name, dir_fd=folder)

    def remove(self, path: str) -> None:
        """Remove what has this name, with all below it; a link is removed, not followed. Fine when there is nothing."""
        parent = PurePosixPath(path).parent
        descriptor = self._root
        opened: list[int] = []
        try:
            for part in parent.parts:
                descriptor = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
                opened.append(descriptor)
            self._clear(descriptor, PurePosixPath(path).name)
        except (FileNotFoundError, NotADirectoryError):
            return
        finally:
            for number in opened:
                os.close(number)

    def read(self, path: str, limit: int = 65536) -> str:
        """Return the beginning of a plain file; empty when there is none."""
        try:
            folder, name = self._split(path)
            descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
        except OSError:
            return ""
        try:
            return os.read(descriptor, limit).decode(errors="replace")
        except OSError:
            return ""
        finally:
            os.close(descriptor)

    def _split(self, path: str) -> tuple[int, str]:
        folder, _, name = path.rpartition("/")
        return self._folder(folder), name

    def _folder(self, path: str) -> int:
        """Return a descriptor of a folder, made with its parents where it is missing."""
        if path in self._folders:
            return self._folders[path]
        parent, name = self._split(path)
        try:
            found = stat.S_ISDIR(os.stat(name, dir_fd=parent, follow_symlinks=False).st_mode)
        except FileNotFoundError:
            found = False
        if not found:
            self._clear(parent, name)
            os.mkdir(name, 0o755, dir_fd=parent)
        descriptor = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
        self._folders[path] = descriptor
        return descriptor

    @staticmethod
    def _clear(folder: int, name: str) -> None:
        try:
            os.unlink(name, dir_fd=folder)
        except FileNotFoundError:
            return
        except IsADirectoryError:
            with contextlib.suppress(FileNotFoundError):
                shutil.rmtree(name, dir_fd=folder)
