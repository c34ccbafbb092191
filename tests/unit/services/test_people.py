"""Who may do what, and what a door is told of whom."""

from __future__ import annotations

import stat
from itertools import product
from pathlib import Path

import pytest
from simulated import enter

from benito.errors import AccessError, InputError, StateError
from benito.services.access import Access, folder, new_token, token_file
from benito.services.certificates import Authority
from benito.services.people_keys import first_user, give_certificate, take_back
from benito.testbed.people import Action, Role, User
from benito.testbed.testbed import Testbed

MAY = {
    Role.VIEWER: {Action.SEE},
    Role.MEMBER: {Action.SEE, Action.STEER},
    Role.OWNER: {Action.SEE, Action.STEER, Action.MANAGE},
    None: set(),
}


@pytest.fixture
def access(bed: Testbed) -> Access:
    return Access(bed)


@pytest.mark.parametrize(("role", "action"), list(product(MAY, Action)))
def test_a_role_allows_what_it_says_in_its_project_only(access: Access, role: Role | None, action: Action) -> None:
    user = access.people.add("alice")
    access.people.set_role(user, "Demo", role)
    assert access.may(user, action, "DEMO") is (action in MAY[role])
    assert not access.may(user, action, "Demo2")


def test_an_administrator_may_everything_and_a_stranger_nothing(access: Access) -> None:
    assert access.may(access.people.add("root", admin=True), Action.MANAGE, "Any")
    assert not access.may(User("nobody-we-know"), Action.SEE, "Any")


def test_owners_say_who_belongs_to_their_project_and_nobody_else_does(access: Access) -> None:
    olga, mike, root = access.people.add("olga"), access.people.add("mike"), access.people.add("root", admin=True)
    access.people.set_role(olga, "Demo", Role.OWNER)
    access.appoint(olga, "demo", "MIKE", Role.MEMBER)
    assert access.members("DEMO") == {"mike": Role.MEMBER, "olga": Role.OWNER}
    for user, pid in ((mike, "Demo"), (olga, "Other")):
        with pytest.raises(AccessError, match="may not say who belongs to"):
            access.appoint(user, pid, "mike", Role.OWNER)
    with pytest.raises(StateError, match="no user 'nick'"):
        access.appoint(olga, "Demo", "nick", Role.VIEWER)
    for role in (None, Role.MEMBER):
        with pytest.raises(StateError, match="olga is the last owner"):
            access.appoint(olga, "Demo", "olga", role)
    access.appoint(olga, "Demo", "mike", Role.OWNER)
    access.appoint(mike, "Demo", "olga", None)
    access.appoint(root, "Demo", "mike", None)
    assert access.members("Demo") == {}


def test_an_experiment_that_may_not_be_seen_is_as_if_it_were_not(access: Access, bed: Testbed) -> None:
    enter(bed)
    alice, viewer = access.people.add("alice"), access.people.add("vera")
    access.people.set_role(viewer, "demo", Role.VIEWER)
    with pytest.raises(StateError) as hidden:
        access.experiment(alice, Action.SEE, "Demo", "star")
    with pytest.raises(StateError) as missing:
        access.experiment(alice, Action.SEE, "Demo", "nova")
    assert hidden.value.message.replace("star", "nova") == missing.value.message
    assert access.experiment(viewer, Action.SEE, "DEMO", "STAR").id.eid == "star"
    with pytest.raises(AccessError, match="vera may not steer experiments of Demo"):
        access.experiment(viewer, Action.STEER, "Demo", "star")
    with pytest.raises(InputError, match="can't be EID"):
        access.experiment(viewer, Action.SEE, "Demo", "../star")
    assert [access.records(user) for user in (alice, viewer)] == [[], bed.records()]


def test_a_token_is_its_users_until_the_next_and_kept_from_all_eyes(access: Access, bed: Testbed) -> None:
    user = access.people.add("alice")
    first = new_token(bed.home, access.people, user)
    assert access.by_token(first) == user
    second = new_token(bed.home, access.people, user)
    assert (access.by_token(first), access.by_token(second), access.by_token("")) == (None, user, None)
    assert token_file(bed.home, user).read_text().strip() == second
    assert second.encode() not in b"".join(file.read_bytes() for file in bed.home.root.glob("benito.db*"))


def test_whatever_holds_a_secret_is_roots_alone(access: Access, bed: Testbed) -> None:
    authority = Authority(folder(bed.home))
    authority.ensure(["localhost"])
    user = first_user(access.people)
    new_token(bed.home, access.people, user)
    give_certificate(access.people, authority, user)
    found = list(folder(bed.home).rglob("*"))
    assert {file.name for file in found} >= {"ca.key", "server.pem", f"{user.name.lower()}.pem", user.name.lower()}
    for file in [folder(bed.home), *found]:
        assert stat.S_IMODE(file.stat().st_mode) == (0o700 if file.is_dir() else 0o600), file


def test_a_removed_user_is_unknown_at_once(access: Access, bed: Testbed) -> None:
    authority = Authority(folder(bed.home))
    authority.ensure(["localhost"])
    user = access.people.add("Alice")
    token = new_token(bed.home, access.people, user)
    file = give_certificate(access.people, authority, user)
    access.people.set_role(user, "Demo", Role.OWNER)
    take_back(bed.home, access.people, authority, access.people.user("ALICE"))
    assert access.by_token(token) is None
    assert not file.exists()
    # Who comes later under the name has nothing of theirs.
    assert not access.may(access.people.add("alice"), Action.SEE, "Demo")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "x" * 64, "<b>"])
def test_names_are_plain(access: Access, name: str) -> None:
    with pytest.raises(InputError, match="can't be"):
        access.people.add(name)
    with pytest.raises(InputError, match="can't be"):
        access.people.set_role(access.people.add("alice"), name, Role.OWNER)


def test_the_servers_certificate_follows_its_names(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    authority.ensure(["localhost"])
    before = authority.server.read_bytes()
    authority.ensure(["localhost"])
    assert authority.server.read_bytes() == before
    authority.ensure(["localhost", "192.0.2.7"])
    assert authority.server.read_bytes() != before
