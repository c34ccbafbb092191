"""Writes a picture as SVG: one document that needs no other file, with a tooltip on everything."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from benito.drawing.clear import Point
from benito.drawing.layout import Layout, text_width
from benito.drawing.legend import Legend, legend
from benito.drawing.markup import content, element, number
from benito.drawing.scene import LAN, Edge, Scene, Vertex
from benito.drawing.style import sheet

MARGIN = 28.0
HEAD = 58.0
LEAST_WIDTH = 520.0
CURVE = 26.0
"""How far links between the same two nodes stand apart."""
ALONG = (0.5, 0.42, 0.58, 0.34, 0.66, 0.26, 0.74)
"""Where on a link its label may stand, best first."""


def render(scene: Scene, layout: Layout) -> str:
    """Return the SVG document."""
    width = max(layout.width + 2 * MARGIN, LEAST_WIDTH, text_width(scene.title, 12.0) + 2 * MARGIN)
    below = legend(scene, layout, width - 2 * MARGIN)
    left = (width - layout.width) / 2
    height = HEAD + layout.height + below.height + 2 * MARGIN
    name = scene.title or "Experiment"
    parts = [
        element("title", content(f"{name}: {scene.summary}")),
        element("style", sheet()),
        element("rect", class_="page", width=width, height=height),
        element("text", content(name), class_="title", x=MARGIN, y=38.0),
        element("text", content(scene.summary), class_="quiet", x=MARGIN, y=60.0),
        _picture(scene, layout, left),
        _legend(below, HEAD + layout.height + 2 * MARGIN),
    ]
    size = {"width": number(width), "height": number(height), "viewBox": f"0 0 {number(width)} {number(height)}"}
    return element("svg", "\n".join(parts), xmlns="http://www.w3.org/2000/svg", role="img", **size) + "\n"


def _picture(scene: Scene, layout: Layout, left: float) -> str:
    """Return the layers: boxes, then lines, then what stands on them."""
    curves = _curves(scene.edges)
    lines = [_line(scene, layout, edge, curve) for edge, curve in zip(scene.edges, curves, strict=True)]
    drawn = list(enumerate(scene.vertices))
    layers = [
        element("g", "\n".join(_pnodes(scene, layout)), class_="pnodes"),
        element("g", "\n".join(lines), class_="links"),
        element("g", "\n".join(_vertex(layout, at, v) for at, v in drawn if v.kind == LAN), class_="lans"),
        element("g", "\n".join(_vertex(layout, at, v) for at, v in drawn if v.kind != LAN), class_="nodes"),
        element("g", "\n".join(_pnode_names(layout)), class_="names"),
        element("g", "\n".join(_labels(scene, layout, curves)), class_="labels"),
    ]
    where = f"translate({number(left)} {number(HEAD + MARGIN)})"
    return element("g", "\n".join(layers), class_="" if layout.named else "dense", transform=where)


def _pnodes(scene: Scene, layout: Layout) -> Iterator[str]:
    held = Counter(vertex.group for vertex in scene.vertices if vertex.kind != LAN)
    for group, box in layout.groups.items():
        count = f"{held[group]} node{'' if held[group] == 1 else 's'}"
        frame = element("rect", x=box.x, y=box.y, width=box.width, height=box.height, rx=9.0)
        yield element("g", element("title", f"{content(group)}: {count}") + frame, class_="pnode", id=group)


def _pnode_names(layout: Layout) -> Iterator[str]:
    """Write the pnodes' names, above the lines that cross them."""
    for group, box in layout.groups.items():
        yield element("text", content(group), class_="name", x=box.x + 10, y=box.y + 16)


def _curves(edges: Sequence[Edge]) -> list[float]:
    """Return how far each edge bows out: edges with the same ends stand side by side."""
    together: dict[tuple[int, int], list[int]] = {}
    for place, edge in enumerate(edges):
        together.setdefault((min(edge.a, edge.b), max(edge.a, edge.b)), []).append(place)
    curves = [0.0] * len(edges)
    for places in together.values():
        for rank, place in enumerate(places):
            bow = CURVE * (rank - (len(places) - 1) / 2)
            curves[place] = bow if edges[place].a <= edges[place].b else -bow
    return curves


def _line(scene: Scene, layout: Layout, edge: Edge, curve: float) -> str:
    a, b = layout.centres[edge.a], layout.centres[edge.b]
    way = f"M{number(a[0])} {number(a[1])}"
    if curve:
        middle = _along(a, b, 2 * curve, 0.5, straight=True)
        way += f"Q{number(middle[0])} {number(middle[1])} {number(b[0])} {number(b[1])}"
    else:
        way += f"L{number(b[0])} {number(b[1])}"
    inner = element("title", content(edge.tooltip)) + element("path", class_="wide", d=way) + element("path", d=way)
    name = {"data_lan": edge.lan} if edge.spoke else {"data_name": edge.lan}
    return element("g", inner, class_="spoke" if edge.spoke else "link", **name)


