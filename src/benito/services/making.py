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
from benito.testbed.testbed import Testbed
from benito.topology import topdl

READ_S = 10.0
STRANGER = "nobody"
"""Whose rights to the host's files users have who aren't local."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What may be chosen for an experiment; the same as `benito create` takes."""

    packing: int = 10
    size: int | None = None
    memory_mib: int | None = None
    cpus: int = 1
    addressing: str = "benito"
    shaping: str = "auto"
    internet: bool = True
    strict_os: bool = False
    image: str | None = None
    default_container: str | None = None
    force_partition: bool = False
    ignore_missing_software: bool = False


def local_account(user: User) -> pwd.struct_passwd | None:
    """Return the local user of the same name, with whose rights files of this host are read."""
    try:
        return pwd.getpwnam(user.name)
    except KeyError:
        return None


def settings(bed: Testbed, user: User, file_name: str, options: Options) -> Settings:
    """Return the settings of an experiment that the user makes; InputError for values that can't be."""
    memory = options.memory_mib or bed.config.memory_mib
    faults = [
        text
        for wrong, text in (
            (memory < 64, f"{memory} MiB of memory: no node runs in less than 64"),
            (not 1 <= options.cpus <= 255, f"{options.cpus} CPUs: a node has 1 to 255"),
            (options.addressing not in ("benito", "emulab"), f"there is no addressing {options.addressing!r}"),
            (options.shaping not in ("auto", "netem", "userspace"), f"there is no shaping {options.shaping!r}"),
        )
        if wrong
    ]
    if faults:
        raise InputError(faults[0])
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
