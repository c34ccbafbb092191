"""`benito user`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from benito.cli.common import json_option

if TYPE_CHECKING:
    from benito.services.certificates import Authority
    from benito.testbed.people import People, Role
    from benito.testbed.testbed import Testbed

ROLES = ("viewer", "member", "owner")
role_option = click.option(
    "--project",
    "projects",
    multiple=True,
    metavar="PID[:ROLE]",
    help=f"A project they are in, and as what: {', '.join(ROLES)} (default: member).",
)


@click.group("user")
def command() -> None:
    """Say who may come through the doors of `benito serve`, and give them their keys.

    A viewer of a project sees its experiments, a member makes and runs them, an owner also says who else may; an
    administrator may do everything. On this host itself root may do everything anyway.
    """


@command.command("add")
@click.argument("name")
@click.option("--admin", is_flag=True, help="May do everything.")
@role_option
def add(name: str, admin: bool, projects: tuple[str, ...]) -> None:
    """Enter a user and make their token and certificate."""
    from benito.cli.common import say
    from benito.services.access import new_token, token_file
    from benito.services.people_keys import give_certificate

    bed, people = _people("`benito user add`")
    roles = [_role(project) for project in projects]
    user = people.add(name, admin=admin)
    for pid, role in roles:
        people.set_role(user, pid, role)
    new_token(bed.home, people, user)
    certificate = give_certificate(people, _authority(bed), user)
    say(f"{user.name} is entered; hand on to them, by a way that nobody else can read:")
    say(f"  token for the web page    {token_file(bed.home, user)}")
    say(f"  certificate for XML-RPC   {certificate} (their ~/.ssl/emulab.pem)")


@command.command("rm")
@click.argument("name")
def remove(name: str) -> None:
    """Forget a user: no door knows them from now on. Experiments stay."""
    from benito.cli.common import say
    from benito.services.people_keys import take_back

    bed, people = _people("`benito user rm`")
    user = people.user(name)
    take_back(bed.home, people, _authority(bed), user)
    say(f"{user.name} is forgotten")


@command.command("list")
@json_option
def show(as_json: bool) -> None:
    """List users and what they are."""
    from benito.cli.common import console, print_json, table

    _, people = _people("`benito user list`")
    found = [(user, people.roles(user)) for user in people.users()]
    if as_json:
        print_json([{"user": user.name, "admin": user.admin, "roles": roles} for user, roles in found])
        return
    made = table("user", "may everything", "projects")
    for user, roles in found:
        made.add_row(user.name, "yes" if user.admin else "no", ", ".join(f"{pid}:{r}" for pid, r in roles.items()))
    console().print(made)


@command.command("role")
@click.argument("name")
@click.argument("pid")
@click.argument("role", type=click.Choice([*ROLES, "none"]))
def role(name: str, pid: str, role: str) -> None:
    """Say what a user is in a project; `none` takes it back."""
    from benito.cli.common import say
    from benito.testbed.people import Role

    _, people = _people("`benito user role`")
    user = people.user(name)
    people.set_role(user, pid, None if role == "none" else Role(role))
    say(f"{user.name} is {'nothing' if role == 'none' else role} in {pid}")


@command.command("token")
@click.argument("name")
def token(name: str) -> None:
    """Give a user a new token for the web page; the old one ends at once."""
    from benito.cli.common import say
    from benito.services.access import new_token, token_file

    bed, people = _people("`benito user token`")
    user = people.user(name)
    new_token(bed.home, people, user)
    say(f"a new token for {user.name}: {token_file(bed.home, user)}")


@command.command("certificate")
@click.argument("name")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write a copy here.")
def certificate(name: str, out: Path | None) -> None:
    """Give a user a new certificate for XML-RPC; the old one ends at once."""
    from benito.cli.common import say
    from benito.services.files import copy_secret
    from benito.services.people_keys import give_certificate

    bed, people = _people("`benito user certificate`")
    user = people.user(name)
    authority = _authority(bed)
    file = give_certificate(people, authority, user)
    if out is not None:
        file = copy_secret(file, out)
    say(f"a new certificate for {user.name}: {file} (their ~/.ssl/emulab.pem)")
    say(f"what they know this server by: {authority.certificate}")


def _people(what: str) -> tuple[Testbed, People]:
    from benito.testbed.people import People
    from benito.testbed.testbed import Testbed, require_root

    require_root(what)
    bed = Testbed()
    return bed, People(bed.store)


def _authority(bed: Testbed) -> Authority:
    from benito.services.access import folder
    from benito.services.certificates import Authority, own_names

    authority = Authority(folder(bed.home))
    if not authority.certificate.exists():
        authority.ensure(own_names("127.0.0.1"))
    return authority


def _role(text: str) -> tuple[str, Role]:
    from benito.errors import InputError
    from benito.testbed.people import Role

    pid, _, role = text.partition(":")
    if (role or "member") not in ROLES:
        raise InputError(f"there is no role {role!r}", hint=f"one of {', '.join(ROLES)}")
    return pid, Role(role or "member")
