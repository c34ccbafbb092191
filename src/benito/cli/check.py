"""`benito check`: everything wrong with a file, all at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from benito.errors import Fault


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(file: Path, as_json: bool) -> None:
    """Read FILE and list its errors and what to know before it runs; the exit status is 2 when there are errors.

    Warns of what has no effect here, of what start commands will not find on the nodes, and of software that this
    host can't read.
    """
    from benito.errors import InputError
    from benito.testbed.software import missing
    from benito.topology.addressing import assign
    from benito.topology.advice import advice
    from benito.topology.reader import read

    errors: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()
    summary = ""
    try:
        topology = assign(read(file))
        warnings = (*topology.warnings, *advice(topology), *missing(topology))
        summary = f"{len(topology.nodes)} nodes, {len(topology.lans)} links and LANs"
    except InputError as error:
        errors = error.faults
    if as_json:
        import json

        click.echo(json.dumps({"errors": [_plain(each) for each in errors], "warnings": [_plain(w) for w in warnings]}))
    else:
        for each in errors:
            click.echo(f"error: {each}")
        for each in warnings:
            click.echo(f"warning: {each}")
        wrong = "1 error" if len(errors) == 1 else f"{len(errors)} errors"
        click.echo(f"{file}: {wrong if errors else f'good ({summary})'}")
    if errors:
        raise SystemExit(InputError.exit_status)


def _plain(fault: Fault) -> dict[str, Any]:
    return {
        "file": fault.where.file if fault.where else None,
        "line": fault.where.line if fault.where else None,
        "message": fault.message,
        "hint": fault.hint,
    }
