"""Makes an image of a disk or of a system that was made elsewhere.

A disk is booted once, in a machine that is thrown away, by its own boot loader: cloud-init in it does what has to be
done inside (`inside/prepare`) and hands out kernel and initrd. From then on machines are started by those, as those of
Benito's own images are: it takes seconds less, the console and the interfaces' names are the same for every image, and
a disk that could only start by UEFI starts like any other. A disk `as_is` isn't touched, and starts by its own loader.
"""

from __future__ import annotations

import hashlib
import lzma
import os
import re
import shutil
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO
from urllib.parse import unquote, urlsplit

from benito import run
from benito.errors import HostError, InputError
from benito.images import disk, errand, rootfs, store
from benito.images.catalog import DISK, INITRD, KERNEL, LOGIN, Catalog, Image, ImageInfo, check_name
from benito.images.errand import Boot, Errand
from benito.images.kernel import unpack
from benito.software.fetch import fetch, is_url
from benito.software.streams import plain

Progress = Callable[[str], None]
_MEMORY_MIB = 512
"""For a node of an imported disk whose experiment doesn't say: stock kernels and initrds are large."""
_CHUNK = 1 << 20
_HASHES = ("sha256", "sha512")


@dataclass(frozen=True, slots=True)
class Import:
    """What is to be imported, and how."""

    name: str
    source: str
    """A file, a folder in OCI layout, or an address (file:, http:, https:)."""
    checksum: str | None = None
    """`sha256:...` or `sha512:...` of the source as it is fetched."""
    as_is: bool = False
    kernel: Path | None = None
    initrd: Path | None = None
    arguments: str = ""
    """With a kernel and an initrd of their own nothing is booted first."""
    memory_mib: int = _MEMORY_MIB
    description: str = ""


def import_image(wanted: Import, home: Path, boot: Boot, progress: Progress) -> Image:
    """Make the image; nothing is left of it when that fails."""
    check_name(wanted.name)
    if (wanted.kernel is None) != (wanted.initrd is None):
        raise InputError("a kernel needs its initrd, and an initrd its kernel", hint="name both, or neither")
    if wanted.arguments and wanted.kernel is None:
        raise InputError("--append is for a --kernel of its own", hint="name its --kernel and --initrd, or drop it")
    expected = _expected(wanted.checksum) if wanted.checksum else None
    catalog = Catalog(home)
    with store.making(catalog) as work:
        source, digest = _obtain(wanted, expected, home, progress)
        image = work / "image"
        image.mkdir(mode=0o755)
        if source.is_dir():
            info = _system(wanted, source, digest, work, image, progress)
        else:
            opened = _plain(source, work, progress)
            kind = disk.recognise(opened)
            if kind is not None:
                info = _disk(wanted, opened, kind, digest, work, image, boot, progress)
            elif rootfs.is_archive(opened):
                info = _system(wanted, opened, digest, work, image, progress)
            else:
                raise InputError(
                    f"{source.name} is no disk and no archive that Benito knows",
                    hint="it takes qcow2, raw, vmdk, vdi, vhdx and vpc disks, tar archives and container images",
                )
        progress("taking digests")
        return store.put(catalog, wanted.name, image, store.describe(image, info))


def _obtain(wanted: Import, expected: tuple[str, str] | None, home: Path, progress: Progress) -> tuple[Path, str]:
    """Return the source as a file or folder of this host, and its SHA-256; InputError when the checksum differs."""
    if is_url(wanted.source):
        progress(f"fetching {wanted.source}")
        file = fetch(wanted.source, home / "cache" / "downloads", progress)
    elif wanted.source.startswith("file:"):
        file = Path(unquote(urlsplit(wanted.source).path))
    else:
        file = Path(wanted.source)
    if file.is_dir():
        if wanted.checksum:
            raise InputError("a folder has no checksum", hint="leave --checksum out")
        if not (file / "index.json").exists():
            raise InputError(f"{file} is a folder, and none in OCI layout", hint="pack it: tar -C IT -cf system.tar .")
        return file, _digest(file / "index.json", "sha256")
    if not file.is_file() and "://" in wanted.source and not wanted.source.startswith("file:"):
        raise InputError(f"can't fetch {wanted.source}", hint="it takes http:// and https://; fetch others by hand")
    if not file.is_file():
        raise InputError(f"there is no file {file}")
    if expected is not None and (found := _digest(file, expected[0])) != expected[1]:
        raise InputError(
            f"{wanted.source} isn't what was asked for: its {expected[0]} is {found}, not {expected[1]}",
            hint="compare the checksum with its maker's, or fetch it again: it may be damaged",
        )
    return file, _digest(file, "sha256")


