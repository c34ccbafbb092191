"""`benito down`."""

from __future__ import annotations

import click

from benito.cli.common import experiment_arguments


@click.command("down")
@experiment_arguments
@click.option("--keep", is_flag=True, help="Keep the machines' disks for the next swap-in.")
@click.option("--terminate", is_flag=True, help="Remove the experiment too.")
def command(experiment: str | None, pid: str | None, eid: str | None, keep: bool, terminate: bool) -> None:
    """Swap an experiment out; with --terminate remove it too. Fine when it is out already."""
    from benito.cli.common import chosen, progress, say
    from benito.errors import InputError
    from benito.testbed.store import State
    from benito.testbed.swapout import leftovers, swap_out
    from benito.testbed.swapout import terminate as remove
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito down`")
    if keep and terminate:
        raise InputError("--keep and --terminate exclude each other")
    bed = Testbed()
    name = chosen(bed, experiment, pid, eid)
    with progress() as shown:
        if terminate:
            remove(bed, name, shown)
        elif bed.record(name).state is not State.SWAPPED or leftovers(bed.place(name)):
            swap_out(bed, name, keep=keep, progress=shown)
    if terminate:
        say(f"{name} is gone")
    else:
        say(f"{name} is swapped out; benito swapin {name} brings it up, benito terminate {name} removes it")
