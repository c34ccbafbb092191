"""Interfaces of the current network namespace: taps, bridges, veth pairs, VXLAN tunnels.

`Interfaces` reads what is there once and then brings it, call by call, to what is asked for: what is right already is
left alone, so that running machines keep their taps. Everything it makes carries an alias that begins with the owner's
mark (`PID/EID`), and only marked interfaces are ever removed.

The handle below is synchronous: an asyncio program calls this in a thread (`asyncio.to_thread`).
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from benito.errors import HostError, NodeError
from benito.network import batch, dump
from benito.network.namespaces import quiet, write_sysctl

MTU = 1500
"""What nodes may send at once, without the Ethernet header."""
DEVICE_MTU = MTU + 8
"""MTU of our own interfaces: a frame of full size may carry two VLAN tags or MPLS labels beside the one allowed."""
VXLAN_PORT = 4789
VXLAN_OVERHEAD = 50
"""Outer IPv4, UDP and VXLAN headers and the inner Ethernet header."""

_ZERO_MAC = "00:00:00:00:00:00"
_SKIP_STATS = 8
_DOOMED = 0xBE17
_IFF_UP, _IFF_NOARP = 0x01, 0x80
_TUNSETIFF = 0x400454CA
_TUNSETPERSIST = 0x400454CB
_TUNSETOWNER = 0x400454CC
_IFF_TAP, _IFF_NO_PI, _IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
# STP off and no forwarding delay: a port passes at once. 0xfff8: LLDP, EAPOL and their like are passed on like any
# other frame (the kernel refuses the bits of STP, pause frames and LACP; STP frames pass because our STP is off).
_BRIDGE = {
    "br_stp_state": 0,
    "br_forward_delay": 0,
    "br_mcast_snooping": 0,
    "br_group_fwd_mask": 0xFFF8,
}


@dataclass(frozen=True, slots=True)
class Link:
    """One interface as the kernel has it."""

    index: int
    name: str
    kind: str = ""
    alias: str = ""
    mtu: int = 0
    up: bool = False
    arp: bool = True
    master: int = 0
    peer: int = 0
    """Index of a veth's other end, of a tunnel's underlying interface; 0 when that is in another namespace."""
    data: Mapping[str, Any] = None  # type: ignore[assignment]
    """The kind's own attributes."""


@contextlib.contextmanager
def netlink(what: str = "the network") -> Iterator[Any]:
    """Give a pyroute2 handle on the current namespace; its errors come out as HostError."""
    from pyroute2 import IPRoute
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        with IPRoute() as ip:
            yield ip
    except NetlinkError as error:
        raise HostError(
            f"{what}: {explain(error)}", hint="this needs root" if error.code == errno.EPERM else ""
        ) from error


def explain(error: Any) -> str:
    """Say in words what a NetlinkError carries as a number."""
    text = error.args[1] if len(error.args) > 1 and error.args[1] else os.strerror(error.code or 0)
    return f"the kernel said: {text}"


def read_links(ip: Any) -> dict[str, Link]:
    """Return every interface of the handle's namespace by name."""
    found = (_link(message) for message in ip.get_links(ext_mask=_SKIP_STATS))
    return {link.name: link for link in found}


def read_links_here() -> dict[str, Link]:
    """Return every interface of the current namespace by name, quickly where there are hundreds of veth pairs."""
    from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg

    links = {}
    for data in dump.interfaces():
        found = dump.attributes(data)
        if dump.text(dump.attributes(found.get(dump.IFLA_LINKINFO, b""), 0).get(dump.IFLA_INFO_KIND)) == "veth":
            link = _veth(data, found)
        else:
            message = ifinfmsg(data)
            message.decode()
            link = _link(message)
        links[link.name] = link
    return links


def _veth(data: bytes, found: Mapping[int, bytes]) -> Link:
    index, flags = dump.head(data)
    return Link(
        index=index,
        name=dump.text(found.get(dump.IFLA_IFNAME)),
        kind="veth",
        alias=dump.text(found.get(dump.IFLA_IFALIAS)),
        mtu=dump.number(found.get(dump.IFLA_MTU)),
        up=bool(flags & dump.IFF_UP),
        arp=not flags & dump.IFF_NOARP,
        master=dump.number(found.get(dump.IFLA_MASTER)),
        peer=0 if dump.IFLA_LINK_NETNSID in found else dump.number(found.get(dump.IFLA_LINK)),
        data={},
    )


