"""Where a picture's vertices stand by their links alone, in units of a link's length; nothing is kept apart yet.

A picture of some hundred vertices is placed as a whole, the nodes of a pnode drawn together by a point of their own.
In a larger one the pnodes are placed first, then each one's nodes, turned towards what they are joined to.
"""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence

from benito.drawing import stress
from benito.drawing.scene import Scene
from benito.drawing.stress import Points

LONG = 2.6
"""Pictures that are wider than this many times their height are folded."""
FOLD = 0.62
"""Exponent of lengths in such a picture: long ways count less."""
HEAP = 24
"""Vertices that are placed together where there are no pnodes."""
CRUMB = 4
LABELLED = 1.9
"""How much longer a link is that has a label to carry."""
CROWD = 0.3
"""How much farther bodies stand from one that many are joined to, by the root of how many."""
TRIES = 4
"""Of placing pnodes: there are few of them, and the rest of the picture follows."""
APART = 1.5
"""Between what no link joins."""


def roughly(scene: Scene, held: Sequence[Sequence[int]]) -> Points:
    """Return the place of each vertex; `held` has the vertices that stand together."""
    if len(scene.vertices) <= stress.ALL_PAIRS:
        return _folded(_whole(scene, held))[: len(scene.vertices)]
    return _by_bodies(scene, _heaps(scene) if len(held) == 1 else [places for places in held if places])


def _heaps(scene: Scene) -> list[list[int]]:
    """Return all vertices in heaps of neighbours, where no pnodes are at hand to place them by."""
    near: list[list[int]] = [[] for _ in scene.vertices]
    for edge in scene.edges:
        near[edge.a].append(edge.b)
        near[edge.b].append(edge.a)
    left = dict.fromkeys(range(len(near)))
    heaps: list[list[int]] = []
    starts: deque[int] = deque()
    while left:
        start = starts.popleft() if starts else next(iter(left))
        if start not in left:
            continue
        heap = [start]
        del left[start]
        for vertex in heap:
            for other in near[vertex]:
                if other in left and len(heap) < HEAP:
                    heap.append(other)
                    del left[other]
        starts.extend(other for vertex in heap for other in near[vertex] if other in left)
        heaps.append(heap)
    return _without_crumbs(heaps, near)


def _without_crumbs(heaps: list[list[int]], near: Sequence[Sequence[int]]) -> list[list[int]]:
    """Put small heaps, which a full one has cut off from the rest, to a neighbour's."""
    home = {vertex: heap for heap in heaps for vertex in heap}
    for heap in heaps:
        other = next((home[other] for vertex in heap for other in near[vertex] if home[other] is not heap), None)
        if len(heap) <= CRUMB and other is not None:
            other.extend(heap)
            home.update(dict.fromkeys(heap, other))
            heap.clear()
    return [heap for heap in heaps if heap]


def _homes(scene: Scene, held: Sequence[Sequence[int]]) -> list[int]:
    home = [0] * len(scene.vertices)
    for number, places in enumerate(held):
        for place in places:
            home[place] = number
    return home


def _join(adjacency: list[dict[int, float]], a: int, b: int, length: float) -> None:
    if a != b:
        adjacency[a][b] = adjacency[b][a] = min(length, adjacency[a].get(b, math.inf))


def _whole(scene: Scene, held: Sequence[Sequence[int]]) -> list[dict[int, float]]:
    """Return the graph of all vertices, and a point for each body, that its vertices hang on."""
    count = len(scene.vertices)
    home = _homes(scene, held)
    radius = [0.55 * math.sqrt(len(places)) for places in held]
    degree = [0] * count
    for edge in scene.edges:
        degree[edge.a] += 1
        degree[edge.b] += 1
    adjacency: list[dict[int, float]] = [{} for _ in range(count + len(held))]
    for edge in scene.edges:
        length = max(1.0, 0.4 * math.sqrt(max(degree[edge.a], degree[edge.b])))
        if home[edge.a] != home[edge.b]:
            length = max(length, 0.6 + radius[home[edge.a]] + radius[home[edge.b]])
        _join(adjacency, edge.a, edge.b, length * LABELLED if edge.label else length)
    for number, places in enumerate(held):
        if len(held) > 1 and len(places) > 1:
            for place in places:
                _join(adjacency, place, count + number, radius[number])
    if len(held) == 1:
        adjacency.pop()
    return adjacency


