"""`mixed_experiment.py PID EID TOPDL`: nodes placed by hand, those without a partition are physical."""

from __future__ import annotations

from pathlib import Path

from benito.cli.known.making import make, parser
from benito.cli.main import run

NAME = "mixed_experiment.py"


def create(words: list[str]) -> None:
    """Create the experiment that the words ask for."""
    from benito.embedding.options import EmbeddingOptions
    from benito.errors import InputError, Where
    from benito.topology import topdl
    from benito.topology.text import read_bytes

    ask = parser(NAME, "Create an experiment, swapped out, whose TopDL file says where each virtual machine goes.")
    ask.add_argument("pid", metavar="PID", help="project")
    ask.add_argument("eid", metavar="EID", help="name of the experiment, which must be new")
    ask.add_argument("file", metavar="TOPDL", type=Path, help="nodes without the attribute `partition` are physical")
    told = ask.parse_intermixed_args(words)
    if not topdl.is_xml(read_bytes(told.file)):
        hint = f"`benito convert` makes TopDL of NS; for packed machines: qemu_experiment.py ... {told.file} PACKING"
        raise InputError("a mixed experiment is written in TopDL", where=Where(str(told.file)), hint=hint)
    # Where a file has any partition, placing makes the nodes without one physical; where it has none, all are.
    by_hand = any(node.partition is not None for node in topdl.read(told.file).nodes)
    placing = EmbeddingOptions(default_container=None if by_hand else "physical")
    make(told.pid, told.eid, told.file, placing, told, NAME)


def main() -> None:
    """Run it as a command."""
    run(create)
