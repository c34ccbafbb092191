"""The package archives that the host's own apt uses, with the passwords and proxies that it needs on the way there.

All of it stays at the gateway: nodes know neither passwords nor proxies.
"""

from __future__ import annotations

import contextlib
import netrc
import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

import msgspec

from benito.gateway.settings import Archive, Proxies
from benito.gateway.targets import PORTS
from benito.images.sources import all_uris, fetching_settings

APT = Path("/etc/apt")
_DIRECT = "DIRECT"
_TIME_S = 10.0
CARRIED = ("Acquire::Check-Valid-Until", "Acquire::Check-Date", "Acquire::Max-ValidTime", "Acquire::Min-ValidTime")
"""Settings that belong to the archives (a mirror may be a snapshot of some day) and hold for nodes as for the host."""


@dataclass(frozen=True, slots=True)
class HostApt:
    """What the host's apt says."""

    archives: tuple[Archive, ...]
    proxies: Proxies
    carried: tuple[str, ...]
    """Lines of apt.conf that nodes need as well."""


def host_apt(extra: Iterable[str] = (), apt: Path = APT, environment: Mapping[str, str] = os.environ) -> HostApt:
    """Return what this host's apt is set to; `extra` are more archives' addresses, all that a host without apt has."""
    settings = list(_dump())
    found = read(dict.fromkeys([*all_uris(apt), *extra]), _passwords(apt))
    named = proxies(settings, environment)
    detector = next((value for name, value in settings if name.lower() == "acquire::http::proxy-auto-detect"), "")
    if detector:
        named = msgspec.structs.replace(named, hosts={**_detected(detector, found), **named.hosts})
    carried = tuple(f'{name} "{value}";' for name, value in settings if name in CARRIED)
    return HostApt(found, named, carried)


def read(uris: Iterable[str], passwords: Sequence[tuple[str, str, str]] = ()) -> tuple[Archive, ...]:
    """Return the archives at those addresses, with the passwords in them or else known for them; each once."""
    archives: dict[Archive, None] = {}
    for uri in uris:
        parts = urlsplit(uri)
        if parts.scheme not in PORTS or not parts.hostname:
            continue
        host, path = parts.hostname.lower(), f"{parts.path.rstrip('/')}/"
        port = parts.port or PORTS[parts.scheme]
        user, password = unquote(parts.username or ""), unquote(parts.password or "")
        if not user:
            user, password = _known(passwords, parts.scheme, host, port, path)
        archive = Archive(scheme=parts.scheme, host=host, port=port, path=path, user=user, password=password)
        archives[archive] = None
    return tuple(archives)


def proxies(settings: Iterable[tuple[str, str]], environment: Mapping[str, str]) -> Proxies:
    """Return the proxies of apt's settings, else of the environment, which apt heeds as well."""
    general = {"http": "", "https": ""}
    hosts = {}
    for name, value in settings:
        words = name.split("::")
        kind = words[1].lower() if len(words) > 1 else ""
        if kind not in general or len(words) < 3 or words[2].lower() != "proxy":
            continue
        proxy = value if value else _DIRECT
        if len(words) == 3:
            general[kind] = proxy
        else:
            hosts[f"{kind}://{words[3].lower()}"] = "" if proxy == _DIRECT else proxy
    # apt itself takes the proxy for http as the one for https, unless that has its own.
    for kind in general:
        general[kind] = general[kind] or environment.get(f"{kind}_proxy", "")
    general["https"] = general["https"] or general["http"]
    bypass = tuple(filter(None, (word.strip().lower() for word in environment.get("no_proxy", "").split(","))))
    plain = {kind: "" if proxy == _DIRECT else proxy for kind, proxy in general.items()}
    return Proxies(http=plain["http"], https=plain["https"], hosts=hosts, bypass=bypass)


def _detected(program: str, archives: Iterable[Archive]) -> dict[str, str]:
    """Ask the program that tells apt which proxy leads to a host; what it can't tell is left open."""
    found = {}
    for scheme, host in dict.fromkeys((archive.scheme, archive.host) for archive in archives):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            argv = [program, f"{scheme}://{host}/"]
            said = subprocess.run(argv, capture_output=True, text=True, timeout=_TIME_S, check=True).stdout.strip()
            if said:
                found[f"{scheme}://{host}"] = "" if said == _DIRECT else said
    return found


def _dump() -> Iterator[tuple[str, str]]:
    """Yield apt's settings for fetching."""
    for line in fetching_settings():
        name, _, value = line.partition(" ")
        yield name, value.strip().removeprefix('"').removesuffix('";')


def _passwords(apt: Path) -> list[tuple[str, str, str]]:
    """Return (machine, user, password) of apt's files of passwords; what can't be read is passed over."""
    found = []
    for file in (apt / "auth.conf", *sorted((apt / "auth.conf.d").glob("*.conf"))):
        with contextlib.suppress(OSError, netrc.NetrcParseError):
            entries = netrc.netrc(str(file)).hosts
            found += [(machine, user, password) for machine, (user, _, password) in entries.items()]
    return found


def _known(passwords: Sequence[tuple[str, str, str]], scheme: str, host: str, port: int, path: str) -> tuple[str, str]:
    """Return the user and password for an archive; apt gives them over http only where `http://` is written."""
    for machine, user, password in passwords:
        kind, _, rest = machine.rpartition("://")
        name, slash, folder = rest.partition("/")
        if (kind or "https") != scheme:
            continue
        wanted, _, number = name.partition(":")
        if wanted.lower() != host or (number and number != str(port)):
            continue
        if path.startswith(f"{slash}{folder}"):
            return user, password
    return "", ""
