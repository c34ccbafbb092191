"""Links and LANs as each pnode makes them: wires, bridges, patches and tunnels.

    link inside a pnode        tap ═wire═ tap                      both ends' shapes combined, each direction once
    link across two            tap ═wire═ tunnel ~ tunnel ─ tap    the lower pnode's wire shapes both directions
    LAN, nobody shaped         bridge of the taps, and the tunnel when it spans pnodes
    LAN, a shaped member       tap ═wire═ patch ─ bridge           on the member's own pnode, its own shapes
    one member alone           bridge of its tap

A LAN of two members is a link, whatever the file calls it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from benito.embedding.model import Assignment
from benito.plan import identity
from benito.plan.allocations import Allocations
from benito.plan.model import Bridge, Direction, Patch, Red, Remote, Tunnel, Wire
from benito.topology.model import Discipline, Interface, Lan, Queue, Shape, Topology


@dataclass(slots=True)
class Fabric:
    """One pnode's part of all links and LANs, in the order of the file."""

    bridges: list[Bridge] = field(default_factory=list)
    patches: list[Patch] = field(default_factory=list)
    wires: list[Wire] = field(default_factory=list)
    tunnels: list[Tunnel] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Port:
    """A member of a LAN as its pnode sees it."""

    node: int
    port: int
    interface: Interface
    mac: str

    @property
    def tap(self) -> str:
        return identity.tap(self.node, self.port)

    @property
    def shaped(self) -> bool:
        return _shaped(self.interface.outward) or _shaped(self.interface.inward)


def weave(topology: Topology, assignment: Assignment, allocations: Allocations) -> Mapping[str, Fabric]:
    """Return each pnode's fabric."""
    fabrics = {pnode: Fabric() for pnode in assignment.pnodes}
    order = {pnode: place for place, pnode in enumerate(fabrics)}
    nodes = {node.name: node for node in topology.nodes}
    for lan in topology.lans:
        ports: dict[str, list[_Port]] = {}
        for member in lan.members:
            number = allocations.nodes[member.node].number
            mac = identity.mac(allocations.mac_prefix, number, member.port)
            port = _Port(number, member.port, made(lan, nodes[member.node].interfaces[member.port]), mac)
            ports.setdefault(assignment.places[member.node], []).append(port)
        places = dict(sorted(ports.items(), key=lambda item: order[item[0]]))
        _tunnels(lan, places, fabrics, allocations)
        if len(lan.members) == 2:
            _link(lan, allocations.lans[lan.name], places, fabrics)
        else:
            _switch(lan, allocations.lans[lan.name], places, fabrics)
    return fabrics


def made(lan: Lan, interface: Interface) -> Interface:
    """Return a member's interface as it is made: without its bandwidths where the LAN doesn't enforce them."""
    if lan.enforced:
        return interface
    outward, inward = replace(interface.outward, bandwidth_kbps=0), replace(interface.inward, bandwidth_kbps=0)
    return replace(interface, outward=outward, inward=inward)


def large_frames(interfaces: Sequence[Interface]) -> bool:
    """Whether machines may send frames larger than the MTU into the LAN of these interfaces.

    Loss hits frames and queues count them, and every rate has a queue before it: all mean what they say only when a
    frame is a packet. A delay is the same for both.
    """
    return not any(
        shape.bandwidth_kbps or shape.loss
        for interface in interfaces
        for shape in (interface.outward, interface.inward)
    )


def _tunnels(
    lan: Lan, places: Mapping[str, list[_Port]], fabrics: Mapping[str, Fabric], allocations: Allocations
) -> None:
    """Join the pnodes that hold members of a LAN."""
    if len(places) < 2:
        return
    number = allocations.lans[lan.name]
    ends = {
        pnode: Remote(allocations.pnodes[pnode].underlay_address, tuple(port.mac for port in ports))
        for pnode, ports in places.items()
    }
    for pnode in places:
        remotes = tuple(end for other, end in ends.items() if other != pnode)
        fabrics[pnode].tunnels.append(Tunnel(identity.tunnel(number), allocations.vni_base + number, remotes, lan.name))


def _link(lan: Lan, number: int, places: Mapping[str, list[_Port]], fabrics: Mapping[str, Fabric]) -> None:
    """Join two members by a wire; across pnodes the lower one's wire shapes both directions."""
    name, tunnel = identity.link_wire(number), identity.tunnel(number)
    a, b = (port for ports in places.values() for port in ports)
    forward, backward = combine(a.interface, b.interface), combine(b.interface, a.interface)
    if len(places) == 1:
        (pnode,) = places
        fabrics[pnode].wires.append(Wire(name, a.tap, b.tap, forward, backward, lan.name))
        return
    lower, upper = places
    fabrics[lower].wires.append(Wire(name, a.tap, tunnel, forward, backward, lan.name))
    fabrics[upper].wires.append(Wire(name, b.tap, tunnel, lan=lan.name))


def _switch(lan: Lan, number: int, places: Mapping[str, list[_Port]], fabrics: Mapping[str, Fabric]) -> None:
    """Join any number of members by a bridge on each pnode; shaped members by wires of their own."""
    for pnode, ports in places.items():
        fabric = fabrics[pnode]
        joined: list[str] = []
        for port in ports:
            if not port.shaped:
                joined.append(port.tap)
                continue
            end, peer = identity.patch(port.node, port.port)
            queue = port.interface.queue
            outward, inward = direction(port.interface.outward, queue), direction(port.interface.inward, queue)
            fabric.patches.append(Patch(end, peer, lan.name))
            fabric.wires.append(
                Wire(identity.member_wire(port.node, port.port), port.tap, end, outward, inward, lan.name)
            )
            joined.append(peer)
        if len(places) > 1:
            joined.append(identity.tunnel(number))
        fabric.bridges.append(Bridge(identity.bridge(number), tuple(joined), lan.name))


def combine(sender: Interface, receiver: Interface) -> Direction:
    """Return what a link does from one end to the other: out of the sender, then into the receiver, in one step.

    Delays add, the smaller rate holds, losses are independent; the queue is the sender's.
    """
    out, into = sender.outward, receiver.inward
    rates = [rate for rate in (out.bandwidth_kbps, into.bandwidth_kbps) if rate]
    # Rounding takes back what binary fractions add: halves of 0.3 ms or of a loss of 1 % give 0.3 and 0.01 again.
    shape = Shape(
        delay_ms=round(out.delay_ms + into.delay_ms, 9),
        bandwidth_kbps=min(rates, default=0),
        loss=round(1 - (1 - out.loss) * (1 - into.loss), 12),
    )
    return direction(shape, sender.queue)


def direction(shape: Shape, queue: Queue) -> Direction:
    """Return a wire's direction for a shape behind a queue, which is left out where there is no rate to wait for."""
    if not shape.bandwidth_kbps:
        return Direction(shape.delay_ms, 0, shape.loss)
    red = None
    if queue.discipline is not Discipline.DROPTAIL:
        red = Red(queue.threshold, queue.max_threshold, queue.weight, queue.linterm, queue.mean_packet_size)
    return Direction(shape.delay_ms, shape.bandwidth_kbps, shape.loss, queue.limit, queue.in_bytes, red)


def _shaped(shape: Shape) -> bool:
    return bool(shape.delay_ms or shape.bandwidth_kbps or shape.loss)
