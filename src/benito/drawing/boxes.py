"""Moves rectangles apart until none overlaps another, each as little as it can."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

Rect = tuple[float, float]
"""Width and height around a centre."""

ROUNDS = 80
FILLED = 0.9
"""How much of the room that centres spread over rectangles may take at first."""
GROWTH = 1.1
"""What all distances grow by when pushing alone has not been enough."""


def separate(centres: Sequence[tuple[float, float]], sizes: Sequence[Rect], gap: float) -> list[tuple[float, float]]:
    """Return centres at which all rectangles keep the gap; the same values give the same result."""
    # Equal centres would have no way to go.
    xs = [x + place * 1e-3 for place, (x, _) in enumerate(centres)]
    ys = [y + (place % 7) * 1e-3 for place, (_, y) in enumerate(centres)]
    grow = _crowding(xs, ys, sizes, gap)
    while True:
        xs = [x * grow for x in xs]
        ys = [y * grow for y in ys]
        for _ in range(ROUNDS):
            if not _push(xs, ys, sizes, gap):
                return list(zip(xs, ys, strict=True))
        grow = GROWTH


def _crowding(xs: Sequence[float], ys: Sequence[float], sizes: Sequence[Rect], gap: float) -> float:
    """Return what distances must grow by for all rectangles to find room where the centres are spread."""
    if len(xs) < 3:
        return 1.0
    needed = sum((width + gap) * (height + gap) for width, height in sizes)
    # Centres in a line leave room too: a rectangle reaches beyond its own.
    wide, high = (sum(each) / len(sizes) for each in zip(*sizes, strict=True))
    there = (max(xs) - min(xs) + wide) * (max(ys) - min(ys) + high)
    return max(1.0, min(20.0, math.sqrt(FILLED * needed / there)))


def _push(xs: list[float], ys: list[float], sizes: Sequence[Rect], gap: float) -> bool:
    """Move every pair that is too near apart, along the shorter way; whether there was one."""
    moved = False
    for a, b in _near(xs, sizes, gap):
        across = (sizes[a][0] + sizes[b][0]) / 2 + gap - abs(xs[a] - xs[b])
        down = (sizes[a][1] + sizes[b][1]) / 2 + gap - abs(ys[a] - ys[b])
        if across <= 0.01 or down <= 0.01:
            continue
        moved = True
        area_a, area_b = sizes[a][0] * sizes[a][1], sizes[b][0] * sizes[b][1]
        # The smaller one moves more, and a little further than it must, so that chains come to rest.
        share = area_b / (area_a + area_b)
        if across < down:
            way = across * 1.02 * (1 if xs[a] >= xs[b] else -1)
            xs[a] += way * share
            xs[b] -= way * (1 - share)
        else:
            way = down * 1.02 * (1 if ys[a] >= ys[b] else -1)
            ys[a] += way * share
            ys[b] -= way * (1 - share)
    return moved


def _near(xs: Sequence[float], sizes: Sequence[Rect], gap: float) -> Iterator[tuple[int, int]]:
    """Yield the pairs that overlap along x, as they stood at the beginning."""
    spans = sorted(
        (x - size[0] / 2, x + size[0] / 2 + gap, place) for place, (x, size) in enumerate(zip(xs, sizes, strict=True))
    )
    open_spans: list[tuple[float, int]] = []
    for left, right, place in spans:
        open_spans = [span for span in open_spans if span[0] > left]
        for _, other in open_spans:
            yield other, place
        open_spans.append((right, place))
