"""One substrate of a TopDL file: what it asks for, and who is on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from benito.errors import Where
from benito.topology.element import Element
from benito.topology.model import LanKind, Member, Node
from benito.topology.topdl import shaping
from benito.topology.topdl.reading import Reading, place_of

CHILDREN = ("name", "capacity", "latency", "attribute", "localname", "status", "service", "operation")
KIND = "benito:kind"
"""`link` or `lan`, where the number of members doesn't tell."""
MEMBERS = "benito:members"
"""`node:port ...`: the order of the members, where it isn't the order of the computers."""


@dataclass(frozen=True, slots=True, eq=False)
class Substrate:
    """A substrate while the file is read; `ends` fills with its interfaces."""

    name: str
    element: Element
    asked: shaping.Asked
    attributes: Mapping[str, str]
    where: Where | None
    ends: list[tuple[str, int]] = field(default_factory=list)

    def members(self, nodes: Mapping[str, Node]) -> tuple[Member, ...]:
        """Return the members in the order of the computers."""
        return tuple(Member(node, port) for node, port in self.ends if node in nodes)


def substrate(reading: Reading, element: Element, name: str) -> Substrate:
    """Read what a substrate says of itself."""
    what = f"substrate `{name[:60]}`"
    reading.check_children(element, CHILDREN, what)
    attributes = reading.attributes(element, what)
    asked = shaping.asked(reading, element, attributes, what)
    return Substrate(name, element, asked, attributes, reading.where(element))


def read_kind(reading: Reading, substrate: Substrate, members: int) -> LanKind | None:
    """Return the kind that the attribute `benito:kind` gives."""
    text = substrate.attributes.get(KIND)
    if text is None:
        return None
    if text not in ("link", "lan") or (text == "link" and members != 2):
        message = f"the substrate `{substrate.name}` can't be of the kind `{text[:40]}`"
        hint = "a link has two members" if text == "link" else "write link or lan"
        reading.fault(message, place_of(substrate.element, KIND), hint)
        return None
    return LanKind(text)


def natural_kind(members: int, others: int = 0) -> LanKind:
    """Return the kind of a substrate that doesn't say it: two members make a link."""
    return LanKind.LINK if members == 2 and not others else LanKind.LAN


def arranged(text: str, members: tuple[Member, ...]) -> tuple[Member, ...] | None:
    """Return the members in the order that the text gives; None where it doesn't name just these."""
    named = {f"{member.node}:{member.port}": member for member in members}
    words = text.split()
    return tuple(named[word] for word in words) if sorted(words) == sorted(named) else None


def ordered(reading: Reading, substrate: Substrate, members: tuple[Member, ...]) -> tuple[Member, ...]:
    """Return the members in the order that the attribute `benito:members` gives."""
    text = substrate.attributes.get(MEMBERS)
    found = members if text is None else arranged(text, members)
    if found is None:
        message = f"the attribute `{MEMBERS}` of `{substrate.name}` doesn't name its members; it has no effect"
        reading.warn(message, place_of(substrate.element, MEMBERS), "remove it")
    return found or members


def members_text(members: tuple[Member, ...]) -> str:
    """Write an order of members for `benito:members`."""
    return " ".join(f"{member.node}:{member.port}" for member in members)
