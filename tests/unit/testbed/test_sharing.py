"""Folders that people share with nodes: what is understood, what is refused, what is made on the host."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benito.errors import AccessError, HostError, InputError
from benito.idmap import OWNER, is_person
from benito.testbed import sharing
from benito.testbed.config import Config, Lent
from benito.testbed.home import Home
from benito.testbed.store import Settings, SharedFolder


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home" / "proj").mkdir(parents=True)
    return Home(tmp_path / "home")


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    return tmp_path / "tools"


@pytest.mark.parametrize(
    ("rest", "target", "read_only"),
    [
        (":/share/tools", "/share/tools", False),
        (":/share/tools:ro", "/share/tools", True),
        (":ro", None, True),
        ("", None, False),
    ],
)
def test_a_folder_is_shared_where_it_is_or_at_another_place(
    home: Home, tools: Path, rest: str, target: str | None, read_only: bool
) -> None:
    found = sharing.parse(f"{tools}{rest}", home, "root")
    assert found == SharedFolder(source=str(tools), target=target or str(tools), read_only=read_only)


@pytest.mark.parametrize("target", ["/", "/etc", "/usr/local/x", "/var/lib/y", "/proc/z", "share", "/a/../etc", "/a b"])
def test_no_folder_takes_the_place_of_the_nodes_own(home: Home, tools: Path, target: str) -> None:
    with pytest.raises(InputError, match="can't be a folder's place in nodes"):
        sharing.parse(f"{tools}:{target}", home, "root")


def test_what_is_no_folder_is_refused(home: Home, tools: Path) -> None:
    (tools / "file").touch()
    for missing in (tools / "file", tools / "missing"):
        with pytest.raises(InputError, match="is no folder on this host"):
            sharing.parse(f"{missing}:/share/x", home, "root")
    with pytest.raises(InputError, match="not understood"):
        sharing.parse(f"{tools}:/a:/b:ro", home, "root")


def test_neither_benitos_own_folder_nor_what_holds_it_is_shared(home: Home, tools: Path) -> None:
    (tools / "link").symlink_to(home.root)
    for folder in (home.root, home.root.parent, home.root / "proj", tools / "link"):
        with pytest.raises(InputError, match="Benito's own folder"):
            sharing.parse(f"{folder}:/share/x", home, "root")


@pytest.mark.parametrize("folder", ["/", "/etc", "/proc", "/dev", "/run", "/boot"])
def test_the_hosts_own_folders_are_not_shared(home: Home, folder: str) -> None:
    with pytest.raises(InputError):
        sharing.parse(f"{folder}:/share/x", home, "root")


def test_folders_in_each_others_place_are_refused() -> None:
    def at(*targets: str) -> list[SharedFolder]:
        return [SharedFolder(source="/srv", target=target) for target in targets]

    sharing.refuse_clashes(at("/share/a", "/share/b", "/proj/Other"), "P")
    for clashing in (("/share/a", "/share/a"), ("/share/a", "/share/a/b"), ("/proj/P",), ("/proj",), ("/proj/P/x",)):
        with pytest.raises(InputError, match="in each other's place"):
            sharing.refuse_clashes(at(*clashing), "P")


def test_a_project_has_one_folder_in_every_spelling(home: Home) -> None:
    folder = sharing.project_folder(home, Config(), "Proj")
    assert folder == home.root / "proj" / "Proj"
    folder.mkdir()
    assert sharing.project_folder(home, Config(), "PROJ") == folder
    assert sharing.project_folder(home, Config(projects="/srv/p"), "Proj") == Path("/srv/p/Proj")


def test_the_folders_that_start_commands_expect_are_made_and_nothing_is_changed(home: Home) -> None:
    folder = home.root / "proj" / "P"
    sharing._furnish(folder, "E", os.geteuid())
    assert (folder / "exp" / "E" / "logs").is_dir()
    assert folder.stat().st_mode & 0o7777 == 0o1777
    folder.chmod(0o750)
    (folder / "exp" / "E" / "logs" / "kept").write_text("x")
    sharing._furnish(folder, "E", os.geteuid())
    assert folder.stat().st_mode & 0o7777 == 0o750
    assert (folder / "exp" / "E" / "logs" / "kept").exists()


def test_a_link_that_a_node_has_put_there_is_not_followed(home: Home, tools: Path) -> None:
    folder = home.root / "proj" / "P"
    folder.mkdir()
    (folder / "exp").symlink_to(tools)
    sharing._furnish(folder, "E", os.geteuid())
    assert list(tools.iterdir()) == []
    assert (folder / "exp").is_symlink()


def test_only_people_are_themselves_on_both_sides() -> None:
    assert [is_person(uid) for uid in (0, 33, 999, 1000, 59999, 60000, OWNER, 65534)] == [
        False,
        False,
        False,
        True,
        True,
        False,
        False,
        False,
    ]


def test_each_swap_in_asks_again_whether_a_folder_may_be_shared(home: Home, tools: Path, tmp_path: Path) -> None:
    folder = SharedFolder(source=str(tools), target="/share/x", read_only=True, by_door=True)
    sharing.ask_again(folder, home, Config(shares={str(tools): Lent()}), "P", "root")
    with pytest.raises(AccessError, match="P may not have this folder"):
        sharing.ask_again(folder, home, Config(), "P", "root")
    tools.rename(tmp_path / "moved")
    tools.symlink_to("/etc")
    with pytest.raises(InputError, match="a link has taken its place"):
        sharing.ask_again(folder, home, Config(shares={str(tools): Lent()}), "P", "root")


class Heard:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def step(self, text: str) -> None:
        raise AssertionError(text)

    def node(self, node: str, phase: str) -> None:
        raise AssertionError(node)

    def notice(self, text: str) -> None:
        self.notices.append(text)


def test_without_a_server_only_what_was_asked_for_is_an_error(
    tmp_path: Path, tools: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()
    plain = Settings(file="x.ns", packing=1)
    asked = Settings(file="x.ns", packing=1, shares=(SharedFolder(source=str(tools), target="/share/x"),))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert sharing._can_serve(plain, heard) is False
    assert heard.notices == [
        "virtual machines have no /proj: not installed: ganesha.nfsd, bindfs (apt-get install bindfs nfs-ganesha-vfs)"
    ]
    with pytest.raises(HostError, match="--share names: not installed"):
        sharing._can_serve(asked, heard)
    for program in sharing.PROGRAMS:
        (tmp_path / program).touch(mode=0o755)
    monkeypatch.setattr(sharing, "FUSE", tools)
    assert sharing._can_serve(asked, heard) is True
    monkeypatch.setattr(sharing, "FUSE", tmp_path / "missing")
    with pytest.raises(HostError, match="missing is missing"):
        sharing._can_serve(asked, heard)
