"""`benito swapin`."""

from __future__ import annotations

import click

from benito.cli.common import experiment_arguments, json_option
from benito.cli.options import cold_option, ignore_option


@click.command("swapin")
@experiment_arguments
@click.option("--linktest", is_flag=True, help="Measure the links afterwards.")
@ignore_option
@cold_option
@json_option
def command(
    experiment: str | None,
    pid: str | None,
    eid: str | None,
    linktest: bool,
    ignore_missing_software: bool,
    cold: bool | None,
    as_json: bool,
) -> None:
    """Give an experiment its machines and links.

    Machines start fresh unless the last swap-out said --keep. On an experiment that is active, brings back lost
    pnodes and dead machines.
    """
    from benito.cli.common import chosen, progress, say
    from benito.cli.report import report
    from benito.testbed.store import State
    from benito.testbed.swapin import swap_in
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito swapin`")
    bed = Testbed()
    name = chosen(bed, experiment, pid, eid)
    record = bed.record(name)
    if ignore_missing_software:
        bed.ignore_missing_software(name)
    if cold is not None:
        bed.boot_cold(name, cold)
    if record.state is State.SWAPPED:
        say("machines go on with kept disks" if record.kept else "machines start fresh (swapout --keep keeps disks)")
    with progress() as shown:
        swap_in(bed, name, shown)
    report(bed, name, linktest=linktest, as_json=as_json)
