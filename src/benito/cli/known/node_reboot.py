"""`node_reboot node...` or `node_reboot -e pid,eid`, as Emulab's command of this name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benito.cli.known import emulab
from benito.cli.main import run

if TYPE_CHECKING:
    from benito.testbed.home import Place
    from benito.testbed.testbed import Testbed

NAME = "node_reboot"


def reboot(words: list[str]) -> None:
    """Reset the machines that the words name."""
    import asyncio

    from benito.errors import InputError
    from benito.testbed.rebooting import reboot as restart
    from benito.testbed.testbed import Testbed, require_root

    ask = emulab.parser(NAME, "Restart machines; their links and disks stay.")
    ask.add_argument("-w", dest="wait", action="store_true", help="wait until they are up again")
    ask.add_argument("-f", dest="power", action="store_true", help="end and start them instead of a reset")
    ask.add_argument("-c", dest="reconfigure", action="store_true", help="(not here: nodes configure at each boot)")
    ask.add_argument("-s", action="store_true", help="taken, without effect")
    ask.add_argument("-e", dest="experiment", metavar="pid,eid", help="all machines of an experiment")
    ask.add_argument("nodes", nargs="*", metavar="node.eid.pid")
    told = emulab.told_of(ask, words)
    if bool(told.nodes) == bool(told.experiment):
        ask.error("name nodes, or an experiment with -e pid,eid")
    if told.reconfigure:
        raise InputError("nodes can't be configured without a boot", hint="leave -c out: each boot configures them")
    require_root(f"`{NAME}`")
    bed = Testbed()
    for place, nodes in _asked(bed, told.experiment, told.nodes):
        asyncio.run(restart(place, nodes, power=told.power, wait=told.wait))
        print(f"rebooted: {', '.join(nodes)}")


def _asked(bed: Testbed, experiment: str | None, nodes: list[str]) -> list[tuple[Place, list[str]]]:
    """Return the machines by experiment."""
    from benito.cli.nodenames import active_nodes
    from benito.errors import InputError
    from benito.testbed.home import ExperimentId

    patterns: dict[ExperimentId, list[str]] = {}
    if experiment:
        patterns[ExperimentId.parse(experiment.replace(",", "/"))] = ["all"]
    for node in nodes:
        name, *rest = node.split(".")
        if len(rest) != 2:
            raise InputError(f"{node!r} doesn't say which experiment it is in", hint="write node.eid.pid")
        patterns.setdefault(ExperimentId.checked(rest[1], rest[0]), []).append(name)
    found = []
    for named, wanted in patterns.items():
        place, records = active_nodes(bed, named, ",".join(wanted))
        found.append((place, [record.node for record in records]))
    return found


def main() -> None:
    """Run it as a command."""
    run(reboot)
