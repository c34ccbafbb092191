"""The map as data for the browser: what stands where. Pure; states come by the event stream."""

from __future__ import annotations

import msgspec

from benito.drawing.layout import Layout, lay_out
from benito.drawing.scene import LAN, Scene, scene
from benito.embedding.model import Assignment
from benito.topology.model import Topology


class Place(msgspec.Struct, frozen=True):
    """Something on the map: its name, its middle and its size in px."""

    name: str
    short: str
    kind: str
    x: float
    y: float
    w: float
    h: float
    label: str = ""


class Line(msgspec.Struct, frozen=True):
    """A link, or a member of a LAN; `a` and `b` are ids as the map uses them."""

    a: str
    b: str
    lan: str
    label: str
    spoke: bool


class Drawn(msgspec.Struct, frozen=True):
    """The whole map."""

    width: float
    height: float
    named: bool
    """Whether there is room for names at the first sight."""
    nodes: tuple[Place, ...]
    lans: tuple[Place, ...]
    edges: tuple[Line, ...]
    groups: tuple[Place, ...]
    usual: str
    """What links without a label do."""


def drawn(topology: Topology, assignment: Assignment | None) -> Drawn:
    """Return the map; 1,000 nodes take about a second."""
    picture = scene(topology, assignment, None)
    layout = lay_out(picture)
    places = [_place(picture, layout, at) for at in range(len(picture.vertices))]
    ids = [f"l:{vertex.name}" if vertex.kind == LAN else f"n:{vertex.name}" for vertex in picture.vertices]
    return Drawn(
        width=_px(layout.width),
        height=_px(layout.height),
        named=layout.named,
        nodes=tuple(place for place in places if place.kind != LAN),
        lans=tuple(place for place in places if place.kind == LAN),
        edges=tuple(Line(ids[e.a], ids[e.b], e.lan, e.label, e.spoke) for e in picture.edges),
        groups=tuple(
            Place(
                name, name, "pnode", _px(box.x + box.width / 2), _px(box.y + box.height / 2), _px(box.width), box.height
            )
            for name, box in layout.groups.items()
        ),
        usual=picture.usual,
    )


def encode(of: Drawn) -> bytes:
    """Return the map as JSON."""
    return msgspec.json.encode(of)


def _place(picture: Scene, layout: Layout, at: int) -> Place:
    vertex, (x, y), (width, height) = picture.vertices[at], layout.centres[at], layout.sizes[at]
    return Place(vertex.name, vertex.short, vertex.kind, _px(x), _px(y), _px(width), _px(height), vertex.label)


def _px(value: float) -> float:
    return round(value, 1)
