"""Turns what was collected from an NS file into the topology, and checks what can only be checked then."""

from __future__ import annotations

import contextlib
from types import MappingProxyType

from benito.topology import placement
from benito.topology.model import (
    EMPTY,
    Event,
    Interface,
    Lan,
    LanKind,
    ManualRoute,
    Member,
    Node,
    Program,
    Recorded,
    Topology,
)
from benito.topology.ns import naming, traffic
from benito.topology.ns.drafts import EventDraft, LanDraft, NodeDraft, Port, ProgramDraft, Route
from benito.topology.ns.experiment import Experiment


def finish(experiment: Experiment) -> Topology:
    """Return the topology; what is wrong is added to the experiment's faults."""
    _check_names(experiment)
    traffic.finish(experiment)
    routes = [_route(experiment, node, route) for node in experiment.nodes for route in node.routes.values()]
    nodes = _nodes(experiment.nodes)
    lans = tuple(_lan(lan) for lan in experiment.lans if lan.ports)
    for lan in experiment.lans:
        if not lan.ports:
            experiment.warn(f"`{lan.name}` has no members and is left out", lan.where)
    if not experiment.nodes and experiment.ran is not None:
        experiment.warn("the file makes no nodes", experiment.ran)
    programs = [_program(experiment, draft) for draft in experiment.programs if not draft.start]
    costs = {(lan.name, port.node.name): port.cost for lan in experiment.lans for port in lan.ports if port.cost != 1}
    if experiment.sync_server is not None:
        experiment.attributes["sync_server"] = experiment.sync_server.name
    return Topology(
        nodes=nodes,
        lans=lans,
        routing=experiment.routing,
        routes=tuple(route for route in routes if route is not None),
        costs=MappingProxyType(costs),
        events=tuple(_event(event) for event in experiment.events),
        programs=tuple(program for program in programs if program is not None),
        recorded=tuple(experiment.recorded),
        attributes=MappingProxyType(experiment.attributes),
        numbering=experiment.lan_order.names(),
        warnings=tuple(sorted(experiment.warnings, key=lambda fault: fault.where.line if fault.where else 0)),
        groups=MappingProxyType(
            {group.name: tuple(each.name for each in group.members) for group in experiment.groups}
        ),
        environment=MappingProxyType(experiment.environment),
    )


def _check_names(experiment: Experiment) -> None:
    """Names become host names: letters, digits and hyphens, unique without regard to case."""
    seen: dict[str, NodeDraft] = {}
    for node in experiment.nodes:
        problem = naming.flaw(node.name)
        if problem:
            experiment.fault(problem[0], node.where, problem[1])
        if node.name.lower() in naming.RESERVED:
            experiment.fault(f"the name `{node.name}` is reserved", node.where, "choose another name for this node")
        other = seen.setdefault(node.name.lower(), node)
        if other is not node:
            experiment.fault(
                f"the nodes `{other.name}` and `{node.name}` differ in case only",
                node.where,
                "host names are matched without regard to case: rename one of them",
            )
    for lan in experiment.lans:
        problem = naming.flaw(lan.name)
        if problem:
            experiment.fault(problem[0], lan.where, problem[1])


def _nodes(drafts: list[NodeDraft]) -> tuple[Node, ...]:
    places: list[tuple[str | None, int | None]] = []
    for draft in drafts:
        kind, partition = None, None
        with contextlib.suppress(ValueError):  # what makes no sense is a fault of the statement already
            kind, partition = placement.kind(draft.attributes), placement.partition(draft.attributes)
        places.append((kind, partition))
    by_hand = any(partition is not None for _, partition in places)
    return tuple(
        _node(draft, kind or placement.default_kind(by_hand, partition), partition)
        for draft, (kind, partition) in zip(drafts, places, strict=True)
    )


def _node(draft: NodeDraft, kind: str, partition: int | None) -> Node:
    return Node(
        name=draft.name,
        interfaces=tuple(_interface(port) for port in draft.ports),
        os=draft.os or None,
        hardware=draft.hardware,
        kind=kind,
        start_command=draft.start_command,
        failure_action=draft.failure_action,
        partition=partition,
        attributes=MappingProxyType(draft.attributes) if draft.attributes else EMPTY,
        where=draft.where,
        startup=draft.startup,
        software=tuple(each for kind in draft.software.values() for each in kind),
    )


def _interface(port: Port) -> Interface:
    return Interface(
        lan=port.lan.name,
        address=port.address,
        outward=port.outward(),
        inward=port.inward(),
        queue=port.queue.finish(),
        attributes=MappingProxyType(port.attributes) if port.attributes else EMPTY,
        where=port.address_where,
    )


def _lan(draft: LanDraft) -> Lan:
    return Lan(
        name=draft.name,
        members=tuple(Member(port.node.name, port.index) for port in draft.ports),
        kind=LanKind.LINK if draft.shape is LanKind.LINK else LanKind.LAN,
        netmask=draft.netmask,
        attributes=MappingProxyType(draft.attributes) if draft.attributes else EMPTY,
        where=draft.where,
    )


def _route(experiment: Experiment, node: NodeDraft, route: Route) -> ManualRoute | None:
    """Check a route: the destination's address must be clear, and the next hop a neighbour (Emulab: node.tcl)."""
    destination = route.destination
    if isinstance(destination, NodeDraft) and len(destination.ports) != 1:
        experiment.fault(
            f"the route to `{destination.name}` is not clear, it has {len(destination.ports) or 'no'} links",
            route.where,
            "route to the link or LAN that is meant",
        )
        return None
    fewer, other = sorted((node, route.next_hop), key=lambda end: len(end.ports))
    if not any(port.lan.port_of(other) for port in fewer.ports):
        experiment.fault(
            f"`{node.name}` can't reach its next hop `{route.next_hop.name}`, they share no link or LAN",
            route.where,
            "the next hop must be a neighbour",
        )
        return None
    return ManualRoute(node.name, destination.name, route.next_hop.name, route.where)


def _program(experiment: Experiment, draft: ProgramDraft) -> Program | None:
    if draft.node != "ops" and not isinstance(experiment.names.get(draft.node), NodeDraft):
        experiment.fault(f"the program `{draft.name}` has no node", draft.where, "write: $program set node $n0")
        return None
    if not draft.command:
        experiment.fault(f"the program `{draft.name}` has no command", draft.where, 'write: -command "..."')
        return None
    if draft.node == "ops":
        experiment.recorded.append(Recorded("program on ops", (draft.name, draft.command), draft.where))
        experiment.warn(f"the program `{draft.name}` is for the testbed's server ops, there is none here", draft.where)
        return None
    return Program(draft.name, draft.node, draft.command, MappingProxyType(draft.options), draft.where)


def _event(draft: EventDraft) -> Event:
    return Event(
        time_s=draft.time,
        target=draft.target.name + draft.suffix,
        action=draft.action,
        arguments=draft.arguments,
        where=draft.where,
        parent=draft.parent.name if draft.parent else "",
        trigger=draft.trigger,
    )
