"""`startexp -p pid -e eid nsfile`: create an experiment and swap it in, as Emulab's command of this name."""

from __future__ import annotations

import argparse
from pathlib import Path

from benito.cli.known import emulab
from benito.cli.main import run

NAME = "startexp"
WITHOUT_EFFECT = ("-g", "-S", "-L", "-a", "-l", "-E")


def start(words: list[str]) -> int:
    """Create the experiment that the words ask for, and have it swapped in unless they say not to."""
    from benito.cli.common import say
    from benito.cli.known.making import DEFAULTS
    from benito.cli.notices import tell_notices
    from benito.cli.options import settings
    from benito.embedding.options import EmbeddingOptions
    from benito.services.operations import Kind, Request
    from benito.testbed.access import person
    from benito.testbed.home import ExperimentId
    from benito.testbed.testbed import Testbed, require_root

    told = emulab.told_of(_parser(), words)
    require_root(f"`{NAME}`")
    bed = Testbed()
    name = ExperimentId.checked(told.pid, told.eid)
    placing = EmbeddingOptions(packing=told.packing)
    options = {**DEFAULTS, "packing": told.packing, "ignore_missing_software": told.ignore_missing_software}
    topology = bed.create(name, told.file, settings(bed, told.file, options, placing))
    if not told.quiet:
        tell_notices(topology, told.file)
    if told.preload:
        print(f"{name} is created, swapped out")
        return 0
    request = Request(kind=Kind.SWAPIN, pid=name.pid, eid=name.eid, user=person())
    if not told.wait:
        say(f"wait for it with: expwait -e {name.pid},{name.eid} active")
    return emulab.begin(bed, request, wait=told.wait, begun=f"{name} is being started", done=f"{name} is active")


def _parser() -> argparse.ArgumentParser:
    ask = emulab.parser(NAME, "Create an experiment from a file and swap it in.")
    ask.add_argument("-p", dest="pid", required=True, help="project")
    ask.add_argument("-e", dest="eid", required=True, help="name of the experiment, which must be new")
    ask.add_argument("-i", action="store_true", help="swap in at once (which always happens; there is no batch queue)")
    ask.add_argument("-w", dest="wait", action="store_true", help="wait until it is active")
    ask.add_argument("-f", dest="preload", action="store_true", help="don't swap it in")
    ask.add_argument("-q", dest="quiet", action="store_true", help="say less")
    ask.add_argument("-N", action="store_true", help="no mail (there is none)")
    for option in WITHOUT_EFFECT:
        ask.add_argument(option, dest=f"no_effect_{option[1]}", metavar="VALUE", help="taken, without effect")
    ask.add_argument("--packing", type=int, default=10, help="virtual nodes on each host")
    ask.add_argument("--ignore-missing-software", action="store_true")
    ask.add_argument("file", metavar="nsfile", type=Path, help="NS or TopDL")
    return ask


def main() -> None:
    """Run it as a command."""
    run(start)
