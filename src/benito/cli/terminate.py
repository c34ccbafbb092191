"""`benito terminate`."""

from __future__ import annotations

import click

from benito.cli.common import experiment_arguments


@click.command("terminate")
@experiment_arguments
def command(experiment: str | None, pid: str | None, eid: str | None) -> None:
    """Remove an experiment and all that belongs to it: machines, disks, logs, its name."""
    from benito.cli.common import chosen, progress, say
    from benito.testbed.swapout import terminate
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito terminate`")
    bed = Testbed()
    name = chosen(bed, experiment, pid, eid)
    with progress() as shown:
        terminate(bed, name, shown)
    say(f"{name} is gone")
