"""Folders of this host that an experiment's nodes have: the project's, and those that a person shares.

The project's folder belongs to people and outlives experiments: nothing here ever removes anything in it. Nodes write
there, so no link in it is followed and nothing that is there is changed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from benito.agent.cgroup import Limits
from benito.agent.sandbox import SHARE
from benito.errors import BenitoError, HostError, InputError
from benito.gateway.shares import Served, ShareSettings
from benito.idmap import OWNER, is_person, require_idmap
from benito.plan import model
from benito.run import PACKAGES
from benito.testbed import access, lending
from benito.testbed.config import Config
from benito.testbed.home import Home, Place
from benito.testbed.keeping import HUB, begin_hub, keep_in_hub
from benito.testbed.progress import Progress
from benito.testbed.store import Settings, SharedFolder

JOB = "shares"
MEMORY_MIB = 256
"""What the server may use."""
FUSE = Path("/dev/fuse")
PROGRAMS = ("ganesha.nfsd", "bindfs")
PROJECTS = "/proj"
KEPT = "shares.json"
"""In the experiment's folder: what it shares while it is swapped in."""
_TARGET = re.compile(r"(/[A-Za-z0-9_.+@-]+)+")
_SYSTEM = ("bin", "boot", "dev", "etc", "lib", "lib32", "lib64", "libx32", "proc", "run", "sbin", "sys", "usr", "var")


def parse(text: str, home: Home, person: str) -> SharedFolder:
    """Read `DIR[:PATH][:ro]`; InputError for what can't or mustn't be shared."""
    words = text.split(":")
    read_only = len(words) > 1 and words[-1] == "ro"
    words = words[:-1] if read_only else words
    if len(words) > 2 or not words[0]:
        raise InputError(f"--share {text}: not understood", hint="write DIR, DIR:PATH or DIR:PATH:ro")
    source = Path(words[0]).resolve()
    target = words[1] if len(words) == 2 else str(source)
    parts = Path(target).parts
    if not _TARGET.fullmatch(target) or ".." in parts or parts[1] in _SYSTEM or target in ("/home", "/root", "/tmp"):
        raise InputError(f"--share {text}: {target} can't be a folder's place in nodes", hint="such as /share/tools")
    _refuse_source(text, source, home, person, read_only)
    return SharedFolder(source=str(source), target=target, read_only=read_only)


def _refuse_source(text: str, source: Path, home: Home, person: str, read_only: bool) -> None:
    if not source.is_dir():
        raise InputError(f"--share {text}: {source} is no folder on this host")
    own = home.root
    if source == own or source in own.parents or own in source.parents:
        raise InputError(
            f"--share {text}: Benito's own folder {own} holds keys and passwords and can't be shared",
            hint=f"the project's folder is on every node as {PROJECTS}/PID anyway",
        )
    if source == Path("/") or source.parts[1] in ("boot", "dev", "etc", "proc", "run", "sys"):
        raise InputError(f"--share {text}: {source} is the host's own and can't be shared")
    for right, word in (("-r", "read"), ("-x", "enter"), *(() if read_only else (("-w", "write"),))):
        if not access.may(person, right, source):
            hint = "share it with :ro" if right == "-w" else ""
            raise InputError(f"--share {text}: {person} can't {word} {source}", hint=hint)


def ask_again(folder: SharedFolder, home: Home, config: Config, pid: str, person: str) -> None:
    """InputError or AccessError when a folder that could be shared once may not be any more."""
    source = Path(folder.source)
    if source.resolve() != source:
        raise InputError(f"--share {source}: a link has taken its place", hint="make the experiment anew")
    _refuse_source(folder.source, source, home, person, folder.read_only)
    if folder.by_door:
        lending.refuse(folder, config, pid, person)


def refuse_clashes(folders: Iterable[SharedFolder], pid: str) -> None:
    """InputError when two folders would lie in each other's place in the nodes."""
    taken = [f"{PROJECTS}/{pid}"]
    for folder in folders:
        for other in taken:
            if f"{folder.target}/".startswith(f"{other}/") or f"{other}/".startswith(f"{folder.target}/"):
                raise InputError(f"--share: {folder.target} and {other} are in each other's place in the nodes")
        taken.append(folder.target)


def project_folder(home: Home, config: Config, pid: str) -> Path:
    """Return where a project's folder is, or will be; project ids are the same in every spelling."""
    base = Path(config.projects) if config.projects else home.root / "proj"
    if base.is_dir():
        for found in sorted(base.iterdir()):
            if found.name.lower() == pid.lower():
                return found
    return base / pid


