"""Overlays as QEMU's own tools see them."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benito.errors import HostError
from benito.machines.overlay import backing_file, create_overlay, virtual_size

pytestmark = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")


@pytest.mark.parametrize("size", ["64k", "1M", "513M", "8G", "300G"])
def test_an_overlay_is_valid_and_shows_its_backing_disk(tmp_path: Path, size: str) -> None:
    base, disk = tmp_path / "base, of all.qcow2", tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(base), size], check=True)
    create_overlay(disk, base)
    subprocess.run(["qemu-img", "check", "-q", str(disk)], check=True)
    info = json.loads(subprocess.run(["qemu-img", "info", "--output=json", str(disk)], capture_output=True).stdout)
    assert info["virtual-size"] == virtual_size(base)
    assert info["full-backing-filename"] == str(base)
    assert info["backing-filename-format"] == "qcow2"
    assert disk.stat().st_size <= 5 << 16
    assert backing_file(disk) == str(base)


def test_something_else_is_no_backing_disk(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(4096))
    with pytest.raises(HostError, match="is no qcow2 disk"):
        create_overlay(tmp_path / "disk", tmp_path / "raw")


def test_what_a_machine_has_put_in_its_disks_place_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert backing_file(tmp_path / "pipe") is None
    (tmp_path / "link").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="symbolic links"):
        backing_file(tmp_path / "link")
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(tmp_path / "base"), "1M"], check=True)
    create_overlay(tmp_path / "disk", tmp_path / "base")
    with (tmp_path / "disk").open("r+b") as file:
        file.seek(16)
        file.write(b"\xff\xff\xff\xff")
    os.truncate(tmp_path / "disk", 1 << 33)
    assert backing_file(tmp_path / "disk") is None
