"""Pictures of experiments, as text: pure functions from a topology, its places and its nodes' states.

Without an assignment nodes stand in no pnode; without statuses nothing is said of how they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benito.embedding.model import Assignment
    from benito.topology.model import Topology

Statuses = Mapping[str, tuple[str | None, int | None]]
"""A node's boot state (`running`, `booted`, `dead`, None) and exit code."""


def svg(
    topology: Topology, assignment: Assignment | None = None, statuses: Statuses | None = None, *, title: str = ""
) -> str:
    """Return an SVG document that needs nothing else; any size of experiment; 1,000 nodes take about a second."""
    from benito.drawing.as_svg import render
    from benito.drawing.layout import lay_out
    from benito.drawing.scene import scene

    drawn = scene(topology, assignment, statuses, title=title)
    return render(drawn, lay_out(drawn))


def dot(
    topology: Topology, assignment: Assignment | None = None, statuses: Statuses | None = None, *, title: str = ""
) -> str:
    """Return the same as a graph in Graphviz's language."""
    from benito.drawing.as_dot import render
    from benito.drawing.scene import scene

    return render(scene(topology, assignment, statuses, title=title))


def mermaid(
    topology: Topology, assignment: Assignment | None = None, statuses: Statuses | None = None, *, title: str = ""
) -> str:
    """Return the same as a Mermaid flowchart, which many wikis and code hosts draw."""
    from benito.drawing.as_mermaid import render
    from benito.drawing.scene import scene

    return render(scene(topology, assignment, statuses, title=title))
