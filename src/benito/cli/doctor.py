"""`benito doctor`."""

from __future__ import annotations

import click

from benito.cli.common import json_option

STYLES = {"good": "green", "note": "yellow", "bad": "red"}


@click.command("doctor")
@json_option
def command(as_json: bool) -> None:
    """Tell what this host can do for experiments and what stands in the way.

    Exit status 1 when something must be mended first.
    """
    from rich.text import Text

    from benito.cli.common import console, print_json, table
    from benito.testbed.doctor import examine
    from benito.testbed.testbed import Testbed

    checks = list(examine(Testbed()))
    if as_json:
        print_json(checks)
    else:
        made = table("", "what", "found", "what to do")
        for check in checks:
            made.add_row(Text(check.grade, STYLES[check.grade]), check.what, check.found, check.hint)
        console().print(made)
    raise SystemExit(1 if any(check.grade == "bad" for check in checks) else 0)