def _along(a: Point, b: Point, bow: float, share: float, *, straight: bool = False) -> Point:
    """Return the point at a share of the way, bowed out to one side; `straight` leaves the bow whole everywhere."""
    dx, dy = b[0] - a[0], b[1] - a[1]
    length = math.hypot(dx, dy) or 1.0
    out = bow if straight else bow * 4 * share * (1 - share)
    return a[0] + dx * share - dy / length * out, a[1] + dy * share + dx / length * out


def _vertex(layout: Layout, place: int, vertex: Vertex) -> str:
    (x, y), (width, height) = layout.centres[place], layout.sizes[place]
    inner = element("title", content(vertex.tooltip)) + shape(vertex.kind, x, y, width, height)
    if layout.names(vertex):
        name = f"{vertex.short} {vertex.label}".strip() if vertex.kind == LAN else vertex.short
        inner += element("text", content(name), x=x, y=y + (4.0 if vertex.kind == LAN else 4.7))
    if vertex.state:
        radius = 5.0 if layout.named else 4.0
        inner += element(
            "circle", class_=f"state {vertex.state}", cx=x + width / 2 - 2, cy=y - height / 2 + 2, r=radius
        )
    return element("g", inner, class_="lan" if vertex.kind == LAN else f"node {vertex.kind}", data_name=vertex.name)


def shape(kind: str, x: float, y: float, width: float, height: float) -> str:
    """Return a shape: machines rounded, containers round-ended, physical nodes square and double, LANs pointed."""
    left, top = x - width / 2, y - height / 2
    if kind == LAN:
        half, point = height / 2, min(9.0, width / 2)
        right = left + width
        upper = ((left, y), (left + point, y - half), (right - point, y - half))
        corners = (*upper, (right, y), (right - point, y + half), (left + point, y + half))
        return element("polygon", class_="body", points=" ".join(f"{number(cx)},{number(cy)}" for cx, cy in corners))
    corner = {"container": height / 2, "physical": 0.0}.get(kind, 5.0 if height > 20 else 3.0)
    body = element("rect", class_="body", x=left, y=top, width=width, height=height, rx=corner)
    if kind == "physical":
        inside = 3.0
        body += element(
            "rect",
            class_="inner",
            x=left + inside,
            y=top + inside,
            width=width - 2 * inside,
            height=height - 2 * inside,
        )
    return body


def _labels(scene: Scene, layout: Layout, curves: Sequence[float]) -> Iterator[str]:
    """Write what links do beside them, where it covers no node and no other label if there is such a place."""
    taken = [(*centre, *size) for centre, size in zip(layout.centres, layout.sizes, strict=True)]
    for edge, curve in zip(scene.edges, curves, strict=True):
        if not edge.label or not layout.named:
            continue
        width = text_width(edge.label, 6.6)
        a, b = layout.centres[edge.a], layout.centres[edge.b]
        places = [_along(a, b, curve, share) for share in ALONG]
        x, y = min(places, key=lambda at: sum(_covered(at[0], at[1], width, 14.0, other) for other in taken))
        taken.append((x, y, width, 14.0))
        yield element("text", content(edge.label), class_="label", x=x, y=y + 4.0)


def _covered(x: float, y: float, width: float, height: float, other: tuple[float, float, float, float]) -> float:
    """Return the area that two rectangles share."""
    across = (width + other[2]) / 2 - abs(x - other[0])
    down = (height + other[3]) / 2 - abs(y - other[1])
    return across * down if across > 0 and down > 0 else 0.0


def _legend(below: Legend, top: float) -> str:
    parts: list[str] = []
    for entry in below.entries:
        x, y = MARGIN + entry.x, top + entry.y
        if entry.kind == "line":
            mark = element("g", element("path", d=f"M{number(x)} {number(y)}h24"), class_="link")
        elif entry.kind == "pnode":
            mark = element("g", element("rect", x=x, y=y - 8, width=24.0, height=16.0, rx=4.0), class_="pnode")
        elif entry.kind in ("good", "busy", "bad", "unknown"):
            mark = element("circle", class_=f"state {entry.kind}", cx=x + 12, cy=y, r=5.0)
        elif entry.kind:
            mark = element("g", shape(entry.kind, x + 12, y, 24.0, 15.0), class_=entry.kind)
        else:
            mark = ""
        parts.append(mark + element("text", content(entry.text), class_="quiet", x=x + (32 if mark else 0), y=y + 4.5))
    return element("g", "\n".join(parts), class_="legend")