def _expected(checksum: str) -> tuple[str, str]:
    """Return the kind of a checksum and its digits; InputError where no file can have it."""
    kind, _, value = checksum.rpartition(":")
    value = value.strip().lower()
    kind = kind or ("sha256" if len(value) == 64 else "sha512")
    if kind not in _HASHES:
        raise InputError(f"--checksum {checksum[:40]}: unknown kind", hint=f"write sha256:... ({', '.join(_HASHES)})")
    digits = 2 * hashlib.new(kind).digest_size
    if not re.fullmatch(f"[0-9a-f]{{{digits}}}", value):
        raise InputError(
            f"--checksum {checksum[:40]}: a {kind} has {digits} digits of 0-9 and a-f", hint="copy it whole"
        )
    return kind, value


def _digest(file: Path, kind: str) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, kind).hexdigest()


def _plain(source: Path, work: Path, progress: Progress) -> Path:
    """Return the file, decompressed when it is compressed."""
    target = work / "plain"
    try:
        # A program that decompresses tells of a damage at its end, when the stream is closed.
        with source.open("rb") as file, plain(file) as stream:
            if stream is file:
                return source
            progress("decompressing")
            _pour(stream, target)
    except (EOFError, lzma.LZMAError, zlib.error) as error:
        raise InputError(f"{source.name} is damaged: {error}", hint="fetch it again") from error
    except OSError as error:
        raise HostError(f"{source.name} can't be decompressed: {error}") from error
    return target


def _pour(stream: IO[bytes], target: Path) -> None:
    """Write a stream to a file, with holes where it is empty."""
    with target.open("wb") as file:
        while data := stream.read(_CHUNK):
            if data.count(0) == len(data):
                file.seek(len(data), os.SEEK_CUR)
            else:
                file.write(data)
        file.truncate(file.tell())


def _disk(
    wanted: Import,
    source: Path,
    kind: str,
    digest: str,
    work: Path,
    image: Path,
    boot: Boot,
    progress: Progress,
) -> ImageInfo:
    """Make the image's disk and, unless it is taken as it is, a node's system of it."""
    disk.refuse_foreign(source, kind)
    progress(f"converting the {kind} disk")
    target = image / DISK
    disk.convert(source, target, source_format=kind)
    seen = disk.facts(target, work)
    found = errand.Found({}, "")
    how = "disk"
    if wanted.kernel is not None and wanted.initrd is not None:
        _take(wanted.kernel, image / KERNEL)
        _take(wanted.initrd, image / INITRD)
        how, found = "kernel", errand.Found({}, wanted.arguments or "root=/dev/vda rw console=ttyS0 net.ifnames=0")
    elif not wanted.as_is:
        progress("booting it once, to make a node's system of it")
        found = _first_boot(target, seen, work, image, boot)
        how = "kernel" if found.arguments else "disk"
        if how == "disk":
            progress("no kernel was found in it: it will start by its own boot loader")
    if how == "disk" and not (seen.starts_by_bios or seen.partitioned):
        raise InputError("the disk has no boot loader", hint="name its --kernel and --initrd")
    if how == "kernel":
        unpack(image / KERNEL)
    return _about(wanted, digest, found.facts, how, kind, found.arguments, seen)


def _take(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise InputError(f"can't read {source}: {error.strerror}") from error


def _first_boot(target: Path, seen: disk.Facts, work: Path, image: Path, boot: Boot) -> errand.Found:
    run.require("xorrisofs")
    result = errand.result_disk(work / "result")
    boot(
        Errand(
            disk=target,
            script=errand.seed(work / "seed", work / "seed.iso"),
            result=result,
            deadline_s=errand.FIRST_BOOT_S,
            firmware=None if seen.starts_by_bios else errand.OVMF,
            network=True,
        )
    )
    return errand.gather(result, image / KERNEL, image / INITRD)


def _system(wanted: Import, source: Path, digest: str, work: Path, image: Path, progress: Progress) -> ImageInfo:
    facts = rootfs.make(source, work, image, progress)
    return _about(wanted, digest, facts, "none", "system", "", None)


def _about(
    wanted: Import,
    digest: str,
    facts: dict[str, str],
    how: str,
    kind: str,
    arguments: str,
    seen: disk.Facts | None,
) -> ImageInfo:
    title = facts.get("PRETTY_NAME") or "a system"
    remark = " (for containers)" if how == "none" else ""
    return ImageInfo(
        name=wanted.name,
        description=wanted.description or f"{title}, imported{remark}",
        distribution=facts.get("ID", ""),
        release=facts.get("VERSION_ID", ""),
        digest="",
        made_from=hashlib.sha256(f"{digest}{how}".encode()).hexdigest(),
        files={},
        size=0,
        created="",
        memory_mib=64 if how == "none" else wanted.memory_mib,
        kernel_arguments=arguments,
        login=LOGIN,
        boot=how,
        disk_mib=seen.size_mib if seen else 0,
        partitioned=bool(seen and seen.partitioned),
        origin=store.origin(kind="imported", source=Path(wanted.source).name, format=kind, sha256=digest),
    )
