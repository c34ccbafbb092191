"""`benito swapout`."""

from __future__ import annotations

import click

from benito.cli.common import experiment_arguments


@click.command("swapout")
@experiment_arguments
@click.option("--keep", is_flag=True, help="Shut the machines down in order and keep their disks for the next swap-in.")
def command(experiment: str | None, pid: str | None, eid: str | None, keep: bool) -> None:
    """Take an experiment's machines and links back; the experiment itself stays."""
    from benito.cli.common import chosen, progress, say
    from benito.testbed.swapout import swap_out
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito swapout`")
    bed = Testbed()
    name = chosen(bed, experiment, pid, eid)
    with progress() as shown:
        swap_out(bed, name, keep=keep, progress=shown)
    disks = "disks are kept" if keep else "disks are gone: the next swap-in starts fresh machines"
    say(f"{name} is swapped out; {disks}")
