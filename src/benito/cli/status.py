"""`benito status`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from benito.cli.common import experiment_arguments, json_option

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from rich.console import RenderableType

    from benito.testbed.home import ExperimentId
    from benito.testbed.testbed import Testbed
    from benito.testbed.view import ExperimentView

REDRAW_S = 0.2
"""The least time between two pictures: hundreds of nodes come up in a second."""


@click.command("status")
@experiment_arguments
@click.option("-w", "--watch", is_flag=True, help="Keep showing it as it changes, until Ctrl-C.")
@json_option
def command(experiment: str | None, pid: str | None, eid: str | None, watch: bool, as_json: bool) -> None:
    """Show an experiment's state and its nodes as they are now.

    Exit status 0 when it is active and every node booted, 1 otherwise.
    """
    from benito.cli.common import chosen, console, print_json
    from benito.testbed.testbed import Testbed
    from benito.testbed.view import experiment_view, with_plans

    bed = Testbed()
    name = chosen(bed, experiment, pid, eid)
    if watch:
        _watch(bed, name)
        return
    view = with_plans(bed, experiment_view(bed, bed.record(name)))
    if as_json:
        print_json(view)
    else:
        console().print(_rendered(view))
    raise SystemExit(0 if view.state == "active" and all(node.boot == "booted" for node in view.nodes) else 1)


def _rendered(view: ExperimentView) -> RenderableType:
    from rich.console import Group
    from rich.text import Text

    from benito.cli.common import plain
    from benito.cli.report import nodes_table

    head = f"{view.experiment} is {view.state}" + (f": {plain(view.reason)}" if view.reason else "")
    lost = [name for name, state in view.pnodes.items() if state == "lost"]
    lines: list[RenderableType] = [Text(head)]
    if lost:
        lines.append(Text(f"can't be reached: {', '.join(lost)}; `benito swapin {view.experiment}` brings them back"))
    if view.nodes:
        lines.append(nodes_table(view))
    return Group(*lines)


def _watch(bed: Testbed, name: ExperimentId) -> None:
    """Show the status again when the keeper tells something; ends with the experiment's activity or Ctrl-C."""
    import asyncio

    from rich.live import Live

    from benito.agent.rpc import Unreachable
    from benito.cli.common import console
    from benito.testbed.keeping import follow
    from benito.testbed.view import experiment_view, with_plans

    def look() -> ExperimentView:
        again = bed.again()
        try:
            return with_plans(again, experiment_view(again, again.record(name)))
        finally:
            again.store.close()

    async def show(live: Live) -> None:
        try:
            async for _ in gathered(follow(bed.place(name)), REDRAW_S):
                live.update(_rendered(await asyncio.to_thread(look)), refresh=True)
        except Unreachable:
            return

    with Live(_rendered(look()), console=console(), auto_refresh=False) as live:
        asyncio.run(show(live))


async def gathered(events: AsyncIterator[object], seconds: float) -> AsyncIterator[None]:
    """Yield once for all events that come within so many seconds; ends, or raises, as the events do."""
    import asyncio

    news = asyncio.Event()

    async def hear() -> None:
        async for _ in events:
            news.set()

    hearing = asyncio.create_task(hear())
    hearing.add_done_callback(lambda _: news.set())
    try:
        while True:
            await news.wait()
            if hearing.done():
                hearing.result()
                return
            news.clear()
            yield
            await asyncio.sleep(seconds)
    finally:
        hearing.cancel()
