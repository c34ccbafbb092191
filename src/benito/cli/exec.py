"""`benito exec`."""

from __future__ import annotations

import asyncio
import shlex
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from benito.cli.common import json_option

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from benito.testbed.home import Place

AT_ONCE = 16
LONGEST_LINE = 1 << 20
"""Bytes that are gathered in wait for a line's end."""


@dataclass(slots=True)
class Outcome:
    """What came of the command on one node."""

    code: int
    stdout: str = ""
    stderr: str = ""


@click.command("exec", context_settings={"ignore_unknown_options": True})
@click.option("-p", "--pid", help="Project id.")
@click.option("-e", "--eid", help="Experiment id, or PID/EID.")
@json_option
@click.argument("nodes")
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def command(nodes: str, words: tuple[str, ...], pid: str | None, eid: str | None, as_json: bool) -> None:
    """Run a command on NODES: a name, names with commas, patterns like 'n-*', or `all`.

    A single word is given to the shell there as it is; several words are quoted. Exit status: the node's own for one
    node, the highest of all for several; 255 where ssh itself failed.
    """
    from benito.cli.common import print_json, say
    from benito.cli.nodenames import active_nodes, experiment_of
    from benito.testbed.testbed import Testbed

    bed = Testbed()
    experiment, patterns = experiment_of(bed, nodes, pid, eid)
    place, records = active_nodes(bed, experiment, patterns)
    line = words[0] if len(words) == 1 else shlex.join(words)
    names = [record.node for record in records]
    labelled = len(names) > 1 and not as_json
    outcomes = asyncio.run(_run(place, names, line, stream=not as_json, labelled=labelled))
    if as_json:
        print_json(outcomes)
    failed = [f"{node} ({outcome.code})" for node, outcome in outcomes.items() if outcome.code]
    if failed and labelled:
        say(f"failed on {len(failed)} of {len(names)} nodes: {', '.join(failed)}")
    raise SystemExit(max(outcome.code for outcome in outcomes.values()))


async def _run(place: Place, nodes: Sequence[str], line: str, *, stream: bool, labelled: bool) -> dict[str, Outcome]:
    turns = asyncio.Semaphore(AT_ONCE)

    async def one(node: str) -> Outcome:
        async with turns:
            return await _one(place, node, line, stream, f"{node}: " if labelled else "")

    return dict(zip(nodes, await asyncio.gather(*map(one, nodes)), strict=True))


async def _one(place: Place, node: str, line: str, stream: bool, label: str) -> Outcome:
    from benito.testbed.names import ssh_argv

    argv = [*ssh_argv(place, node, batch=True), "--", line]
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    outcome = Outcome(0)
    assert process.stdout is not None
    assert process.stderr is not None
    outcome.stdout, outcome.stderr = await asyncio.gather(
        _take(process.stdout, stream, label, err=False), _take(process.stderr, stream, label, err=True)
    )
    code = await process.wait()
    outcome.code = code if code >= 0 else 255
    return outcome


async def _lines(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Yield lines with their ends; what has no end within LONGEST_LINE comes in pieces."""
    rest = b""
    while chunk := await reader.read(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line + b"\n"
        if len(rest) > LONGEST_LINE:
            yield rest
            rest = b""
    if rest:
        yield rest


async def _take(reader: asyncio.StreamReader, stream: bool, label: str, *, err: bool) -> str:
    """Pass lines on as they come, or gather them."""
    kept = []
    out = sys.stderr if err else sys.stdout
    async for data in _lines(reader):
        text = data.decode(errors="replace")
        if stream:
            out.write(label + text)
            out.flush()
        else:
            kept.append(text)
    return "".join(kept)
