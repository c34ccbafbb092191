"""An experiment's hub: the namespace where its pnodes, its control network and its way out meet.

    pnode-0000 ── underlay0 ┐                          ┌ control0 ── pnode-0000
    pnode-0001 ── underlay0 ┴ bridge "underlay"        ├ control0 ── pnode-0001
                                     bridge "control" ─┘
                              (gateway address, NAT) ── uplink ── the host

Hubs keep NAT and bridges out of the host's own namespace, and experiments apart from each other: only the host itself
may begin a conversation with a node.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benito.errors import HostError
from benito.network import host, namespaces
from benito.network.interfaces import MTU, Interfaces, Link, hush, netlink, read_links
from benito.plan.model import CONTROL_BRIDGE, CONTROL_UPLINK, GATEWAY_MAC, UNDERLAY
from benito.run import checked

PREFIX = "benito-"
"""What the names of hubs' namespaces begin with, so that a sweep finds them."""
UNDERLAY_BRIDGE = "underlay"
UNDERLAY_MTU = 9000
UPLINK = "uplink"
_NTF_EXT_LEARNED = 0x10
"""Of a neighbour that the kernel may not forget for want of room (linux/neighbour.h)."""


@dataclass(frozen=True, slots=True)
class HubPlan:
    """What a hub is made from."""

    name: str
    """Of the namespace; begins with PREFIX."""
    mark: str
    """`PID/EID`."""
    gateway: ipaddress.IPv4Interface
    """The gateway's address on the control network, and so its subnet."""
    uplink: ipaddress.IPv4Network
    """A /30: the first address is the host's, the second the hub's."""
    internet: bool = True
    udp: tuple[int, ...] = ()
    """Ports of the gateway that nodes may use."""
    tcp: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub that exists (or did): every method is safe to run twice.

    Synchronous: an asyncio program calls these in a thread.
    """

    name: str
    mark: str = ""

    @classmethod
    def named(cls, name: str) -> Hub:
        """Return the hub of that name, whether it exists or not."""
        return cls.find(name) or cls(name)

    @classmethod
    def create(cls, plan: HubPlan, run: Path = host.RUN) -> Hub:
        """Make the hub, or mend one that exists; undone as a whole when it can't be made."""
        if not plan.name.startswith(PREFIX):
            raise ValueError(f"the hub's name {plan.name!r} doesn't begin with {PREFIX}")
        hub = cls(plan.name, plan.mark)
        fresh = not hub.exists()
        try:
            namespaces.create(plan.name)
            hub._furnish(plan)
            hub._join_host(plan)
            _set_rules(plan)
            host.refresh(run)
        except BaseException:
            if fresh:
                hub.remove(run)
            raise
        return hub

    @classmethod
    def find(cls, name: str) -> Hub | None:
        """Return the hub of that name, or None."""
        return next((hub for hub in hubs() if hub.name == name), None)

    def exists(self) -> bool:
        """Whether its namespace is there."""
        return namespaces.is_namespace(self.path)

    @property
    def path(self) -> Path:
        """Where the namespace is mounted (for `nsenter --net=`)."""
        return namespaces.path_of(self.name)

    def attach(self, pnode: str, pid: int, underlay: str) -> None:
        """Give the pnode whose init is `pid` its two interfaces, replacing what it had from an earlier incarnation.

        `underlay` is its address there with the prefix (`100.64.0.1/16`).
        """
        ends = zip(_port_names(pnode), (UNDERLAY_BRIDGE, CONTROL_BRIDGE), (UNDERLAY, CONTROL_UPLINK), strict=True)
        with namespaces.entered(self.name), netlink(f"the hub of {self.mark}") as ip:
            namespaces.quiet()
            links = read_links(ip)
            for near, bridge, far in ends:
                if bridge not in links:
                    raise HostError(
                        f"the hub of {self.mark} has no bridge {bridge}", hint="swap the experiment in again"
                    )
                if near in links:
                    ip.link("del", index=links[near].index)
                _plug(ip, self.mark, near, links[bridge], far, pid)
        with namespaces.entered(pid), netlink(f"a pnode of {self.mark}") as ip:
            _set_up_pnode(ip, self.mark, underlay)

    def detach(self, pnode: str) -> None:
        """Take a pnode's two interfaces away."""
        if not self.exists():
            return
        with namespaces.entered(self.name), netlink(f"the hub of {self.mark}") as ip:
            links = read_links(ip)
            for near in _port_names(pnode):
                if near in links:
                    _delete(ip, links[near].index)

    def introduce(self, nodes: Iterable[tuple[str, str]]) -> None:
        """Tell the hub nodes' IPv4 and MAC addresses on the control network, so that it needn't ask all for one.

        Each is asked, alone, soon after it is first talked to, and everybody when it doesn't answer for eight seconds:
        it may have changed its card. Call this when pnodes are attached: a bridge that has no carrier yet forgets them.
        """
        with namespaces.entered(self.name), netlink(f"the hub of {self.mark}") as ip:
            index = read_links(ip)[CONTROL_BRIDGE].index
            for address, mac in nodes:
                ip.neigh("replace", ifindex=index, dst=address, lladdr=mac, state="stale", flags=_NTF_EXT_LEARNED)

    def remove(self, run: Path = host.RUN) -> None:
        """Remove the hub, its uplink and, with the last one, what the host has for them."""
        with netlink(f"the uplink of {self.mark}") as ip:
            link = read_links(ip).get(host.uplink_name(self.name))
            if link:
                _delete(ip, link.index)
        namespaces.remove(self.name)
        host.refresh(run)

    def _furnish(self, plan: HubPlan) -> None:
        with namespaces.entered(self.name), netlink(f"the hub of {self.mark}") as ip:
            namespaces.quiet()
            loopback = read_links(ip)["lo"]
            # The first thing done in the namespace: whoever finds it later knows whose it is.
            ip.link("set", index=loopback.index, ifalias=self.mark, state="up")
            interfaces = Interfaces(ip, self.mark)
            interfaces.bridge(UNDERLAY_BRIDGE, "underlay", UNDERLAY_MTU)
            control = interfaces.bridge(CONTROL_BRIDGE, "control network", MTU, arp=True)
            _set_mac(ip, control.index, GATEWAY_MAC)
            _address(ip, control.index, plan.gateway)

    def _join_host(self, plan: HubPlan) -> None:
        near, far = list(plan.uplink.hosts())[:2]
        prefix = plan.uplink.prefixlen
        with netlink(f"the uplink of {self.mark}") as ip:
            name = host.uplink_name(self.name)
            link = read_links(ip).get(name)
            if link is None:
                with self.path.open() as namespace:
                    peer = {"ifname": UPLINK, "net_ns_fd": namespace.fileno()}
                    ip.link("add", ifname=name, kind="veth", peer=peer)
                link = read_links(ip)[name]
            hush(ip, link)
            ip.link("set", index=link.index, ifalias=host.uplink_alias(self.mark, plan.internet), state="up")
            _address(ip, link.index, ipaddress.IPv4Interface(f"{near}/{prefix}"))
            with namespaces.entered(self.name), netlink(f"the hub of {self.mark}") as inner:
                uplink = read_links(inner)[UPLINK]
                inner.link("set", index=uplink.index, ifalias=f"{self.mark} uplink", state="up")
                _address(inner, uplink.index, ipaddress.IPv4Interface(f"{far}/{prefix}"))
                # Nothing but the host is reached without it; what may pass is the rules' decision.
                inner.route("replace", dst="0.0.0.0/0", gateway=str(near))
                if not namespaces.write_sysctl("net/ipv4/ip_forward", 1):
                    raise HostError(f"the hub of {self.mark} can't forward: /proc/sys can't be written here")
            ip.route("replace", dst=str(plan.gateway.network), gateway=str(far), oif=link.index)


