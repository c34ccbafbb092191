"""What the gateway of one experiment is told: a JSON file that root alone may read, for it may hold passwords."""

from __future__ import annotations

from pathlib import Path

import msgspec

DNS_PORT = 53
PROXY_PORT = 3142
"""Of the package proxy: where such proxies are commonly found."""
NFS_PORT = 2049
UID = 64071
"""As whom the gateway's program serves; an id that Debian leaves to nobody."""


class Archive(msgspec.Struct, frozen=True, kw_only=True):
    """A package archive that the host's own apt uses, so that nodes may reach it wherever it is."""

    scheme: str
    host: str
    """In lower case."""
    port: int
    path: str
    """Ends with a slash."""
    user: str = ""
    password: str = ""


class Proxies(msgspec.Struct, frozen=True, kw_only=True):
    """The proxies that the host's apt goes through; an empty address means none."""

    http: str = ""
    https: str = ""
    hosts: dict[str, str] = {}
    """Exceptions, as `scheme://host`."""
    bypass: tuple[str, ...] = ()
    """Hosts, and domains with a leading dot, that are reached directly."""

    def to(self, scheme: str, host: str) -> str:
        """Return the proxy on the way to a host, or the empty string."""
        if (exception := self.hosts.get(f"{scheme}://{host}")) is not None:
            return exception
        for name in self.bypass:
            if name == "*" or host == name.lstrip(".") or host.endswith(f".{name.lstrip('.')}"):
                return ""
        return self.https if scheme == "https" else self.http


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """All that the program of one gateway needs."""

    namespace: str
    """Path of the network namespace in which nodes find it."""
    address: str
    """Its own on the control network."""
    domain: str
    """`eid.pid`: below it nothing is asked of others."""
    names: dict[str, str]
    """Addresses of the experiment's own nodes by full names in lower case."""
    internet: bool
    cache: str
    """Folder of packages, shared by all gateways of the host."""
    cache_mib: int
    """How much it may hold."""
    archives: tuple[Archive, ...] = ()
    proxies: Proxies = Proxies()


def write(file: Path, settings: Settings) -> bool:
    """Keep the settings in a file; whether they are other than what it held."""
    data = msgspec.json.encode(settings)
    if file.exists() and file.read_bytes() == data:
        return False
    new = file.with_suffix(".new")
    new.touch(mode=0o600)
    new.write_bytes(data)
    new.replace(file)
    return True


def read(file: Path) -> Settings:
    """Read them back; msgspec.ValidationError for anything else."""
    return msgspec.json.decode(file.read_bytes(), type=Settings)
