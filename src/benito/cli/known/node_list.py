"""`node_list --extra`, as Benito had it on DETER, and `node_list -e pid,eid`, as Emulab has it."""

from __future__ import annotations

from benito.cli.known import emulab
from benito.cli.main import run

NAME = "node_list"
FORMS = {
    "p": "names of the nodes outside (default with -e)",
    "P": "the same, with their kinds",
    "v": "names of the nodes in the file",
    "h": "pnode of each node",
    "H": "the same, with the nodes' kinds",
    "m": "name in the file and name outside",
}


def show(words: list[str]) -> None:
    """Print hosts and nodes of active experiments, or one experiment's nodes on one line."""
    import socket

    from benito.cli.common import say
    from benito.testbed.listing import node_list
    from benito.testbed.store import State
    from benito.testbed.testbed import Testbed
    from benito.testbed.view import experiment_view

    ask = emulab.parser(NAME, "List nodes.", helps=("--help",))
    ask.add_argument("--extra", action="store_true", help="with the nodes that are no hosts themselves")
    ask.add_argument(
        "-e", dest="experiment", nargs="?", const="", metavar="pid,eid", help="experiment; alone, the same as --extra"
    )
    for form, text in FORMS.items():
        ask.add_argument(f"-{form}", dest="form", action="store_const", const=form, help=text)
    ask.add_argument("words", nargs="*", metavar="pid,eid")
    told = emulab.told_of(ask, words)
    bed = Testbed()
    extra = told.extra or told.experiment == ""
    if told.experiment or told.words:
        named, rest = emulab.experiment(told.experiment or None, told.words, ask)
        if rest:
            ask.error(f"too many words: {' '.join(rest)}")
        record = bed.record(named)
        if record.state is State.SWAPPED:
            say(f"{record.id} is swapped out: it has no nodes now")
        records = [record]
    else:
        if told.form:
            ask.error(f"-{told.form} is about one experiment: -e pid,eid")
        records = [record for record in bed.records() if record.state is not State.SWAPPED]
    for record in records:
        view = experiment_view(bed, record)
        if extra or not (told.experiment or told.words):
            print(node_list(view, socket.gethostname(), extra=extra))
        else:
            print(" ".join(_words(told.form or "p", node) for node in view.nodes))


def _words(form: str, node: object) -> str:
    from benito.testbed.view import NodeView

    assert isinstance(node, NodeView)
    return {
        "p": node.name,
        "P": f"{node.name} ({node.kind})",
        "v": node.node,
        "h": node.pnode,
        "H": f"{node.pnode} ({node.kind})",
        "m": f"{node.node}={node.name}",
    }[form]


def main() -> None:
    """Run it as a command."""
    run(show)
