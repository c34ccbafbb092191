"""Experiments that come in through a door: whose they are, how they are run, what file they are made from."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from benito.embedding.options import EmbeddingOptions
from benito.errors import AccessError, InputError
from benito.services.operations import MAX_FILE
from benito.services.wishes import Options
from benito.testbed import lending, sharing
from benito.testbed.people import User
from benito.testbed.store import Settings, SharedFolder
from benito.testbed.testbed import Testbed
from benito.topology import topdl

READ_S = 10.0
STRANGER = "nobody"
"""Whose rights to the host's files users have who aren't local."""


def local_account(user: User) -> pwd.struct_passwd | None:
    """Return the local user of the same name, with whose rights files of this host are read."""
    try:
        return pwd.getpwnam(user.name)
    except KeyError:
        return None


def local_name(user: User) -> str:
    """Return the local user with whose rights an experiment of the user is made."""
    account = local_account(user)
    return account.pw_name if account else STRANGER


def settings(bed: Testbed, user: User, pid: str, file_name: str, options: Options) -> Settings:
    """Return the settings of an experiment that the user makes in that project.

    AccessError or InputError for a folder that may not, or can't, be shared.
    """
    return Settings(
        file=file_name,
        packing=options.packing,
        embedding=EmbeddingOptions(
            packing=options.packing,
            size=options.size,
            nodes_only=options.nodes_only,
            force_partition=options.force_partition,
            default_container=options.default_container,
            pass_packing=options.pass_pack,
            pass_size=options.pass_size,
            pass_nodes_only=options.pass_nodes_only,
        ),
        memory_mib=options.memory,
        cpus=options.cpus,
        disk_mib=options.disk,
        default_os=options.default_os,
        addressing=options.addressing,
        shaping=options.shaping,
        accelerator=options.accelerator,
        internet=options.internet,
        strict_os=options.strict_os,
        image=options.image,
        members=tuple(dict.fromkeys((local_name(user), "root"))),
        shares=tuple(_shares(bed, user, pid, options.share)),
        ignore_missing_software=options.ignore_missing_software,
        cold=options.cold,
    )


def _shares(bed: Testbed, user: User, pid: str, texts: Iterable[str]) -> Iterable[SharedFolder]:
    for text in texts:
        # Who may have it is asked first: what else is said of a folder tells that it exists.
        source = Path(text.partition(":")[0] or "/").resolve()
        asked = SharedFolder(source=str(source), target="", read_only=text.endswith(":ro"))
        lending.refuse(asked, bed.config, pid, local_name(user))
        try:
            folder = sharing.parse(text, bed.home, local_name(user))
        except InputError as error:
            raise InputError(error.message.removeprefix("--"), hint=error.hint) from None
        yield msgspec.structs.replace(folder, by_door=True)


def read_for(user: User, path: str) -> bytes:
    """Return a file of this host as its local user may read it; AccessError when there is no such user."""
    account = local_account(user)
    if account is None:
        raise AccessError(f"{user.name} is no user of this host: send the file itself")
    argv = ["/usr/bin/head", "-c", str(MAX_FILE + 1), "--", path]
    rights: dict[str, Any] = {}
    if os.geteuid() == 0:
        groups = os.getgrouplist(account.pw_name, account.pw_gid)
        rights = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": groups}
    try:
        done = subprocess.run(argv, capture_output=True, timeout=READ_S, check=False, cwd="/", **rights)
    except subprocess.TimeoutExpired:
        raise InputError(f"{path} can't be read within {READ_S:g} s") from None
    if done.returncode:
        raise InputError(f"{user.name} can't read {path}")
    return bytes(done.stdout)


def file_name(data: bytes) -> str:
    """Return a name for a file that came without one, by its language."""
    return "experiment.xml" if topdl.is_xml(data) else "experiment.ns"
