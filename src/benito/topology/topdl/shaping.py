"""What substrates and interfaces ask for, turned into what each direction of a member does, and back.

A substrate's capacity is each member's in each direction, its latency the one-way delay between two members (half of
it at each member's side), its attribute `loss` the probability between two members (split as Emulab splits it). What an
interface asks for is that member's alone, in both directions: its capacity can only be less than the substrate's, its
latency and loss come on top. Directions that differ stand in the attributes `benito:outward` and `benito:inward`:
delay in ms, bandwidth in kb/s (0 = unlimited), loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benito import units
from benito.topology.element import Element
from benito.topology.model import Shape
from benito.topology.topdl.reading import Reading, digits, place_of

MAX_KBPS = 1_000_000_000
MAX_DELAY_MS = 3_600_000
RATE_HINT = "write kb/s as a number: 100000 is 100 Mb/s"
TIME_HINT = "write milliseconds as a number: 10 is 10 ms"
LOSS_HINT = "write a number from 0 to 1, such as 0.05"
OUTWARD, INWARD = "benito:outward", "benito:inward"
ATTRIBUTES = ("loss", OUTWARD, INWARD)
"""The attributes of a substrate or interface that are read here."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a substrate (delay and loss between two members) or an interface (on its side) asks for; 0 for nothing."""

    bandwidth_kbps: int = 0
    delay_ms: float = 0.0
    loss: float = 0.0


def asked(reading: Reading, element: Element, attributes: Mapping[str, str], name: str) -> Asked:
    """Read the capacity, latency and loss of a substrate or interface."""
    return Asked(
        _capacity(reading, element, name),
        _part(reading, element, "latency", "time", name) or 0.0,
        _loss(reading, element, attributes, name),
    )


def _part(reading: Reading, element: Element, tag: str, part: str, name: str) -> float | None:
    holder = element.first(tag)
    if holder is None:
        return None
    if len(element.all(tag)) > 1:
        reading.fault(f"{name} has more than one {tag}", element.all(tag)[1], "leave one of them out")
    found = holder.first(part)
    if found is None:
        reading.fault(f"the {tag} of {name} has no `{part}`", holder, f"write <{tag}><{part}>...</{part}></{tag}>")
        return None
    if part == "rate":
        return reading.number(found, "rate", name, MAX_KBPS, RATE_HINT)
    return reading.number(found, "latency", name, MAX_DELAY_MS, TIME_HINT)


def _capacity(reading: Reading, element: Element, name: str) -> int:
    rate = _part(reading, element, "capacity", "rate", name)
    if rate is None:
        return 0
    if rate == 0:
        reading.warn(f"the rate 0 of {name} is read as no limit", element.first("capacity") or element, RATE_HINT)
        return 0
    return max(1, round(rate))


def _loss(reading: Reading, element: Element, attributes: Mapping[str, str], name: str) -> float:
    text = attributes.get("loss")
    if text is None:
        return 0.0
    place = place_of(element, "loss")
    value = reading.number(Element("value", text, line=place.line), "loss", name, 1, LOSS_HINT)
    return value or 0.0


def side(substrate: Asked, interface: Asked) -> Shape:
    """Return what either direction of a member does."""
    limits = [limit for limit in (substrate.bandwidth_kbps, interface.bandwidth_kbps) if limit]
    one = units.each_side(substrate.loss) if substrate.loss else 0.0
    return Shape(
        delay_ms=substrate.delay_ms / 2 + interface.delay_ms,
        bandwidth_kbps=min(limits, default=0),
        loss=one + interface.loss - one * interface.loss if one and interface.loss else one or interface.loss,
    )


def direction(reading: Reading, element: Element, attributes: Mapping[str, str], key: str, other: Shape) -> Shape:
    """Return the direction that `benito:outward` or `benito:inward` gives, the other shape where it isn't given."""
    text = attributes.get(key)
    if text is None:
        return other
    parts = text.split()
    silent = Reading()
    limits = (MAX_DELAY_MS, MAX_KBPS, 1)
    values = [
        silent.number(Element("value", part), key, "", most, "") for part, most in zip(parts, limits, strict=False)
    ]
    if len(parts) != 3 or silent.faults:
        reading.fault(
            f"the attribute `{key}` can't be `{text[:40]}`",
            place_of(element, key),
            "write delay in ms, bandwidth in kb/s and loss, such as: 10 1000 0.05",
        )
        return other
    delay, bandwidth, loss = (value or 0.0 for value in values)
    return Shape(delay, max(1, round(bandwidth)) if bandwidth else 0, loss)


def shape_text(shape: Shape) -> str:
    """Write a direction for `benito:outward` or `benito:inward`."""
    return f"{digits(shape.delay_ms)} {shape.bandwidth_kbps} {digits(shape.loss)}"


def spread(shapes: Sequence[Shape]) -> tuple[Asked, list[Asked]]:
    """Find what substrate and interfaces must ask for so that `side` gives each member this shape, exactly."""
    if not shapes:
        return Asked(), []
    widest = 0 if any(not shape.bandwidth_kbps for shape in shapes) else max(each.bandwidth_kbps for each in shapes)
    delay = min(shape.delay_ms for shape in shapes)
    if any(delay + (shape.delay_ms - delay) != shape.delay_ms for shape in shapes):
        delay = 0.0
    pair = 0.0
    if len({shape.loss for shape in shapes}) == 1:
        pair = pair_loss(shapes[0].loss) or 0.0
    substrate = Asked(widest, 2 * delay, pair)
    return substrate, [
        Asked(
            0 if shape.bandwidth_kbps == widest else shape.bandwidth_kbps,
            shape.delay_ms - delay,
            0.0 if pair else shape.loss,
        )
        for shape in shapes
    ]


def pair_loss(one: float) -> float | None:
    """Return the loss between two members that is split into exactly this on each side; None where none is."""
    pair = 1 - (1 - one) ** 2
    return next((each for each in (round(pair, 12), round(pair, 15), pair) if units.each_side(each) == one), None)
