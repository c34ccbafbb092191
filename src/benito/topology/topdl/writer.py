"""Writes a topology as TopDL.

What was read from TopDL is written as it was, except where the topology's fields now say something else; what was not
gets the elements and attributes that DETER's own tools wrote, and `benito:` attributes for what those can't say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benito.topology import placement
from benito.topology.element import Element, leaf
from benito.topology.model import Interface, Node, Software, Topology
from benito.topology.topdl import computer, extension
from benito.topology.topdl.lan_writer import Ends, LanWriter
from benito.topology.topdl.reading import Reading, attribute, merged

ROOT = ("version", "substrates", "elements", "attribute")
KIND_WORDS = {"qemu": "qemu", "container": "openvz", "physical": "embedded_pnode"}
"""What DETER Containers called the kinds."""


def document(topology: Topology) -> Element:
    """Return the root element."""
    root = topology.source or Element("experiment", children=(leaf("version", "1.0"),))
    lans = LanWriter(topology)
    substrates = [lans.write(lan) for lan in topology.lans]
    by_hand = any(node.partition is not None for node in topology.nodes)
    elements: list[Element] = []
    waiting = sorted(topology.foreign, key=lambda each: each.position)[::-1]
    for position, node in enumerate(topology.nodes):
        while waiting and waiting[-1].position <= position:
            elements.append(waiting.pop().element)
        elements.append(_computer(node, by_hand, lans.ends))
    elements += [each.element for each in reversed(waiting)]
    wrapped = [Element("elements", children=(each,)) for each in elements]
    root = merged(root, dict(topology.attributes) | _extensions(topology, root))
    return sort(root.holding([*root.children, *substrates, *wrapped]), ROOT)


def _extensions(topology: Topology, root: Element) -> dict[str, str]:
    """Return the root's attributes of ours, in the file's own words where they mean the same."""
    wanted = extension.encode(topology)
    given = Reading().attributes(root, "")
    decoded = extension.encode(extension.decode(Reading(), root, given, Topology((), ())))
    kept = {key: given[key] for key in extension.KEYS if key in given and decoded.get(key) == wanted.get(key)}
    return {**wanted, **kept}


def sort(element: Element, order: Sequence[str]) -> Element:
    """Put the children into the original's order; unknown ones come last."""
    places = {tag: place for place, tag in enumerate(order)}
    return element.holding(sorted(element.children, key=lambda child: places.get(child.tag, len(order))))


def _computer(node: Node, by_hand: bool, ends: Ends) -> Element:
    source = node.source or Element("computer")
    if source.value("name") != node.name:
        source = source.with_value("name", node.name)
    source = _with_os(source, node.os)
    source = _with_software(source, node.software)
    source = merged(source, node_attributes(node, by_hand))
    names = {each.name for each in node.interfaces}
    interfaces = []
    for port, each in enumerate(node.interfaces):
        label = each.name or ("" if each.source else _free_name(names))
        interfaces.append(_interface(each, label, *ends[node.name, port]))
    return sort(source.holding([*source.children, *interfaces]), computer.CHILDREN)


def _free_name(names: set[str]) -> str:
    """Name an interface as the original does, by the first number that is free."""
    number = 0
    while (name := f"inf{number:03d}") in names:
        number += 1
    names.add(name)
    return name


def _with_os(source: Element, wanted: str | None) -> Element:
    if computer.osid(Reading(), source, "") == wanted:
        return source
    children = [_without_osid(child) if child.tag == "os" else child for child in source.children]
    if wanted is not None:
        place = next((place for place, child in enumerate(children) if child.tag == "os"), None)
        if place is None:
            children.append(Element("os", children=(attribute(computer.OSID, wanted),)))
        else:
            children[place] = children[place].holding([*children[place].children, attribute(computer.OSID, wanted)])
    return source.holding(child for child in children if child.tag != "os" or child.children or child.text)


def _without_osid(element: Element) -> Element:
    return element.holding(
        child for child in element.children if child.tag != "attribute" or child.value("attribute") != computer.OSID
    )


def _with_software(source: Element, wanted: tuple[Software, ...]) -> Element:
    if computer.software(Reading(), source, "") == wanted:
        return source
    old = {computer.software(Reading(), Element("", children=(each,)), ""): each for each in source.all("software")}
    return source.without("software").holding(
        [*source.without("software").children, *(old.get((each,)) or _software(each) for each in wanted)]
    )


def _software(software: Software) -> Element:
    install = [leaf("install", software.install)] if software.install is not None else []
    return Element("software", children=(leaf("location", software.location), *install))


def node_attributes(node: Node, by_hand: bool) -> dict[str, str]:
    """Return a node's attributes, with those that its fields stand for saying what the fields say."""
    wanted = dict(node.attributes)
    said = computer.described(Node(node.name, attributes=wanted), Reading(), Element(""))
    for field, key in (
        ("hardware", computer.HARDWARE),
        ("failure_action", computer.FAILURE_ACTION),
        ("startup", computer.OLD_STARTUP),
    ):
        if getattr(said, field) != getattr(node, field):
            _set(wanted, (key,), getattr(node, field))
    if said.start_command != node.start_command:
        family = _family(computer.STARTUP, "")
        if node.source is None and node.start_command is not None and any(key in wanted for key in family):
            family = family[1:2]  # a mere attribute of an NS file: it stays, beside one that goes before it
        _set(wanted, family, node.start_command)
    if said.partition != node.partition:
        _set(wanted, _family("partition"), None if node.partition is None else str(node.partition))
    if (said.kind or placement.default_kind(by_hand, node.partition)) != node.kind:
        _set(wanted, _family("node_type"), KIND_WORDS.get(node.kind, node.kind))
    return wanted


def _family(name: str, usual: str = "containers:") -> tuple[str, ...]:
    """Return an attribute's names under all prefixes in the order of precedence, after the one usually written."""
    return (usual + name, *(prefix + name for prefix in placement.PREFIXES))


def _set(attributes: dict[str, str], keys: tuple[str, ...], value: str | None) -> None:
    """Set the attribute that holds among those of one family; None removes them all."""
    if value is None:
        for key in keys:
            attributes.pop(key, None)
        return
    holding = next((key for key in keys[1:] if key in attributes), keys[0])
    attributes[holding] = value


def _interface(interface: Interface, label: str, base: Element, wanted: Mapping[str, str]) -> Element:
    """Return an interface; `base` and `wanted` are what its LAN's writer made of it."""
    joined = base.first("substrate")
    if joined is None or joined.text != interface.lan:
        base = base.with_value("substrate", interface.lan)
    if label != (base.value("name") or ""):
        base = base.with_value("name", label) if label else base.without("name")
    return sort(merged(base, wanted), computer.INTERFACE)
