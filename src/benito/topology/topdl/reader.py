"""Gives the elements of a TopDL file their meaning.

As the original library: any root, order of no matter, names of substrates unique, every interface on a known one.
Stricter where machines are to be made: numbers, names, kinds, partitions and addresses must make sense. Elements that
TopDL doesn't have are kept with a warning.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

from benito.errors import InputError
from benito.topology.element import Element
from benito.topology.model import EMPTY, Foreign, Interface, Lan, Member, Node, Topology
from benito.topology.ns.naming import MAX_LENGTH, RESERVED
from benito.topology.topdl import extension, shaping
from benito.topology.topdl.computer import CHILDREN as COMPUTER
from benito.topology.topdl.computer import (
    NETMASK,
    computer,
    default_kinds,
    interface_netmask,
    known_substrate,
    substrate_names,
)
from benito.topology.topdl.reading import Reading, place_of
from benito.topology.topdl.substrate import KIND, MEMBERS, Substrate, natural_kind, ordered, read_kind, substrate

VALID = re.compile(r"[-_0-9A-Za-z]+", re.ASCII)
ROOT = ("version", "substrates", "elements", "attribute")
WRAPPERS = ("experiment", "topology")
FOREIGN = {
    "testbed": ("uri", "type", "interface", "attribute", "localname", "status", "service", "operation"),
    "segment": ("id", "type", "uri", "interface", "attribute"),
    "other": ("interface", "attribute"),
}


def interpret(root: Element, file: str) -> Topology:
    """Return what a document describes; InputError with every fault found."""
    reading = Reading(file)
    root = _unwrapped(root)
    known = any(child.tag in ROOT for child in root.children)
    if root.children and not known and root.tag not in WRAPPERS:
        message = f"this XML is not TopDL: `{root.tag[:40]}` holds neither elements nor substrates"
        raise InputError(message, where=reading.where(root), hint="a TopDL file holds an <experiment>")
    reading.check_children(root, ROOT, f"`{root.tag[:40]}`")
    _check_version(reading, root)
    substrates = _substrates(reading, root)
    nodes, foreign = _elements(reading, root, substrates)
    index = {node.name: node for node in nodes}
    others = Counter(name for each in foreign for name in set(substrate_names(each.element)))
    topology = Topology(
        nodes=tuple(nodes),
        lans=tuple(_lan(reading, each, index, others[each.name]) for each in substrates.values()),
        foreign=tuple(foreign),
        source=root.without("substrates", "elements"),
    )
    attributes = reading.attributes(root, "the topology")
    topology = extension.decode(reading, root, attributes, topology)
    if reading.faults:
        faults = sorted(reading.faults, key=lambda fault: fault.where.line if fault.where else 0)
        raise InputError(f"{file} has {len(faults)} error{'s' * (len(faults) != 1)}", faults=faults)
    plain = {key: value for key, value in attributes.items() if key not in extension.KEYS}
    return replace(
        topology,
        attributes=MappingProxyType(plain) if plain else EMPTY,
        warnings=tuple(sorted(reading.warnings, key=lambda fault: fault.where.line if fault.where else 0)),
    )


def _unwrapped(root: Element) -> Element:
    """Go down to the topology where it is wrapped in something else."""
    while not any(child.tag in ROOT for child in root.children):
        inner = next((child for child in root.children if child.tag in WRAPPERS), None)
        if inner is None:
            break
        root = inner
    return root


def _check_version(reading: Reading, root: Element) -> None:
    version = root.first("version")
    if version is not None and version.text not in ("1.0", "1", ""):
        reading.warn(f"this is TopDL version `{version.text[:20]}`; it is read as 1.0", version)


def check_name(reading: Reading, name: str, element: Element, what: str) -> None:
    """Note what is wrong with a name: it becomes part of host names, and may have underscores (DETER Containers)."""
    if not VALID.fullmatch(name):
        plain = re.sub(r"[^-_0-9A-Za-z]+", "-", name).strip("-")
        hint = f"names consist of letters, digits, hyphens and underscores: `{plain[:40]}` would do" if plain else ""
        reading.fault(f"the name `{name[:60]}` of {what} is not a valid host name", element, hint)
    elif len(name) > MAX_LENGTH:
        message = f"the name `{name[:20]}...` of {what} is longer than {MAX_LENGTH} characters"
        reading.fault(message, element, "choose a shorter one")


def _substrates(reading: Reading, root: Element) -> dict[str, Substrate]:
    found: dict[str, Substrate] = {}
    for element in root.all("substrates"):
        name = element.value("name")
        if not name:
            reading.fault("a substrate has no name", element, "write <name>...</name>")
            continue
        check_name(reading, name, element, "a substrate")
        if name in found:
            place = found[name].where
            reading.fault(f"the substrate `{name[:60]}` stands here twice ({place})", element, "rename one of them")
            continue
        found[name] = substrate(reading, element, name)
    return found


def _elements(reading: Reading, root: Element, substrates: dict[str, Substrate]) -> tuple[list[Node], list[Foreign]]:
    nodes: dict[str, Node] = {}
    foreign: list[Foreign] = []
    for wrapper in root.all("elements"):
        if not wrapper.children:
            reading.warn("an `elements` holds nothing", wrapper)
        for element in wrapper.children:
            if element.tag != "computer":
                foreign.append(_foreign(reading, element, len(nodes), substrates))
                continue
            node = _computer(reading, element, substrates, nodes)
            if node is not None:
                nodes[node.name.lower()] = node
    return default_kinds(list(nodes.values())), foreign


def _computer(
    reading: Reading, element: Element, substrates: dict[str, Substrate], others: Mapping[str, Node]
) -> Node | None:
    name = element.value("name")
    if not name:
        reading.fault("a computer has no name", element, "write <name>...</name>")
        return None
    check_name(reading, name, element, "a computer")
    if name.lower() in RESERVED:
        reading.fault(f"the name `{name}` is reserved", element, "choose another name for this computer")
    other = others.get(name.lower())
    if other is not None:
        message = f"there is a computer `{other.name}` already ({other.where})"
        reading.fault(message, element, "host names are matched without regard to case: rename one of them")
        return None
    reading.check_children(element, COMPUTER, f"`{name[:60]}`")
    return computer(reading, element, name, substrates)


def _foreign(reading: Reading, element: Element, position: int, substrates: dict[str, Substrate]) -> Foreign:
    title = next((f" `{text[:60]}`" for tag in ("uri", "name") if (text := element.value(tag))), "")
    what = f"the {element.tag[:40]}{title}"
    if element.tag in FOREIGN:
        reading.check_children(element, FOREIGN[element.tag], what)
    for interface in element.all("interface"):
        for each in interface.all("substrate"):
            known_substrate(reading, each, what, substrates)
    reading.warn(f"{what} is kept, but Benito builds computers only", element)
    return Foreign(element, position)


def _lan(reading: Reading, asked: Substrate, nodes: dict[str, Node], others: int) -> Lan:
    """Bring a substrate and its interfaces together."""
    natural = asked.members(nodes)
    members = ordered(reading, asked, natural)
    if len(natural) + others < 2:
        count = "one member" if natural else "no member"
        reading.warn(f"the substrate `{asked.name}` has {count}: it joins nothing", asked.element)
    hidden = (*shaping.ATTRIBUTES, KIND, MEMBERS)
    attributes = {key: value for key, value in asked.attributes.items() if key not in hidden}
    return Lan(
        name=asked.name,
        members=tuple(members),
        kind=read_kind(reading, asked, len(natural)) or natural_kind(len(natural), others),
        netmask=_netmask(reading, asked.name, natural, nodes),
        attributes=MappingProxyType(attributes) if attributes else EMPTY,
        where=reading.where(asked.element),
        source=asked.element,
    )


def _netmask(reading: Reading, name: str, members: tuple[Member, ...], nodes: dict[str, Node]) -> str | None:
    """Return the netmask that the interfaces agree on."""
    found: str | None = None
    for member in members:
        interface: Interface = nodes[member.node].interfaces[member.port]
        mask = interface_netmask(interface.source)
        if mask is None or interface.source is None:
            continue
        if found is not None and mask != found:
            message = f"the netmask {mask} of `{member.node}` on `{name}` differs from {found}, which others have there"
            reading.fault(message, place_of(interface.source, NETMASK), "give one substrate one netmask")
        found = found or mask
    return found
