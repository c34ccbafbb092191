"""Whether QEMU's user can reach a machine's files."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from benito.machines.machine import unreachable


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