def hubs() -> list[Hub]:
    """Return every hub on this host, whichever home it belongs to."""
    found = []
    for name in namespaces.names():
        if not name.startswith(PREFIX):
            continue
        with contextlib.suppress(HostError), namespaces.entered(name), netlink(f"the hub {name}") as ip:
            found.append(Hub(name, read_links(ip)["lo"].alias))
    return found


def _set_rules(plan: HubPlan) -> None:
    checked(["nsenter", f"--net={namespaces.path_of(plan.name)}", "nft", "-f", "-"], stdin=ruleset(plan))


def ruleset(plan: HubPlan) -> str:
    """Return the hub's rules as nft reads them: replaces the former ones in one step.

    The nodes' way out is masqueraded as the hub's uplink address, so that the host needs to know no control subnet
    but its own route. From the uplink only the host itself may begin: what other experiments send has other sources.
    Nodes see the host as their gateway: they answer it whatever they do to their routes, and also when their own system
    uses the uplink's network (a node may run experiments itself). Of the gateway, nodes reach the ports that the plan
    names, and may ping it.
    """
    near = next(iter(plan.uplink.hosts()))
    way_out = f'iifname "{CONTROL_BRIDGE}" oifname "{UPLINK}" accept' if plan.internet else ""
    ports = (("udp", plan.udp), ("tcp", plan.tcp))
    nodes = f'iifname "{CONTROL_BRIDGE}" ip daddr {plan.gateway.ip}'
    doors = "\n        ".join(
        f"{nodes} {kind} dport {{ {', '.join(map(str, numbers))} }} accept" for kind, numbers in ports if numbers
    )
    # On a cloud's host, 169.254.169.254 gives away the host's credentials.
    no_metadata = "ip daddr 169.254.0.0/16 drop"
    return f"""
table inet {host.TABLE}
delete table inet {host.TABLE}
table inet {host.TABLE} {{
    chain forward {{
        type filter hook forward priority filter; policy drop;
        ct state established,related accept
        iifname "{UPLINK}" oifname "{CONTROL_BRIDGE}" ip saddr {near} accept
        {no_metadata}
        {way_out}
    }}
    chain input {{
        type filter hook input priority filter; policy drop;
        iifname "lo" accept
        ct state established,related accept
        iifname "{UPLINK}" ip saddr {near} accept
        iifname "{CONTROL_BRIDGE}" icmp type echo-request accept
        {doors}
    }}
    chain postrouting {{
        type nat hook postrouting priority srcnat; policy accept;
        oifname "{UPLINK}" masquerade
        oifname "{CONTROL_BRIDGE}" ip saddr {near} masquerade
    }}
}}
"""


