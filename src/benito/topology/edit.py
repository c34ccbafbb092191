"""Changes to a topology: each function returns a new one, and raises InputError where a change makes no sense.

Attributes and the fields that they stand for (kind, partition, start command...) stay in step, as if the file had
been written so. Nodes that don't say their kind follow the rule of `placement.default_kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from benito import units
from benito.errors import InputError
from benito.topology import placement
from benito.topology.element import Element
from benito.topology.model import EMPTY, Foreign, Interface, Lan, LanKind, Member, Node, Shape, Topology
from benito.topology.topdl import computer
from benito.topology.topdl.reader import check_name
from benito.topology.topdl.reading import Reading
from benito.topology.topdl.writer import node_attributes

NODE_TYPE = "containers:node_type"
UNSAID = ("", placement.DEFAULT_KIND, placement.PHYSICAL)
"""Kinds that a node may have without saying so."""
DERIVED = ("kind", "partition", "hardware", "start_command", "startup", "failure_action")


def set_attribute(topology: Topology, nodes: Iterable[str], key: str, value: str) -> Topology:
    """Set an attribute of nodes."""
    if not key:
        raise InputError("an attribute needs a name", hint="write: name=value")
    return _with_attributes(topology, nodes, lambda attributes: {**attributes, key: value})


def remove_attribute(topology: Topology, nodes: Iterable[str], key: str) -> Topology:
    """Remove an attribute of nodes; those that don't have it stay as they are."""
    return _with_attributes(
        topology, nodes, lambda attributes: {name: value for name, value in attributes.items() if name != key}
    )


def set_kind(topology: Topology, nodes: Iterable[str], word: str) -> Topology:
    """Make nodes of a kind: qemu, container, physical, or one of DETER's words for them."""
    if word not in placement.KINDS:
        raise InputError(f"`{word[:60]}` is not a kind of node", hint=f"kinds are {', '.join(placement.KINDS)}")
    return set_attribute(topology, nodes, NODE_TYPE, word)


def set_os(topology: Topology, nodes: Iterable[str], image: str | None) -> Topology:
    """Give nodes an image; None takes it away."""
    return _change(topology, nodes, lambda node: replace(node, os=image or None))


def set_start_command(topology: Topology, nodes: Iterable[str], command: str | None) -> Topology:
    """Give nodes a start command; None takes it away."""
    return _change(topology, nodes, lambda node: replace(node, start_command=(command or "").strip() or None))


def place(topology: Topology, partitions: Mapping[str, int | None]) -> Topology:
    """Put nodes into partitions by hand; None takes them out of theirs."""
    if any(number is not None and number < 0 for number in partitions.values()):
        raise InputError("a partition is a number from 0 on")
    return _change(topology, partitions, lambda node: replace(node, partition=partitions[node.name]))


def add_node(topology: Topology, node: Node) -> Topology:
    """Add a node; it has no interfaces yet."""
    _check_new(node.name, "a computer", (each.name for each in topology.nodes))
    bare = replace(node, interfaces=(), attributes=MappingProxyType(dict(node.attributes)))
    return _settled(replace(topology, nodes=(*topology.nodes, bare)), {node.name})


def add_lan(
    topology: Topology, name: str, members: Iterable[str], shape: Shape, kind: LanKind | None = None
) -> Topology:
    """Join nodes by a new link or LAN; `shape` is what either side does. Two members make a link."""
    _check_new(name, "a substrate", (each.name for each in topology.lans), any_case=True)
    joined = list(members)
    nodes = {node.name: node for node in topology.nodes}
    ends = []
    for member in joined:
        if member not in nodes:
            raise InputError(f"there is no node `{member[:60]}` to join to `{name}`")
        node = nodes[member]
        ends.append(Member(member, len(node.interfaces)))
        new = Interface(name, outward=shape, inward=shape)
        nodes[member] = replace(node, interfaces=(*node.interfaces, new))
    if len(joined) < 2 or (len(set(joined)) < len(joined) and len(joined) == 2):
        raise InputError(f"`{name}` needs two nodes at least", hint="name different nodes")
    lan = Lan(name, tuple(ends), kind or (LanKind.LINK if len(joined) == 2 else LanKind.LAN))
    return replace(topology, nodes=tuple(nodes.values()), lans=(*topology.lans, lan))


def side(bandwidth: str = "", delay: str = "", loss: str = "") -> Shape:
    """Return what either side of a link does so that this lies between two members; texts as in NS files."""
    return Shape(
        units.delay_ms(delay) / 2 if delay else 0.0,
        units.bandwidth_kbps(bandwidth) if bandwidth else 0,
        units.each_side(units.loss(loss)) if loss else 0.0,
    )


