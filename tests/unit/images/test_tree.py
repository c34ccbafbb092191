"""Roots taken out of disks: whole, and nowhere but where they belong, whatever a node has written into its disk."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from benito.errors import HostError
from benito.images.tree import extract_apart

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("debugfs") is None or shutil.which("mke2fs") is None,
    reason="needs root, mke2fs and debugfs",
)


def disk_of(root: Path, disk: Path, *names: tuple[str, str]) -> Path:
    """Make a disk of a folder, some names in it exchanged for others of the same length, as only its owner can."""
    options = ("-O", "^metadata_csum,^dir_index", "-E", "root_owner=0:0", "-d", str(root))
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", *options, str(disk), "4M"], check=True)
    data = disk.read_bytes()
    for before, after in names:
        assert len(before) == len(after)
        assert before.encode() in data
        data = data.replace(before.encode(), after.encode())
    disk.write_bytes(data)
    return disk


def test_links_modes_and_hard_links_are_as_on_the_disk(tmp_path: Path) -> None:
    root = tmp_path / "made"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/tool").write_text("#!")
    (root / "usr/bin/tool").chmod(0o4755)
    (root / "usr/bin/same").hardlink_to(root / "usr/bin/tool")
    (root / "bin").symlink_to("usr/bin")
    work = tmp_path / "work"
    work.mkdir()
    extract_apart(disk_of(root, tmp_path / "disk"), work)
    made = work / "root"
    assert [path.name for path in work.iterdir()] == ["root"]
    assert (made / "bin").readlink() == Path("usr/bin")
    assert (made / "usr/bin/tool").stat().st_mode & 0o7777 == 0o4755
    assert (made / "usr/bin/same").samefile(made / "usr/bin/tool")


@pytest.mark.parametrize("name", ["../../evil", "../../kept"])
def test_a_name_that_leads_out_changes_nothing_there(tmp_path: Path, name: str) -> None:
    root, work = tmp_path / "made", tmp_path / "work"
    for folder in (root, work):
        folder.mkdir()
    (work / "kept").write_text("the host's own")
    (root / "AAAAAAAAAA").write_text("evil")
    disk = disk_of(root, tmp_path / "disk", ("AAAAAAAAAA", name))
    with contextlib.suppress(HostError):
        extract_apart(disk, work)
    assert (work / "kept").read_text() == "the host's own"
    assert not (work / "evil").exists()
