"""Turns a bare system's folder into a node's root file system; only writes files, runs nothing in it."""

from __future__ import annotations

import os
import shutil
from importlib.resources import as_file, files
from pathlib import Path

from benito.images import recipe
from benito.images.sources import Sources

_PROGRAM_FOLDERS = ("system-generators",)
"""Folders whose files are programs; a package of Python files keeps no modes."""


def tailor(root: Path, sources: Sources) -> None:
    """Apply the recipe to the root file system in the folder `root`."""
    with as_file(files("benito.images").joinpath("node/tree")) as tree:
        _copy(tree, root)
    _write(root / "etc/apt/sources.list", sources.entries(private=False))
    _write(root / "etc/fstab", "# The root disk is mounted by the initrd.\n")
    _write(root / "etc/hostname", "localhost\n")
    _write(root / "etc/hosts", "127.0.0.1 localhost\n::1 localhost\n")
    _write(root / "etc/resolv.conf", "")
    _write(root / "etc/machine-id", "")
    _switch_units(root)
    _quiet_sysctl(root)
    (root / "var/lib/benito").mkdir(mode=0o755, parents=True, exist_ok=True)
    _write(root / "usr/lib/benito/init.d", "".join(f"{path.name}\n" for path in sorted(root.glob("etc/init.d/*"))))
    _forget_identity(root)
    _drop_leftovers(root)


def _copy(tree: Path, root: Path) -> None:
    """Copy a tree's files, owned by root and readable by all, whatever the umask."""
    for path in sorted(tree.rglob("*")):
        target = root / path.relative_to(tree)
        if path.is_dir():
            target.mkdir(mode=0o755, exist_ok=True)
        else:
            _write(target, path.read_text())
            if target.parent.name in _PROGRAM_FOLDERS:
                target.chmod(0o755)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.write_text(text)
    path.chmod(0o644)


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    path.symlink_to(target)


def _switch_units(root: Path) -> None:
    """Enable and mask systemd's units by links, as systemctl would."""
    system = root / "etc/systemd/system"
    for unit in recipe.DISABLED_UNITS:
        (system / unit).unlink(missing_ok=True)
    for unit in recipe.UNSTARTED_UNITS:
        for link in system.glob(f"*.wants/{unit}"):
            link.unlink()
    for unit in (*recipe.MASKED_UNITS, *recipe.DROPPED_WANTS):
        _link(system / unit, "/dev/null")
    for unit, wants in recipe.ENABLED_UNITS.items():
        own = (system / unit).exists()
        _link(system / wants / unit, f"/{'etc' if own else 'lib'}/systemd/system/{unit}")
    _link(system / "default.target", "/lib/systemd/system/multi-user.target")
    for generator in recipe.MASKED_GENERATORS:
        _link(root / "etc/systemd/system-generators" / generator, "/dev/null")
    for name in recipe.MASKED_TMPFILES:
        _link(root / "etc/tmpfiles.d" / name, "/dev/null")


def _quiet_sysctl(root: Path) -> None:
    """Leave systemd-sysctl nothing to do until someone writes settings into /etc; it then finds them as usual."""
    settings = root / "etc/sysctl.d"
    for path in (root / "etc/sysctl.conf", *settings.glob("*")):
        path.unlink(missing_ok=True)
    settings.mkdir(mode=0o755, parents=True, exist_ok=True)
    _link(root / "usr/lib/sysctl.d/99-sysctl.conf", "/etc/sysctl.conf")


def _forget_identity(root: Path) -> None:
    """Remove whatever two machines must not share."""
    for pattern in ("etc/ssh/ssh_host_*", "var/lib/systemd/random-seed", "var/lib/dbus/machine-id"):
        for path in root.glob(pattern):
            path.unlink()


def _drop_leftovers(root: Path) -> None:
    """Remove what the build needed and a node doesn't, and everything that tells of the building host."""
    patterns = (
        "etc/apt/apt.conf.d/99mmdebstrap",
        "etc/apt/sources.list.d/*",
        "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
        "etc/modules-load.d/modules.conf",
        "boot/*",
        "vmlinuz*",
        "initrd.img*",
        "var/cache/apt/*.bin",
        "var/lib/apt/lists/*",
        "var/log/**/*.log",
        "run/*",
        "tmp/*",
    )
    for pattern in patterns:
        for path in root.glob(pattern):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
    os.makedirs(root / "var/lib/apt/lists/partial", mode=0o755, exist_ok=True)  # noqa: PTH103 - mode of the last only
