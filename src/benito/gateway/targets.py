"""Which addresses of the world the package proxy fetches from, for nodes that nobody trusts.

Two kinds: archives that the host's own apt uses, wherever they are, but nothing beside them on the same server; and,
with a way out, public addresses that aren't the host's own, at the ports of the web. So no node reaches through the
proxy what it couldn't reach without it.
"""

from __future__ import annotations

import contextlib
import ipaddress
import posixpath
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from benito.errors import InputError
from benito.gateway.settings import Archive, Settings

PORTS = {"http": 80, "https": 443}
_TRANSLATED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))
"""IPv6 networks whose addresses stand for IPv4 ones, private ones among them."""


class RefusedError(InputError):
    """The proxy doesn't go there; the message is for the node's user."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a request goes."""

    scheme: str
    host: str
    port: int
    path: str
    """With the query."""
    archive: Archive | None = None
    """The one of the host's archives that it lies in."""

    @property
    def url(self) -> str:
        """The address, as what is kept from it is filed."""
        literal = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{literal}{port}{self.path}"


class Policy:
    """Decides for one gateway."""

    def __init__(self, settings: Settings) -> None:
        self._archives = settings.archives
        self._internet = settings.internet

    def get(self, url: str) -> Target:
        """Return where a request for that address goes; RefusedError when it goes nowhere.

        An archive that the host reaches by https is reached so for nodes that ask by http, too.
        """
        self._refuse_closed()
        try:
            parts = urlsplit(url)
        except ValueError:
            raise RefusedError("that is no address") from None
        if parts.scheme != "http" or not parts.hostname or parts.username is not None:
            raise RefusedError("this proxy fetches addresses that begin with http://")
        try:
            port = parts.port or PORTS["http"]
        except ValueError:
            raise RefusedError("the port in that address is no number") from None
        path = parts.path or "/"
        if not _tame(path):
            raise RefusedError("that address leaves its folder")
        asked = f"{path}?{parts.query}" if parts.query else path
        host = parts.hostname.lower()
        for archive in self._archives:
            secure = archive.scheme == "https" and port in (PORTS["http"], archive.port)
            same = archive.host == host and (archive.port == port or secure)
            if same and unquote(path).startswith(unquote(archive.path)):
                return Target(archive.scheme, host, archive.port, asked, archive)
        if port != PORTS["http"]:
            raise RefusedError(f"this proxy fetches from port {port} of no server but the host's own package archives")
        return Target("http", host, port, asked)

    def connect(self, authority: str) -> Target:
        """Return where a tunnel goes; RefusedError when it goes nowhere."""
        self._refuse_closed()
        host, _, port = authority.rpartition(":")
        host = host.strip("[]").lower()
        if not host or not port.isdecimal() or len(port) > 5:
            raise RefusedError("a tunnel needs a host and a port")
        for archive in self._archives:
            if archive.scheme == "https" and (archive.host, archive.port) == (host, int(port)):
                return Target("https", host, int(port), "/", archive)
        if int(port) != PORTS["https"]:
            raise RefusedError(f"this proxy makes no tunnel to port {port}")
        return Target("https", host, int(port), "/")

    def _refuse_closed(self) -> None:
        if not self._internet:
            raise RefusedError("this experiment has no way out (--no-internet)")


def _tame(path: str) -> bool:
    """Whether the path can't leave the folder that it seems to lie in, however it is read."""
    plain = unquote(unquote(path))
    folder = posixpath.normpath(plain)
    return ".." not in plain.split("/") and "\\" not in plain and "\0" not in plain and not folder.startswith("//.")


def public(addresses: Iterable[str]) -> list[str]:
    """Return those that are the internet's and not this host's own."""
    return [address for address in addresses if _is_public(address) and not is_own(address)]


def _is_public(text: str) -> bool:
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return _is_public(str(address.ipv4_mapped))
        if any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def is_own(address: str) -> bool:
    """Whether this host has the address itself: only then can it be bound to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return True
    return False
