"""`benito project`."""

from __future__ import annotations

import click

from benito.cli.common import json_option


@click.command("project")
@json_option
def command(as_json: bool) -> None:
    """List projects: their experiments, and who is what in them (`benito user role` changes that)."""
    from benito.cli.common import console, print_json, table
    from benito.testbed.people import People
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito project`")
    bed = Testbed()
    names: dict[str, str] = {}
    experiments: dict[str, list[str]] = {}
    members: dict[str, dict[str, str]] = {}
    for record in bed.records():
        names.setdefault(record.id.pid.lower(), record.id.pid)
        experiments.setdefault(record.id.pid.lower(), []).append(record.id.eid)
    for pid, user, role in People(bed.store).members():
        names.setdefault(pid.lower(), pid)
        members.setdefault(pid.lower(), {})[user] = role
    found = [
        {"project": name, "experiments": experiments.get(key, []), "members": members.get(key, {})}
        for key, name in sorted(names.items())
    ]
    if as_json:
        print_json(found)
        return
    made = table("project", "experiments", "members")
    for key, name in sorted(names.items()):
        people = ", ".join(f"{user} ({role})" for user, role in members.get(key, {}).items())
        made.add_row(name, ", ".join(experiments.get(key, [])), people)
    console().print(made)
