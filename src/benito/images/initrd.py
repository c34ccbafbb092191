"""The small initrd of a node image: busybox, the virtio drivers and one script, as an uncompressed cpio archive.

A stock initrd costs 15 MB of memory and several seconds under emulation; this one needs neither udev nor a
generator, and is the same bytes for the same kernel.
"""

from __future__ import annotations

import gzip
import lzma
import stat
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from benito.errors import HostError

MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "virtio-rng", "virtio_net")
"""Drivers of the devices that every machine has, in the order in which they are wanted."""

APPLETS = ("sh", "mount", "insmod", "sleep", "mkdir", "mknod", "chmod", "ln", "switch_root")
_FOLDERS = ("bin", "dev", "modules", "proc", "root", "sys")


@dataclass(frozen=True, slots=True)
class Entry:
    """One member of a cpio archive; `mode` includes the file type."""

    name: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def cpio(entries: Iterable[Entry]) -> bytes:
    """Return the entries as an archive in the `newc` format that the kernel unpacks, dated 1970 and owned by root."""
    parts: list[bytes] = []
    for inode, entry in enumerate([*entries, Entry("TRAILER!!!", 0)], 1):
        name = entry.name.encode() + b"\0"
        major, minor = entry.device
        fields = (inode, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, major, minor, len(name), 0)
        parts.append(_padded(b"070701" + b"".join(b"%08x" % field for field in fields) + name))
        parts.append(_padded(entry.data))
    return b"".join(parts)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)


def needed_modules(dependencies: str, wanted: Sequence[str] = MODULES) -> list[str]:
    """Return the modules' paths, each after those it depends on; `dependencies` is the text of modules.dep.

    A driver that isn't listed is built into the kernel and needs nothing.
    """
    table = {}
    for line in dependencies.splitlines():
        path, _, rest = line.partition(":")
        table[path] = rest.split()
    by_name = {Path(path).name.split(".")[0]: path for path in table}
    order: list[str] = []
    for name in wanted:
        if name not in by_name:
            continue
        # modules.dep lists the nearest dependency first, so the farthest is loaded first.
        for path in [*reversed(table[by_name[name]]), by_name[name]]:
            if path not in order:
                order.append(path)
    return order


def make_initrd(root: Path) -> bytes:
    """Return the initrd for the kernel whose modules lie in the root file system `root`."""
    busybox = root / "usr/bin/busybox"
    folders = sorted((root / "usr/lib/modules").glob("*/modules.dep"))
    if not busybox.exists() or not folders:
        raise HostError("the new image holds no busybox or no kernel modules", hint="the build's log says why")
    modules = folders[-1].parent
    order = needed_modules((modules / "modules.dep").read_text())
    script = files("benito.images").joinpath("node/init").read_bytes()
    program, plain = stat.S_IFREG | 0o755, stat.S_IFREG | 0o644
    return cpio(
        [
            *(Entry(folder, stat.S_IFDIR | 0o755) for folder in _FOLDERS),
            Entry("dev/console", stat.S_IFCHR | 0o600, device=(5, 1)),
            Entry("bin/busybox", program, busybox.read_bytes()),
            *(Entry(f"bin/{applet}", stat.S_IFLNK | 0o777, b"busybox") for applet in APPLETS),
            *(Entry(f"modules/{_plain_name(path)}", plain, _unpacked(modules / path)) for path in order),
            Entry("modules/order", plain, "".join(f"{_plain_name(path)}\n" for path in order).encode()),
            Entry("init", program, script),
        ]
    )


def _plain_name(path: str) -> str:
    """Return a module's file name without what says how it is compressed."""
    name = Path(path).name
    return name.removesuffix(".xz").removesuffix(".zst").removesuffix(".gz")


def _unpacked(module: Path) -> bytes:
    """Return a module as the kernel takes it: busybox hands it over as it is."""
    data = module.read_bytes()
    if module.suffix == ".xz":
        return lzma.decompress(data)
    if module.suffix == ".gz":
        return gzip.decompress(data)
    if module.suffix == ".zst":
        done = subprocess.run(["zstd", "-dcq"], input=data, capture_output=True, check=True, timeout=60)
        return done.stdout
    return data
