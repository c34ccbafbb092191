"""What the marks of a picture mean: only those that it has, in lines that fit below it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from benito.drawing.layout import Layout, text_width
from benito.drawing.scene import LAN, Scene

LINE = 26.0
KINDS = {"qemu": "virtual machine", "container": "container", "physical": "physical node", LAN: "LAN"}
STATES = {"good": "booted", "busy": "starting", "bad": "failed", "unknown": "state not known"}


@dataclass(frozen=True, slots=True)
class Entry:
    """A mark and its meaning, from the legend's corner; without a mark where the kind is empty."""

    kind: str
    text: str
    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Legend:
    """All entries and the height that they take."""

    entries: tuple[Entry, ...]
    height: float


def legend(scene: Scene, layout: Layout, width: float) -> Legend:
    """Return the legend for a picture so wide."""
    entries: list[Entry] = []
    x, y = 0.0, LINE / 2
    for kind, text in _meanings(scene, layout):
        needs = text_width(text) + (32 if kind else 0)
        if x and x + needs > width:
            x, y = 0.0, y + LINE
        entries.append(Entry(kind, text, x, y))
        x += needs + 26
    return Legend(tuple(entries), y + LINE / 2 if entries else 0.0)


def _meanings(scene: Scene, layout: Layout) -> Iterator[tuple[str, str]]:
    kinds = Counter(vertex.kind for vertex in scene.vertices)
    for kind, text in KINDS.items():
        if kinds[kind]:
            yield kind, f"{text} ({kinds[kind]:,})"
    if layout.groups:
        yield "pnode", f"pnode ({len(layout.groups):,})"
    if any(not edge.spoke for edge in scene.edges) or scene.usual:
        plain = any(edge.label for edge in scene.edges if not edge.spoke)
        usual = f"link, {scene.usual}{' where nothing else is said' if plain else ''}" if scene.usual else "link"
        yield "line", usual
    states = Counter(vertex.state for vertex in scene.vertices)
    for state, text in STATES.items():
        if states[state]:
            yield state, f"{text} ({states[state]:,})"
    if scene.hidden or not layout.named:
        yield "", "names, addresses and what links do: point at them"
    elif scene.edges:
        yield "", "delay is one way between two nodes"
