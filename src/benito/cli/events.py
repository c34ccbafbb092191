"""`benito events`."""

from __future__ import annotations

import click

from benito.cli.common import experiment_arguments, json_option


@click.command("events")
@experiment_arguments
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with new ones, until Ctrl-C.")
@json_option
def command(experiment: str | None, pid: str | None, eid: str | None, following: bool, as_json: bool) -> None:
    """Show what has happened in an experiment, oldest first."""
    import asyncio
    import contextlib
    import json

    from benito.cli.common import chosen, plain
    from benito.testbed.keeping import follow
    from benito.testbed.testbed import Testbed

    bed = Testbed()
    place = bed.place(chosen(bed, experiment, pid, eid))
    if place.events.exists():
        for line in place.events.read_text().splitlines():
            # A host that lost power may leave half a line.
            with contextlib.suppress(ValueError, KeyError):
                event = json.loads(line)
                click.echo(line if as_json else plain(sentence(event)))

    async def go_on() -> None:
        async for event in follow(place):
            if "time" in event:
                click.echo(json.dumps(event) if as_json else plain(sentence(event)))

    if following:
        asyncio.run(go_on())


def sentence(event: dict[str, object]) -> str:
    """One event as a line for people."""
    import datetime

    at = datetime.datetime.fromtimestamp(float(str(event["time"]))).strftime("%H:%M:%S.%f")[:-3]
    who = event.get("node") or event.get("pnode") or ""
    status = event.get("status")
    if isinstance(status, list):
        boot, code = status
        what = f"{boot or 'unknown'}" + (f" ({code})" if code is not None else "")
    else:
        what = str(event.get("error") or event.get("phase") or event.get("notice") or event.get("event") or "")
    return f"{at} {who}: {what}"
