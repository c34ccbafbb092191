"""`endexp -e pid,eid`: terminate an experiment, as Emulab's command of this name."""

from __future__ import annotations

from benito.cli.known import emulab
from benito.cli.main import run

NAME = "endexp"


def end(words: list[str]) -> int:
    """Terminate the experiment."""
    from benito.services.operations import Kind, Request
    from benito.testbed.access import person
    from benito.testbed.testbed import Testbed, require_root

    text = "Terminate an experiment: its machines, disks and its entry are removed."
    ask = emulab.experiment_parser(NAME, text, "pid eid", changes=True)
    told = emulab.told_of(ask, words)
    named, rest = emulab.experiment(told.experiment, told.words, ask)
    if rest:
        ask.error(f"too many words: {' '.join(rest)}")
    require_root(f"`{NAME}`")
    bed = Testbed()
    record = bed.record(named)
    request = Request(kind=Kind.TERMINATE, pid=record.id.pid, eid=record.id.eid, user=person())
    begun = f"{record.id} is being terminated"
    return emulab.begin(bed, request, wait=told.wait, begun=begun, done=f"{record.id} is gone")


def main() -> None:
    """Run it as a command."""
    run(end)
