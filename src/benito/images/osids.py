"""Which image stands for an OS id of the old testbeds, or of an image that isn't there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from benito.errors import InputError
from benito.images.catalog import DEFAULT_IMAGE, NAME, Catalog
from benito.images.recipe import RECIPES
from benito.images.sources import find_archives


@dataclass(frozen=True, slots=True)
class Resolution:
    """The image given for an OS id, and what to tell the user when it isn't what was asked for by name."""

    name: str
    notice: str | None = None


@dataclass(frozen=True, slots=True)
class _Family:
    """OS ids of one system: `pattern` matches the whole id, its group `release` the version digits."""

    pattern: re.Pattern[str]
    title: str
    distribution: str
    linux: bool = True


def _family(pattern: str, title: str, distribution: str, *, linux: bool = True) -> _Family:
    return _Family(re.compile(pattern, re.IGNORECASE), title, distribution, linux)


_REST = r"-?(?P<release>\d*)(?:[-_.].*)?"
_FAMILIES = (
    _family(rf"UBUNTU{_REST}", "Ubuntu", "ubuntu"),
    _family(rf"DEB(?:IAN)?{_REST}", "Debian", "debian"),
    _family(rf"KALI{_REST}", "Kali Linux", "kali"),
    _family(rf"(?:FC|FEDORA){_REST}", "Fedora", "fedora"),
    _family(rf"CENTOS{_REST}", "CentOS", "centos"),
    _family(rf"RHEL{_REST}", "Red Hat Enterprise Linux", "rhel"),
    _family(rf"(?:RHL|RH|REDHAT){_REST}", "Red Hat Linux", "redhat"),
    _family(rf"(?:OPEN)?SUSE{_REST}", "SUSE Linux", "suse"),
    _family(r"(?P<release>)(?:LINUX|OPENVZ|XEN|LXC)(?:[-_.].*)?", "Linux", "linux"),
    _family(rf"(?:FBSD|FREEBSD){_REST}", "FreeBSD", "freebsd", linux=False),
    _family(rf"(?:OBSD|OPENBSD|NBSD|NETBSD){_REST}", "BSD", "bsd", linux=False),
    _family(r"WIN(?:DOWS)?-?(?P<release>XP|\d*)(?:[-_.].*)?", "Windows", "windows", linux=False),
)


@dataclass(frozen=True, slots=True)
class _Known:
    """An image that is there, or that Benito can build."""

    name: str
    distribution: str
    release: str


def resolve(catalog: Catalog, os: str | None, *, strict: bool = False, default: str | None = None) -> Resolution:
    """Return the image for an OS id; another OS than asked for comes with a notice, or InputError if `strict`.

    An image's exact name wins. OS ids may have a project in front (`emulab-ops/UBUNTU12-64-STD`).
    `default` is the image for nodes that don't say, and in place of a system that isn't at hand.
    """
    if not os:
        return Resolution(default or DEFAULT_IMAGE)
    if catalog.has(os) or os in RECIPES:
        return Resolution(os)
    family, match = _classify(os.rstrip("/").rpartition("/")[2])
    if family is None or match is None:
        raise InputError(
            f"no image stands for OS '{os}'",
            hint=f"{catalog.at_hand()}; `benito image build` and `benito image import` make more",
        )
    release = match["release"]
    known = list(_known(catalog))
    same = next((one for one in known if _is(one, family, release)), None)
    wanted = f"{family.title} {release}".rstrip()
    if same is not None:
        return Resolution(same.name, f"OS '{os}' is given as image {same.name}")
    if strict:
        raise InputError(f"OS '{os}' ({wanted}) is not at hand", hint=f"{catalog.at_hand()}; or drop --strict-os")
    given = default or _nearest(catalog, family)
    remark = "" if family.linux else f"; what needs {family.title} itself will not run"
    return Resolution(given, f"OS '{os}' ({wanted}) is not at hand: image {given} is given instead{remark}")


def by_address(catalog: Catalog, address: str | None, otherwise: Resolution) -> Resolution:
    """Return the image that was imported under the name of the file at the address, else the other with a notice."""
    if not address:
        return otherwise
    file = address.rstrip("/").rpartition("/")[2].partition("?")[0]
    name = file.partition(".")[0].lower()
    if NAME.fullmatch(name) and catalog.has(name):
        return Resolution(name)
    notice = f"the disk at {address} was not imported: image {otherwise.name} is given instead"
    hint = f"`benito image import {name} {file}` would make it"
    return Resolution(otherwise.name, f"{notice} ({hint})" if NAME.fullmatch(name) else notice)


def _classify(os: str) -> tuple[_Family | None, re.Match[str] | None]:
    for family in _FAMILIES:
        if match := family.pattern.fullmatch(os):
            return family, match
    return None, None


def _known(catalog: Catalog) -> Iterator[_Known]:
    """Yield the images at hand, then those that a swap-in would build."""
    for image in catalog.images():
        yield _Known(image.name, image.info.distribution, image.info.release)
    for recipe in RECIPES.values():
        if not catalog.has(recipe.name) and find_archives(recipe.distribution) is not None:
            yield _Known(recipe.name, recipe.distribution, recipe.release)


def _is(known: _Known, family: _Family, release: str) -> bool:
    """Whether this is the very release; ids write 22.04 as 22, 2204 or 22-64."""
    if known.distribution != family.distribution or not release:
        return False
    return release in (known.release.split(".")[0], known.release.replace(".", ""))


def _nearest(catalog: Catalog, family: _Family) -> str:
    """Return an image of the same distribution that is there, else the default."""
    same = [image.name for image in catalog.images() if image.info.distribution == family.distribution]
    return DEFAULT_IMAGE if DEFAULT_IMAGE in same or not same else same[0]
