"""Folders of people, reached without the links that they may put in the way."""

import os
from pathlib import Path

import pytest

from benito.mounts import open_folder


def test_a_folder_is_opened_by_its_own_path(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    descriptor = open_folder(tmp_path / "a/b")
    assert os.path.samestat(os.fstat(descriptor), (tmp_path / "a/b").stat())
    os.close(descriptor)


@pytest.mark.parametrize("link", ["a", "a/b"])
def test_a_link_on_the_way_or_at_its_end_is_no_way(tmp_path: Path, link: str) -> None:
    (tmp_path / "other/b").mkdir(parents=True)
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "other" / ("b" if link == "a/b" else ""))
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        open_folder(tmp_path / "a/b")
