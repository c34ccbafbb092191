"""What the verbs share: naming an experiment, JSON or text, progress on standard error."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from benito.testbed.home import ExperimentId
    from benito.testbed.progress import Progress
    from benito.testbed.testbed import Testbed

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
PIPE_WIDTH = 160
"""Columns of a table that no terminal shows."""

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON for programs.")


def experiment_arguments(command: F) -> F:
    """An experiment as `PID/EID`, as `-p PID -e EID`, or none where only one exists."""
    for decorate in (
        click.option("-e", "--eid", help="Experiment id, or PID/EID."),
        click.option("-p", "--pid", help="Project id."),
        click.argument("experiment", required=False, metavar="[PID/EID]"),
    ):
        command = decorate(command)
    return command


def chosen(bed: Testbed, experiment: str | None, pid: str | None, eid: str | None) -> ExperimentId:
    """Return the experiment meant; without words the only one there is. InputError when that isn't clear."""
    from benito.errors import InputError
    from benito.testbed.home import ExperimentId

    if experiment and eid and experiment.lower() != eid.lower():
        raise InputError(f"there are two names of an experiment: {experiment} and {eid}", hint="say one")
    name = experiment or eid or ""
    if "/" in name:
        return agreed(name, pid)
    if pid and name:
        return ExperimentId.checked(pid, name)
    found = [
        record.id
        for record in bed.records()
        if (not pid or record.id.pid.lower() == pid.lower()) and (not name or record.id.eid.lower() == name.lower())
    ]
    if len(found) == 1:
        return found[0]
    if not found:
        asked = "/".join(filter(None, (pid, name)))
        raise InputError(
            f"there is no experiment {asked}" if asked else "there is no experiment yet",
            hint="`benito up FILE -p PID -e EID` makes one",
        )
    names = ", ".join(map(str, found[:5])) + (", ..." if len(found) > 5 else "")
    raise InputError(f"there are {len(found)} experiments: {names}", hint="say which: PID/EID")


def agreed(name: str, pid: str | None) -> ExperimentId:
    """Return the experiment of that full name; InputError when it isn't of the project that was named besides."""
    from benito.errors import InputError
    from benito.testbed.home import ExperimentId

    experiment = ExperimentId.parse(name)
    if pid and pid.lower() != experiment.pid.lower():
        raise InputError(f"{name} isn't of the project {pid}", hint="say PID/EID, or -p PID -e EID")
    return experiment


def print_json(value: Any) -> None:
    """Print one JSON document."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def console(stderr: bool = False) -> Console:
    """The terminal, with colours where it has them."""
    from rich.console import Console

    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    return Console(stderr=stderr, highlight=False, markup=False, emoji=False, width=None if terminal else PIPE_WIDTH)


def table(*columns: str, title: str | None = None) -> Table:
    """A plain table with a header."""
    from rich import box
    from rich.table import Table

    made = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", pad_edge=False, title_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def plain(text: str) -> str:
    """Return the text without control characters but newlines and tabs.

    What a node writes may hold escape sequences, and a terminal obeys them.
    """
    return CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def say(text: str) -> None:
    """Tell the person something, on standard error."""
    click.echo(text, err=True)


class Lines:
    """Progress as lines with the seconds since the beginning: for logs and pipes."""

    def __init__(self) -> None:
        self.began = time.monotonic()

    def _say(self, text: str) -> None:
        click.echo(f"[{time.monotonic() - self.began:6.1f} s] {plain(text)}", err=True)

    def step(self, text: str) -> None:
        """Say what is done now."""
        self._say(text)

    def node(self, node: str, phase: str) -> None:
        """Say how far a node is."""
        self._say(f"{node}: {phase}")

    def notice(self, text: str) -> None:
        """Say it."""
        self._say(f"note: {text}")


class Screen:
    """Progress in place, for a terminal: the step, how far each node is and for how long."""

    def __init__(self) -> None:
        from rich.live import Live

        self.began = time.monotonic()
        self.current = ""
        self.nodes: dict[str, tuple[str, float]] = {}
        self.console = console(stderr=True)
        self.live = Live(console=self.console, refresh_per_second=8, transient=True, get_renderable=self._render)

    def step(self, text: str) -> None:
        """Show what is done now; what was done before scrolls up."""
        if self.current:
            self._keep(self.current)
        self.current = text

    def node(self, node: str, phase: str) -> None:
        """Show how far a node is."""
        self.nodes[node] = (phase, time.monotonic())

    def notice(self, text: str) -> None:
        """Show it above."""
        from rich.text import Text

        self.console.print(Text.assemble(("note: ", "yellow"), plain(text)))

    def _keep(self, text: str) -> None:
        from rich.text import Text

        taken = f" ({time.monotonic() - self.began:.1f} s)"
        self.console.print(Text.assemble(("✓ ", "green"), plain(text), (taken, "dim")))

    def _render(self) -> RenderableType:
        from rich.console import Group
        from rich.spinner import Spinner
        from rich.text import Text

        now = time.monotonic()
        lines: list[RenderableType] = [Spinner("dots", f"{self.current} ({now - self.began:.0f} s)")]
        counts: dict[str, int] = {}
        for phase, _ in self.nodes.values():
            counts[phase] = counts.get(phase, 0) + 1
        if counts:
            lines.append(Text("  " + " · ".join(f"{count} {phase}" for phase, count in sorted(counts.items()))))
        room = max(3, self.console.height - 4)
        busy = [(node, *rest) for node, rest in self.nodes.items() if rest[0] not in ("booted", "stopped")]
        for node, phase, since in busy[:room]:
            lines.append(Text(f"    {node:<20} {phase} {now - since:.0f} s", style="dim"))
        return Group(*lines)


@contextmanager
def progress() -> Iterator[Progress]:
    """Show a long operation's progress on standard error, in the way that suits it."""
    if not sys.stderr.isatty():
        yield Lines()
        return
    screen = Screen()
    with screen.live:
        yield screen
        if screen.current:
            screen._keep(screen.current)
