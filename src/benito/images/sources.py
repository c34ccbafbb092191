"""Where an image's packages come from: the host's own apt configuration, its Debian entries only."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from benito.errors import HostError

KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
MIRROR_VARIABLE = "BENITO_DEBIAN_MIRROR"
"""Environment variable naming a Debian mirror, for hosts whose apt has no Debian entry."""

_SECURITY = "debian-security"
_ARCHIVE = "debian"


@dataclass(frozen=True, slots=True)
class Sources:
    """Addresses of a Debian archive and, where the host has one, of its security archive."""

    archive: str
    security: str | None = None

    def entries(self, suite: str, *, private: bool) -> str:
        """Return the sources.list of a Debian release; without `private`, credentials in addresses are left out."""
        lines = [(self.archive, suite), (self.archive, f"{suite}-updates")]
        if self.security:
            lines.append((self.security, f"{suite}-security"))
        return "".join(f"deb {uri if private else _public(uri)} {name} main\n" for uri, name in lines)


def _public(uri: str) -> str:
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def find_sources(apt: Path = Path("/etc/apt"), environment: Mapping[str, str] = os.environ) -> Sources:
    """Return the Debian archives that the host's apt uses; HostError when it has none.

    Entries of other vendors are passed over: they have a keyring of their own or another path.
    """
    if mirror := environment.get(MIRROR_VARIABLE):
        return Sources(mirror)
    uris = list(_debian_uris(apt))
    archive = next((uri for uri in uris if _last(uri) == _ARCHIVE), None)
    if archive is None:
        raise HostError(
            "this host's apt configuration has no Debian entry",
            hint=f"set {MIRROR_VARIABLE} to the address of a Debian mirror",
        )
    return Sources(archive, next((uri for uri in uris if _last(uri) == _SECURITY), None))


def _last(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


def _debian_uris(apt: Path) -> Iterator[str]:
    """Yield the addresses of Debian's own archives in the order of the configuration."""
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".list":
            found = _one_line_entries(text)
        elif path.suffix == ".sources":
            found = _deb822_entries(text)
        else:
            continue
        for uri, components, signed_by in found:
            foreign = signed_by and "debian-archive" not in signed_by
            if "main" in components and not foreign and uri.startswith(("http://", "https://")):
                yield uri


def _one_line_entries(text: str) -> Iterator[tuple[str, list[str], str]]:
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        options = ""
        if len(words) > 1 and words[1].startswith("["):
            end = next((i for i, word in enumerate(words) if word.endswith("]")), len(words) - 1)
            options = " ".join(words[1 : end + 1])
            words = [words[0], *words[end + 1 :]]
        if len(words) >= 3:
            yield words[1], words[3:], options if "signed-by" in options else ""


def _deb822_entries(text: str) -> Iterator[tuple[str, list[str], str]]:
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[name] = f"{fields.get(name, '')} {line.strip()}"
            else:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        for uri in fields.get("uris", "").split():
            yield uri, fields.get("components", "").split(), fields.get("signed-by", "")


def transport_options() -> list[str]:
    """Return the host's apt settings for fetching (proxies, certificates, time limits), as apt.conf lines.

    What concerns the host's own indexes and hooks is left out.
    """
    done = subprocess.run(["apt-config", "dump", "Acquire"], capture_output=True, text=True, timeout=30, check=False)
    unwanted = ("Acquire::IndexTargets", "Acquire::Languages", "Acquire::Changelogs", "Acquire::cdrom")
    return [
        line
        for line in done.stdout.splitlines()
        if line.startswith("Acquire::") and not line.startswith(unwanted) and not line.endswith(' "";')
    ]
