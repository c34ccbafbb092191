"""Shared folders over the control network: what their server is told, and its configuration.

NFS names files by handles, and a file system opens any handle of its own, so whoever forges one leaves the folder that
was shared. Therefore no folder of the host is served itself: each is seen through a file system in user space
(bindfs), whose handles name nothing but what lies in it.

Who is root in a node says what user he is. Within the project's folder that is believed of everybody but root, who is
an ordinary user of the host there (`idmap.OWNER`); in a folder that one person shares, everybody is that person.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from benito.gateway.settings import NFS_PORT
from benito.idmap import OWNER

LEASE_S = GRACE_S = 15
"""How long after a restart of the server only what clients had before is given; over sooner when all have it again."""
SOURCES, VIEWS, STATE = Path("/sources"), Path("/views"), Path("/state")
"""Where the server sees, in its own small world, the host's folders, what it serves of them, and its memory."""
CAPABILITIES = ("chown", "dac_override", "dac_read_search", "fowner", "fsetid", "kill", "setgid", "setuid")
"""What the programs may do as root; without mknod, so that no node makes a device on the host."""


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """One folder of the host and where nodes have it."""

    source: str
    target: str
    read_only: bool = False
    people: tuple[int, ...] = ()
    """Whose files in it are theirs in containers, too; see `idmap`."""
    everybody: int = 0
    """As whom virtual machines use it, whoever asks; 0: each as who he is."""


class ShareSettings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the server of one experiment needs."""

    namespace: str
    """Path of the network namespace in which nodes find it."""
    folder: str
    """Of its own, for what it must remember when it is started again."""
    shares: tuple[Served, ...]


def configuration(shares: tuple[Served, ...], first: int) -> str:
    """Return nfs-ganesha's configuration: NFSv4 alone, numbers for owners, one export a folder.

    `first` is the first export's number, which handles contain: another at each start of the views, for a handle of
    theirs may mean another file when they are started again, and must be stale then.
    """
    return _GENERAL + "".join(_export(number, share, first) for number, share in enumerate(shares))


_GENERAL = f"""\
NFS_CORE_PARAM {{
    Protocols = 4;
    NFS_Port = {NFS_PORT};
    Enable_NLM = false;
    Enable_RQUOTA = false;
    Enable_UDP = false;
    mount_path_pseudo = true;
}}
NFS_KRB5 {{ Active_krb5 = false; }}
NFSV4 {{
    Minor_Versions = 1, 2;
    Grace_Period = {GRACE_S};
    Lease_Lifetime = {LEASE_S};
    Only_Numeric_Owners = true;
    RecoveryBackend = fs;
    RecoveryRoot = {STATE};
}}
LOG {{ Default_Log_Level = EVENT; }}
"""


def _export(number: int, share: Served, first: int) -> str:
    return f"""\
EXPORT {{
    Export_Id = {first + number};
    Path = {VIEWS / str(number)};
    Pseudo = {_quoted(share.target)};
    Filesystem_Id = 4711.{number + 1};
    Access_Type = {"RO" if share.read_only else "RW"};
    Squash = {"All_Squash" if share.everybody else "Root_Squash"};
    Anonymous_Uid = {share.everybody or OWNER};
    Anonymous_Gid = {share.everybody or OWNER};
    SecType = sys;
    FSAL {{ Name = VFS; }}
}}
"""


def _quoted(path: str) -> str:
    return '"' + path.replace("\\", "\\\\").replace('"', '\\"') + '"'


def view_command(number: int, *, read_only: bool) -> list[str]:
    """Return the program that shows a folder as nodes have it; it runs as long as it is shown."""
    options = ["noforget", "allow_other", "default_permissions", "nosuid", "nodev", "fsname=benito"]
    return [
        "bindfs",
        "-f",
        "-o",
        ",".join([*options, "ro"] if read_only else options),
        str(SOURCES / str(number)),
        str(VIEWS / str(number)),
    ]


def server_command() -> list[str]:
    """Return the server's program, in the foreground and without the privileges that it doesn't need."""
    bounds = "-all," + ",".join(f"+{name}" for name in CAPABILITIES)
    ganesha = ["ganesha.nfsd", "-F", "-f", "/ganesha.conf", "-L", "STDERR", "-p", "/run/ganesha.pid"]
    return ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set={bounds}", "--", *ganesha]