def _folded(adjacency: Sequence[dict[int, float]], tries: int = 1) -> Points:
    """Place the graph lying; what would be very long is folded."""
    points = _turned(stress.solve(adjacency, APART, tries=tries))
    if not points:
        return points
    width, height = (max(each) - min(each) for each in zip(*points, strict=True))
    return (
        points if width < LONG * (height + 2) else _turned(stress.solve(adjacency, APART, exponent=FOLD, tries=tries))
    )


def _turned(points: Points) -> Points:
    """Turn the points so that they are spread most along x."""
    count = len(points) or 1
    mx, my = sum(x for x, _ in points) / count, sum(y for _, y in points) / count
    xx = sum((x - mx) ** 2 for x, _ in points)
    yy = sum((y - my) ** 2 for _, y in points)
    xy = sum((x - mx) * (y - my) for x, y in points)
    angle = 0.5 * math.atan2(2 * xy, xx - yy)
    cos, sin = math.cos(angle), math.sin(angle)
    return [((x - mx) * cos + (y - my) * sin, (y - my) * cos - (x - mx) * sin) for x, y in points]


def _by_bodies(scene: Scene, held: Sequence[Sequence[int]]) -> Points:
    """Place the vertices of each body, then the bodies by the links between them, turned towards those."""
    home = _homes(scene, held)
    inside: list[list[tuple[int, int]]] = [[] for _ in held]
    ties: Counter[tuple[int, int]] = Counter()
    for edge in scene.edges:
        a, b = home[edge.a], home[edge.b]
        if a == b:
            inside[a].append((edge.a, edge.b))
        else:
            ties[min(a, b), max(a, b)] += 1
    bodies = [_body(places, links) for places, links in zip(held, inside, strict=True)]
    radius = [max(math.hypot(*point) for point in body) * 0.7 + 0.5 for body in bodies]
    centres = _folded(_between(ties, radius), TRIES)
    pulls = _pulls(scene, home, centres)
    points: Points = [(0.0, 0.0)] * len(scene.vertices)
    for places, body, (x, y) in zip(held, bodies, centres, strict=True):
        turned = _towards(body, [pulls[place] for place in places])
        for place, (dx, dy) in zip(places, turned, strict=True):
            points[place] = (x + dx, y + dy)
    return points


def _body(places: Sequence[int], links: Sequence[tuple[int, int]]) -> Points:
    """Place the vertices of one body around its middle."""
    index = {place: rank for rank, place in enumerate(places)}
    adjacency: list[dict[int, float]] = [{} for _ in places]
    for a, b in links:
        _join(adjacency, index[a], index[b], 1.0)
    return _turned(stress.solve(adjacency, APART / 2))


def _between(ties: Mapping[tuple[int, int], int], radius: Sequence[float]) -> list[dict[int, float]]:
    """Return the graph of the bodies: nearer the more links join them, farther where many want to be near one."""
    degree = Counter(body for pair in ties for body in pair)
    between: list[dict[int, float]] = [{} for _ in radius]
    for (a, b), links in ties.items():
        crowd = max(1.0, CROWD * math.sqrt(max(degree[a], degree[b])))
        _join(between, a, b, (0.6 + radius[a] + radius[b]) * crowd * (0.7 + 0.7 / links))
    return between


def _pulls(scene: Scene, home: Sequence[int], centres: Points) -> Points:
    """Return for each vertex the direction of what it is joined to in other bodies, added up."""
    pulls: Points = [(0.0, 0.0)] * len(scene.vertices)
    for edge in scene.edges:
        for vertex, other in ((edge.a, edge.b), (edge.b, edge.a)):
            (x, y), (to_x, to_y) = centres[home[vertex]], centres[home[other]]
            length = math.hypot(to_x - x, to_y - y)
            if length:
                pulls[vertex] = (pulls[vertex][0] + (to_x - x) / length, pulls[vertex][1] + (to_y - y) / length)
    return pulls


def _towards(body: Points, pulls: Points) -> Points:
    """Turn a body, or its mirror image, so that its vertices point where they are pulled."""
    best, most = body, -1.0
    for mirrored in (1.0, -1.0):
        points = [(x, y * mirrored) for x, y in body]
        along = sum(x * px + y * py for (x, y), (px, py) in zip(points, pulls, strict=True))
        across = sum(x * py - y * px for (x, y), (px, py) in zip(points, pulls, strict=True))
        gain = math.hypot(along, across)
        if gain > most + 1e-9:
            angle = math.atan2(across, along)
            cos, sin = math.cos(angle), math.sin(angle)
            best, most = [(x * cos - y * sin, x * sin + y * cos) for x, y in points], gain
    return best
