"""Which of this host's folders somebody may share with nodes who comes through a door of `benito serve`.

Whoever may use an experiment's nodes has what is shared with them: all members of its project. So nobody shares what
isn't theirs to give: folders that the host's owner lists in `config.toml`, as they are listed there; and folders of
one's own, for reading only, but neither one's home itself nor anything whose name begins with a dot: keys lie there.
"""

from __future__ import annotations

import pwd
from pathlib import Path

from benito.errors import AccessError
from benito.idmap import is_person
from benito.testbed.config import Config, Lent
from benito.testbed.store import SharedFolder


def listed(config: Config, pid: str) -> dict[str, Lent]:
    """Return the folders that the host's owner lets a project's experiments have."""
    return {
        source: rule
        for source, rule in config.shares.items()
        if not rule.projects or pid.lower() in (project.lower() for project in rule.projects)
    }


def refuse(folder: SharedFolder, config: Config, pid: str, person: str) -> None:
    """AccessError unless a door may share this with an experiment of that project, made by that local user.

    It says the same of a folder that doesn't exist and of one that isn't theirs.
    """
    source = Path(folder.source)
    rule = next((rule for path, rule in listed(config, pid).items() if Path(path).resolve() == source), None)
    if rule is None and not own(source, person):
        raise AccessError(
            f"share {source}: {pid} may not have this folder",
            hint="the host's owner lists folders in config.toml; beside them you may share your own, with :ro",
        )
    if not folder.read_only and not (rule and rule.write):
        raise AccessError(f"share {source}: nodes may only read this folder", hint=f"write {source}:ro")


def own(source: Path, person: str) -> bool:
    """Whether the folder is that local user's own, and none that is likely to hold their keys."""
    try:
        account = pwd.getpwnam(person)
        status = source.stat()
    except (KeyError, OSError):
        return False
    home = Path(account.pw_dir).resolve()
    hidden = any(part.startswith(".") for part in source.parts)
    return (
        is_person(account.pw_uid) and status.st_uid == account.pw_uid and not hidden and not home.is_relative_to(source)
    )
