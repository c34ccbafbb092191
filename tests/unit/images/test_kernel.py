"""Kernels: what is taken out of a bzImage, and what is left as it is."""

import gzip
import lzma
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benito.images import kernel


def elf(*notes: tuple[bytes, int]) -> bytes:
    """Return an ELF file of these notes alone, each with four bytes of text."""
    texts = b"".join(
        struct.pack("<III", len(name), 4, kind) + name.ljust((len(name) + 3) // 4 * 4, b"\0") + b"text"
        for name, kind in notes
    )
    identity = b"\x7fELF\x02\x01".ljust(32, b"\0")
    header = identity + struct.pack("<QQIHHHHHH", 64, 0, 0, 64, 56, 2, 0, 0, 0)
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, 0, 0, 0, 0, 0)
    note = struct.pack("<IIQQQQQQ", 4, 4, 176, 0, 0, len(texts), len(texts), 4)
    return header + load + note + texts


PVH = elf((b"Linux\0", 256), (b"Xen\0", 18))


def bzimage(payload: bytes, *, version: int = 0x20F) -> bytes:
    head = bytearray(5 * 512)
    head[0x1F1] = 4
    head[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", head, 0x206, version)
    struct.pack_into("<II", head, 0x248, 100, len(payload))
    return bytes(head) + bytes(100) + payload + b"what else is there"


def through(*argv: str) -> Any:
    def pack(data: bytes) -> bytes:
        packed = subprocess.run(argv, input=data, capture_output=True, check=True).stdout
        return packed + struct.pack("<I", len(data))

    return pytest.param(
        pack, id=argv[0], marks=pytest.mark.skipif(shutil.which(argv[0]) is None, reason=f"no {argv[0]}")
    )


def xz(data: bytes) -> bytes:
    return lzma.compress(data) + struct.pack("<I", len(data))


@pytest.mark.parametrize("pack", [gzip.compress, xz, through("lz4", "-lc"), through("zstd", "-qc")])
def test_what_a_distribution_packs_is_unpacked(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    file = tmp_path / "kernel"
    file.write_bytes(bzimage(pack(PVH)))
    assert kernel.unpack(file)
    assert file.read_bytes() == PVH
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"kernel",
        PVH,
        bzimage(gzip.compress(PVH), version=0x207),
        bzimage(gzip.compress(elf((b"Xen\0", 17), (b"Linux\0", 18)))),
        bzimage(gzip.compress(PVH[:-20])),
        bzimage(gzip.compress(b"not a kernel")),
        bzimage(gzip.compress(PVH)[:-20]),
        bzimage(xz(PVH)[:-20]),
        bzimage(b""),
        bzimage(gzip.compress(PVH))[:0x24C],
    ],
    ids=[
        "empty",
        "short",
        "elf",
        "old",
        "no entry",
        "cut elf",
        "no elf",
        "cut gzip",
        "cut xz",
        "nothing",
        "cut header",
    ],
)
def test_what_qemu_could_not_start_so_stays(tmp_path: Path, data: bytes) -> None:
    file = tmp_path / "kernel"
    file.write_bytes(data)
    assert not kernel.unpack(file)
    assert file.read_bytes() == data
    assert list(tmp_path.iterdir()) == [file]


def test_a_kernel_larger_than_any_stays_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "LARGEST", len(PVH) - 1)
    file = tmp_path / "kernel"
    file.write_bytes(bzimage(gzip.compress(PVH)))
    assert not kernel.unpack(file)


def test_no_bytes_make_the_notes_fail() -> None:
    for end in range(len(PVH)):
        assert not kernel.has_pvh_entry(PVH[:end])
    for place in range(0, 120):
        broken = bytearray(PVH)
        broken[place] ^= 0xFF
        kernel.has_pvh_entry(bytes(broken))
