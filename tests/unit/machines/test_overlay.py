"""Overlays as QEMU's own tools see them."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from benito.errors import HostError
from benito.machines.overlay import create_overlay, virtual_size

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


def test_something_else_is_no_backing_disk(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(bytes(4096))
    with pytest.raises(HostError, match="is no qcow2 disk"):
        create_overlay(tmp_path / "disk", tmp_path / "raw")
