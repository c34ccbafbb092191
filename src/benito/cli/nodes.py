"""`benito nodes`."""

from __future__ import annotations

import click

from benito.cli.common import experiment_arguments, json_option


@click.command("nodes")
@experiment_arguments
@json_option
def command(experiment: str | None, pid: str | None, eid: str | None, as_json: bool) -> None:
    """List an experiment's nodes, where they are, how large, and their addresses."""
    from benito.cli.common import chosen, console, print_json
    from benito.cli.report import nodes_table
    from benito.testbed.testbed import Testbed
    from benito.testbed.view import experiment_view, with_plans

    bed = Testbed()
    view = with_plans(bed, experiment_view(bed, bed.record(chosen(bed, experiment, pid, eid))))
    if as_json:
        print_json(view.nodes)
    else:
        console().print(nodes_table(view, sizes=True))
