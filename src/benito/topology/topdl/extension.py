"""What TopDL has no words for: routing, events, programs and the like stand in attributes `benito:...` of the root.

The values are JSON but for `benito:routing`, which is a word. A topology that came from an NS file so survives as
TopDL. TopDL files are routed statically unless they say otherwise, as the original did with all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, TypeVar

from benito.topology.element import Element
from benito.topology.model import Event, ManualRoute, Program, Recorded, Routing, Topology
from benito.topology.topdl.reading import Reading, place_of

ROUTING = "benito:routing"
ROUTES = "benito:routes"
COSTS = "benito:costs"
EVENTS = "benito:events"
PROGRAMS = "benito:programs"
RECORDED = "benito:recorded"
GROUPS = "benito:groups"
ENVIRONMENT = "benito:environment"
NUMBERING = "benito:numbering"
KEYS = (ROUTING, ROUTES, COSTS, EVENTS, PROGRAMS, RECORDED, GROUPS, ENVIRONMENT, NUMBERING)
T = TypeVar("T")


def encode(topology: Topology) -> dict[str, str]:
    """Return the root's attributes that say what TopDL can't."""
    values: dict[str, Any] = {
        ROUTES: [[route.node, route.destination, route.next_hop] for route in topology.routes],
        COSTS: [[lan, node, cost] for (lan, node), cost in topology.costs.items()],
        EVENTS: [
            {
                "time_s": event.time_s,
                "target": event.target,
                "action": event.action,
                "arguments": event.arguments,
                "parent": event.parent,
                "trigger": event.trigger,
            }
            for event in topology.events
        ],
        PROGRAMS: [
            {"name": each.name, "node": each.node, "command": each.command, "attributes": dict(each.attributes)}
            for each in topology.programs
        ],
        RECORDED: [[each.feature, *each.arguments] for each in topology.recorded],
        GROUPS: {name: list(members) for name, members in topology.groups.items()},
        ENVIRONMENT: dict(topology.environment),
        NUMBERING: list(topology.numbering),
    }
    routing = {} if topology.routing == Routing.STATIC else {ROUTING: str(topology.routing)}
    return routing | {key: _json(value) for key, value in values.items() if value}


def _json(value: Any) -> str:
    import msgspec

    return msgspec.json.encode(value).decode()


def decode(reading: Reading, root: Element, attributes: Mapping[str, str], bare: Topology) -> Topology:
    """Return the topology with what the root's attributes add to it; its nodes and LANs are there already."""

    def get(key: str, kind: type[T], default: T) -> T:
        return _get(reading, root, attributes, key, kind, default)

    routing = Routing.STATIC
    if ROUTING in attributes:
        try:
            routing = Routing(attributes[ROUTING])
        except ValueError:
            hint = f"write one of {', '.join(Routing)}"
            message = f"`{attributes[ROUTING][:40]}` is not a kind of routing"
            reading.fault(message, place_of(root, ROUTING), hint)
    programs = get(PROGRAMS, list[Program], [])
    full = replace(
        bare,
        routing=routing,
        routes=tuple(ManualRoute(*route) for route in get(ROUTES, list[tuple[str, str, str]], [])),
        costs=MappingProxyType({(lan, node): cost for lan, node, cost in get(COSTS, list[tuple[str, str, float]], [])}),
        events=tuple(get(EVENTS, list[Event], [])),
        programs=tuple(replace(each, attributes=MappingProxyType(dict(each.attributes))) for each in programs),
        recorded=tuple(Recorded(each[0], tuple(each[1:])) for each in get(RECORDED, list[list[str]], []) if each),
        groups=MappingProxyType(get(GROUPS, dict[str, tuple[str, ...]], {})),
        environment=MappingProxyType(get(ENVIRONMENT, dict[str, str], {})),
        numbering=tuple(get(NUMBERING, list[str], [])),
    )
    _check(reading, root, full)
    return full


def _get(reading: Reading, root: Element, attributes: Mapping[str, str], key: str, kind: type[T], default: T) -> T:
    if key not in attributes:
        return default
    import msgspec

    try:
        return msgspec.json.decode(attributes[key], type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        reading.fault(f"the attribute `{key}` can't be read: {error}", place_of(root, key), "mend its JSON")
        return default


def _check(reading: Reading, root: Element, topology: Topology) -> None:
    """Every node and LAN that is named must be there."""
    nodes = {node.name for node in topology.nodes}
    lans = {lan.name for lan in topology.lans}
    named = [
        *((ROUTES, name, nodes) for route in topology.routes for name in (route.node, route.next_hop)),
        *((ROUTES, route.destination, nodes | lans) for route in topology.routes),
        *((COSTS, name, known) for pair in topology.costs for name, known in zip(pair, (lans, nodes), strict=True)),
        *((PROGRAMS, program.node, nodes) for program in topology.programs),
    ]
    for key in dict.fromkeys(key for key, name, known in named if name not in known):
        missing = sorted({name for other, name, known in named if other == key and name not in known})
        message = f"the attribute `{key}` names `{missing[0][:60]}`, which is not in the file"
        reading.fault(message, place_of(root, key), "mend it, or remove the attribute")
