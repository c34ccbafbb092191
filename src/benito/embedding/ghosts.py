"""Takes nodes out of a topology: ghosts have a place and room on it, but are not started."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import replace

from benito.errors import Fault
from benito.topology.model import Event, Lan, ManualRoute, Topology


def without(topology: Topology, names: Set[str]) -> Topology:
    """Return the topology without these nodes and all that belongs to them alone; other nodes keep their ports.

    Addresses must be given already: those of the nodes that stay would change otherwise.
    """
    if not names:
        return topology
    lans = [_lan(lan, names) for lan in topology.lans]
    programs = tuple(program for program in topology.programs if program.node not in names)
    left_out = {program.name for program in topology.programs if program.node in names}
    gone = names | left_out | {lan.name for lan in lans if not lan.members}
    routes = tuple(route for route in topology.routes if not _lost(route, gone))
    warnings = [
        Fault(f"the route of `{route.node}` to `{route.destination}` is left out, a ghost is in its way", route.where)
        for route in topology.routes
        if _lost(route, gone) and route.node not in names
    ]
    return replace(
        topology,
        nodes=tuple(node for node in topology.nodes if node.name not in names),
        lans=tuple(lan for lan in lans if lan.members),
        routes=routes,
        costs={key: cost for key, cost in topology.costs.items() if gone.isdisjoint(key)},
        events=tuple(event for event in topology.events if not _of(event, gone)),
        programs=programs,
        groups=_groups(topology.groups, gone),
        warnings=(*topology.warnings, *warnings),
    )


def _lan(lan: Lan, names: Set[str]) -> Lan:
    members = tuple(member for member in lan.members if member.node not in names)
    return lan if len(members) == len(lan.members) else replace(lan, members=members)


def _lost(route: ManualRoute, gone: Set[str]) -> bool:
    return not gone.isdisjoint((route.node, route.destination, route.next_hop))


def _of(event: Event, gone: Set[str]) -> bool:
    """Whether an event is for something that is gone, or for its tracing."""
    return event.target in gone or event.target.removesuffix("-tracemon") in gone


def _groups(groups: Mapping[str, tuple[str, ...]], gone: Set[str]) -> Mapping[str, tuple[str, ...]]:
    return {name: tuple(member for member in members if member not in gone) for name, members in groups.items()}