def remove_nodes(topology: Topology, names: Iterable[str]) -> Topology:
    """Remove nodes and all that speaks of them; links and LANs stay with the members they have left."""
    gone = set(names)
    before = [node.name for node in topology.nodes]
    foreign = tuple(
        replace(each, position=each.position - sum(name in gone for name in before[: each.position]))
        for each in topology.foreign
    )
    lans = tuple(
        replace(lan, members=tuple(member for member in lan.members if member.node not in gone))
        for lan in topology.lans
    )
    nodes = tuple(node for node in topology.nodes if node.name not in gone)
    left = replace(topology, nodes=nodes, lans=_kinds(topology.lans, lans), foreign=foreign)
    return _settled(_without(left, topology, gone, set()), set())


def remove_lans(topology: Topology, names: Iterable[str]) -> Topology:
    """Remove links and LANs with their interfaces, and all that speaks of them."""
    gone = set(names)
    for name in gone - {lan.name for lan in topology.lans}:
        raise InputError(f"there is no link or LAN `{name[:60]}`")
    ports: dict[Member, int] = {}
    nodes = []
    for node in topology.nodes:
        kept = [(port, each) for port, each in enumerate(node.interfaces) if each.lan not in gone]
        ports |= {Member(node.name, port): place for place, (port, _) in enumerate(kept)}
        nodes.append(replace(node, interfaces=tuple(each for _, each in kept)))
    lans = tuple(
        replace(lan, members=tuple(Member(each.node, ports[each]) for each in lan.members))
        for lan in topology.lans
        if lan.name not in gone
    )
    foreign = tuple(replace(each, element=_off(each.element, gone)) for each in topology.foreign)
    return _without(replace(topology, nodes=tuple(nodes), lans=lans, foreign=foreign), topology, set(), gone)


def _kinds(old: Iterable[Lan], new: Iterable[Lan]) -> tuple[Lan, ...]:
    """Return the LANs, links that lost a member as LANs."""
    return tuple(
        replace(after, kind=LanKind.LAN)
        if len(after.members) != len(before.members) and after.kind == "link"
        else after
        for before, after in zip(old, new, strict=True)
    )


def _off(element: Element, gone: set[str]) -> Element:
    """Return an element that is no computer without its interfaces on these LANs."""
    return element.holding(
        child for child in element.children if child.tag != "interface" or child.value("substrate") not in gone
    )


def _without(topology: Topology, before: Topology, nodes: set[str], lans: set[str]) -> Topology:
    """Leave out what speaks of nodes and LANs that are gone, but were there before."""
    programs = {each.name for each in topology.programs if each.node in nodes}
    ends = {
        f"{lan.name}-{member.node}"
        for lan in before.lans
        for member in lan.members
        if lan.name in lans or member.node in nodes
    }
    gone = nodes | lans | programs | ends | {f"{node}_startcmd" for node in nodes}
    groups = {name: tuple(each for each in members if each not in gone) for name, members in topology.groups.items()}
    return replace(
        topology,
        routes=tuple(each for each in topology.routes if not {each.node, each.next_hop, each.destination} & gone),
        costs=MappingProxyType({key: cost for key, cost in topology.costs.items() if not set(key) & gone}),
        programs=tuple(each for each in topology.programs if each.name not in programs),
        groups=MappingProxyType({name: members for name, members in groups.items() if members}),
        events=tuple(each for each in topology.events if each.target.removesuffix("-tracemon") not in gone),
        recorded=tuple(each for each in topology.recorded if not set(each.arguments) & (nodes | lans)),
        numbering=tuple(name for name in topology.numbering if name not in lans),
        attributes=MappingProxyType(
            {key: value for key, value in topology.attributes.items() if key != "sync_server" or value not in nodes}
        )
        if topology.attributes
        else EMPTY,
    )


def rename_node(topology: Topology, old: str, new: str) -> Topology:
    """Give a node another name, wherever it is spoken of."""
    if old not in {node.name for node in topology.nodes}:
        raise InputError(f"there is no node `{old[:60]}`")
    _check_new(new, "a computer", (node.name for node in topology.nodes if node.name != old))
    ends = {f"{lan.name}-{old}": f"{lan.name}-{new}" for lan in topology.lans}
    renamed = _renamed(topology, {old: new, f"{old}_startcmd": f"{new}_startcmd", **ends})
    return replace(
        renamed,
        nodes=tuple(replace(each, name=new) if each.name == old else each for each in topology.nodes),
        lans=tuple(
            replace(lan, members=tuple(replace(each, node=new) if each.node == old else each for each in lan.members))
            for lan in topology.lans
        ),
        routes=tuple(
            replace(
                each,
                node=new if each.node == old else each.node,
                next_hop=new if each.next_hop == old else each.next_hop,
            )
            for each in renamed.routes
        ),
        programs=tuple(replace(each, node=new) if each.node == old else each for each in topology.programs),
        costs=MappingProxyType({(lan, new if n == old else n): cost for (lan, n), cost in topology.costs.items()}),
    )


