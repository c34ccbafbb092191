"""Writes a picture as a graph for Graphviz, laid out by `fdp`.

Lines are straight: with curved ones 1,000 nodes took more than a minute. `dot` draws a star of as many as a strip of
72,000 points.
"""

from __future__ import annotations

from collections.abc import Iterator

from benito.drawing.markup import clean
from benito.drawing.scene import LAN, Scene, Vertex

STYLES = {
    "qemu": 'shape=box, style="rounded,filled", fillcolor="#d6e8fb", color="#2b6cb0"',
    "container": 'shape=oval, style=filled, fillcolor="#d8f3dc", color="#2f855a"',
    "physical": 'shape=box, style=filled, peripheries=2, fillcolor="#fde8c8", color="#b7600b"',
    LAN: 'shape=hexagon, style=filled, fillcolor="#ffffff", color="#7b8794", fontsize=10',
}
STATES = {"good": "#2f9e44", "busy": "#f2b705", "bad": "#e03131", "unknown": "#9aa5b1"}


def render(scene: Scene) -> str:
    """Return the graph; vertices are v0, v1, ... in the order of the file, LANs after the nodes."""
    name = scene.title or "Experiment"
    usual = f"\\nlinks: {_text(scene.usual)}" if scene.usual else ""
    lines = [
        f'graph "{_text(name)}" {{',
        f'  label="{_text(name)}\\n{_text(scene.summary)}{usual}"; labelloc=t; fontname="sans-serif";',
        '  layout=fdp; overlap=false; splines=line; node [fontname="sans-serif", fontsize=12, margin="0.08,0.04"];',
        '  edge [fontname="sans-serif", fontsize=10, color="#7b8794"];',
        *_vertices(scene),
        *_edges(scene),
        "}",
    ]
    return "\n".join(lines) + "\n"


def _vertices(scene: Scene) -> Iterator[str]:
    for number, group in enumerate(scene.groups):
        yield f"  subgraph cluster_{number} {{"
        yield f'    label="{_text(group)}"; style="rounded,filled"; fillcolor="#f3f5f8"; color="#c3ccd6";'
        for place, vertex in enumerate(scene.vertices):
            if vertex.group == group:
                yield f"    {_vertex(place, vertex)}"
        yield "  }"
    for place, vertex in enumerate(scene.vertices):
        if vertex.group not in scene.groups:
            yield f"  {_vertex(place, vertex)}"


def _vertex(place: int, vertex: Vertex) -> str:
    label = "\\n".join(_text(text) for text in (vertex.short, vertex.label) if text)
    state = f', color="{STATES[vertex.state]}", penwidth=3' if vertex.state else ""
    return f'v{place} [label="{label}", tooltip="{_text(vertex.tooltip)}", {STYLES[vertex.kind]}{state}];'


def _edges(scene: Scene) -> Iterator[str]:
    for edge in scene.edges:
        label = f'label="{_text(edge.label)}", ' if edge.label else ""
        yield f'  v{edge.a} -- v{edge.b} [{label}tooltip="{_text(edge.tooltip)}"];'


def _text(text: str) -> str:
    """Return the text for between quotation marks: Graphviz gives backslashes and `&` a meaning of their own."""
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return escaped.replace("\r", " ").replace("\n", "\\n").replace("<", "&lt;").replace(">", "&gt;")
