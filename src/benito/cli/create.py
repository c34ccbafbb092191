"""`benito create`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benito.cli.options import making_options


@click.command("create")
@making_options
def command(file: Path, pid: str | None, eid: str | None, **told: Any) -> None:
    """Create an experiment from FILE without running it; `benito swapin` does that."""
    from benito.cli.common import say
    from benito.cli.notices import tell_notices
    from benito.cli.options import named, settings
    from benito.cli.placing import placing
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito create`")
    bed = Testbed()
    experiment = named(file, pid, eid)
    topology = bed.create(experiment, file, settings(bed, file, told, placing(told)))
    tell_notices(topology, file)
    say(f"{experiment} is created; next: benito swapin {experiment}")
