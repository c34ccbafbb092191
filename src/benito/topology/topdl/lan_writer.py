"""Writes substrates, and what their interfaces must say so that both together mean what the topology says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from benito.topology.element import Element, leaf
from benito.topology.model import Interface, Lan, Member, Queue, Topology
from benito.topology.topdl import computer, shaping
from benito.topology.topdl.computer import ADDRESS, NETMASK, QUEUE
from benito.topology.topdl.reading import Reading, address, digits, merged, place_of
from benito.topology.topdl.shaping import INWARD, OUTWARD
from benito.topology.topdl.substrate import CHILDREN, KIND, MEMBERS, arranged, members_text, natural_kind

Ends = dict[tuple[str, int], tuple[Element, dict[str, str]]]
"""(node, port) -> the interface's element with its capacity and latency, and the attributes that it shall have."""


class LanWriter:
    """Writes one LAN after the other; `ends` fills with their interfaces."""

    def __init__(self, topology: Topology) -> None:
        self.ends: Ends = {}
        self._interfaces: dict[Member, Interface] = {}
        self._natural: dict[str, list[Member]] = {lan.name: [] for lan in topology.lans}
        self._foreign = Counter(
            name for each in topology.foreign for name in set(computer.substrate_names(each.element))
        )
        for node in topology.nodes:
            for port, interface in enumerate(node.interfaces):
                member = Member(node.name, port)
                self._interfaces[member] = interface
                self._natural[interface.lan].append(member)

    def write(self, lan: Lan) -> Element:
        """Return the LAN's substrate."""
        source = lan.source or Element("substrates")
        if source.value("name") != lan.name:
            source = source.with_value("name", lan.name)
        natural = tuple(self._natural[lan.name])
        interfaces = [self._interfaces[member] for member in natural]
        bases = [each.source or Element("interface") for each in interfaces]
        if not _as_written(source, bases, interfaces):
            source, bases = _reshaped(source, bases, interfaces)
        given = Reading().attributes(source, "")
        wanted = dict(lan.attributes) | {key: given[key] for key in shaping.ATTRIBUTES if key in given}
        if lan.kind != natural_kind(len(natural), self._foreign[lan.name]) or given.get(KIND) == lan.kind:
            wanted[KIND] = str(lan.kind)
        if MEMBERS in given and (arranged(given[MEMBERS], natural) or natural) == lan.members:
            wanted[MEMBERS] = given[MEMBERS]
        elif natural != lan.members:
            wanted[MEMBERS] = members_text(lan.members)
        masks = _masks(lan, interfaces)
        for member, interface, base, mask in zip(natural, interfaces, bases, masks, strict=True):
            self.ends[member.node, member.port] = (base, _attributes(interface, base, mask))
        source = merged(source, wanted)
        return source.holding(sorted(source.children, key=_place))


def _place(child: Element) -> int:
    return CHILDREN.index(child.tag) if child.tag in CHILDREN else len(CHILDREN)


def _as_written(source: Element, bases: Sequence[Element], interfaces: Sequence[Interface]) -> bool:
    """Whether the elements already say how the interfaces are shaped."""
    silent = Reading()
    substrate = shaping.asked(silent, source, silent.attributes(source, ""), "")
    for base, interface in zip(bases, interfaces, strict=True):
        given = silent.attributes(base, "")
        both = shaping.side(substrate, shaping.asked(silent, base, given, ""))
        if interface.outward != shaping.direction(silent, base, given, OUTWARD, both):
            return False
        if interface.inward != shaping.direction(silent, base, given, INWARD, both):
            return False
    return not silent.faults


def _reshaped(
    source: Element, bases: Sequence[Element], interfaces: Sequence[Interface]
) -> tuple[Element, list[Element]]:
    """Return the elements with shaping written anew."""
    substrate, asked = shaping.spread([each.outward for each in interfaces])
    ends = [
        _asking(base, one, interface if interface.outward != interface.inward else None)
        for base, one, interface in zip(bases, asked, interfaces, strict=True)
    ]
    return _asking(source, substrate, None), ends


def _asking(element: Element, asked: shaping.Asked, directions: Interface | None) -> Element:
    """Return the element with this capacity, latency and loss, and with an interface's two directions."""
    element = _with_part(element, "capacity", "rate", "max", asked.bandwidth_kbps)
    element = _with_part(element, "latency", "time", "average", asked.delay_ms)
    attributes = Reading().attributes(element, "")
    for key in shaping.ATTRIBUTES:
        attributes.pop(key, None)
    if asked.loss:
        attributes["loss"] = digits(asked.loss)
    if directions is not None:
        attributes[OUTWARD] = shaping.shape_text(directions.outward)
        attributes[INWARD] = shaping.shape_text(directions.inward)
    return merged(element, attributes)


def _with_part(element: Element, tag: str, part: str, kind: str, value: float) -> Element:
    old = element.first(tag)
    element = element.without(tag)
    if not value:
        return element
    new = (
        old.with_value(part, digits(value))
        if old
        else Element(tag, "", (leaf(part, digits(value)), leaf("kind", kind)))
    )
    return element.holding([*element.children, new])


def _masks(lan: Lan, interfaces: Sequence[Interface]) -> list[str | None]:
    """Return the text of each interface's netmask: the file's own where one of them says it already."""
    given = [_text(each, NETMASK) for each in interfaces]
    said = {computer.interface_netmask(each.source) for each in interfaces} - {None}
    if lan.netmask is None:
        return [text if text is not None and not said else None for text in given]
    if said == {lan.netmask}:
        return given
    return [lan.netmask for _ in interfaces]


def _text(interface: Interface, key: str) -> str | None:
    """Return the text of an attribute in the interface's source."""
    if interface.source is None:
        return None
    place = place_of(interface.source, key)
    return None if place is interface.source else place.value("value")


def _attributes(interface: Interface, base: Element, mask: str | None) -> dict[str, str]:
    """Return an interface's attributes, in the file's own words where they mean the same."""
    given = Reading().attributes(base, "")
    wanted: dict[str, str] = {}
    if ADDRESS in given and (address(given[ADDRESS]) if given[ADDRESS] else None) == interface.address:
        wanted[ADDRESS] = given[ADDRESS]
    elif interface.address is not None:
        wanted[ADDRESS] = interface.address
    if mask is not None:
        wanted[NETMASK] = mask
    wanted |= interface.attributes
    wanted |= {key: given[key] for key in shaping.ATTRIBUTES if key in given}
    if QUEUE in given and computer.queue(Reading(), base, given) == interface.queue:
        wanted[QUEUE] = given[QUEUE]
    elif interface.queue != Queue():
        wanted[QUEUE] = computer.queue_text(interface.queue)
    return wanted
