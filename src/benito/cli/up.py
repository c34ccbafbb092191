"""`benito up`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benito.cli.common import json_option
from benito.cli.options import making_options


@click.command("up")
@making_options
@click.option("--no-linktest", is_flag=True, help="Don't measure the links afterwards.")
@json_option
def command(file: Path, pid: str | None, eid: str | None, no_linktest: bool, as_json: bool, **told: Any) -> None:
    """Create an experiment from FILE and run it; what runs already is left as it is.

    Afterwards shows the nodes and, for each link, what was asked and what was measured.
    """
    from benito.cli.common import progress, say
    from benito.cli.notices import tell_notices
    from benito.cli.options import named, settings
    from benito.cli.placing import placing
    from benito.cli.report import report
    from benito.testbed.swapin import swap_in
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito up`")
    bed = Testbed()
    experiment = named(file, pid, eid)
    if not bed.same(experiment, file):
        topology = bed.create(experiment, file, settings(bed, file, told, placing(told)))
        tell_notices(topology, file)
        say(f"{experiment} is created")
    elif told["ignore_missing_software"]:
        bed.ignore_missing_software(experiment)
    if told["cold"] is not None:
        bed.boot_cold(experiment, told["cold"])
    with progress() as shown:
        swap_in(bed, experiment, shown)
    report(bed, experiment, linktest=not no_linktest, as_json=as_json)
