"""Where everything in a picture stands: nodes by their links, pnodes as boxes around theirs, nothing on anything else.

The whole graph is placed first, with nodes of one pnode drawn together; then nodes are moved apart inside each box,
and boxes among themselves.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace

from benito.drawing import boxes
from benito.drawing.clear import Box, Point, uncover
from benito.drawing.rough import roughly
from benito.drawing.scene import LAN, Scene, Vertex

NAMED = 250
"""With more nodes than this, they are drawn without their names."""
HUB = 20
"""A LAN of so many members always has its name: it would be lost among its lines."""
CHARACTER = 7.6
"""Mean width of a character of 13 px."""
HEIGHT = 28.0
DOT = 15.0
PADDING = 14.0
TITLE = 22.0
NODE_GAP = 20.0
BOX_GAP = 46.0
SQUEEZE = 0.8
"""Names are wider than high, so things stand closer from top to bottom."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Places in px; everything is right of and below (0, 0)."""

    width: float
    height: float
    named: bool
    centres: tuple[Point, ...]
    """Of each vertex."""
    sizes: tuple[boxes.Rect, ...]
    groups: dict[str, Box]

    def names(self, vertex: Vertex) -> bool:
        """Whether a vertex has its name in the picture."""
        return _is_named(vertex, self.named)


def text_width(text: str, character: float = CHARACTER) -> float:
    """Return about how wide a text is; characters of East Asian scripts are twice as wide."""
    return character * sum(2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text)


def lay_out(scene: Scene) -> Layout:
    """Return where everything stands; the same scene gives the same layout."""
    named = sum(vertex.kind != LAN for vertex in scene.vertices) <= NAMED
    sizes = tuple(_size(vertex, named) for vertex in scene.vertices)
    held = _held(scene)
    unit = _unit(sizes, named)
    rough = [(x * unit, y * unit * SQUEEZE) for x, y in roughly(scene, held)]
    bodies, within = _bodies(scene, held, rough, sizes, named)
    laid_out = _placed(scene, held, bodies, within, sizes, named)
    return replace(laid_out, centres=tuple(uncover(scene, laid_out.centres, sizes, laid_out.groups, named)))


def _is_named(vertex: Vertex, named: bool) -> bool:
    return named or vertex.members >= HUB


def _size(vertex: Vertex, named: bool) -> boxes.Rect:
    named = _is_named(vertex, named)
    if vertex.kind == LAN:
        text = f"{vertex.short} {vertex.label}".strip()
        return (text_width(text, 6.6) + 18, 22.0) if named else (11.0, 11.0)
    return (text_width(vertex.short) + 24, HEIGHT) if named else (DOT, DOT)


def _held(scene: Scene) -> list[list[int]]:
    """Return the vertices that move together: those of each pnode, and every one outside by itself."""
    held: dict[str, list[int]] = {group: [] for group in scene.groups}
    alone: list[list[int]] = []
    for place, vertex in enumerate(scene.vertices):
        if vertex.group is None:
            alone.append([place])
        else:
            held[vertex.group].append(place)
    if not scene.groups:
        return [[place for (place,) in alone]]
    return [*held.values(), *alone]


def _unit(sizes: Sequence[boxes.Rect], named: bool) -> float:
    """Return the length of an edge in px: room for the names that are usual here."""
    if not named:
        return 34.0
    widths = sorted(width for width, _ in sizes)
    return 40.0 + (widths[len(widths) * 3 // 4] if widths else 0.0)


def _bodies(
    scene: Scene, held: Sequence[Sequence[int]], rough: Sequence[Point], sizes: Sequence[boxes.Rect], named: bool
) -> tuple[list[tuple[Point, boxes.Rect]], dict[int, Point]]:
    """Return centre and size of what moves together, and each vertex's place from that centre."""
    bodies: list[tuple[Point, boxes.Rect]] = []
    within: dict[int, Point] = {}
    gap = NODE_GAP if named else 9.0
    for number, places in enumerate(held):
        if not places:
            bodies.append(((0.0, 0.0), (0.0, 0.0)))
            continue
        apart = boxes.separate([rough[place] for place in places], [sizes[place] for place in places], gap)
        left = min(x - sizes[place][0] / 2 for place, (x, _) in zip(places, apart, strict=True))
        right = max(x + sizes[place][0] / 2 for place, (x, _) in zip(places, apart, strict=True))
        top = min(y - sizes[place][1] / 2 for place, (_, y) in zip(places, apart, strict=True))
        bottom = max(y + sizes[place][1] / 2 for place, (_, y) in zip(places, apart, strict=True))
        width, height = right - left, bottom - top
        boxed = number < len(scene.groups)
        if boxed:
            wider = max(0.0, text_width(scene.groups[number], 6.8) - width)
            left, width = left - wider / 2, width + wider
            left, top, width, height = (
                left - PADDING,
                top - TITLE - 4,
                width + 2 * PADDING,
                height + TITLE + PADDING + 4,
            )
        middle = (left + width / 2, top + height / 2)
        bodies.append((middle, (width, height)))
        for place, (x, y) in zip(places, apart, strict=True):
            within[place] = (x - middle[0], y - middle[1])
    return bodies, within


def _placed(
    scene: Scene,
    held: Sequence[Sequence[int]],
    bodies: Sequence[tuple[Point, boxes.Rect]],
    within: dict[int, Point],
    sizes: tuple[boxes.Rect, ...],
    named: bool,
) -> Layout:
    """Move the bodies apart and everything into the picture."""
    gap = BOX_GAP if named else 18.0
    apart = boxes.separate([centre for centre, _ in bodies], [size for _, size in bodies], gap)
    left = min((x - size[0] / 2 for (x, _), (_, size) in zip(apart, bodies, strict=True)), default=0.0)
    top = min((y - size[1] / 2 for (_, y), (_, size) in zip(apart, bodies, strict=True)), default=0.0)
    apart = [(x - left, y - top) for x, y in apart]
    width = max((x + size[0] / 2 for (x, _), (_, size) in zip(apart, bodies, strict=True)), default=0.0)
    height = max((y + size[1] / 2 for (_, y), (_, size) in zip(apart, bodies, strict=True)), default=0.0)
    centres: list[Point] = [(0.0, 0.0)] * len(scene.vertices)
    for places, (x, y) in zip(held, apart, strict=True):
        for place in places:
            centres[place] = (x + within[place][0], y + within[place][1])
    groups = {
        group: Box(x - size[0] / 2, y - size[1] / 2, *size)
        for group, (x, y), (_, size) in zip(scene.groups, apart, bodies, strict=False)
    }
    return Layout(width, height, named, tuple(centres), sizes, groups)
