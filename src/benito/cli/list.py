"""`benito list`."""

from __future__ import annotations

import click

from benito.cli.common import json_option


@click.command("list")
@json_option
def command(as_json: bool) -> None:
    """List experiments and their states."""
    from benito.cli.common import console, plain, print_json, say, table
    from benito.testbed.testbed import Testbed

    records = Testbed().records()
    if as_json:
        print_json(
            [{"experiment": str(r.id), "state": r.state, "reason": r.reason, "file": r.settings.file} for r in records]
        )
        return
    if not records:
        say("there is no experiment yet; `benito up FILE -p PID -e EID` makes one")
        return
    made = table("experiment", "state", "packing", "file", "reason")
    for r in records:
        made.add_row(str(r.id), r.state, str(r.settings.packing), r.settings.file, plain(r.reason))
    console().print(made)
