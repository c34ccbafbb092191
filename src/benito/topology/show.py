"""A topology as the JSON object that `benito show --json` prints; its keys keep their meaning."""

from __future__ import annotations

from typing import Any

from benito.topology.model import Interface, Lan, Node, Topology


def describe(topology: Topology) -> dict[str, Any]:
    """Return the object; delays in ms, bandwidth in kb/s, loss as a probability."""
    interfaces = {(node.name, port): each for node in topology.nodes for port, each in enumerate(node.interfaces)}
    return {
        "nodes": [_node(node) for node in topology.nodes],
        "lans": [_lan(lan, interfaces) for lan in topology.lans],
        "routing": str(topology.routing),
        "routes": [
            {"node": route.node, "destination": route.destination, "next_hop": route.next_hop}
            for route in topology.routes
        ],
        "costs": [{"lan": lan, "node": node, "cost": cost} for (lan, node), cost in topology.costs.items()],
        "events": [
            {
                "time_s": event.time_s,
                "target": event.target,
                "action": event.action,
                "arguments": list(event.arguments),
                "parent": event.parent,
                "trigger": event.trigger,
            }
            for event in topology.events
        ],
        "programs": [
            {
                "name": program.name,
                "node": program.node,
                "command": program.command,
                "attributes": dict(program.attributes),
            }
            for program in topology.programs
        ],
        "groups": {name: list(members) for name, members in topology.groups.items()},
        "environment": dict(topology.environment),
        "attributes": dict(topology.attributes),
        "recorded": [{"feature": each.feature, "arguments": list(each.arguments)} for each in topology.recorded],
        "warnings": [str(warning) for warning in topology.warnings],
    }


def _node(node: Node) -> dict[str, Any]:
    return {
        "name": node.name,
        "os": node.os,
        "hardware": node.hardware,
        "kind": node.kind,
        "start_command": node.start_command,
        "startup": node.startup,
        "failure_action": node.failure_action,
        "partition": node.partition,
        "attributes": dict(node.attributes),
        "software": [{"location": each.location, "install": each.install} for each in node.software],
        "interfaces": [{"lan": each.lan, "ip": each.address} for each in node.interfaces],
    }


def _lan(lan: Lan, interfaces: dict[tuple[str, int], Interface]) -> dict[str, Any]:
    return {
        "name": lan.name,
        "kind": str(lan.kind),
        "netmask": lan.netmask,
        "attributes": dict(lan.attributes),
        "members": [_member(member.node, member.port, interfaces[member.node, member.port]) for member in lan.members],
    }


def _member(node: str, port: int, interface: Interface) -> dict[str, Any]:
    queue = interface.queue
    return {
        "node": node,
        "port": port,
        "ip": interface.address,
        "delay_out_ms": interface.outward.delay_ms,
        "delay_in_ms": interface.inward.delay_ms,
        "bandwidth_out_kbps": interface.outward.bandwidth_kbps,
        "bandwidth_in_kbps": interface.inward.bandwidth_kbps,
        "loss_out": interface.outward.loss,
        "loss_in": interface.inward.loss,
        "queue": {"discipline": str(queue.discipline), "limit": queue.limit, "in_bytes": queue.in_bytes},
    }
