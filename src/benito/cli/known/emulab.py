"""What Emulab's commands share: naming an experiment, options without effect here, operations in the background."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from benito.cli.common import say

if TYPE_CHECKING:
    from benito.services.operations import Operations, Request
    from benito.testbed.home import ExperimentId
    from benito.testbed.testbed import Testbed

ELSEWHERE = ("--server", "--port", "--login", "--cert", "--cacert")
"""Of Emulab's clients, which talk to another host; these work on this one."""


def parser(name: str, description: str, *, helps: tuple[str, ...] = ("-h", "--help")) -> argparse.ArgumentParser:
    """Return a parser with the options that all of Emulab's clients take."""
    made = argparse.ArgumentParser(prog=name, description=description, add_help=False)
    made.add_argument(*helps, action="help", help="show this help and end")
    for option in ELSEWHERE:
        made.add_argument(option, dest="elsewhere", action="append", metavar="VALUE", help=argparse.SUPPRESS)
    made.add_argument("--debug", action="store_true", help="show tracebacks")
    return made


def experiment_parser(name: str, description: str, words: str, *, changes: bool = False) -> argparse.ArgumentParser:
    """Return a parser of a command about one experiment; one that changes it may be waited for."""
    made = parser(name, description)
    made.add_argument("-e", dest="experiment", metavar="pid,eid", help="experiment")
    if changes:
        made.add_argument("-w", dest="wait", action="store_true", help="wait until it is done")
        made.add_argument("-N", action="store_true", help="no mail (there is none)")
    made.add_argument("words", nargs="*", metavar=words)
    return made


def told_of(ask: argparse.ArgumentParser, words: list[str]) -> argparse.Namespace:
    """Read the words; options that name a server get a notice."""
    told = ask.parse_intermixed_args(words)
    if told.elsewhere:
        say("note: this works on this host's own experiments; --server and its like have no effect")
    return told


def experiment(told: str | None, rest: list[str], ask: argparse.ArgumentParser) -> tuple[ExperimentId, list[str]]:
    """Return the experiment named by `-e pid,eid`, or by the first words `pid eid`, `pid,eid` or `pid/eid`."""
    from benito.testbed.home import ExperimentId

    if told is None and rest and ("," in rest[0] or "/" in rest[0]):
        told, rest = rest[0], rest[1:]
    if told is not None:
        pid, _, eid = told.replace("/", ",").partition(",")
        return ExperimentId.checked(pid, eid), rest
    if len(rest) < 2:
        ask.error("say which experiment: -e pid,eid")
    return ExperimentId.checked(rest[0], rest[1]), rest[2:]


def begin(bed: Testbed, request: Request, *, wait: bool, begun: str, done: str) -> int:
    """Begin an operation; with `wait` show its progress and return its exit status."""
    from benito.services.operations import Operations

    operations = Operations(bed.home)
    operation = operations.start(request)
    if not wait:
        print(begun)
        return 0
    outcome = _followed(operations, operation.id)
    if outcome == 0:
        print(done)
    return outcome


def _followed(operations: Operations, name: str) -> int:
    import asyncio

    from benito.cli.common import plain, progress
    from benito.services.operations import Outcome

    async def show() -> Outcome:
        with progress() as shown:
            async for event in operations.follow(name):
                if "step" in event:
                    shown.step(event["step"])
                elif "node" in event:
                    shown.node(event["node"], event["phase"])
                elif "notice" in event:
                    shown.notice(event["notice"])
        outcome = operations.get(name).outcome
        assert outcome is not None
        return outcome

    try:
        outcome = asyncio.run(show())
    except KeyboardInterrupt:
        say("what has begun goes on; `benito status` tells how it went")
        raise
    if outcome.done:
        return 0
    say(f"error: {plain(outcome.error)}")
    return outcome.raised.exit_status
