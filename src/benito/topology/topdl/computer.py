"""One computer of a TopDL file: what it is made as, what runs on it, and its interfaces."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from benito.topology import placement
from benito.topology.element import Element
from benito.topology.model import EMPTY, Interface, Node, Queue, Software
from benito.topology.topdl import shaping
from benito.topology.topdl.reading import MAX_FAULTS, Reading, address, nearest, netmask, place_of
from benito.topology.topdl.substrate import Substrate

CHILDREN = (
    "name",
    "cpu",
    "os",
    "software",
    "storage",
    "interface",
    "attribute",
    "localname",
    "status",
    "service",
    "operation",
)
"""In the order in which the original writes them."""
INTERFACE = ("substrate", "name", "capacity", "latency", "attribute")
FAILURE_ACTIONS = ("fatal", "nonfatal", "ignore")
OSID = "osid"
STARTUP = "startup"
OLD_STARTUP = "benito:old_startup"
"""Emulab's older start command, which DETER's tools have no name for."""
FAILURE_ACTION = "failureaction"
HARDWARE = "type"
ADDRESS, NETMASK, QUEUE = "ip4_address", "ip4_netmask", "benito:queue"
HIDDEN = (ADDRESS, NETMASK, QUEUE, *shaping.ATTRIBUTES)
"""The attributes of an interface that the model names."""


def computer(reading: Reading, element: Element, name: str, substrates: dict[str, Substrate]) -> Node:
    """Read a computer; its interfaces are entered into their substrates."""
    what = f"`{name[:60]}`"
    attributes = reading.attributes(element, what)
    if len(element.all("name")) > 1:
        reading.warn(f"{what} has several names; it is made under the first", element.all("name")[1])
    node = described(Node(name, attributes=attributes), reading, element)
    interfaces: list[Interface] = []
    for each in element.all("interface"):
        interface = _interface(reading, each, name, substrates)
        if interface is not None:
            substrates[interface.lan].ends.append((name, len(interfaces)))
            interfaces.append(interface)
    return replace(
        node,
        interfaces=tuple(interfaces),
        os=osid(reading, element, what),
        software=software(reading, element, what),
        attributes=MappingProxyType(attributes) if attributes else EMPTY,
        where=reading.where(element),
        source=element.without("interface"),
    )


def described(node: Node, reading: Reading, element: Element) -> Node:
    """Return the node with what its attributes say: kind, partition, hardware, commands. An unsaid kind is empty."""
    attributes = node.attributes
    kind, partition = None, None
    try:
        kind = placement.kind(attributes)
    except ValueError as error:
        hint = f"known types are {', '.join(placement.KINDS)}"
        message = f"`{node.name}` has the unknown node type `{str(error)[:60]}`"
        reading.fault(message, _place(element, "node_type"), hint)
    try:
        partition = placement.partition(attributes)
    except ValueError as error:
        message = f"`{node.name}` has the partition `{str(error)[:60]}`"
        reading.fault(message, _place(element, "partition"), "write a number")
    failure_action = attributes.get(FAILURE_ACTION)
    if failure_action is not None and failure_action not in FAILURE_ACTIONS:
        message = f"`{failure_action[:60]}` is not a failure action"
        reading.fault(message, place_of(element, FAILURE_ACTION), f"write one of {', '.join(FAILURE_ACTIONS)}")
    return replace(
        node,
        kind=kind or "",
        partition=partition,
        hardware=attributes.get(HARDWARE) or None,
        start_command=placement.attribute(attributes, STARTUP) or None,
        startup=attributes.get(OLD_STARTUP) or None,
        failure_action=failure_action,
    )


def _place(element: Element, name: str) -> Element:
    keys = [prefix + name for prefix in placement.PREFIXES]
    return next((place for key in keys if (place := place_of(element, key)) is not element), element)


def default_kinds(nodes: list[Node]) -> list[Node]:
    """Return the nodes, those of no kind with the kind that the others' partitions give them."""
    by_hand = any(node.partition is not None for node in nodes)
    return [
        node if node.kind else replace(node, kind=placement.default_kind(by_hand, node.partition)) for node in nodes
    ]


def osid(reading: Reading, element: Element, what: str) -> str | None:
    """Return the image's name: the attribute `osid` of the first os that has one."""
    found = [
        (each, value) for each in element.all("os") if (value := reading.attributes(each, f"{what}'s os").get(OSID))
    ]
    if len({value for _, value in found}) > 1:
        reading.warn(f"{what} has several images; it is made with the first", found[1][0])
    return found[0][1] if found else None


