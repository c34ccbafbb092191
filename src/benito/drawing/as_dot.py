"""Writes a picture as a graph for Graphviz, laid out by `fdp`.

Lines are straight: with curved ones 1,000 nodes took more than a minute. `dot` draws a star of as many as a strip of
72,000 points.
"""

from __future__ import annotations

from collections.abc import Iterator

from benito.drawing.markup import clean
from benito.drawing.scene import LAN, Scene, Vertex
from benito.drawing.style import KINDS, STATES

SHAPES = {
    "qemu": 'shape=box, style="rounded,filled"',
    "container": "shape=oval, style=filled",
    "physical": "shape=box, style=filled, peripheries=2",
    LAN: "shape=hexagon, style=filled, fontsize=10",
}


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
    inside, outside = scene.grouped()
    for number, (group, vertices) in enumerate(inside.items()):
        yield f"  subgraph cluster_{number} {{"
        yield f'    label="{_text(group)}"; style="rounded,filled"; fillcolor="#f3f5f8"; color="#c3ccd6";'
        yield from (f"    {_vertex(place, vertex)}" for place, vertex in vertices)
        yield "  }"
    yield from (f"  {_vertex(place, vertex)}" for place, vertex in outside)


def _vertex(place: int, vertex: Vertex) -> str:
    label = "\\n".join(_text(text) for text in (vertex.short, vertex.label) if text)
    fill, stroke = KINDS[vertex.kind]
    line = f'color="{STATES[vertex.state]}", penwidth=3' if vertex.state else f'color="{stroke}"'
    look = f'{SHAPES[vertex.kind]}, fillcolor="{fill}", {line}'
    return f'v{place} [label="{label}", tooltip="{_text(vertex.tooltip)}", {look}];'


def _edges(scene: Scene) -> Iterator[str]:
    for edge in scene.edges:
        label = f'label="{_text(edge.label)}", ' if edge.label else ""
        yield f'  v{edge.a} -- v{edge.b} [{label}tooltip="{_text(edge.tooltip)}"];'


def _text(text: str) -> str:
    """Return the text for between quotation marks: Graphviz gives backslashes and `&` a meaning of their own."""
    escaped = clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
    return escaped.replace("\r", " ").replace("\n", "\\n").replace("<", "&lt;").replace(">", "&gt;")
