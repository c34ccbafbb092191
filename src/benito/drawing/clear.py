"""Moves nodes out of the way of links that are not theirs, which would look like links of theirs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benito.drawing.boxes import Rect
from benito.drawing.scene import Scene

Point = tuple[float, float]

MOST = 400
"""Larger pictures stay as they are: nobody follows a single link there, and it would take long."""
TURNS = 2
STEPS = 9
MARGIN = 5.0


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle by its corner."""

    x: float
    y: float
    width: float
    height: float


class _Picture:
    """Vertices and lines as they stand now."""

    def __init__(self, scene: Scene, centres: Sequence[Point], sizes: Sequence[Rect]) -> None:
        self.at = list(centres)
        self.half = [(width / 2 - 1, height / 2 - 1) for width, height in sizes]
        self.sizes = sizes
        self.ends = [(edge.a, edge.b) for edge in scene.edges]
        self.lines: list[list[int]] = [[] for _ in centres]
        for line, (a, b) in enumerate(self.ends):
            self.lines[a].append(line)
            self.lines[b].append(line)

    def covers(self, vertex: int) -> int:
        """Return how many lines of others run through a vertex."""
        x, y = self.at[vertex]
        half = self.half[vertex]
        found = 0
        for a, b in self.ends:
            if vertex not in (a, b) and _through(self.at[a], self.at[b], x, y, half):
                found += 1
        return found

    def runs(self, vertex: int) -> int:
        """Return through how many others the lines of a vertex run."""
        found = 0
        for line in self.lines[vertex]:
            a, b = self.ends[line]
            start, end = self.at[a], self.at[b]
            for other, (x, y) in enumerate(self.at):
                if other not in (a, b) and _through(start, end, x, y, self.half[other]):
                    found += 1
        return found

    def free(self, vertex: int, near: Sequence[int], gap: float) -> bool:
        """Whether a vertex overlaps none of these."""
        x, y = self.at[vertex]
        width, height = self.sizes[vertex]
        for other in near:
            if other != vertex:
                (ox, oy), (ow, oh) = self.at[other], self.sizes[other]
                if abs(x - ox) < (width + ow) / 2 + gap and abs(y - oy) < (height + oh) / 2 + gap:
                    return False
        return True


def uncover(
    scene: Scene, centres: Sequence[Point], sizes: Sequence[Rect], groups: Mapping[str, Box], named: bool
) -> list[Point]:
    """Return the centres, those of nodes with few links moved inside their box where that hides fewer lines."""
    picture = _Picture(scene, centres, sizes)
    if len(centres) > MOST or not named:
        return picture.at
    near: dict[str | None, list[int]] = {}
    for place, vertex in enumerate(scene.vertices):
        near.setdefault(vertex.group, []).append(place)
    for _ in range(TURNS):
        for place, vertex in enumerate(scene.vertices):
            box = groups.get(vertex.group or "")
            if box and len(picture.lines[place]) <= 3:
                _better(picture, place, near[vertex.group], box)
    return picture.at


def _better(picture: _Picture, vertex: int, near: Sequence[int], box: Box) -> None:
    """Move one vertex to the place in its box, nearest first, where it hides least."""
    best = home = picture.at[vertex]
    least = picture.covers(vertex) + picture.runs(vertex)
    if not least:
        return
    width, height = picture.sizes[vertex]
    left, right = box.x + width / 2 + 8, box.x + box.width - width / 2 - 8
    top, bottom = box.y + height / 2 + 24, box.y + box.height - height / 2 - 8
    across = [left + (right - left) * step / (STEPS - 1) for step in range(STEPS)]
    down = [top + (bottom - top) * step / (STEPS - 1) for step in range(STEPS)]
    places = sorted(((x, y) for x in across for y in down), key=lambda p: abs(p[0] - home[0]) + abs(p[1] - home[1]))
    for place in places:
        picture.at[vertex] = place
        if not picture.free(vertex, near, MARGIN):
            continue
        hidden = picture.covers(vertex)
        if hidden < least:
            hidden += picture.runs(vertex)
        if hidden < least:
            best, least = place, hidden
            if not hidden:
                break
    picture.at[vertex] = best


def _through(a: Point, b: Point, x: float, y: float, half: tuple[float, float]) -> bool:
    """Whether the line from a to b runs through the rectangle around (x, y): its corners are on both sides then."""
    ax, ay = a
    bx, by = b
    w, h = half
    if (ax < x - w and bx < x - w) or (ax > x + w and bx > x + w):
        return False
    if (ay < y - h and by < y - h) or (ay > y + h and by > y + h):
        return False
    dx, dy = bx - ax, by - ay
    middle = dx * (y - ay) - dy * (x - ax)
    reach = abs(dx) * h + abs(dy) * w
    return -reach < middle < reach
