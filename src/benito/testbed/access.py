"""Who may log in to an experiment's nodes: keys of local users, accounts on nodes, the nodes' own host keys."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benito.errors import InputError
from benito.idmap import is_person
from benito.plan.model import Account
from benito.testbed.home import Home, Place
from benito.testbed.names import Login

MAX_KEY_FILE = 1 << 20
"""Bytes; a larger file holds no keys for us."""
TEST_S = 10.0
KEY_TYPES = ("ssh-ed25519 ", "ssh-rsa ", "ecdsa-sha2-", "sk-ssh-ed25519", "sk-ecdsa-")


def person() -> str:
    """Return the login name of whoever runs this: the one behind sudo, else the user of the process."""
    behind = os.environ.get("SUDO_USER")
    if os.geteuid() == 0 and behind and _exists(behind):
        return behind
    return pwd.getpwuid(os.geteuid()).pw_name


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


def known_user(user: str) -> pwd.struct_passwd:
    """Return the local user's entry; InputError when there is none."""
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise InputError(f"there is no local user {user!r}", hint="name users of this host") from None


def login(home: Home, user: str) -> Login:
    """Return the key that Benito keeps for that local user, made on first use and readable by them alone."""
    entry = known_user(user)
    folder = home.keys / user
    key = folder / "id_ed25519"
    # The folder is root's: its owner could put links where root will write. Only the key itself is theirs.
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    os.chown(folder, 0, 0, follow_symlinks=False)
    folder.chmod(0o711)
    if not key.exists():
        _make_key(key, f"{user}@benito")
        os.chown(key, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    return Login(user, key)


def accounts(home: Home, members: Iterable[str]) -> tuple[Account, ...]:
    """Return each member's account: Benito's key for them, and the public keys in their own `~/.ssh`."""
    return tuple(Account(user, _public_keys(home, user), _same_uid(user)) for user in members)


def _same_uid(user: str) -> int:
    """Return the user's id on this host if it can be theirs on nodes as well, else 0."""
    uid = known_user(user).pw_uid
    return uid if is_person(uid) else 0


def may(person: str, right: str, path: Path) -> bool:
    """Whether that user has a right to a file or folder (`-r`, `-w` or `-x`), though root has it."""
    if person == "root" or os.geteuid():
        return os.access(path, {"-r": os.R_OK, "-w": os.W_OK, "-x": os.X_OK}[right])
    account = known_user(person)
    groups = os.getgrouplist(person, account.pw_gid)
    argv = ["/usr/bin/test", right, str(path)]
    rights: dict[str, Any] = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    try:
        return subprocess.run(argv, timeout=TEST_S, check=False, cwd="/", **rights).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _public_keys(home: Home, user: str) -> tuple[str, ...]:
    own = Path(known_user(user).pw_dir, ".ssh")
    files = [_public(login(home, user).key), *sorted(own.glob("*.pub")), own / "authorized_keys"]
    keys: dict[str, None] = {}
    owners = {0, known_user(user).pw_uid}
    for file in files:
        lines = _read_small(file, owners).splitlines()
        keys.update((line.strip(), None) for line in lines if line.startswith(KEY_TYPES))
    return tuple(keys)


def _read_small(file: Path, owners: set[int]) -> str:
    """Return the text of an ordinary, small file of one of those owners; nothing of any other.

    A person's folder may hold whatever they like: a pipe that never ends, a link to somebody else's secrets.
    """
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(descriptor, errors="replace") as opened:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in owners or status.st_size > MAX_KEY_FILE:
            return ""
        return opened.read()


def host_keys(place: Place, nodes: Iterable[str]) -> None:
    """Make each node's ssh host key, kept as long as the experiment exists, and the file of known hosts."""
    place.secrets.mkdir(mode=0o700, parents=True, exist_ok=True)
    names = list(nodes)
    missing = [name for name in names if not host_key(place, name).exists()]
    for name in missing:
        _make_key(host_key(place, name), f"{name}.{place.experiment.domain}")
    lines = []
    for name in names:
        kind, value = _public(host_key(place, name)).read_text().split()[:2]
        lines.append(f"{name.lower()}.{place.experiment.domain} {kind} {value}\n")
    place.known_hosts.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    place.known_hosts.write_text("".join(lines))
    place.known_hosts.chmod(0o644)


def host_key(place: Place, node: str) -> Path:
    """Return where the private host key of a node is kept."""
    return place.secrets / f"host-{node}"


def _public(key: Path) -> Path:
    return key.with_name(f"{key.name}.pub")


def _make_key(path: Path, comment: str) -> None:
    """Make an ed25519 key pair at the path, whole or not at all; in this process, for hundreds are made at once."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    _public(path).write_bytes(public + f" {comment}\n".encode())
    half = path.with_name(f".{path.name}.new")
    half.unlink(missing_ok=True)
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, private)
    finally:
        os.close(descriptor)
    half.replace(path)
