"""Naming nodes on the command line: `center`, `center.star.demo`, `n-*`, `a,b`, `all`."""

from __future__ import annotations

import fnmatch
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benito.testbed.home import ExperimentId, Place
    from benito.testbed.store import NodeRecord
    from benito.testbed.testbed import Testbed


def experiment_of(bed: Testbed, node: str, pid: str | None, eid: str | None) -> tuple[ExperimentId, str]:
    """Return the experiment and the node's own name; a full name says both."""
    from benito.cli.common import chosen
    from benito.testbed.home import ExperimentId

    parts = node.split(".")
    if len(parts) == 3 and not pid and not eid:
        return ExperimentId.checked(parts[2], parts[1]), parts[0]
    return chosen(bed, None, pid, eid), node.split(".")[0] if len(parts) == 3 else node


def active_nodes(bed: Testbed, experiment: ExperimentId, patterns: str) -> tuple[Place, list[NodeRecord]]:
    """Return the active experiment's nodes that the patterns name, in the order of the file.

    StateError when it isn't active; InputError for a pattern that names none.
    """
    from benito.errors import InputError
    from benito.testbed.store import State
    from benito.testbed.testbed import require_state

    record = bed.record(experiment)
    require_state(record, State.ACTIVE, State.ACTIVATING)
    nodes = bed.store.nodes(record.id)
    wanted: set[str] = set()
    for pattern in patterns.split(","):
        lowered = "*" if pattern == "all" else pattern.strip().lower()
        found = {node.node for node in nodes if fnmatch.fnmatchcase(node.node.lower(), lowered)}
        if not found:
            raise InputError(f"{record.id} has no node {pattern!r}", hint=f"`benito nodes {record.id}` lists them")
        wanted |= found
    return bed.home.place(record.id), [node for node in nodes if node.node in wanted]