def _port_names(pnode: str) -> tuple[str, str]:
    """Return the names of the hub's ports for a pnode: on the underlay and on the control network."""
    short = pnode if len(pnode) <= 13 else hashlib.sha256(pnode.encode()).hexdigest()[:13]
    return f"u-{short}", f"c-{short}"


def _plug(ip: Any, mark: str, near: str, bridge: Link, far: str, pid: int) -> None:
    """Make a veth pair between a bridge of the hub and a pnode."""
    mtu = bridge.mtu
    ip.link("add", ifname=near, kind="veth", mtu=mtu, peer={"ifname": far, "mtu": mtu, "net_ns_pid": pid})
    link = read_links(ip)[near]
    hush(ip, link)
    ip.link("set", index=link.index, ifalias=f"{mark} {far}", master=bridge.index, state="up")


def _set_up_pnode(ip: Any, mark: str, underlay: str) -> None:
    links = read_links(ip)
    ip.link("set", index=links["lo"].index, state="up")
    for name in (UNDERLAY, CONTROL_UPLINK):
        hush(ip, links[name])
        ip.link("set", index=links[name].index, ifalias=f"{mark} {name}", state="up")
    _address(ip, links[UNDERLAY].index, ipaddress.IPv4Interface(underlay))


def _address(ip: Any, index: int, wanted: ipaddress.IPv4Interface) -> None:
    """Have exactly this IPv4 address on the interface."""
    present = False
    for message in ip.get_addr(family=socket.AF_INET, index=index):
        address = (message.get_attr("IFA_LOCAL"), message["prefixlen"])
        if address == (str(wanted.ip), wanted.network.prefixlen):
            present = True
        else:
            ip.addr("del", index=index, address=address[0], prefixlen=address[1])
    if not present:
        ip.addr("add", index=index, address=str(wanted.ip), prefixlen=wanted.network.prefixlen)


def _set_mac(ip: Any, index: int, mac: str) -> None:
    """Give a bridge an address of its own: else it takes one of its ports', and another when ports come and go."""
    # Even to set the same again makes the kernel forget all neighbours.
    if ip.get_links(index)[0].get_attr("IFLA_ADDRESS") != mac:
        ip.link("set", index=index, address=mac)


def _delete(ip: Any, index: int) -> None:
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        ip.link("del", index=index)
    except NetlinkError as error:
        if error.code != errno.ENODEV:
            raise