def software(reading: Reading, element: Element, what: str) -> tuple[Software, ...]:
    """Return what is to be installed."""
    found = []
    for each in element.all("software"):
        location = each.value("location")
        if not location:
            reading.fault(f"a software of {what} has no location", each, "write <location>...</location>")
        else:
            found.append(Software(location, each.value("install") or None))
    return tuple(found)


def known_substrate(reading: Reading, element: Element, what: str, substrates: Mapping[str, Substrate]) -> bool:
    """Whether the substrate that an interface names is there; a fault where it isn't."""
    if element.text in substrates:
        return True
    usual = "describe it: <substrates><name>...</name></substrates>"
    hint = nearest(element.text, list(substrates)) if len(reading.faults) < MAX_FAULTS else ""
    reading.fault(f"{what} is on the substrate `{element.text[:60]}`, which is not in the file", element, hint or usual)
    return False


def _interface(reading: Reading, element: Element, node: str, substrates: dict[str, Substrate]) -> Interface | None:
    label = element.value("name") or ""
    what = f"interface `{label[:60]}` of `{node[:60]}`" if label else f"an interface of `{node[:60]}`"
    reading.check_children(element, INTERFACE, what)
    joined = element.all("substrate")
    if not joined:
        reading.fault(f"{what} is on no substrate", element, "write <substrate>...</substrate>")
        return None
    known = [known_substrate(reading, each, what, substrates) for each in joined]
    if not all(known):
        return None
    if len(joined) > 1:
        reading.warn(f"{what} is on several substrates; it is joined to the first only", joined[1])
    attributes = reading.attributes(element, what)
    both = shaping.side(substrates[joined[0].text].asked, shaping.asked(reading, element, attributes, what))
    shown = {key: value for key, value in attributes.items() if key not in HIDDEN}
    return Interface(
        lan=joined[0].text,
        name=label,
        address=_address(reading, element, attributes, what),
        outward=shaping.direction(reading, element, attributes, shaping.OUTWARD, both),
        inward=shaping.direction(reading, element, attributes, shaping.INWARD, both),
        queue=queue(reading, element, attributes),
        attributes=MappingProxyType(shown) if shown else EMPTY,
        where=reading.where(place_of(element, ADDRESS)),
        source=element,
    )


def substrate_names(element: Element) -> list[str]:
    """Return the substrates that an element's interfaces are on."""
    return [each.text for interface in element.all("interface") for each in interface.all("substrate")]


def _address(reading: Reading, element: Element, attributes: Mapping[str, str], what: str) -> str | None:
    mask = attributes.get(NETMASK)
    if mask and netmask(mask) is None:
        message = f"`{mask[:60]}` of {what} is not a netmask"
        reading.fault(message, place_of(element, NETMASK), "write ones, then zeros, such as 255.255.255.0")
    text = attributes.get(ADDRESS)
    if not text:
        return None
    plain = address(text)
    if plain is None:
        message = f"`{text[:60]}` of {what} is not an IP address"
        hint = "write four numbers from 0 to 255, such as 10.1.2.3"
        reading.fault(message, place_of(element, ADDRESS), hint)
    return plain


def interface_netmask(source: Element | None) -> str | None:
    """Return the netmask that an interface's element gives."""
    if source is None:
        return None
    place = place_of(source, NETMASK)
    return None if place is source else netmask(place.value("value") or "")


def queue(reading: Reading, element: Element, attributes: Mapping[str, str]) -> Queue:
    """Read the attribute `benito:queue`."""
    text = attributes.get(QUEUE)
    if text is None:
        return Queue()
    import msgspec

    try:
        return msgspec.json.decode(text, type=Queue)
    except (msgspec.MsgspecError, RecursionError) as error:
        reading.fault(f"the attribute `{QUEUE}` can't be read: {error}", place_of(element, QUEUE), "mend its JSON")
        return Queue()


def queue_text(queue: Queue) -> str:
    """Write a queue for `benito:queue`: what differs from Emulab's defaults."""
    import msgspec

    plain = {name: getattr(queue, name) for name in Queue.__dataclass_fields__}
    usual = {name: getattr(Queue(), name) for name in Queue.__dataclass_fields__}
    return msgspec.json.encode({key: value for key, value in plain.items() if value != usual[key]}).decode()