class Interfaces:
    """The namespace's interfaces, and the changes asked for under one owner's mark.

    Each method is idempotent and names the interface in its errors (NodeError). `links` is what was there at the
    beginning, kept up to date with what was made since.
    """

    def __init__(self, ip: Any, mark: str) -> None:
        self.ip = ip
        self.mark = mark
        quiet()
        self.links = read_links_here()
        self._entries: dict[int, set[tuple[str, str]]] | None = None

    def tap(self, name: str, owner: int, what: str) -> Link:
        """Have a persistent tap that may carry large frames (vnet_hdr), up, for the user id `owner`."""
        link = self.links.get(name)
        if link and (link.kind != "tun" or link.data.get("type") != 2):
            self.remove(name)
            link = None
        if link is None:
            with self._naming("the tap", name):
                _make_tap(name, owner)
                link = self._learn(name)
        return self._settle(link, what)

    def bridge(self, name: str, what: str, mtu: int = DEVICE_MTU, *, arp: bool = False) -> Link:
        """Have a bridge that passes everything Ethernet; without `arp` the host itself never answers on it."""
        link = self.links.get(name)
        if link and link.kind != "bridge":
            self.remove(name)
            link = None
        if link is None:
            # The MTU is set afterwards (by _settle): only then the ports' MTUs don't change it.
            link = self._add("the bridge", name, kind="bridge", **_BRIDGE)
        elif any(link.data.get(key) != value for key, value in _BRIDGE.items()):
            self._set("the bridge", link, kind="bridge", **_BRIDGE)
        if link.arp != arp:
            self._set("the bridge", link, arp=arp)
            link = replace(link, arp=arp)
        return self._settle(link, what, mtu)

    def patch(self, name: str, peer: str, what: str) -> tuple[Link, Link]:
        """Have a pair of interfaces, each of which gives out what the other takes in."""
        first, second = self.links.get(name), self.links.get(peer)
        if not (first and second and first.kind == second.kind == "veth" and first.peer == second.index):
            self.remove(name, peer)
            first = self._add("the patch", name, kind="veth", mtu=DEVICE_MTU, peer={"ifname": peer, "mtu": DEVICE_MTU})
            second = self._learn(peer)
        return self._settle(first, what), self._settle(second, what)

    def vxlan(self, name: str, vni: int, local: str, device: str, what: str) -> Link:
        """Have a VXLAN tunnel end at `local` over the interface `device` that learns nothing by itself."""
        under = self.links.get(device)
        if under is None:
            raise NodeError(f"the tunnel {name} has no interface {device} to go over")
        if under.mtu < DEVICE_MTU + VXLAN_OVERHEAD:
            raise NodeError(
                f"the tunnel {name} can't carry full frames: {device} has MTU {under.mtu}",
                hint=f"it needs {DEVICE_MTU + VXLAN_OVERHEAD} or more",
            )
        link = self.links.get(name)
        wanted = {"id": vni, "local": local, "link": under.index, "port": VXLAN_PORT, "learning": 0}
        if link and (link.kind != "vxlan" or any(link.data.get(key) != value for key, value in wanted.items())):
            self.remove(name)
            link = None
        if link is None:
            options: dict[str, Any] = {f"vxlan_{key}": value for key, value in wanted.items()}
            link = self._add("the tunnel", name, kind="vxlan", mtu=DEVICE_MTU, vxlan_udp_csum=0, **options)
        return self._settle(link, what)

    def forward(self, name: str, floods: Iterable[str], macs: Iterable[tuple[str, str]]) -> None:
        """Set a tunnel's static forwarding entries: addresses that get floods, and (MAC, address) pairs."""
        index = self.links[name].index
        wanted = {(_ZERO_MAC, address) for address in floods} | {(mac.lower(), address) for mac, address in macs}
        present = self._forwarding().get(index, set())
        with self._naming("the tunnel", name):
            for mac, address in sorted(present - wanted):
                self.ip.fdb("del", ifindex=index, lladdr=mac, dst=address)
            for mac, address in sorted(wanted - present):
                # Entries of one MAC add up to a list of receivers, which is what floods (the zero MAC) need.
                self.ip.fdb("append", ifindex=index, lladdr=mac, dst=address)
        self._forwarding()[index] = wanted

    def attach_all(self, names: Iterable[str], bridge: str) -> None:
        """Make many interfaces the bridge's ports, in one step."""
        switch = self.links[bridge]
        joining = [link for name in names if (link := self.links.get(name)) and link.master != switch.index]
        requests = batch.Batch()
        for link in joining:
            what = f"the port {link.name} of {self.mark}"
            requests.set(what, batch.link(link.index) + batch.number(batch.IFLA_MASTER, switch.index))
        requests.run()
        for link in joining:
            self._keep(replace(link, master=switch.index))

    def detach(self, name: str) -> None:
        """Take an interface off its bridge, if it is on one."""
        link = self.links.get(name)
        if link and link.master:
            self._set("the port", link, master=0)
            self._keep(replace(self.links[name], master=0))

    def remove(self, *names: str) -> None:
        """Remove interfaces (pairs with both ends) in one step; only marked ones, and missing ones are fine."""
        links = [link for name in names if (link := self.links.get(name))]
        for link in links:
            if not self.owned(link):
                raise NodeError(
                    f"the interface {link.name} is in the way and isn't {self.mark}'s", hint=f"ip link del {link.name}"
                )
        if not links:
            return
        with self._naming("the interface", links[0].name):
            if len(links) > 1:
                # One by one each waits for a grace period of the kernel's, 20 ms; a group goes at once.
                for link in links:
                    self.ip.link("set", index=link.index, group=_DOOMED)
                self.ip.link("del", index=0, group=_DOOMED)
            else:
                self._delete(links[0].index)
        # A pair goes together; of other kinds, too, what stands on a removed interface goes with it.
        gone = {link.index for link in links}
        self.links = {n: link for n, link in self.links.items() if not gone & {link.index, link.peer}}

    def owned(self, link: Link) -> bool:
        """Whether the interface carries our mark."""
        return link.alias == self.mark or link.alias.startswith(f"{self.mark} ")

    def _delete(self, index: int) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            self.ip.link("del", index=index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise

    def _add(self, thing: str, name: str, **options: Any) -> Link:
        with self._naming(thing, name):
            self.ip.link("add", ifname=name, **options)
            return self._learn(name)

    def _learn(self, name: str) -> Link:
        link = _link(next(iter(self.ip.link("get", ifname=name))))
        self._keep(link)
        return link

    def _set(self, thing: str, link: Link, **options: Any) -> None:
        with self._naming(thing, link.name):
            self.ip.link("set", index=link.index, **options)

    def _settle(self, link: Link, what: str, mtu: int = DEVICE_MTU) -> Link:
        """Give the interface its alias and MTU, take its IPv6 away, and set it up."""
        alias = f"{self.mark} {what}"
        if link.alias == alias and link.mtu == mtu and link.up:
            return link
        if not link.up:
            hush(self.ip, link)
        self._set("the interface", link, ifalias=alias, mtu=mtu, state="up")
        settled = replace(link, alias=alias, mtu=mtu, up=True)
        self._keep(settled)
        return settled

    def _keep(self, link: Link) -> None:
        self.links[link.name] = link

    def _forwarding(self) -> dict[int, set[tuple[str, str]]]:
        if self._entries is None:
            self._entries = {}
            for entry in self.ip.fdb("dump"):
                address = entry.get_attr("NDA_DST")
                if address:
                    pairs = self._entries.setdefault(entry["ifindex"], set())
                    pairs.add((entry.get_attr("NDA_LLADDR"), address))
        return self._entries

    @contextlib.contextmanager
    def _naming(self, thing: str, name: str) -> Iterator[None]:
        from pyroute2.netlink.exceptions import NetlinkError

        try:
            yield
        except NetlinkError as error:
            raise NodeError(f"{thing} {name} of {self.mark}: {explain(error)}") from error
        except OSError as error:
            raise NodeError(f"{thing} {name} of {self.mark}: {error.strerror or error}") from error


def hush(ip: Any, link: Link) -> None:
    """Keep the host's IPv6 off an interface, so that nothing is sent on it but what nodes send."""
    if write_sysctl(f"net/ipv6/conf/{link.name}/disable_ipv6", 1):
        return
    # /proc/sys is read-only in some sandboxes, and a kernel may have no IPv6 at all: at least no link-local address.
    from pyroute2.netlink.exceptions import NetlinkError

    with contextlib.suppress(NetlinkError):
        no_address = {"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", 1)]})]}
        ip.link("set", index=link.index, IFLA_AF_SPEC=no_address)


