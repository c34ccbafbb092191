"""`benito ssh`."""

from __future__ import annotations

import os

import click


@click.command("ssh", context_settings={"ignore_unknown_options": True})
@click.option("-p", "--pid", help="Project id.")
@click.option("-e", "--eid", help="Experiment id, or PID/EID.")
@click.argument("node")
@click.argument("words", nargs=-1, type=click.UNPROCESSED)
def command(node: str, words: tuple[str, ...], pid: str | None, eid: str | None) -> None:
    """Log in to NODE, or run a command there; a plain `ssh node.eid.pid` does the same."""
    from benito.cli.nodenames import active_nodes, experiment_of
    from benito.testbed.names import ssh_argv
    from benito.testbed.testbed import Testbed

    bed = Testbed()
    experiment, name = experiment_of(bed, node, pid, eid)
    place, nodes = active_nodes(bed, experiment, name)
    argv = [*ssh_argv(place, nodes[0].node), *words]
    os.execvp(argv[0], argv)
