"""Archives and packages become one archive, with the paths that they have on the node."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benito.errors import InputError
from benito.software.bundle import Item, checksum, digest, make


def archive(*names: str, links: dict[str, str] | None = None) -> bytes:
    """Return a plain tar archive of small files; `links` are hard links."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            if name.endswith("/") or name == ".":
                info.type, info.mode = tarfile.DIRTYPE, 0o700
                tar.addfile(info)
            else:
                info.size, info.mode, info.uid = len(name), 0o755, 1234
                tar.addfile(info, io.BytesIO(name.encode()))
        for name, target in (links or {}).items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.LNKTYPE, target
            tar.addfile(info)
    return made.getvalue()


def rpm(*files: tuple[str, int, bytes]) -> bytes:
    """Return a package whose payload has these files: name, mode, data."""
    cpio = b""
    for inode, (name, mode, data) in enumerate([*files, ("TRAILER!!!", 0, b"")]):
        fields = (inode, mode, 0, 0, 1, 1700000000, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        cpio += head + bytes(-len(head) % 4) + data + bytes(-len(data) % 4)
    header = b"\x8e\xad\xe8\x01" + bytes(4) + struct.pack(">II", 1, 5) + bytes(16) + b"abcde"
    return b"\xed\xab\xee\xdb" + bytes(92) + header + bytes(-len(header) % 8) + header + gzip.compress(cpio)


def bundle(folder: Path, *items: tuple[str, bytes, str | None]) -> tarfile.TarFile:
    """Make a bundle and open it."""
    made = []
    for name, data, install in items:
        (folder / name).write_bytes(data)
        made.append(Item(folder / name, name, install))
    out = folder / "out"
    out.mkdir(exist_ok=True)
    name = digest(made, {item.file: checksum(item.file) for item in made})
    make(made, name, out)
    return tarfile.open(out / f"{name}.tar")


def names(tar: tarfile.TarFile) -> list[str]:
    return [member.name for member in tar]


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-qc"], input=data, capture_output=True, check=True).stdout


@pytest.mark.parametrize("pack", [bytes, gzip.compress, bz2.compress, lzma.compress, zstd])
def test_any_compression_is_read_whatever_the_name(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    made = bundle(tmp_path, ("app.tar.gz", pack(archive("bin/app")), "/opt/app"))
    assert names(made) == ["opt/app/bin/app"]
    member = made.getmember("opt/app/bin/app")
    assert (member.mode, member.uid) == (0o755, 1234)


def test_the_folder_to_unpack_into_stays_as_it_is(tmp_path: Path) -> None:
    assert names(bundle(tmp_path, ("a.tar", archive(".", "./x"), "/"))) == ["x"]


def test_absolute_names_and_hard_links_stay_inside(tmp_path: Path) -> None:
    made = bundle(tmp_path, ("a.tar", archive("/etc/x", links={"y": "/etc/x"}), "/opt"))
    assert names(made) == ["opt/etc/x", "opt/y"]
    assert made.getmember("opt/y").linkname == "opt/etc/x"


def test_an_archive_that_leads_out_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="leads out of its folder"):
        bundle(tmp_path, ("a.tar", archive("../x"), "/opt"))


@pytest.mark.parametrize(
    "data",
    [b"", b"nonsense" * 100, gzip.compress(archive("x"))[:-20], zstd(archive("x" * 99))[:-9], lzma.compress(b"")],
    ids=["empty", "nonsense", "gzip", "zstd", "xz"],
)
def test_a_damaged_archive_is_named(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(InputError, match=r"a\.tar can't be unpacked"):
        bundle(tmp_path, ("a.tar", data, "/opt"))
    assert not list((tmp_path / "out").glob("*.tar"))


def test_an_rpm_is_unpacked_at_the_root(tmp_path: Path) -> None:
    package = rpm(("./usr/bin/tool", 0o100755, b"#!/bin/sh\n"), ("./usr/bin/t", 0o120777, b"tool"))
    made = bundle(tmp_path, ("tool.rpm", package, None))
    assert names(made) == ["usr/bin/tool", "usr/bin/t"]
    assert made.getmember("usr/bin/t").linkname == "tool"
    with pytest.raises(InputError, match="it is no RPM package"):
        bundle(tmp_path, ("other.rpm", b"x" * 200, None))


def test_debian_packages_are_carried_as_they_are(tmp_path: Path) -> None:
    made = bundle(tmp_path, ("b.deb", b"!<arch>\n", None), ("a.deb", b"!<arch>\n", None))
    assert names(made) == ["var/lib/benito/software/0-b.deb", "var/lib/benito/software/1-a.deb"]


def test_the_same_items_are_the_same_bundle(tmp_path: Path) -> None:
    for name, data in (("a.tar", b"1"), ("b.tar", b"2")):
        (tmp_path / name).write_bytes(data)
    sums = {tmp_path / name: checksum(tmp_path / name) for name in ("a.tar", "b.tar")}
    a, b = Item(tmp_path / "a.tar", "a.tar", "/x"), Item(tmp_path / "b.tar", "b.tar", "/x")
    assert digest([a, b], sums) == digest([a, b], sums)
    assert len({digest(items, sums) for items in ([a], [b], [a, b], [b, a], [Item(a.file, "a.tar", "/y")])}) == 5
