"""What a person is told when an experiment is made: what of its file has no effect and what its nodes will lack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benito.cli.common import say

if TYPE_CHECKING:
    from benito.topology.model import Topology

SHOWN = 10


def tell_notices(topology: Topology, file: Path) -> None:
    """Print the notices on standard error, the first ones of many."""
    from benito.topology.advice import advice

    notices = (*topology.warnings, *advice(topology))
    for notice in notices[:SHOWN]:
        say(f"note: {notice}")
    if len(notices) > SHOWN:
        say(f"note: `benito check {file}` shows {len(notices) - SHOWN} more")
