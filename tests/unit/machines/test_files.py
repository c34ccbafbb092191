"""A layer of a node's root, written from outside while the node's root may have put anything there."""

from pathlib import Path

import pytest

from benito.machines.files import Tree


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "hosts").write_text("the host's\n")
    return folder


def test_files_folders_and_links_are_there_with_their_modes(tmp_path: Path) -> None:
    with Tree(tmp_path / "layer") as tree:
        tree.file("etc/hosts", "a\n", mode=0o600)
        tree.file("etc/hosts", "b\n")
        tree.folder("home/alice", mode=0o700)
        tree.link("var/log", "../elsewhere")
    assert (tmp_path / "layer/etc/hosts").read_text() == "b\n"
    assert (tmp_path / "layer/etc/hosts").stat().st_mode & 0o777 == 0o644
    assert (tmp_path / "layer/home/alice").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "layer/var/log").readlink() == Path("../elsewhere")


def test_a_link_in_the_place_of_a_folder_is_not_followed(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer/etc").symlink_to(outside)
    with Tree(tmp_path / "layer") as tree:
        tree.file("etc/hosts", "the node's\n")
    assert (outside / "hosts").read_text() == "the host's\n"
    assert (tmp_path / "layer/etc/hosts").read_text() == "the node's\n"


def test_a_link_in_the_place_of_a_file_is_replaced(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "layer/etc").mkdir(parents=True)
    (tmp_path / "layer/etc/hosts").symlink_to(outside / "hosts")
    with Tree(tmp_path / "layer") as tree:
        assert tree.read("etc/hosts") == ""
        tree.file("etc/hosts", "the node's\n")
        assert tree.read("etc/hosts") == "the node's\n"
    assert (outside / "hosts").read_text() == "the host's\n"


def test_removing_stays_inside(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "layer").mkdir()
    (tmp_path / "layer/etc").symlink_to(outside)
    (tmp_path / "layer/run").symlink_to(outside)
    with Tree(tmp_path / "layer") as tree:
        tree.remove("etc/hosts")
        tree.remove("run")
        tree.remove("never/there")
    assert (outside / "hosts").exists()
    assert not (tmp_path / "layer/run").is_symlink()
