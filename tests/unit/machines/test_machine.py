"""Whether QEMU's user can reach a machine's files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benito.machines.machine import _make_private, unreachable


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder whose parents are open to all, as pytest's own are not."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


def test_a_closed_folder_above_an_image_is_named(home: Path) -> None:
    disk = home / "images/root.qcow2"
    disk.parent.mkdir(mode=0o755)
    disk.touch()
    assert unreachable([disk], 64070) is None
    disk.parent.chmod(0o700)
    assert unreachable([disk], 64070) == disk.parent
    assert unreachable([disk], disk.parent.stat().st_uid) is None


def test_a_link_in_a_disks_place_changes_nothing_of_the_hosts(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.touch(mode=0o755)
    (tmp_path / "disk").symlink_to(program)
    with pytest.raises(OSError, match="symbolic links"):
        _make_private(tmp_path / "disk")
    assert program.stat().st_mode & 0o777 == 0o755