def rename_lan(topology: Topology, old: str, new: str) -> Topology:
    """Give a link or LAN another name, wherever it is spoken of."""
    if old not in {lan.name for lan in topology.lans}:
        raise InputError(f"there is no link or LAN `{old[:60]}`")
    _check_new(new, "a substrate", (lan.name for lan in topology.lans if lan.name != old), any_case=True)
    ends = {f"{old}-{node.name}": f"{new}-{node.name}" for node in topology.nodes}
    renamed = _renamed(topology, {old: new, **ends})
    return replace(
        renamed,
        nodes=tuple(
            replace(
                node,
                interfaces=tuple(replace(each, lan=new) if each.lan == old else each for each in node.interfaces),
            )
            for node in topology.nodes
        ),
        lans=tuple(replace(lan, name=new) if lan.name == old else lan for lan in topology.lans),
        costs=MappingProxyType({(new if lan == old else lan, n): cost for (lan, n), cost in topology.costs.items()}),
        numbering=tuple(new if name == old else name for name in topology.numbering),
        foreign=tuple(Foreign(_moved(each.element, old, new), each.position) for each in topology.foreign),
    )


def _moved(element: Element, old: str, new: str) -> Element:
    """Return an element that is no computer with its interfaces on the renamed LAN."""
    return element.holding(
        child.holding(
            replace(each, text=new) if each.tag == "substrate" and each.text == old else each for each in child.children
        )
        if child.tag == "interface"
        else child
        for child in element.children
    )


def _renamed(topology: Topology, names: Mapping[str, str]) -> Topology:
    """Rename what is spoken of by name alone: destinations, events, groups, recorded statements."""

    def other(name: str) -> str:
        bare = name.removesuffix("-tracemon")
        return names.get(bare, bare) + name[len(bare) :]

    return replace(
        topology,
        routes=tuple(replace(each, destination=other(each.destination)) for each in topology.routes),
        events=tuple(replace(each, target=other(each.target)) for each in topology.events),
        groups=MappingProxyType({name: tuple(map(other, members)) for name, members in topology.groups.items()}),
        recorded=tuple(replace(each, arguments=tuple(map(other, each.arguments))) for each in topology.recorded),
        attributes=MappingProxyType(
            {key: other(value) if key == "sync_server" else value for key, value in topology.attributes.items()}
        )
        if topology.attributes
        else EMPTY,
    )


def _check_new(name: str, what: str, taken: Iterable[str], *, any_case: bool = False) -> None:
    reading = Reading()
    check_name(reading, name, Element(""), what)
    for fault in reading.faults:
        raise InputError(fault.message, hint=fault.hint)
    if any(each == name or (not any_case and each.lower() == name.lower()) for each in taken):
        raise InputError(f"there is a `{name}` already", hint="choose another name")


def _with_attributes(
    topology: Topology, nodes: Iterable[str], change: Callable[[Mapping[str, str]], dict[str, str]]
) -> Topology:
    """Change attributes of nodes, and the fields that the attributes stand for."""

    def changed(node: Node) -> Node:
        attributes = change(node.attributes)
        reading = Reading()
        before = computer.described(Node(node.name, attributes=node.attributes), Reading(), Element(""))
        after = computer.described(Node(node.name, attributes=attributes), reading, Element(""))
        for fault in reading.faults:
            raise InputError(fault.message, hint=fault.hint)
        moved = {name: getattr(after, name) for name in DERIVED if getattr(after, name) != getattr(before, name)}
        return replace(node, attributes=MappingProxyType(attributes) if attributes else EMPTY, **moved)

    return _change(topology, nodes, changed)


def _change(topology: Topology, nodes: Iterable[str], change: Callable[[Node], Node]) -> Topology:
    """Change the nodes of these names."""
    chosen = set(nodes)
    for name in chosen - {node.name for node in topology.nodes}:
        raise InputError(f"there is no node `{name[:60]}`")
    changed = replace(topology, nodes=tuple(change(node) if node.name in chosen else node for node in topology.nodes))
    return _settled(changed, chosen)


def _settled(topology: Topology, changed: set[str]) -> Topology:
    """Give nodes that don't say their kind the one that follows from the partitions, then bring attributes in step."""
    by_hand = any(node.partition is not None for node in topology.nodes)
    nodes = []
    for node in topology.nodes:
        if placement.kind(node.attributes) is None and node.kind in UNSAID:
            node = replace(node, kind=placement.default_kind(by_hand, node.partition))
        if node.name in changed:
            attributes = node_attributes(node, by_hand)
            node = replace(node, attributes=MappingProxyType(attributes) if attributes else EMPTY)
        nodes.append(node)
    return replace(topology, nodes=tuple(nodes))


def part(topology: Topology, names: Iterable[str]) -> Topology:
    """Return these nodes alone, with what joins them: for packing some of the nodes."""
    kept = set(names)
    return replace(
        topology,
        nodes=tuple(node for node in topology.nodes if node.name in kept),
        lans=tuple(
            replace(lan, members=tuple(each for each in lan.members if each.node in kept)) for lan in topology.lans
        ),
    )
