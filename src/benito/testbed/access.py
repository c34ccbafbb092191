"""Who may log in to an experiment's nodes: keys of local users, accounts on nodes, the nodes' own host keys."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterable
from pathlib import Path

from benito.errors import InputError
from benito.plan.model import Account
from benito.testbed.home import Home, Place
from benito.testbed.names import Login

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
    if not key.exists():
        home.keys.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, exist_ok=True)
        _make_key(key, f"{user}@benito")
        for path in (folder, key, _public(key)):
            os.chown(path, entry.pw_uid, entry.pw_gid)
    return Login(user, key)


def accounts(home: Home, members: Iterable[str]) -> tuple[Account, ...]:
    """Return each member's account: Benito's key for them, and the public keys in their own `~/.ssh`."""
    return tuple(Account(user, _public_keys(home, user)) for user in members)


def _public_keys(home: Home, user: str) -> tuple[str, ...]:
    own = Path(pwd.getpwnam(user).pw_dir, ".ssh")
    files = [_public(login(home, user).key), *sorted(own.glob("*.pub")), own / "authorized_keys"]
    keys: dict[str, None] = {}
    for file in files:
        try:
            lines = file.read_text(errors="replace").splitlines()
        except OSError:
            continue
        keys.update((line.strip(), None) for line in lines if line.startswith(KEY_TYPES))
    return tuple(keys)


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
