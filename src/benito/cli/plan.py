"""`benito plan`: where each node of a file would go and what would cross between pnodes; changes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benito.cli.options import sizing, sizing_options
from benito.cli.placing import addressing_option, placing, placing_options

if TYPE_CHECKING:
    from benito.embedding.model import Assignment, Cut
    from benito.plan.model import PnodePlan

USUAL_MEMORY_MIB = 256
SHOWN = 12
"""How many names a line lists before it says how many more there are."""


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@placing_options
@sizing_options
@click.option("--json", "as_json", is_flag=True, help="Print the plans as JSON, with example addresses and images.")
@addressing_option
def command(file: Path, as_json: bool, addressing: str, **told: Any) -> None:
    """Show where each node of FILE would go: nothing is made, no host is asked."""
    from benito.embedding.embed import embed
    from benito.plan.allocations import example
    from benito.plan.build import plan
    from benito.plan.files import text
    from benito.testbed.config import load
    from benito.testbed.home import Home
    from benito.topology.addressing import assign
    from benito.topology.reader import read
    from benito.topology.sizes import sizes

    options = placing(told)
    asked = assign(read(file), "emulab" if addressing == "emulab" else "benito")
    topology, assignment = embed(asked, options)
    told_sizes = sizes(topology, load(Home.default().root).sizes, sizing(told))
    plans = plan(topology, assignment, example(topology, assignment, sizes=told_sizes))
    if as_json:
        for part in text(plans):
            click.echo(part, nl=False)
        return
    for line in describe(assignment, plans):
        click.echo(line)
    # What the reader found belongs to `check`; what placing found is news.
    for warning in topology.warnings[len(asked.warnings) :]:
        click.echo(f"warning: {warning}", err=True)


def describe(assignment: Assignment, plans: tuple[PnodePlan, ...]) -> Iterator[str]:
    """Yield the plans in lines of text."""
    for plan in plans:
        nodes = [machine.node for machine in plan.machines]
        crossing = list(dict.fromkeys(tunnel.lan for tunnel in plan.tunnels))
        every = (nic.lan for machine in plan.machines for nic in machine.nics)
        inside = [lan for lan in dict.fromkeys(every) if lan not in crossing]
        yield f"{plan.pnode}: {_count(nodes, 'node')}"
        physical = [machine.node for machine in plan.machines if machine.kind == "physical"]
        ghosts = [node for node, pnode in assignment.ghosts.items() if pnode == plan.pnode]
        for title, names in (
            ("nodes", [node for node in nodes if node not in physical]),
            ("physical node", physical),
            ("room for", ghosts),
            *_sizes(plan),
            ("links inside", inside),
            ("links crossing", crossing),
        ):
            if names:
                yield f"  {title + ':':<15} {_names(names)}"
    nodes_in_all = len(assignment.places)
    yield f"{nodes_in_all} node{_s(nodes_in_all)} on {_count(plans, 'pnode')}; {_cut(assignment.cut)}"


def _sizes(plan: PnodePlan) -> Iterator[tuple[str, list[str]]]:
    """Yield the sizes of the pnode's machines with their names, unless all are of the usual one."""
    from benito.topology.sizes import Size, text

    held: dict[Size, list[str]] = {}
    for machine in plan.machines:
        if machine.kind != "physical":
            held.setdefault(Size(machine.memory_mib, machine.cpus, machine.disk_mib), []).append(machine.node)
    if set(held) <= {Size(USUAL_MEMORY_MIB, 1, 0)}:
        return
    for size, names in held.items():
        yield text(size), names


def _cut(cut: Cut) -> str:
    """Say what crosses."""
    if not cut.lans:
        return "nothing crosses between pnodes"
    bandwidth = f"{cut.bandwidth_kbps / 1000:g} Mb/s asked for" if cut.bandwidth_kbps else ""
    unlimited = f"{cut.unlimited} without a limit" if cut.unlimited else ""
    what = " and ".join(part for part in (bandwidth, unlimited) if part)
    return f"{'1 link or LAN crosses' if cut.lans == 1 else f'{cut.lans} links or LANs cross'} between pnodes ({what})"


def _names(names: list[str]) -> str:
    more = len(names) - SHOWN
    return " ".join(names[:SHOWN]) + (f" ... and {more} more" if more > 0 else "")


def _count(things: list[str] | tuple[PnodePlan, ...], what: str) -> str:
    return f"{len(things)} {what}{_s(len(things))}"


def _s(count: int) -> str:
    return "" if count == 1 else "s"
