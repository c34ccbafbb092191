"""Makes a cloud image as a vendor would: a partitioned disk with GRUB, a stock initrd and cloud-init, for imports.

Nothing is mounted: GRUB's first stage and core go to the sectors before the partition, as they come.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from benito.images.packages import install
from benito.images.recipe import Recipe
from benito.images.sources import archives, find_sources

PACKAGES = (
    "systemd-sysv",
    "udev",
    "cloud-init",
    "initramfs-tools",
    "openssh-server",
    "ifupdown",
    "isc-dhcp-client",
    "iproute2",
    "e2fsprogs",
    "netbase",
)
"""Without the guest agent and sudo: the import has to bring them."""
RECIPE = Recipe(
    "cloud",
    "A cloud image",
    "debian",
    "12",
    "bookworm",
    packages=PACKAGES,
    customize="""#!/bin/sh
set -e
echo 'COMPRESS=lz4' > /etc/initramfs-tools/conf.d/quick || true
update-initramfs -c -k all
echo 'UUID=11111111-2222-3333-4444-555555555555 / ext4 rw 0 1' > /etc/fstab
rm -rf /var/lib/apt/lists/* /var/cache/apt/*
echo vendor > /etc/vendor-was-here
""",
)
UUID = "11111111-2222-3333-4444-555555555555"
MODULES = ("biosdisk", "part_msdos", "ext2", "linux", "normal", "serial")
GRUB = Path("/usr/lib/grub/i386-pc")
PARTITION = 1 << 20
SIZE = 3 << 30


def run(*argv: str | Path, stdin: str | None = None) -> None:
    subprocess.run([*map(str, argv)], check=True, input=stdin, text=True, capture_output=True, timeout=300)


def make(work: Path, target: Path) -> None:
    """Make the disk as qcow2."""
    root = work / "root"
    sources = find_sources(RECIPE.suite, RECIPE.components, archives("debian"))
    install(RECIPE, root, work, sources)
    (root / "etc/apt/sources.list").write_text(sources.entries(private=False))
    pack(work, root, target)


def pack(work: Path, root: Path, target: Path) -> None:
    """Make the disk of the system in the folder."""
    kernel = next(path.name for path in (root / "boot").glob("vmlinuz-*"))
    initrd = next(path.name for path in (root / "boot").glob("initrd.img-*"))
    config = work / "early.cfg"
    config.write_text(
        "set root=(hd0,msdos1)\n"
        f"linux /boot/{kernel} root=UUID={UUID} ro console=tty0 console=ttyS0,115200\n"
        f"initrd /boot/{initrd}\nboot\n"
    )
    core = work / "core.img"
    run("grub-mkimage", "-O", "i386-pc", "-o", core, "-c", config, "-p", "/boot/grub", *MODULES)
    raw = work / "disk.raw"
    with raw.open("wb") as file:
        file.truncate(SIZE)
    run("sfdisk", "-q", raw, stdin=f"label: dos\nstart={PARTITION >> 9}, type=83, bootable\n")
    boot = (GRUB / "boot.img").read_bytes()
    with raw.open("r+b") as file:
        file.write(boot[:440])
        file.seek(512)
        file.write(core.read_bytes())
    size = (SIZE - PARTITION) >> 10
    options = f"offset={PARTITION},lazy_journal_init=1,root_owner=0:0"
    # GRUB reads what it has always read.
    older = "^metadata_csum_seed,^orphan_file"
    run("mke2fs", "-q", "-F", "-t", "ext4", "-O", older, "-U", UUID, "-E", options, "-d", root, raw, f"{size}k")
    run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", raw, target)
