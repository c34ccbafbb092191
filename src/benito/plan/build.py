"""Turns what was asked for, where it goes and what it was given into one plan a pnode.

Pure: the same three values give the same plans, byte for byte. Everything is in the order of the file: machines by
node, interfaces by port, wires and bridges by LAN. The bridge of the control network (`model.CONTROL_BRIDGE`) is not
among the bridges: its ports are the machines' control taps, which every pnode joins alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from ipaddress import IPv4Network

from benito.embedding.model import Assignment
from benito.plan import fabric, identity
from benito.plan.allocations import Allocations
from benito.plan.hosts import hosts_file
from benito.plan.inside import inside
from benito.plan.model import ControlNic, Machine, Nic, PnodePlan, Route, Underlay
from benito.topology import routing
from benito.topology.model import Node, Topology


def plan(topology: Topology, assignment: Assignment, allocations: Allocations) -> tuple[PnodePlan, ...]:
    """Return the plan of each pnode, in the order of their numbers; all interfaces must have addresses."""
    machines = _machines(topology, allocations)
    fabrics = fabric.weave(topology, assignment, allocations)
    hosts = hosts_file(topology, allocations)
    inner = inside(topology, assignment)
    inner = replace(inner, files={**inner.files, **allocations.files}, shares=allocations.shares)
    plans: list[PnodePlan] = []
    for pnode, nodes in assignment.nodes.items():
        given, woven = allocations.pnodes[pnode], fabrics[pnode]
        plans.append(
            PnodePlan(
                experiment=allocations.experiment,
                pnode=pnode,
                incarnation=given.incarnation,
                underlay=Underlay(given.underlay_address, allocations.underlay_prefix),
                machines=tuple(machines[node] for node in nodes),
                accounts=allocations.accounts,
                hosts=hosts,
                inside=inner,
                bridges=tuple(woven.bridges),
                patches=tuple(woven.patches),
                wires=tuple(woven.wires),
                tunnels=tuple(woven.tunnels),
            )
        )
    return tuple(plans)


def _machines(topology: Topology, allocations: Allocations) -> Mapping[str, Machine]:
    """Return every node's machine."""
    routes = routing.routes(topology)
    forwarding = routing.forwards(topology)
    nics = _nics(topology, allocations)
    control_prefix = IPv4Network(allocations.control.network).prefixlen
    machines: dict[str, Machine] = {}
    for node in topology.nodes:
        given = allocations.nodes[node.name]
        machines[node.name] = Machine(
            node=node.name,
            kind=node.kind,
            image=given.image,
            memory_mib=given.memory_mib,
            cpus=given.cpus,
            control=ControlNic(
                name=identity.control_tap(given.number),
                mac=identity.mac(allocations.mac_prefix, given.number, None),
                address=given.control_address,
                prefix=control_prefix,
                gateway=allocations.control.gateway,
            ),
            nics=nics[node.name],
            routes=tuple(Route(destination, via) for destination, via in routes.get(node.name, ())),
            forwarding=node.name in forwarding,
            start_command=node.start_command,
            host_key=node.name,
            startup=node.startup,
            software=given.software,
            disk_mib=given.disk_mib,
        )
    return machines


def _nics(topology: Topology, allocations: Allocations) -> Mapping[str, tuple[Nic, ...]]:
    """Return every node's experimental interfaces, by port."""
    nodes = {node.name: node for node in topology.nodes}
    prefixes: dict[str, int] = {}
    large: dict[str, bool] = {}
    for lan in topology.lans:
        prefixes[lan.name] = routing.prefix_length(lan)
        large[lan.name] = fabric.large_frames([fabric.made(lan, nodes[m.node].interfaces[m.port]) for m in lan.members])

    def of(node: Node) -> tuple[Nic, ...]:
        number = allocations.nodes[node.name].number
        return tuple(
            Nic(
                name=identity.tap(number, port),
                lan=interface.lan,
                port=port,
                mac=identity.mac(allocations.mac_prefix, number, port),
                address=interface.address,
                prefix=prefixes[interface.lan],
                large_frames=large[interface.lan],
            )
            for port, interface in enumerate(node.interfaces)
        )

    return {node.name: of(node) for node in topology.nodes}
