"""Which folders may be shared through a door: what the host's owner lists, and one's own."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from benito.errors import AccessError
from benito.testbed import lending
from benito.testbed.config import Config, Lent
from benito.testbed.store import SharedFolder


def folder(source: Path, *, read_only: bool = True) -> SharedFolder:
    return SharedFolder(source=str(source), target="/share/x", read_only=read_only)


@pytest.fixture
def alice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home of a local user who owns everything in it."""
    home = tmp_path / "alice"
    for name in ("data", ".ssh", "work/.keys/deep"):
        (home / name).mkdir(parents=True)
    entry = pwd.struct_passwd(("alice", "x", os.getuid() or 1234, os.getgid(), "", str(home), "/bin/sh"))

    def account(name: str) -> pwd.struct_passwd:
        if name == "alice":
            return entry
        raise KeyError(name)

    monkeypatch.setattr(lending.pwd, "getpwnam", account)
    monkeypatch.setattr(lending, "is_person", lambda uid: uid == entry.pw_uid)
    for path in (home, *home.rglob("*")):
        os.chown(path, entry.pw_uid, -1)
    return home


def test_what_is_listed_may_be_shared_as_it_is_listed(tmp_path: Path) -> None:
    config = Config(shares={str(tmp_path): Lent(projects=("Demo",))})
    lending.refuse(folder(tmp_path), config, "demo", "nobody")
    with pytest.raises(AccessError, match="Other may not have this folder"):
        lending.refuse(folder(tmp_path), config, "Other", "nobody")
    with pytest.raises(AccessError, match="may only read"):
        lending.refuse(folder(tmp_path, read_only=False), config, "Demo", "nobody")
    lending.refuse(folder(tmp_path, read_only=False), Config(shares={str(tmp_path): Lent(write=True)}), "X", "nobody")


def test_what_lies_in_a_listed_folder_is_not_listed(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    with pytest.raises(AccessError):
        lending.refuse(folder(inner), Config(shares={str(tmp_path): Lent()}), "Demo", "nobody")


def test_ones_own_folder_may_be_read_by_nodes_and_not_written(alice: Path) -> None:
    lending.refuse(folder(alice / "data"), Config(), "Demo", "alice")
    with pytest.raises(AccessError, match="may only read"):
        lending.refuse(folder(alice / "data", read_only=False), Config(), "Demo", "alice")


@pytest.mark.parametrize("where", ["", "..", ".ssh", "work/.keys/deep"])
def test_neither_ones_home_nor_anything_hidden_is_shared(alice: Path, where: str) -> None:
    with pytest.raises(AccessError):
        lending.refuse(folder((alice / where).resolve()), Config(), "Demo", "alice")


def test_anothers_folder_and_one_that_is_not_there_are_refused_alike(alice: Path) -> None:
    said = set()
    for source, person in ((alice / "data", "bob"), (alice / "missing", "alice"), (Path("/etc"), "alice")):
        with pytest.raises(AccessError) as refused:
            lending.refuse(folder(source), Config(), "Demo", person)
        said.add(refused.value.message.partition(": ")[2])
    assert said == {"Demo may not have this folder"}
