"""`swapexp -e pid,eid in|out`, as Emulab's command of this name."""

from __future__ import annotations

from benito.cli.known import emulab
from benito.cli.main import run

NAME = "swapexp"


def swap(words: list[str]) -> int:
    """Swap an experiment in or out."""
    from benito.services.operations import swapping
    from benito.testbed.access import person
    from benito.testbed.testbed import Testbed, require_root

    ask = emulab.experiment_parser(NAME, "Swap an experiment in or out.", "in|out", changes=True)
    ask.add_argument("-k", "--keep", action="store_true", help="out: keep the machines' disks for the next swap-in")
    told = emulab.told_of(ask, words)
    named, rest = emulab.experiment(told.experiment, told.words, ask)
    require_root(f"`{NAME}`")
    bed = Testbed()
    record = bed.record(named)
    request = swapping(record, " ".join(rest), person(), keep=told.keep)
    begun = f"{record.id} is being swapped {rest[0]}"
    return emulab.begin(
        bed, request, wait=told.wait, begun=begun, done=f"{record.id} is {'active' if rest == ['in'] else 'swapped'}"
    )


def main() -> None:
    """Run it as a command."""
    run(swap)
