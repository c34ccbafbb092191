"""`expinfo [-n][-m][-l][-d][-a] -e pid,eid`: an experiment in tables, as Emulab's command of this name."""

from __future__ import annotations

from benito.cli.known import emulab
from benito.cli.main import run

NAME = "expinfo"
SECTIONS = {
    "n": ("node_section", "the nodes as the file has them"),
    "m": ("mapping_section", "where the nodes are"),
    "l": ("link_section", "links and LANs"),
    "d": ("shaping_section", "what is shaped, and the queues"),
}


def show(words: list[str]) -> None:
    """Print the sections that are asked for; without any, the first three."""
    from benito.testbed import listing
    from benito.testbed.testbed import Testbed
    from benito.testbed.view import experiment_view

    ask = emulab.experiment_parser(NAME, "Show what is known of an experiment.", "pid eid")
    for option, (_, text) in SECTIONS.items():
        ask.add_argument(f"-{option}", action="store_true", help=text)
    ask.add_argument("-a", action="store_true", help="all")
    told = emulab.told_of(ask, words)
    named, rest = emulab.experiment(told.experiment, told.words, ask)
    if rest:
        ask.error(f"too many words: {' '.join(rest)}")
    bed = Testbed()
    record = bed.record(named)
    topology = bed.topology(bed.home.place(record.id), record.settings)
    view = experiment_view(bed, record)
    chosen = [option for option in SECTIONS if told.a or getattr(told, option)] or ["n", "m", "l"]
    print(listing.head(view))
    for option in chosen:
        print(getattr(listing, SECTIONS[option][0])(view, topology))


def main() -> None:
    """Run it as a command."""
    run(show)
