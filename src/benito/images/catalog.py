"""The images at hand, and which of them stands for an OS id of the old testbeds."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from benito.errors import Fault, InputError, StateError

DEFAULT_IMAGE = "debian-12"
BUILDABLE = (DEFAULT_IMAGE,)
"""Images that `benito image build` can make; they count as at hand, because a swap-in can have them made."""

DISK, KERNEL, INITRD, ABOUT = "root.qcow2", "kernel", "initrd", "image.json"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of an image; kept as `image.json` in its folder."""

    name: str
    description: str
    distribution: str
    """`debian`, `ubuntu`, ...: what OS ids are matched with."""
    release: str
    digest: str
    """SHA-256 over the digests in `files` and `made_from`; names this very image."""
    made_from: str
    """SHA-256 over the recipe that made it."""
    files: dict[str, str]
    """File name -> SHA-256."""
    size: int
    """Bytes that the files take on disk."""
    created: str
    memory_mib: int
    """What a machine gets when the experiment doesn't say."""
    kernel_arguments: str
    login: str
    format: int = 1


@dataclass(frozen=True, slots=True)
class Image:
    """An image on disk."""

    folder: Path
    info: ImageInfo

    @property
    def name(self) -> str:
        """Its name in the catalog."""
        return self.info.name

    @property
    def disk(self) -> Path:
        """The root disk, the backing file of every machine's overlay."""
        return self.folder / DISK

    @property
    def kernel(self) -> Path:
        """The kernel, booted directly."""
        return self.folder / KERNEL

    @property
    def initrd(self) -> Path:
        """The initrd that goes with the kernel."""
        return self.folder / INITRD


@dataclass(frozen=True, slots=True)
class Resolution:
    """The image given for an OS id, and what to tell the user when it isn't what was asked for."""

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


_REST = r"(?P<release>\d*)(?:[-_.].*)?"
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


class Catalog:
    """The images under `home/images`, one folder each; a folder without `image.json` is no image."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "images"

    def images(self) -> list[Image]:
        """Return every image, by name."""
        return [self._read(about.parent) for about in sorted(self.folder.glob(f"[!.]*/{ABOUT}"))]

    def get(self, name: str) -> Image:
        """Return an image by its exact name; InputError when there is none."""
        if not _NAME.fullmatch(name):
            raise InputError(f"'{name}' cannot be the name of an image", hint="letters, digits, '.', '_' and '-'")
        folder = self.folder / name
        if not self.has(name):
            if name in BUILDABLE:
                raise InputError(f"image {name} is not built yet", hint=f"run: benito image build {name}")
            raise InputError(f"there is no image {name}", hint=self._at_hand())
        return self._read(folder)

    def has(self, name: str) -> bool:
        """Return whether the image is there."""
        return _NAME.fullmatch(name) is not None and (self.folder / name / ABOUT).is_file()

    def resolve(self, os: str | None, *, strict: bool = False) -> Resolution:
        """Return the image for an OS id; another OS than asked for comes with a notice, or InputError if `strict`.

        An image's exact name wins. OS ids may have a project in front (`emulab-ops/UBUNTU12-64-STD`).
        """
        if not os:
            return Resolution(DEFAULT_IMAGE)
        names = self._names()
        if os in names:
            return Resolution(os)
        family, match = _classify(os.rstrip("/").rpartition("/")[2])
        if family is None or match is None:
            raise InputError(f"no image stands for OS '{os}'", hint=self._at_hand())
        release = match["release"]
        wanted = f"{family.title} {release}".rstrip()
        if strict:
            raise InputError(f"OS '{os}' ({wanted}) is not at hand", hint=f"{self._at_hand()}; or drop --strict-os")
        given = self._nearest(family, release)
        remark = "" if family.linux else f"; what needs {family.title} itself will not run"
        return Resolution(given, f"OS '{os}' ({wanted}) is not at hand: image {given} is given instead{remark}")

    def remove(self, name: str) -> None:
        """Remove an image; StateError when its folder can't be taken away whole."""
        image = self.get(name)
        # Renamed first, so that a half-removed image is never seen.
        gone = self.folder / f".removing-{name}"
        try:
            shutil.rmtree(gone, ignore_errors=True)
            image.folder.rename(gone)
            shutil.rmtree(gone)
        except OSError as error:
            raise StateError(f"image {name} could not be removed: {error.strerror}") from error

    def _names(self) -> list[str]:
        return sorted({*BUILDABLE, *(image.name for image in self.images())})

    def _at_hand(self) -> str:
        return f"at hand: {', '.join(self._names())}"

    def _nearest(self, family: _Family, release: str) -> str:
        """Return the image of the same distribution, of the same release if there is one, else the default."""
        same = [image.info for image in self.images() if image.info.distribution == family.distribution]
        exact = [info for info in same if release and info.release.replace(".", "").startswith(release)]
        if exact or same:
            return (exact or same)[0].name
        return DEFAULT_IMAGE

    def _read(self, folder: Path) -> Image:
        import msgspec

        try:
            info = msgspec.json.decode((folder / ABOUT).read_bytes(), type=ImageInfo)
        except (OSError, msgspec.MsgspecError) as error:
            fault = Fault(f"image {folder.name} is damaged: {error}", hint=f"run: benito image rm {folder.name}")
            raise InputError(fault.message, hint=fault.hint) from error
        return Image(folder, info)


def _classify(os: str) -> tuple[_Family | None, re.Match[str] | None]:
    for family in _FAMILIES:
        if match := family.pattern.fullmatch(os):
            return family, match
    return None, None
