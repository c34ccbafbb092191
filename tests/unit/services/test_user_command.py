"""`benito user` and `benito project`: people are entered, shown, changed and forgotten."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import click
import pytest
from simulated import enter

from benito.cli import project, user
from benito.errors import HostError, InputError, StateError
from benito.services.access import Access
from benito.testbed.people import Action
from benito.testbed.testbed import Testbed

Said = pytest.CaptureFixture[str]


def run(command: click.Command, *words: str) -> None:
    command.main(list(words), standalone_mode=False)


def test_a_user_comes_changes_and_goes(bed: Testbed, capsys: Said) -> None:
    enter(bed)
    run(user.command, "add", "alice", "--project", "Demo:owner", "--project", "Other")
    assert "tokens/alice" in capsys.readouterr().err
    run(user.command, "list", "--json")
    listed = json.loads(capsys.readouterr().out)
    assert listed == [{"user": "alice", "admin": False, "roles": {"demo": "owner", "other": "member"}}]
    run(user.command, "role", "ALICE", "demo", "viewer")
    run(project.command, "--json")
    assert json.loads(capsys.readouterr().out)[0] == {
        "project": "Demo",
        "experiments": ["star"],
        "members": {"alice": "viewer"},
    }
    run(user.command, "rm", "alice")
    access = Access(bed)
    assert access.people.users() == []
    with pytest.raises(StateError, match="there is no user 'alice'"):
        run(user.command, "token", "alice")


def test_no_role_is_no_right(bed: Testbed) -> None:
    run(user.command, "add", "bob", "--project", "Demo")
    access = Access(bed)
    bob = access.people.user("bob")
    assert access.may(bob, Action.STEER, "Demo")
    run(user.command, "role", "bob", "Demo", "none")
    assert not access.may(bob, Action.SEE, "Demo")
    with pytest.raises(InputError, match="there is no role 'king'"):
        run(user.command, "add", "carl", "--project", "Demo:king")
    # Who was refused is not half there.
    assert [each.name for each in access.people.users()] == ["bob"]


def test_a_certificate_is_copied_for_its_person_alone(bed: Testbed, tmp_path: Path) -> None:
    run(user.command, "add", "alice")
    copy = tmp_path / "alice.pem"
    run(user.command, "certificate", "alice", "-o", str(copy))
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert copy.read_text().count("BEGIN") == 2
    with pytest.raises(HostError, match="can't write"):
        run(user.command, "certificate", "alice", "-o", str(copy))
