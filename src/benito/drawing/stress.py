"""Places a graph's vertices so that their distances on the plane are near those along the edges.

Stochastic gradient descent on the stress, as Zheng, Pawar and Goodman describe it ("Graph Drawing by Stochastic
Gradient Descent", 2018): pairs in random order, each moved towards its distance, in ever smaller steps. A small graph
takes all pairs, a large one those of neighbours and of a few pivots. The same graph gives the same places.
"""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Sequence

Adjacency = Sequence[dict[int, float]]
"""Of each vertex: neighbour -> length of the edge."""
Points = list[tuple[float, float]]

ALL_PAIRS = 260
"""Up to this many vertices, every pair counts."""
PIVOTS = 40
ROUNDS = 24
LAST_STEP = 0.03
APART = 0.75


def solve(adjacency: Adjacency, apart: float, *, exponent: float = 1.0, tries: int = 1) -> Points:
    """Return the places, the best of some tries from different beginnings.

    Vertices that no path joins are to be nearly as far from each other as the longest path, and `apart` more. An
    exponent below 1 makes long ways shorter, so that what would be a line curls up.
    """
    count = len(adjacency)
    if count < 2:
        return [(0.0, 0.0)] * count
    pairs = _all_pairs(adjacency) if count <= ALL_PAIRS else _pivot_pairs(adjacency)
    longest = max((length for _, _, length in pairs if length < math.inf), default=1.0)
    terms = [(a, b, (length if length < math.inf else APART * longest + apart) ** exponent) for a, b, length in pairs]
    return min((_attempt(count, list(terms), seed) for seed in range(tries)), key=lambda points: _stress(points, terms))


def _attempt(count: int, terms: list[tuple[int, int, float]], seed: int) -> Points:
    """Return the places that one beginning leads to; shuffles the terms."""
    random_numbers = random.Random(count + seed)
    largest = max(length for _, _, length in terms)
    side = largest * math.sqrt(count) / 4 + 1
    xs = [random_numbers.uniform(0, side) for _ in range(count)]
    ys = [random_numbers.uniform(0, side) for _ in range(count)]
    largest_step = largest**2
    smallest_step = LAST_STEP * min(length for _, _, length in terms) ** 2
    decay = math.log(smallest_step / largest_step) / (ROUNDS - 1)
    for turn in range(ROUNDS):
        random_numbers.shuffle(terms)
        _descend(terms, xs, ys, largest_step * math.exp(decay * turn))
    return list(zip(xs, ys, strict=True))


def _stress(points: Points, terms: Sequence[tuple[int, int, float]]) -> float:
    """Return how far the distances are from what they should be."""
    return sum((math.dist(points[a], points[b]) / length - 1) ** 2 for a, b, length in terms)


def _descend(terms: Sequence[tuple[int, int, float]], xs: list[float], ys: list[float], step: float) -> None:
    """Move the ends of every pair once."""
    sqrt = math.sqrt
    for a, b, wanted in terms:
        dx, dy = xs[a] - xs[b], ys[a] - ys[b]
        distance = sqrt(dx * dx + dy * dy) or 1e-9
        share = step / (wanted * wanted)
        push = (share if share < 1 else 1) * (wanted - distance) / (2 * distance)
        dx *= push
        dy *= push
        xs[a] += dx
        ys[a] += dy
        xs[b] -= dx
        ys[b] -= dy


def distances(adjacency: Adjacency, start: int) -> list[float]:
    """Return the length of the shortest path to each vertex; infinite where there is none."""
    found = [math.inf] * len(adjacency)
    found[start] = 0.0
    queue = [(0.0, start)]
    while queue:
        far, vertex = heapq.heappop(queue)
        if far > found[vertex]:
            continue
        for near, length in adjacency[vertex].items():
            if far + length < found[near]:
                found[near] = far + length
                heapq.heappush(queue, (far + length, near))
    return found


def _all_pairs(adjacency: Adjacency) -> list[tuple[int, int, float]]:
    pairs: list[tuple[int, int, float]] = []
    for a in range(len(adjacency)):
        far = distances(adjacency, a)
        pairs += [(a, b, far[b]) for b in range(a)]
    return pairs


def _pivot_pairs(adjacency: Adjacency) -> list[tuple[int, int, float]]:
    """Return the pairs of neighbours, and of every vertex with pivots that are far from one another."""
    pairs = {(max(a, b), min(a, b)): length for a, near in enumerate(adjacency) for b, length in near.items()}
    nearest = [math.inf] * len(adjacency)
    pivot = 0
    for _ in range(PIVOTS):
        far = distances(adjacency, pivot)
        for vertex, length in enumerate(far):
            nearest[vertex] = min(nearest[vertex], length)
            if vertex != pivot:
                pairs.setdefault((max(vertex, pivot), min(vertex, pivot)), length)
        pivot = max(range(len(nearest)), key=lambda vertex: (nearest[vertex], -vertex))
    return [(a, b, length) for (a, b), length in pairs.items()]
