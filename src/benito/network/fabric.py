"""A pnode's interfaces as its plan has them; wires are the shaping backends' business.

Works in the current network namespace, which is a pnode's own.
"""

from __future__ import annotations

from benito.errors import NodeError
from benito.network.interfaces import Interfaces, netlink
from benito.plan.model import CONTROL_BRIDGE, CONTROL_UPLINK, UNDERLAY, Bridge, Machine, PnodePlan, Tunnel

SHAPING = "shaping"
"""First word, after the mark, of the alias of what the shaping backends make for themselves."""
TAPPED = frozenset({"qemu"})
"""Kinds of machine that use a tap; the interfaces of the others are made and named by whoever runs them."""


class Fabric:
    """Taps, the control bridge, bridges, patches and tunnels of one pnode.

    `owner` is the user id that may open the taps. Not for use from a running event loop: call it in a thread.
    """

    def __init__(self, owner: int = 0) -> None:
        self._owner = owner

    def apply(self, plan: PnodePlan) -> None:
        """Bring the namespace to the plan; run again, it changes nothing.

        What the plan has no more is removed if it is marked as the experiment's. NodeError names the interface at
        fault; HostError when netlink itself refuses. An interface of a machine that isn't tapped may be missing still:
        it is made a port by the next call after it has come.
        """
        with netlink(f"the interfaces of {plan.experiment}") as ip:
            interfaces = Interfaces(ip, plan.experiment)
            _remove_others(interfaces, plan)
            self._taps(interfaces, plan)
            for patch in plan.patches:
                interfaces.patch(patch.name, patch.peer, f"patch {patch.lan}".rstrip())
            for tunnel in plan.tunnels:
                _tunnel(interfaces, plan, tunnel)
            _control(interfaces, plan)
            for bridge in plan.bridges:
                _bridge(interfaces, bridge, _late(plan))
            _release(interfaces, plan)

    def _taps(self, interfaces: Interfaces, plan: PnodePlan) -> None:
        for machine in plan.machines:
            if machine.kind not in TAPPED:
                continue
            interfaces.tap(machine.control.name, self._owner, f"{machine.node} control")
            for nic in machine.nics:
                interfaces.tap(nic.name, self._owner, f"{machine.node} {nic.lan}")


def _nics(machine: Machine) -> list[str]:
    return [machine.control.name, *(nic.name for nic in machine.nics)]


def _late(plan: PnodePlan) -> frozenset[str]:
    """Interfaces that others make, perhaps after us."""
    return frozenset(name for machine in plan.machines if machine.kind not in TAPPED for name in _nics(machine))


def _names(plan: PnodePlan) -> set[str]:
    names = {CONTROL_BRIDGE, CONTROL_UPLINK, UNDERLAY, "lo"}
    names.update(name for machine in plan.machines for name in _nics(machine))
    names.update(bridge.name for bridge in plan.bridges)
    names.update(tunnel.name for tunnel in plan.tunnels)
    names.update(end for patch in plan.patches for end in (patch.name, patch.peer))
    return names


def _remove_others(interfaces: Interfaces, plan: PnodePlan) -> None:
    wanted = _names(plan)
    # What the shaping backends made for the wires is theirs to remove.
    spared = f"{plan.experiment} {SHAPING}"
    links = interfaces.links.values()
    interfaces.remove(
        *(
            link.name
            for link in links
            if link.name not in wanted and interfaces.owned(link) and not link.alias.startswith(spared)
        )
    )


def _tunnel(interfaces: Interfaces, plan: PnodePlan, tunnel: Tunnel) -> None:
    interfaces.vxlan(tunnel.name, tunnel.vni, plan.underlay.address, UNDERLAY, f"tunnel {tunnel.lan}".rstrip())
    floods = [remote.address for remote in tunnel.remotes]
    macs = [(mac, remote.address) for remote in tunnel.remotes for mac in remote.macs]
    interfaces.forward(tunnel.name, floods, macs)


def _control(interfaces: Interfaces, plan: PnodePlan) -> None:
    ports = [CONTROL_UPLINK, *(machine.control.name for machine in plan.machines)]
    _bridge(interfaces, Bridge(CONTROL_BRIDGE, tuple(ports), "control network"), _late(plan))


def _bridge(interfaces: Interfaces, bridge: Bridge, late: frozenset[str]) -> None:
    switch = interfaces.bridge(bridge.name, f"bridge {bridge.lan}".rstrip())
    for port in bridge.ports:
        if port not in interfaces.links and port not in late:
            raise NodeError(f"there is no interface {port} to make a port of the bridge {bridge.name}")
    interfaces.attach_all(bridge.ports, bridge.name)
    for link in list(interfaces.links.values()):
        if link.master == switch.index and link.name not in bridge.ports:
            interfaces.detach(link.name)


def _release(interfaces: Interfaces, plan: PnodePlan) -> None:
    """Take what is a port of a bridge that isn't the plan's, and an end of a wire, off that bridge."""
    ends = {end for wire in plan.wires for end in (wire.a, wire.b)}
    ports = {port for bridge in plan.bridges for port in bridge.ports}
    both = ends & ports
    if both:
        raise NodeError(
            f"the plan of {plan.pnode} makes {', '.join(sorted(both))} both a wire's end and a bridge's port"
        )
    for name in sorted(ends):
        interfaces.detach(name)