def _make_tap(name: str, owner: int) -> None:
    flags = _IFF_TAP | _IFF_NO_PI | _IFF_VNET_HDR
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
        fcntl.ioctl(device, _TUNSETOWNER, owner)
        fcntl.ioctl(device, _TUNSETPERSIST, 1)
    finally:
        os.close(device)


_DATA = {
    "bridge": {
        "br_stp_state": "IFLA_BR_STP_STATE",
        "br_forward_delay": "IFLA_BR_FORWARD_DELAY",
        "br_mcast_snooping": "IFLA_BR_MCAST_SNOOPING",
        "br_group_fwd_mask": "IFLA_BR_GROUP_FWD_MASK",
    },
    "vxlan": {
        "id": "IFLA_VXLAN_ID",
        "local": "IFLA_VXLAN_LOCAL",
        "link": "IFLA_VXLAN_LINK",
        "port": "IFLA_VXLAN_PORT",
        "learning": "IFLA_VXLAN_LEARNING",
    },
    "tun": {"type": "IFLA_TUN_TYPE", "owner": "IFLA_TUN_OWNER"},
}


def _link(message: Any) -> Link:
    info = message.get_attr("IFLA_LINKINFO")
    kind = (info.get_attr("IFLA_INFO_KIND") if info else None) or ""
    data = info.get_attr("IFLA_INFO_DATA") if info else None
    values = {key: data.get_attr(attribute) for key, attribute in _DATA.get(kind, {}).items()} if data else {}
    return Link(
        index=message["index"],
        name=message.get_attr("IFLA_IFNAME") or "",
        kind=kind,
        alias=message.get_attr("IFLA_IFALIAS") or "",
        mtu=message.get_attr("IFLA_MTU") or 0,
        up=bool(message["flags"] & _IFF_UP),
        arp=not message["flags"] & _IFF_NOARP,
        master=message.get_attr("IFLA_MASTER") or 0,
        # An index in another namespace says nothing here.
        peer=0 if message.get_attr("IFLA_LINK_NETNSID") is not None else message.get_attr("IFLA_LINK") or 0,
        data=values,
    )
