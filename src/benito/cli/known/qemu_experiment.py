"""`qemu_experiment.py PID EID FILE PACKING`: virtual machines packed onto hosts, so many on each."""

from __future__ import annotations

import argparse
from pathlib import Path

from benito.cli.known.making import make, parser
from benito.cli.main import run

NAME = "qemu_experiment.py"


def create(words: list[str]) -> None:
    """Create the experiment that the words ask for."""
    from benito.embedding.options import EmbeddingOptions

    ask = parser(NAME, "Create an experiment of virtual machines, swapped out. Partitions in the file don't count.")
    ask.add_argument("pid", metavar="PID", help="project")
    ask.add_argument("eid", metavar="EID", help="name of the experiment, which must be new")
    ask.add_argument("file", metavar="FILE", type=Path, help="NS or TopDL")
    ask.add_argument("packing", metavar="PACKING", type=_packing, help="virtual machines on each host")
    told = ask.parse_intermixed_args(words)
    placing = EmbeddingOptions(packing=told.packing, force_partition=True, default_container="qemu")
    make(told.pid, told.eid, told.file, placing, told, NAME)


def _packing(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of machines: write 1 or more")
    return int(text)


def main() -> None:
    """Run it as a command."""
    run(create)
