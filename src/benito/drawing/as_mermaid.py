"""Writes a picture as a Mermaid flowchart: wikis and code hosts draw it where the text stands."""

from __future__ import annotations

from collections.abc import Iterator

from benito.drawing.markup import clean
from benito.drawing.scene import LAN, Scene, Vertex
from benito.drawing.style import KINDS, STATES

SHAPES = {"qemu": ("(", ")"), "container": ("([", "])"), "physical": ("[[", "]]"), LAN: ("{{", "}}")}
CLASSES = (
    *(f"classDef {kind} fill:{fill},stroke:{stroke},color:#1f2933" for kind, (fill, stroke) in KINDS.items()),
    *(f"classDef {state} stroke:{colour},stroke-width:3px" for state, colour in STATES.items()),
)
SPECIAL = str.maketrans({each: f"#{ord(each)};" for each in '"#&<>`\\[]{}()|;'})
"""Mermaid writes characters as `#number;`; these have a meaning of their own somewhere in its text."""


def render(scene: Scene) -> str:
    """Return the flowchart; vertices are v0, v1, ... in the order of the file, LANs after the nodes."""
    name = scene.title or "Experiment"
    usual = f"; links: {_text(scene.usual)}" if scene.usual else ""
    lines = [f"%% {_text(name)}: {_text(scene.summary)}{usual}", "flowchart LR", *_vertices(scene), *_edges(scene)]
    used = {vertex.kind for vertex in scene.vertices} | {vertex.state for vertex in scene.vertices}
    lines += [f"  {each}" for each in CLASSES if each.split()[1] in used]
    return "\n".join(lines) + "\n"


def _vertices(scene: Scene) -> Iterator[str]:
    inside, outside = scene.grouped()
    for number, (group, vertices) in enumerate(inside.items()):
        yield f'  subgraph g{number}["{_text(group)}"]'
        yield from (f"    {_vertex(place, vertex)}" for place, vertex in vertices)
        yield "  end"
    yield from (f"  {_vertex(place, vertex)}" for place, vertex in outside)


def _vertex(place: int, vertex: Vertex) -> str:
    before, after = SHAPES[vertex.kind]
    label = " ".join(text for text in (vertex.short, vertex.label) if text)
    state = f"\n  class v{place} {vertex.state}" if vertex.state else ""
    return f'v{place}{before}"{_text(label)}"{after}:::{vertex.kind}{state}'


def _edges(scene: Scene) -> Iterator[str]:
    for edge in scene.edges:
        label = f'|"{_text(edge.label)}"|' if edge.label else ""
        yield f"  v{edge.a} ---{label} v{edge.b}"


def _text(text: str) -> str:
    return " ".join(clean(text).split()).translate(SPECIAL)
