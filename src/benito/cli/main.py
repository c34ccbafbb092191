"""`benito`: finds the verb, runs it, and turns what it raises into one line and an exit status."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable
from typing import Any

import click

VERBS = {
    "up": "Create an experiment from a file and swap it in.",
    "down": "Swap an experiment out (or terminate it).",
    "create": "Create an experiment from a file, swapped out.",
    "swapin": "Give an experiment its machines and links.",
    "swapout": "Take an experiment's machines and links back.",
    "terminate": "Remove an experiment and all that belongs to it.",
    "list": "List experiments and their states.",
    "status": "Show an experiment's nodes as they are now.",
    "nodes": "List an experiment's nodes and addresses.",
    "events": "Show what has happened in an experiment.",
    "show": "Show what a file asks for.",
    "check": "Check a file and list everything wrong with it.",
    "convert": "Write a file in the other language: NS or TopDL.",
    "plan": "Show where each node of a file would go.",
    "graph": "Draw an experiment or a file as SVG, PNG, dot or Mermaid.",
    "ssh": "Log in to a node.",
    "exec": "Run a command on nodes.",
    "console": "Open a node's serial console.",
    "node": "Start, stop or restart machines.",
    "linktest": "Measure links and compare them with what was asked.",
    "ssh-config": "Print an ssh configuration for another computer.",
    "serve": "Open the doors for others: web page, XML-RPC, status protocol.",
    "user": "Say who may come through the doors.",
    "project": "List projects, their experiments and members.",
    "image": "List, build and remove node images.",
    "doctor": "Tell what this host can do and what stands in the way.",
    "sweep": "Find and remove what a crash left behind.",
}
INTERRUPTED = 130


class Verbs(click.Group):
    """Loads a verb's module when it is asked for, so that `--help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        module = importlib.import_module(f"benito.cli.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(VERBS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            import difflib

            near = difflib.get_close_matches(args[0], VERBS, 1)
            raise click.UsageError(error.message + (f" Did you mean '{near[0]}'?" if near else ""), ctx) from None


@click.group(cls=Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(package_name="benito", message="benito %(version)s")
def benito(debug: bool) -> None:
    """Turn an experiment description into a running network of virtual machines.

    Start with: benito up FILE -p PID -e EID
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends the process with the error's exit status."""
    words = sys.argv[1:] if arguments is None else arguments
    run(lambda words: benito.main(words, prog_name="benito", standalone_mode=False), words, "--debug" in words[:1])


def run(command: Callable[[list[str]], Any], words: list[str] | None = None, debug: bool | None = None) -> None:
    """Run a command with its words; ends the process with the command's or its error's exit status."""
    words = sys.argv[1:] if words is None else words
    # What machines must reach has to stay passable on hosts whose umask hides everything.
    os.umask(0o022)
    debug = "--debug" in words if debug is None else debug
    try:
        status = command(words)
    except Exception as error:
        status = _report(error, debug)
    except KeyboardInterrupt:
        status = INTERRUPTED
    _flush()
    raise SystemExit(status if isinstance(status, int) else 0)


def _report(error: Exception, debug: bool) -> int:
    from benito.errors import BenitoError

    if debug:
        raise error
    if isinstance(error, click.exceptions.Exit):
        return error.exit_code
    if isinstance(error, click.Abort):
        return INTERRUPTED
    if isinstance(error, click.ClickException):
        error.show()
        return error.exit_code
    if isinstance(error, BenitoError):
        from benito.cli.common import plain

        click.echo(_styled(plain(str(error))), err=True)
        return error.exit_status
    if isinstance(error, BrokenPipeError):
        return 0
    raise error


def _styled(text: str) -> str:
    """Every line of the message behind a red `error:` where the terminal shows colours."""
    label = click.style("error:", fg="red", bold=True) if sys.stderr.isatty() else "error:"
    return "\n".join(f"{label} {line}" for line in text.splitlines())


def _flush() -> None:
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
