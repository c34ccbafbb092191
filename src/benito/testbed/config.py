"""What the owner of the host may set, in `$BENITO_HOME/config.toml`; every value has a default."""

from __future__ import annotations

import tomllib
from ipaddress import IPv4Network
from pathlib import Path

import msgspec

from benito.embedding.capacity import Policy
from benito.errors import InputError

EXAMPLE = """\
control_pools = ["192.168.0.0/16", "172.16.0.0/12"]   # where control networks come from
memory_mib = 256                                       # of a node that doesn't say
boot_deadline_s = 600                                  # from a machine's start until its OS is up
downloads_mib = 4096                                   # of fetched software kept for later swap-ins
packages_mib = 4096                                    # of Debian packages kept for all nodes
archives = ["http://packages.example.org/debian"]      # which nodes may reach though it is in a private network

[limits]
memory_overcommit = 1.5
"""


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The host owner's settings."""

    control_pools: tuple[str, ...] = ("192.168.0.0/16", "172.16.0.0/12")
    """DETER's tools know the control network by 192.168."""
    memory_mib: int = 256
    boot_deadline_s: float = 600.0
    downloads_mib: int = 4096
    """What was asked for longest ago goes first."""
    packages_mib: int = 4096
    """Likewise."""
    archives: tuple[str, ...] = ()
    """Package archives besides those of the host's own apt."""
    limits: Policy = Policy()

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
