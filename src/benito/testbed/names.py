"""An experiment's names on the host: a marked block in the hosts file, a drop-in for the OpenSSH client.

Both appear at the end of a swap-in and vanish at swap-out; everything else in those files stays as it is.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benito.errors import HostError, StateError
from benito.testbed.home import RUNTIME, ExperimentId, Place

HOSTS = Path("/etc/hosts")
SSH_DROPINS = Path("/etc/ssh/ssh_config.d")


@dataclass(frozen=True, slots=True)
class Login:
    """How one local user gets in: the key file that is theirs to read."""

    user: str
    key: Path


def publish(place: Place, addresses: Mapping[str, str], logins: Iterable[Login]) -> None:
    """Make `node.eid.pid` resolve and `ssh node.eid.pid` work; `addresses` maps nodes to control addresses."""
    domain = place.experiment.domain
    lines = [f"{address}\t{node.lower()}.{domain}" for node, address in addresses.items()]
    _edit_hosts(place, lines)
    SSH_DROPINS.mkdir(parents=True, exist_ok=True)
    _replace(_dropin(place), ssh_config(place, logins))


def withdraw(place: Place) -> None:
    """Take the names away again; fine when there are none."""
    if _block(place.hash).search(_read(HOSTS)):
        _edit_hosts(place, [])
    _dropin(place).unlink(missing_ok=True)


def published(place: Place) -> bool:
    """Whether any of the names is there."""
    return bool(_block(place.hash).search(_read(HOSTS))) or _dropin(place).exists()


def all_published() -> set[str]:
    """Return the hashes of all experiments that have a name on this host, of every Benito."""
    hashes = set(re.findall(r"^# BEGIN benito \S+ ([0-9a-f]+)$", _read(HOSTS), re.MULTILINE))
    return hashes | {path.stem.removeprefix("benito-") for path in SSH_DROPINS.glob("benito-*.conf")}


def ssh_config(place: Place, logins: Iterable[Login]) -> str:
    """Return the OpenSSH client's drop-in; `Match originalhost` ignores letter case, which `Host` does not."""
    domain = place.experiment.domain
    lines = [f"# {place.experiment}: made by benito, removed at swap-out"]
    for login in logins:
        lines += [
            f'Match originalhost "*.{domain}" localuser {login.user}',
            f"    IdentityFile {_quoted(login.key)}",
        ]
    lines += [
        f'Match originalhost "*.{domain}"',
        f"    GlobalKnownHostsFile {_quoted(place.known_hosts)}",
        "    UserKnownHostsFile none",
        "    StrictHostKeyChecking yes",
        "    UpdateHostKeys no",
        "Match all",
    ]
    return "\n".join(lines) + "\n"


def ssh_argv(place: Place, node: str, *, batch: bool = False) -> list[str]:
    """Return the ssh command that reaches a node, whatever the caller's own configuration says."""
    options = ["-o", "BatchMode=yes", "-o", "LogLevel=ERROR"] if batch else []
    return ["ssh", "-F", str(_dropin(place)), *options, f"{node.lower()}.{place.experiment.domain}"]


def refuse_taken(experiment: ExperimentId, nodes: Iterable[str]) -> None:
    """StateError when one of the experiment's outside names already means something else on this host."""
    wanted = {f"{node.lower()}.{experiment.domain}" for node in nodes}
    block = False
    for line in _read(HOSTS).splitlines():
        if line.startswith("# BEGIN benito"):
            block = f" {experiment} " in f"{line} "
        elif line.startswith("# END benito"):
            block = False
        elif not block:
            clash = wanted & {name.lower() for name in line.partition("#")[0].split()[1:]}
            if clash:
                raise StateError(
                    f"the name {min(clash)} already stands in {HOSTS}", hint="choose another PID or EID, or remove it"
                )


def _block(digest: str) -> re.Pattern[str]:
    """Match an experiment's block in the hosts file."""
    return re.compile(rf"^# BEGIN benito \S+ {digest}\n(?:.*\n)*?# END benito \S+ {digest}\n", re.MULTILINE)


def _dropin(place: Place) -> Path:
    return SSH_DROPINS / f"benito-{place.hash}.conf"


def _quoted(path: Path) -> str:
    return f'"{path}"'


def _read(path: Path) -> str:
    with suppress(FileNotFoundError):
        return path.read_text(errors="surrogateescape")
    return ""


@contextmanager
def _locked() -> Iterator[None]:
    """One editor of the hosts file at a time, of all Benitos on this host."""
    RUNTIME.mkdir(parents=True, exist_ok=True)
    with (RUNTIME / "hosts.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _edit_hosts(place: Place, lines: list[str]) -> None:
    label = f"benito {place.experiment} {place.hash}"
    with _locked():
        before = _read(HOSTS)
        text = _block(place.hash).sub("", before)
        if lines:
            newline = "" if not text or text.endswith("\n") else "\n"
            text += newline + "\n".join([f"# BEGIN {label}", *lines, f"# END {label}"]) + "\n"
        if text != before:
            _replace(HOSTS, text)


def _replace(path: Path, text: str) -> None:
    """Write the file whole: by rename, or in place where it is a mount of its own (containers bind /etc/hosts)."""
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", errors="surrogateescape") as file:
                file.write(text)
            Path(name).chmod(mode)
            Path(name).replace(path)
        except OSError as error:
            Path(name).unlink(missing_ok=True)
            if error.errno != errno.EBUSY:
                raise
            with path.open("r+", errors="surrogateescape") as file:
                file.write(text)
                file.truncate()
    except OSError as error:
        raise HostError(f"can't write {path}: {error.strerror}", hint="is it read-only, or the disk full?") from error