def prepare(
    home: Home, config: Config, place: Place, settings: Settings, progress: Progress, *, machines: bool
) -> tuple[model.Share, ...]:
    """Make the project's folder, write down what is shared, and return it as the plan has it.

    `machines`: whether there are virtual machines, which need a server. What a person asked for by `--share` and can't
    be had is an error; a project's folder that can't is a notice.
    """
    experiment = place.experiment
    folder = project_folder(home, config, experiment.pid)
    people = sorted({uid for user in settings.members if is_person(uid := access.known_user(user).pw_uid)})
    served = []
    try:
        _furnish(folder, experiment.eid, _owner(settings))
        require_idmap(folder)
        # What is mounted is reached without a link; the way to all projects may be one of the host's owner.
        real = str(folder.resolve())
        served.append(Served(source=real, target=f"{PROJECTS}/{experiment.pid}", people=tuple(people)))
    except (BenitoError, OSError) as error:
        said = error.message if isinstance(error, BenitoError) else str(error)
        progress.notice(f"nodes have no {PROJECTS}/{experiment.pid}: {said}")
    creator = _owner(settings)
    for each in settings.shares:
        ask_again(each, home, config, experiment.pid, settings.members[0])
        require_idmap(Path(each.source))
        own = (creator,) if is_person(creator) else ()
        served.append(
            Served(source=each.source, target=each.target, read_only=each.read_only, people=own, everybody=creator)
        )
    file = place.folder / KEPT
    file.write_bytes(msgspec.json.encode(served))
    file.chmod(0o600)
    can = _can_serve(settings, progress) if machines and served else True
    return tuple(model.Share(each.target, each.read_only, each.people, can) for each in served)


def _can_serve(settings: Settings, progress: Progress) -> bool:
    """Whether virtual machines can have the folders, and say it if not; HostError with `--share`."""
    obstacle = _obstacle()
    if obstacle is None:
        return True
    what, hint = obstacle
    if settings.shares:
        raise HostError(f"virtual machines can't have what --share names: {what}", hint=hint)
    progress.notice(f"virtual machines have no {PROJECTS}: {what} ({hint})")
    return False


def _obstacle() -> tuple[str, str] | None:
    """Name what keeps folders from being served, and what to do about it."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        packages = " ".join(sorted({PACKAGES[program] for program in missing}))
        return f"not installed: {', '.join(missing)}", f"apt-get install {packages}"
    return None if FUSE.exists() else (f"{FUSE} is missing", "modprobe fuse")


def start_server(place: Place, served: Iterable[Served]) -> None:
    """Have the folders served where virtual machines reach them; nothing happens when they are."""
    shares = tuple(served)
    if not shares or _obstacle():
        return
    begin_hub(place)
    folder = place.runtime / HUB / "shares"
    folder.mkdir(mode=0o700, exist_ok=True)
    file = place.runtime / HUB / "shares.json"
    told = ShareSettings(namespace=f"/run/netns/{place.hub}", folder=str(folder), shares=shares)
    file.write_bytes(msgspec.json.encode(told))
    program = ["benito.gateway.share_server", "--settings", str(file)]
    keep_in_hub(place, JOB, program, limits=Limits(memory_mib=MEMORY_MIB, processes=1024))


def served(place: Place) -> tuple[Served, ...]:
    """Return what the experiment that is swapped in shares."""
    try:
        return msgspec.json.decode((place.folder / KEPT).read_bytes(), type=tuple[Served, ...])
    except (OSError, msgspec.MsgspecError):
        return ()


def by_name(shares: Iterable[Served]) -> dict[str, Path]:
    """Return the folders by the names that pnodes know them by."""
    return {SHARE.format(number): Path(share.source) for number, share in enumerate(shares)}


def _owner(settings: Settings) -> int:
    """Whose folders are made: the person's who made the experiment, or what the nodes' root is on the host."""
    creator = access.known_user(settings.members[0]).pw_uid if settings.members else 0
    return creator if is_person(creator) else OWNER


def _furnish(folder: Path, eid: str, owner: int) -> None:
    """Have the folders in which Emulab's users expect to write: the project's and, in it, the experiment's."""
    folder.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:

        def have(parent: int | None, name: str) -> int | None:
            descriptor = None if parent is None else _have(parent, name, owner)
            if descriptor is not None:
                stack.callback(os.close, descriptor)
            return descriptor

        base = os.open(folder.parent, os.O_RDONLY | os.O_DIRECTORY)
        stack.callback(os.close, base)
        experiment = have(have(have(base, folder.name), "exp"), eid)
        for name in ("tarfiles", "logs"):
            have(experiment, name)


def _have(parent: int, name: str, owner: int) -> int | None:
    """Have a folder that everybody may write in but only owners remove from; None when the name is something else's."""
    made = False
    try:
        os.mkdir(name, 0o700, dir_fd=parent)
        made = True
    except FileExistsError:
        pass
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=parent)
    except OSError:
        return None
    if made:
        os.fchown(descriptor, owner, owner)
        os.fchmod(descriptor, 0o1777)
    return descriptor
