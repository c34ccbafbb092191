"""What the owner of the host may set, in `$BENITO_HOME/config.toml`; every value has a default."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Network
from pathlib import Path
from typing import Annotated

import msgspec

from benito.embedding.capacity import Policy
from benito.errors import InputError
from benito.topology.sizes import LEAST_MEMORY_MIB, MOST_CPUS, MOST_DISK_MIB, MOST_MEMORY_MIB, Size

EXAMPLE = """\
control_pools = ["192.168.0.0/16", "172.16.0.0/12"]   # where control networks come from
memory_mib = 256                                       # of a node that doesn't say
boot_deadline_s = 600                                  # from a machine's start until its OS is up
container_runtime = "runc"                             # instead of the first that works of crun and runc
templates = 16                                         # machines kept asleep, for others to be cloned from
downloads_mib = 4096                                   # of fetched software kept for later swap-ins
packages_mib = 4096                                    # of Debian packages kept for all nodes
projects = "/srv/proj"                                 # of the folders that nodes have as /proj/PID
archives = ["http://packages.example.org/debian"]      # which nodes may reach though it is in a private network

[limits]
memory_overcommit = 1.5

[shares."/srv/datasets"]                               # who comes through the doors may have nodes read it
projects = ["Demo"]
write = false

[hardware.pc3000]                                      # nodes of this type (tb-set-hardware)
memory_mib = 2048
cpus = 2
disk_mib = 20480
"""


class Hardware(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a node of a hardware type gets."""

    memory_mib: Annotated[int, msgspec.Meta(ge=LEAST_MEMORY_MIB, le=MOST_MEMORY_MIB)] | None = None
    cpus: Annotated[int, msgspec.Meta(ge=1, le=MOST_CPUS)] | None = None
    disk_mib: Annotated[int, msgspec.Meta(ge=1, le=MOST_DISK_MIB)] | None = None

    @property
    def size(self) -> Size:
        return Size(self.memory_mib, self.cpus, self.disk_mib)


class Lent(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a folder of this host may be shared by those who come through the doors of `benito serve`."""

    projects: tuple[str, ...] = ()
    """With experiments of which projects; empty: of all."""
    write: bool = False
    """Whether nodes may write in it."""
    at: str = ""
    """Where nodes have it when the web page gives it to them; empty: where it is on this host."""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host owner's settings."""

    control_pools: tuple[str, ...] = ("192.168.0.0/16", "172.16.0.0/12")
    """DETER's tools know the control network by 192.168."""
    memory_mib: int = 256
    boot_deadline_s: float = 600.0
    container_runtime: str = ""
    """An OCI runtime's name or path; empty: the first that works."""
    templates: int = 16
    """The one used longest ago goes first, unless disks lie on it."""
    downloads_mib: int = 4096
    """What was asked for longest ago goes first."""
    packages_mib: int = 4096
    """Likewise."""
    projects: str = ""
    """Where the projects' folders are; empty: `proj` in Benito's own."""
    archives: tuple[str, ...] = ()
    """Package archives besides those of the host's own apt."""
    shares: dict[str, Lent] = {}
    """What may be shared through the doors, by folder."""
    limits: Policy = Policy()
    hardware: dict[str, Hardware] = {}
    """By hardware type, whose case doesn't matter."""

    @property
    def sizes(self) -> dict[str, Size]:
        """What each hardware type means."""
        return {name: kind.size for name, kind in self.hardware.items()}

    @property
    def pools(self) -> tuple[IPv4Network, ...]:
        return tuple(IPv4Network(pool) for pool in self.control_pools)


def load(root: Path) -> Config:
    """Read the file; the defaults when there is none. InputError names what is wrong in it."""
    file = root / "config.toml"
    try:
        config = msgspec.convert(tomllib.loads(file.read_text()), Config)
        config.pools  # noqa: B018 - raises for a pool that is no network
    except FileNotFoundError:
        return Config()
    except (OSError, ValueError) as error:
        raise InputError(f"{file}: {error}", hint="see docs/configuration.md") from error
    return config
