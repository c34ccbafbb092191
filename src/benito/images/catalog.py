"""The images at hand: names that point to contents, which lie under their digests.

    images/debian-12            -> .contents/1f3a...      a name, a symbolic link
    images/.contents/1f3a.../   image.json, root.qcow2, kernel, initrd, tree/, users/

So an image can be built anew under its name while nodes go on with the contents that they were made from (`store`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benito.errors import InputError
from benito.images.recipe import RECIPES

DEFAULT_IMAGE = "debian-12"
DISK, KERNEL, INITRD, ABOUT = "root.qcow2", "kernel", "initrd", "image.json"
ARCHIVE = "root.tar"
"""The files of an image that only containers can use."""
CONTENTS = ".contents"
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
LOGIN = "ssh with the experiment's keys, as root or as a member with sudo; root on the serial console"
"""How people get into a node of an image that Benito has made a node's system of."""


@dataclass(frozen=True, slots=True)
class ImageInfo:
    """What is known of an image; kept as `image.json` beside its files."""

    name: str
    """The name that it was made under."""
    description: str
    distribution: str
    """`debian`, `ubuntu`, ...: what OS ids are matched with."""
    release: str
    digest: str
    """SHA-256 over the digests in `files` and `made_from`; names this very image."""
    made_from: str
    """SHA-256 over the recipe or the disk that it was made from."""
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
    boot: str = "kernel"
    """`kernel`: QEMU starts the image's kernel and initrd; `disk`: the disk's own boot loader does;
    `none`: there is no disk, the image is for containers."""
    disk_mib: int = 8192
    """Size of the disk as the machine sees it."""
    lengths: dict[str, int] = field(default_factory=dict)
    """File name -> bytes."""
    origin: dict[str, Any] = field(default_factory=dict)
    """How it came about: the recipe's fields, or what was imported from where."""
    partitioned: bool = False
    """Whether the root file system is in a partition, and not the whole disk."""

    @property
    def for_machines(self) -> bool:
        """Whether virtual machines can be made from it."""
        return self.boot != "none"

    @property
    def for_containers(self) -> bool:
        """Whether nodes that share the host's kernel can be made from it."""
        return not self.partitioned


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

    @property
    def archive(self) -> Path:
        """The files of an image that has no disk."""
        return self.folder / ARCHIVE


class Catalog:
    """The images under `home/images`; a folder without `image.json` is no image."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "images"

    @property
    def contents(self) -> Path:
        """Where contents lie, each under its digest."""
        return self.folder / CONTENTS

    def images(self) -> list[Image]:
        """Return every image that has a name, by name."""
        return [self._read(about.parent) for about in sorted(self.folder.glob(f"[!.]*/{ABOUT}"))]

    def names(self) -> list[str]:
        """Return the names of all images, the damaged ones too."""
        return sorted(about.parent.name for about in self.folder.glob(f"[!.]*/{ABOUT}"))

    def get(self, name: str) -> Image:
        """Return an image by its exact name; InputError when there is none."""
        check_name(name)
        if not self.has(name):
            if name in RECIPES:
                raise InputError(f"image {name} is not built yet", hint=f"run: benito image build {name}")
            raise InputError(f"there is no image {name}", hint=self.at_hand())
        return self._read(self.folder / name)

    def has(self, name: str) -> bool:
        """Return whether the image is there."""
        return NAME.fullmatch(name) is not None and (self.folder / name / ABOUT).is_file()

    def exactly(self, name: str, digest: str) -> Image | None:
        """Return the image with this very digest, whatever the name means by now; None when it is gone."""
        if re.fullmatch(r"[0-9a-f]+", digest) and (self.contents / digest / ABOUT).is_file():
            return self._read(self.contents / digest, name)
        if self.has(name) and (image := self.get(name)).info.digest == digest:
            return image
        return None

    def at_hand(self) -> str:
        """Say which images there are."""
        return f"at hand: {', '.join(sorted({*self.names(), DEFAULT_IMAGE}))}"

    def _read(self, folder: Path, name: str | None = None) -> Image:
        import msgspec

        name = name or folder.name
        try:
            info = msgspec.json.decode((folder / ABOUT).read_bytes(), type=ImageInfo)
        except (OSError, msgspec.MsgspecError) as error:
            raise InputError(
                f"image {name} is damaged: {error}", hint=f"run: benito image rm {name}, then build or import it again"
            ) from error
        return Image(folder, replace(info, name=name))


def check_name(name: str) -> None:
    """InputError unless this can be an image's name."""
    if not NAME.fullmatch(name):
        raise InputError(
            f"'{name}' cannot be the name of an image",
            hint="small letters, digits, '.', '_' and '-', beginning with a letter or digit",
        )
