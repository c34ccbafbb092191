"""Where an image's packages come from: the host's own apt configuration, or a mirror that a person names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from benito.errors import HostError, InputError

KEYRINGS = {
    "debian": Path("/usr/share/keyrings/debian-archive-keyring.gpg"),
    "ubuntu": Path("/usr/share/keyrings/ubuntu-archive-keyring.gpg"),
}
KEYRING_PACKAGES = {"debian": "debian-archive-keyring", "ubuntu": "ubuntu-keyring"}
MIRROR_VARIABLES = {"debian": "BENITO_DEBIAN_MIRROR", "ubuntu": "BENITO_UBUNTU_MIRROR"}
"""Environment variables naming a mirror, for hosts whose apt has no entry of the distribution."""
APT_HELPER = Path("/usr/lib/apt/apt-helper")

_SECURITY = "debian-security"
_DEADLINE_S = 120
_SCHEMES = ("http://", "https://", "file:", "copy:")


@dataclass(frozen=True, slots=True)
class Archives:
    """Addresses of a distribution's archive and, where it is another one, of its security archive."""

    main: str
    security: str | None = None


@dataclass(frozen=True, slots=True)
class Suite:
    """One suite of an archive as its Release file describes it."""

    uri: str
    name: str
    origin: str = ""
    version: str = ""
    components: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """The suites that an image is made from, the release itself first."""

    suites: tuple[Suite, ...]
    components: tuple[str, ...] = ("main",)

    def entries(self, *, private: bool) -> str:
        """Return them as a sources.list; without `private`, credentials in addresses are left out."""
        words = " ".join(self.components)
        return "".join(
            f"deb {suite.uri if private else public(suite.uri)} {suite.name} {words}\n" for suite in self.suites
        )


def public(uri: str) -> str:
    """Return an address without the credentials in it."""
    parts = urlsplit(uri)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def find_archives(
    distribution: str, apt: Path = Path("/etc/apt"), environment: Mapping[str, str] = os.environ
) -> Archives | None:
    """Return the distribution's archives that the host's apt uses; None when it has none.

    Entries of other vendors are passed over: they have a keyring of their own or another path.
    """
    if mirror := environment.get(MIRROR_VARIABLES.get(distribution, "")):
        return Archives(mirror)
    uris = list(_uris(apt, distribution))
    main = next((uri for uri in uris if _last(uri) == distribution), None)
    if main is None:
        return None
    return Archives(main, next((uri for uri in uris if _last(uri) == _SECURITY), None))


def archives(distribution: str, mirror: str | None = None) -> Archives:
    """Return the mirror that was named, else the host's; HostError when there is neither."""
    if mirror is not None:
        if not mirror.startswith(_SCHEMES):
            raise InputError(f"'{mirror}' is no address of a mirror", hint=f"it begins with {', '.join(_SCHEMES)}")
        return Archives(mirror.rstrip("/"))
    found = find_archives(distribution)
    if found is None:
        variable = MIRROR_VARIABLES.get(distribution)
        raise HostError(
            f"this host's apt configuration has no {distribution.capitalize()} entry",
            hint=f"name a mirror with --mirror{f' or {variable}' if variable else ''}",
        )
    return found


def find_sources(suite: str, components: tuple[str, ...], where: Archives) -> Sources:
    """Return the release with its updates and security fixes, as far as the archives have them.

    HostError when there is no such release; asks the archives by apt's own means.
    """
    first = probe(where.main, suite)
    if first is None:
        raise HostError(
            f"the archive {public(where.main)} has no release {suite}, or can't be reached",
            hint="another --suite or --mirror; does `apt-get update` work on this host?",
        )
    wanted = [(where.main, f"{suite}-updates"), (where.security or where.main, f"{suite}-security")]
    more = [found for uri, name in wanted if suite != "sid" and (found := probe(uri, name)) is not None]
    there = tuple(name for name in components if not first.components or name in first.components)
    return Sources((first, *more), there or components)


def probe(uri: str, suite: str) -> Suite | None:
    """Return what an archive's Release file says of a suite; None when it has none."""
    address = f"{uri.rstrip('/')}/dists/{suite}"
    with tempfile.TemporaryDirectory(prefix="benito-") as folder:
        target = Path(folder) / "Release"
        for name in ("InRelease", "Release"):
            argv = [str(APT_HELPER), "download-file", f"{address}/{name}", str(target)]
            try:
                done = subprocess.run(argv, capture_output=True, timeout=_DEADLINE_S, check=False)
            except subprocess.TimeoutExpired:
                # An archive that doesn't answer for one file won't for another.
                return None
            if done.returncode == 0 and target.exists():
                return _suite(uri, suite, target.read_text(errors="replace"))
    return None


def _suite(uri: str, name: str, release: str) -> Suite:
    fields = dict(re.findall(r"^(\w[\w-]*): *(.+)$", release, re.MULTILINE))
    components = tuple(word.rpartition("/")[2] for word in fields.get("Components", "").split())
    return Suite(uri, name, fields.get("Origin", "").strip().lower(), fields.get("Version", "").strip(), components)


def _last(uri: str) -> str:
    return uri.rstrip("/").rpartition("/")[2]


def all_uris(apt: Path) -> Iterator[str]:
    """Yield the addresses of an apt configuration's entries in its order, whatever they are for."""
    for uri, _, _ in _entries(apt):
        yield uri


def _uris(apt: Path, distribution: str) -> Iterator[str]:
    """Yield the addresses of a distribution's own archives in the order of the configuration."""
    for uri, components, signed_by in _entries(apt):
        foreign = signed_by and f"{distribution}-archive" not in signed_by
        if "main" in components and not foreign and uri.startswith(("http://", "https://")):
            yield uri


def _entries(apt: Path) -> Iterator[tuple[str, list[str], str]]:
    """Yield address, components and what an entry says of its keys."""
    forms = {".list": _one_line_entries, ".sources": _deb822_entries}
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix in forms and path.is_file():
            yield from forms[path.suffix](path.read_text(errors="replace"))


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
    unwanted = ("Acquire::IndexTargets", "Acquire::Languages", "Acquire::Changelogs", "Acquire::cdrom")
    return [
        line
        for line in fetching_settings()
        if line.startswith("Acquire::") and not line.startswith(unwanted) and not line.endswith(' "";')
    ]


def fetching_settings() -> list[str]:
    """Return all that the host's apt is set to about fetching, as apt.conf lines; nothing on a host without apt."""
    if shutil.which("apt-config") is None:
        return []
    argv = ["apt-config", "dump", "Acquire"]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False).stdout.splitlines()
