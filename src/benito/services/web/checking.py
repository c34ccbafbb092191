"""A file and what is wrong with it, each fault at its line, for the page that shows both. Pure but for the reading."""

from __future__ import annotations

import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benito.errors import Fault, InputError
from benito.testbed.home import ExperimentId
from benito.testbed.store import Settings
from benito.testbed.testbed import Testbed
from benito.topology.advice import advice
from benito.topology.model import Topology

SHOWN_LINES = 5000
"""A longer file is shown up to here, and whatever has faults."""
MAX_NAME = 80


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the file."""

    text: str
    errors: tuple[Fault, ...] = ()
    warnings: tuple[Fault, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """The file with its faults."""

    name: str
    text: str
    lines: tuple[Line, ...]
    loose: tuple[Fault, ...]
    """Errors that have no line."""
    errors: int
    warnings: int
    summary: str
    """What was read, when it could be."""


def file_name(given: str) -> str:
    """Return a name that is safe as a file's, from what a browser says: no folders, no odd characters."""
    last = re.split(r"[/\\]", given)[-1]
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", last).lstrip(".-")[-MAX_NAME:]
    return safe or "experiment.ns"


def suggested_eid(name: str) -> str:
    """Return the experiment id that a file's name suggests."""
    return re.sub(r"[^A-Za-z0-9-]+", "-", Path(name).stem).strip("-")[:63] or "experiment"


def examine(bed: Testbed, experiment: ExperimentId, name: str, data: bytes, settings: Settings) -> Source:
    """Read the file as `create` would and return it with all that is wrong."""
    with tempfile.TemporaryDirectory(prefix="benito-upload-") as folder:
        file = Path(folder, name)
        file.write_bytes(data)
        try:
            topology = bed.examine(experiment, file, settings)
        except InputError as error:
            return source(name, data, error.faults, (), "")
    return source(name, data, (), (*topology.warnings, *advice(topology)), _summary(topology))


def _summary(topology: Topology) -> str:
    nodes, lans = len(topology.nodes), len(topology.lans)
    return f"{nodes:,} node{'' if nodes == 1 else 's'}, {lans:,} link{'' if lans == 1 else 's'} and LANs"


def source(name: str, data: bytes, errors: Iterable[Fault], warnings: Iterable[Fault], summary: str) -> Source:
    """Put faults to their lines."""
    text = data.decode("utf-8", errors="replace").replace("\r\n", "\n")
    texts = text.removesuffix("\n").split("\n")
    wrong, loose = _by_line(errors, len(texts))
    doubtful, general = _by_line(warnings, len(texts))
    lines = tuple(
        Line(each, tuple(wrong[number]), tuple(doubtful[number]))
        for number, each in enumerate(texts[:SHOWN_LINES], start=1)
    )
    return Source(
        name=name,
        text=text,
        lines=lines,
        loose=tuple(loose),
        errors=sum(map(len, wrong.values())) + len(loose),
        warnings=sum(map(len, doubtful.values())) + len(general),
        summary=summary,
    )


def _by_line(faults: Iterable[Fault], last: int) -> tuple[defaultdict[int, list[Fault]], list[Fault]]:
    placed: defaultdict[int, list[Fault]] = defaultdict(list)
    loose = []
    for fault in faults:
        line = fault.where.line if fault.where else 0
        if 0 < line <= min(last, SHOWN_LINES):
            placed[line].append(fault)
        else:
            loose.append(fault)
    return placed, loose
