"""Giving users their keys to the doors."""

from __future__ import annotations

from pathlib import Path

from benito.services.access import accept_certificate, token_file
from benito.services.certificates import Authority
from benito.testbed.access import person
from benito.testbed.home import LABEL, Home
from benito.testbed.people import People, User


def first_user(people: People) -> User:
    """Return the first administrator; whoever runs this becomes one when there is none."""
    users = people.users()
    for user in users:
        if user.admin:
            return user
    name = person()
    if not LABEL.fullmatch(name):
        name = "admin"
    for user in users:
        if user.name.lower() == name.lower():
            people.set_admin(user, True)
            return people.user(name)
    return people.add(name, admin=True)


def give_certificate(people: People, authority: Authority, user: User) -> Path:
    """Give a user a new certificate in the place of the old one; returns the file with it and its key."""
    accept_certificate(people, user, authority.issue(user.name))
    return authority.user(user.name)


def take_back(home: Home, people: People, authority: Authority, user: User) -> None:
    """Remove a user and what Benito keeps of their keys; from now on no door knows them."""
    people.remove(user)
    token_file(home, user).unlink(missing_ok=True)
    authority.user(user.name).unlink(missing_ok=True)
