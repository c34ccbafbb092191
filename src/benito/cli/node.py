"""`benito node`."""

from __future__ import annotations

import click

ACTIONS = {"start": "booted", "stop": "dead", "restart": "booted", "kill": "dead"}


@click.command("node")
@click.argument("action", type=click.Choice(list(ACTIONS)))
@click.argument("nodes")
@click.option("-p", "--pid", help="Project id.")
@click.option("-e", "--eid", help="Experiment id, or PID/EID.")
def command(action: str, nodes: str, pid: str | None, eid: str | None) -> None:
    """Start, stop (shut down in order), restart (reset) or kill (power off) machines; their links and disks stay.

    NODES is a name, names with commas, patterns like 'n-*', or `all`.
    """
    from benito.cli.common import say
    from benito.cli.nodenames import active_nodes, experiment_of
    from benito.errors import BenitoError
    from benito.testbed.keeping import STOPPING, Request, ask_keeper
    from benito.testbed.testbed import Testbed, require_root

    require_root(f"`benito node {action}`")
    bed = Testbed()
    experiment, patterns = experiment_of(bed, nodes, pid, eid)
    place, records = active_nodes(bed, experiment, patterns)
    requests = [Request("control", {"node": record.node, "action": action}) for record in records]
    failed = False
    answers = ask_keeper(place, requests, 120, at_once=STOPPING if action == "stop" else None)
    for record, answer in zip(records, answers, strict=True):
        if isinstance(answer, BenitoError):
            failed = True
            say(f"{record.node}: {answer}")
    if not failed:
        say(f"{action}: {', '.join(record.node for record in records)}; `benito status -w` shows them come and go")
    raise SystemExit(7 if failed else 0)
