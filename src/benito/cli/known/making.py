"""What the known commands share: they create an experiment, swapped out, and say where to see it."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benito.cli.common import say

if TYPE_CHECKING:
    from benito.embedding.options import EmbeddingOptions
    from benito.testbed.home import ExperimentId

DEFAULTS: dict[str, Any] = {
    "memory": None,
    "members": (),
    "cpus": None,
    "disk": None,
    "default_os": None,
    "addressing": "benito",
    "shaping": "auto",
    "accelerator": "auto",
    "no_internet": False,
    "cold": None,
    "strict_os": False,
    "image": None,
}
"""Of `benito create`: what the known commands have no options for."""


def parser(name: str, description: str) -> argparse.ArgumentParser:
    """Return a parser with what all of them take: options may be abbreviated, as they always could."""
    made = argparse.ArgumentParser(prog=name, description=description)
    made.add_argument("--swapin", action="store_true", help="swap the experiment in at once")
    made.add_argument(
        "--ignore-missing-software", action="store_true", help="start nodes without software that can't be had"
    )
    made.add_argument("--debug", action="store_true", help="show tracebacks")
    return made


def make(pid: str, eid: str, file: Path, placing: EmbeddingOptions, told: argparse.Namespace, name: str) -> None:
    """Create the experiment and, if asked, swap it in; ends with where it is seen and its state."""
    from benito.cli.notices import tell_notices
    from benito.cli.options import settings
    from benito.services.address import experiment_url
    from benito.testbed.home import ExperimentId
    from benito.testbed.testbed import Testbed, require_root

    require_root(f"`{name}`")
    bed = Testbed()
    experiment = ExperimentId.checked(pid, eid)
    options = {**DEFAULTS, "packing": placing.packing, "ignore_missing_software": told.ignore_missing_software}
    chosen = settings(bed, file, options, placing)
    topology = bed.create(experiment, file, chosen)
    tell_notices(topology, file)
    print(f"Created {experiment} (nodes: {len(topology.nodes)}, links and LANs: {len(topology.lans)}).")
    print(f"See it at {experiment_url(bed.home, experiment.pid, experiment.eid)} (while `benito serve` runs).")
    if not told.swapin:
        print("Status: swapped")
        say(f"swap it in with: benito swapin {experiment}")
        return
    _swap_in(experiment)


def _swap_in(experiment: ExperimentId) -> None:
    from benito.cli.common import progress
    from benito.cli.report import report
    from benito.testbed.swapin import swap_in
    from benito.testbed.testbed import Testbed

    bed = Testbed()
    with progress() as shown:
        swap_in(bed, experiment, shown)
    report(bed, experiment, linktest=False, as_json=False)
    print("Status: active")


def ungrouped(project: str) -> str:
    """Return the project of `PROJECT/GROUP`; groups mean nothing here, which is said."""
    pid, slash, group = project.partition("/")
    if slash:
        say(f"note: there are no groups here, {group} is left out")
    return pid
