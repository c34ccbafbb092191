"""Experiments that come in through a door: whose they are, how they are run, what file they are made from."""

from __future__ import annotations

import os
import pwd
import subprocess
from typing import Any

import msgspec

from benito.embedding.options import EmbeddingOptions
from benito.errors import AccessError, InputError
from benito.services.operations import MAX_FILE
from benito.testbed.people import User
from benito.testbed.store import Settings
from benito.topology import topdl
from benito.topology.sizes import LEAST_MEMORY_MIB, MOST_CPUS, MOST_DISK_MIB, MOST_MEMORY_MIB

READ_S = 10.0
ADDRESSINGS = ("benito", "emulab")
SHAPINGS = ("auto", "netem", "userspace")
STRANGER = "nobody"
"""Whose rights to the host's files users have who aren't local."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What may be chosen for an experiment; the same as `benito create` takes."""

    packing: int = 10
    size: int | None = None
    memory_mib: int | None = None
    """Of nodes whose file doesn't say; None leaves it to their image. So too with the next two."""
    cpus: int | None = None
    disk_mib: int | None = None
    addressing: str = "benito"
    shaping: str = "auto"
    internet: bool = True
    strict_os: bool = False
    image: str | None = None
    default_os: str | None = None
    default_container: str | None = None
    force_partition: bool = False
    ignore_missing_software: bool = False


def local_account(user: User) -> pwd.struct_passwd | None:
    """Return the local user of the same name, with whose rights files of this host are read."""
    try:
        return pwd.getpwnam(user.name)
    except KeyError:
        return None


def settings(user: User, file_name: str, options: Options) -> Settings:
    """Return the settings of an experiment that the user makes; InputError for values that can't be."""
    sizes = (
        ("memory", options.memory_mib, LEAST_MEMORY_MIB, MOST_MEMORY_MIB),
        ("disk", options.disk_mib, 1, MOST_DISK_MIB),
        ("CPUs", options.cpus, 1, MOST_CPUS),
    )
    for what, number, least, most in sizes:
        if number is not None and not least <= number <= most:
            raise InputError(f"{number} is no {what} of a node", hint=f"from {least} to {most}")
    for what, word, known in (("addressing", options.addressing, ADDRESSINGS), ("shaping", options.shaping, SHAPINGS)):
        if word not in known:
            raise InputError(f"there is no {what} {word!r}", hint=f"one of {', '.join(known)}")
    account = local_account(user)
    return Settings(
        file=file_name,
        packing=options.packing,
        embedding=EmbeddingOptions(
            packing=options.packing,
            size=options.size,
            default_container=options.default_container,
            force_partition=options.force_partition,
        ),
        memory_mib=options.memory_mib,
        cpus=options.cpus,
        disk_mib=options.disk_mib,
        default_os=options.default_os,
        addressing=options.addressing,
        shaping=options.shaping,
        internet=options.internet,
        strict_os=options.strict_os,
        image=options.image,
        members=tuple(dict.fromkeys((account.pw_name if account else STRANGER, "root"))),
        ignore_missing_software=options.ignore_missing_software,
    )


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
