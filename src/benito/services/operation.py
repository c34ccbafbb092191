"""The process of one operation: does it as the command line would and writes down how it goes."""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from pathlib import Path
from typing import Any

import msgspec

from benito.errors import BenitoError
from benito.services.files import private_folder
from benito.services.operations import Kind, Operations, Outcome, Request
from benito.testbed.home import Home
from benito.testbed.store import Settings
from benito.testbed.swapin import swap_in
from benito.testbed.swapout import swap_out, terminate
from benito.testbed.testbed import Testbed

log = logging.getLogger("operation")


class Written:
    """Progress as lines of JSON."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def _write(self, **event: Any) -> None:
        line = json.dumps({"time": round(time.time(), 3), **event})
        os.write(self.descriptor, line.encode() + b"\n")

    def step(self, text: str) -> None:
        """Write it down."""
        self._write(step=text)

    def node(self, node: str, phase: str) -> None:
        """Write it down."""
        self._write(node=node, phase=phase)

    def notice(self, text: str) -> None:
        """Write it down."""
        self._write(notice=text)

    def end(self, outcome: Outcome) -> None:
        """Write the last line."""
        self._write(**msgspec.to_builtins(outcome))


def perform(bed: Testbed, request: Request, file: Path, progress: Written) -> None:
    """Do what is asked; raises what the testbed raises."""
    experiment = request.experiment
    if request.kind in (Kind.CREATE, Kind.UP):
        assert request.settings is not None
        progress.step("reading the file")
        topology = bed.create(experiment, _named(file, request.settings), request.settings, sent=True)
        for warning in topology.warnings:
            progress.notice(str(warning))
    if request.kind in (Kind.SWAPIN, Kind.UP):
        swap_in(bed, experiment, progress)
    elif request.kind is Kind.SWAPOUT:
        swap_out(bed, experiment, keep=request.keep, progress=progress)
    elif request.kind is Kind.TERMINATE:
        terminate(bed, experiment, progress)


def _named(file: Path, settings: Settings) -> Path:
    """Return the file under the name its person gave it: errors tell the name, and its ending the language.

    In a folder of its own, for a person may name it like any file of the operation's.
    """
    named = private_folder(file.with_name("named")) / Path(settings.file).name
    named.hardlink_to(file)
    return named


def _outcome(error: BaseException) -> Outcome:
    kind = type(error).__name__
    if isinstance(error, KeyboardInterrupt):
        return Outcome("interrupted", "the operation was interrupted", "HostError")
    if isinstance(error, BenitoError):
        return Outcome("failed", str(error), kind, error.hint)
    return Outcome("failed", f"{kind}: {error}", kind, "this is a defect of Benito; its log has more")


def main() -> None:
    """Do one operation to its end."""
    ask = argparse.ArgumentParser(prog="benito-operation")
    ask.add_argument("--home", type=Path, required=True)
    ask.add_argument("--operation", required=True)
    ask.add_argument("--progress", type=int, required=True, help="open file, locked")
    told = ask.parse_args()
    # What this process starts lives longer than it does, and must not hold its lock.
    os.set_inheritable(told.progress, False)
    os.umask(0o022)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    home = Home(told.home)
    operations = Operations(home)
    written = Written(told.progress)
    try:
        request = operations.get(told.operation).request
        perform(Testbed(home), request, operations.file(told.operation), written)
    except BaseException as error:
        if not isinstance(error, BenitoError | KeyboardInterrupt):
            log.exception("%s", told.operation)
        written.end(_outcome(error))
        raise SystemExit(1) from None
    written.end(Outcome("done"))


if __name__ == "__main__":
    main()
