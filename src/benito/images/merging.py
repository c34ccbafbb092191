"""A container's files as one folder: the image's with what the node wrote, without who the node was.

What is in it was written by a node: it is only read and moved as data, and no link of it is followed.
"""

from __future__ import annotations

import stat
from pathlib import Path

from benito import run
from benito.errors import HostError
from benito.images.catalog import Image
from benito.images.foreign import empty, inside, remove
from benito.images.tree import root_of

FIRST_UID = 20001
"""The least user id of an account that Benito makes."""
_ACCOUNTS = ("etc/passwd", "etc/shadow", "etc/group")
_GONE = (
    "etc/hostname",
    "etc/hosts",
    "etc/resolv.conf",
    "etc/machine-id",
    "etc/benito",
    "etc/sudoers.d/benito",
    "root/.ssh/authorized_keys",
    "root/.bash_history",
    "var/lib/benito",
    "var/benito",
    "var/emulab/boot",
    "tmp",
)
_EMPTY = ("etc/machine-id", "etc/resolv.conf", "etc/hosts", "etc/hostname")
_TAR = "tar --numeric-owner --xattrs --xattrs-include=* --sparse"
_MERGE = (
    'mount -t overlay overlay -o "ro,lowerdir=$1:$2" "$3" && '
    f'{_TAR} -C "$3" -cf - . | {_TAR} -C "$4" -xpf - && umount "$3"'
)
"""Run in a mount namespace of its own, so that no mount outlives it."""
_DEADLINE_S = 900


def merge(base: Image, own: Path, work: Path) -> Path:
    """Return a new folder with the node's files, cleaned."""
    if not own.is_dir():
        raise HostError(f"the files of the node aren't at {own}")
    merged, root = work / "merged", work / "root"
    merged.mkdir()
    root.mkdir(mode=0o755)
    argv: list[str | Path] = [
        "unshare",
        "--mount",
        "--",
        "/bin/sh",
        "-c",
        _MERGE,
        "merge",
        own,
        root_of(base),
        merged,
        root,
    ]
    run.checked(argv, deadline_s=_DEADLINE_S)
    forget(root)
    return root


def forget(root: Path) -> None:
    """Take from a folder what no two nodes may share."""
    users = _experiment_users(root)
    for name in _ACCOUNTS:
        path = inside(root, name)
        if path is not None and path.is_file():
            kept = [line for line in _lines(path) if line.partition(":")[0] not in users]
            mode = path.stat().st_mode
            path.write_text("".join(f"{line}\n" for line in kept), errors="surrogateescape")
            path.chmod(stat.S_IMODE(mode))
    for name in (*_GONE, *(f"home/{user}/.ssh/authorized_keys" for user in users)):
        remove(root, name)
    empty(root, "etc/ssh", "ssh_host_*")
    for name in _EMPTY:
        path = inside(root, name)
        if path is not None:
            path.write_text({"etc/hostname": "localhost\n", "etc/hosts": "127.0.0.1 localhost\n"}.get(name, ""))
    (root / "tmp").mkdir(exist_ok=True)
    (root / "tmp").chmod(0o1777)
    home = inside(root, "var/lib/benito")
    if home is not None:
        home.mkdir(mode=0o755, exist_ok=True)


def _experiment_users(root: Path) -> set[str]:
    path = inside(root, "etc/passwd")
    if path is None or not path.is_file():
        return set()
    fields = (line.split(":") for line in _lines(path))
    return {words[0] for words in fields if len(words) > 2 and words[2].isdecimal() and int(words[2]) >= FIRST_UID}


def _lines(path: Path) -> list[str]:
    return path.read_text(errors="surrogateescape").splitlines()
