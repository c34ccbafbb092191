"""`benito linktest`."""

from __future__ import annotations

import click

from benito.cli.common import experiment_arguments, json_option


@click.command("linktest")
@experiment_arguments
@click.option("--count", type=click.IntRange(1, 10000), default=20, show_default=True, help="Pings per pair.")
@click.option("--link", "links", multiple=True, metavar="NAME", help="Only this link or LAN (may be repeated).")
@json_option
def command(
    experiment: str | None, pid: str | None, eid: str | None, count: int, links: tuple[str, ...], as_json: bool
) -> None:
    """Measure links from inside the nodes, beside what was asked of them."""
    from benito.cli.common import chosen, console, print_json
    from benito.cli.report import link_json, links_table
    from benito.errors import InputError
    from benito.testbed.linktest import measure
    from benito.testbed.store import State
    from benito.testbed.testbed import Testbed, require_state

    bed = Testbed()
    record = bed.record(chosen(bed, experiment, pid, eid))
    require_state(record, State.ACTIVE)
    place = bed.home.place(record.id)
    topology = bed.topology(place, record.settings)
    unknown = set(links) - {lan.name for lan in topology.lans}
    if unknown:
        raise InputError(f"there is no link {', '.join(sorted(unknown))}", hint="`benito show` lists them")
    measured = measure(place, topology, count=count, lans=frozenset(links))
    if as_json:
        print_json([link_json(m) for m in measured])
    else:
        console().print(links_table(measured))
    raise SystemExit(1 if any(m.error or not m.received for m in measured) else 0)
