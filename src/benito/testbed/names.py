"""An experiment's names on the host: a marked block in the hosts file, a drop-in for the OpenSSH client.

Both appear at the end of a swap-in and vanish at swap-out; everything else in those files stays as it is.
"""

from __future__ import annotations

import errno
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benito.errors import HostError, StateError
from benito.testbed import flock
from benito.testbed.home import RUNTIME, Place

HASH = r"[0-9a-f]{10}"
IN_PLACE = frozenset({errno.EBUSY, errno.EROFS, errno.EACCES, errno.EXDEV})
"""Why a rename may fail where writing the file itself works."""
DROPIN_MARK = ": made by benito, removed at swap-out"
HOSTS = Path("/etc/hosts")
CONNECT_S = 30
"""How long a command that nobody watches waits for a node that doesn't answer."""
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
    try:
        if _dropin(place).exists():
            _dropin(place).unlink(missing_ok=True)
    except OSError as error:
        raise HostError(f"can't remove {_dropin(place)}: {error.strerror}", hint="is it read-only?") from error


def published(place: Place) -> bool:
    """Whether any of the names is there."""
    return bool(_block(place.hash).search(_read(HOSTS))) or _dropin(place).exists()


def all_published() -> set[str]:
    """Return the hashes of all experiments that have a name on this host, of every Benito."""
    hashes = set(re.findall(rf"^# BEGIN benito \S+ ({HASH})$", _read(HOSTS), re.MULTILINE))
    for path in SSH_DROPINS.glob("benito-*.conf"):
        match = re.fullmatch(rf"benito-({HASH})\.conf", path.name)
        if match and _read(path).partition("\n")[0].endswith(DROPIN_MARK):
            hashes.add(match[1])
    return hashes


def require_writable() -> None:
    """HostError unless names can be published here; asked before anything is started."""
    folder = SSH_DROPINS if SSH_DROPINS.exists() else SSH_DROPINS.parent
    for path in (HOSTS, folder):
        if not os.access(path, os.W_OK):
            raise HostError(f"{path} can't be written", hint="names of nodes go there: is it read-only?")


def ssh_config(place: Place, logins: Iterable[Login]) -> str:
    """Return the OpenSSH client's drop-in; `Match originalhost` ignores letter case, which `Host` does not."""
    domain = place.experiment.domain
    lines = [f"# {place.experiment}{DROPIN_MARK}"]
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
    options = [*("-o", "BatchMode=yes"), *("-o", "LogLevel=ERROR"), *("-o", f"ConnectTimeout={CONNECT_S}")]
    return ["ssh", "-F", str(_dropin(place)), *(options if batch else []), f"{node.lower()}.{place.experiment.domain}"]


def refuse_taken(place: Place, nodes: Iterable[str]) -> None:
    """StateError when one of the experiment's outside names already means something else on this host."""
    wanted = {f"{node.lower()}.{place.experiment.domain}" for node in nodes}
    block = False
    for line in _read(HOSTS).splitlines():
        if line.startswith("# BEGIN benito"):
            block = line.endswith(f" {place.hash}")
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
    # Only our own kind of line stands between: where an END is missing, a person's lines are not ours to take.
    begin, end = rf"^# BEGIN benito \S+ {digest}\n", rf"# END benito \S+ {digest}\n"
    return re.compile(rf"{begin}(?:[0-9.]+\t\S+\n)*(?:{end})?", re.MULTILINE)


def _dropin(place: Place) -> Path:
    return SSH_DROPINS / f"benito-{place.hash}.conf"


def _quoted(path: Path) -> str:
    return f'"{path}"'


def _read(path: Path) -> str:
    with suppress(FileNotFoundError), path.open(errors="surrogateescape", newline="") as file:
        return file.read()
    return ""


@contextmanager
def _locked() -> Iterator[None]:
    """One editor of the hosts file at a time, of all Benitos on this host."""
    with flock.held(RUNTIME / "hosts.lock"):
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
    path = path.resolve()
    try:
        _rename_over(path, text)
    except OSError as error:
        try:
            if error.errno not in IN_PLACE or not path.exists():
                raise
            with path.open("r+", errors="surrogateescape", newline="") as file:
                file.write(text)
                file.truncate()
        except OSError as fault:
            raise HostError(
                f"can't write {path}: {fault.strerror}", hint="is it read-only, or the disk full?"
            ) from error


def _rename_over(path: Path, text: str) -> None:
    """Put a new file of the same owner and mode in the old one's place, on the disk before it is seen."""
    before = path.stat() if path.exists() else None
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "w", errors="surrogateescape", newline="") as file:
            file.write(text)
            file.flush()
            os.fchmod(file.fileno(), before.st_mode & 0o777 if before else 0o644)
            if before:
                os.fchown(file.fileno(), before.st_uid, before.st_gid)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
