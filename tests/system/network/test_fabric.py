"""A pnode's interfaces follow its plan, and nothing that is right is touched."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
import time
from dataclasses import replace

import pytest

from benito.errors import NodeError
from benito.network import namespaces
from benito.network.fabric import Fabric
from benito.network.interfaces import Link, netlink, read_links
from benito.network.shaping.redirect import Redirects
from benito.plan.model import (
    Bridge,
    ControlNic,
    Image,
    Machine,
    Nic,
    Patch,
    PnodePlan,
    Remote,
    Tunnel,
    Underlay,
    Wire,
)

from .conftest import MARK, Lab, wait_for

pytestmark = pytest.mark.system

FRAME = bytes.fromhex("ffffffffffff020000000001 88b5") + bytes(100)


def machine(number: int, *taps: str, kind: str = "qemu") -> Machine:
    control = ControlNic(f"c{number}", "02:00:00:00:ff:01", "10.1.0.9", 24, "10.1.0.1")
    nics = tuple(Nic(tap, "lan", 0, "02:00:00:00:00:01", None, 24) for tap in taps)
    return Machine(f"node{number}", kind, Image("debian", ""), 256, 1, control, nics)


def plan(*machines: Machine, **parts: object) -> PnodePlan:
    return PnodePlan(MARK, "pnode-0000", 1, Underlay("100.64.0.1", 16), machines, **parts)  # type: ignore[arg-type]


@pytest.fixture
def pnode(lab: Lab) -> str:
    """A namespace as a hub leaves it: with the two interfaces."""
    where = lab.namespace("pnode")
    other = lab.namespace("hub")
    lab.cable((where, "underlay0"), (other, "u0"), 9000)
    lab.cable((where, "control0"), (other, "c0"))
    return where


def links_of(where: str) -> dict[str, Link]:
    with namespaces.entered(where), netlink() as ip:
        return read_links(ip)


def apply(where: str, wanted: PnodePlan) -> dict[str, Link]:
    with namespaces.entered(where):
        Fabric().apply(wanted)
    return links_of(where)


class Tap:
    """A machine's end of a tap, without vnet_hdr so that frames are plain."""

    def __init__(self, where: str, name: str) -> None:
        with namespaces.entered(where):
            self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
            fcntl.ioctl(self.fd, 0x400454CA, struct.pack("16sH22x", name.encode(), 0x0002 | 0x1000))

    def send(self, frame: bytes) -> None:
        os.write(self.fd, frame)

    def receive(self, seconds: float = 5) -> bytes | None:
        ready, _, _ = select.select([self.fd], [], [], seconds)
        return os.read(self.fd, 65536) if ready else None


@pytest.fixture
def tap(lab: Lab):  # type: ignore[no-untyped-def]
    def take(where: str, name: str) -> Tap:
        found = Tap(where, name)
        lab.undo.callback(os.close, found.fd)
        return found

    return take


FULL = plan(
    machine(0, "tap0", "tap1"),
    machine(1, "tap2"),
    bridges=(Bridge("br0", ("tap1", "tap2", "p0", "vx0"), "lan0"),),
    patches=(Patch("w0", "p0", "lan0"),),
    tunnels=(Tunnel("vx0", 77, (Remote("100.64.0.2", ("02:00:00:00:00:99",)), Remote("100.64.0.3")), "lan0"),),
    wires=(Wire("wire", "tap0", "w0"),),
)


def test_makes_what_the_plan_says_with_its_mark_and_up(pnode: str) -> None:
    links = apply(pnode, FULL)
    assert {"tap0", "tap1", "tap2", "c0", "c1", "control", "br0", "w0", "p0", "vx0"} < links.keys()
    ours = [link for name, link in links.items() if name not in ("lo", "underlay0", "control0")]
    assert all(link.alias.startswith(f"{MARK} ") and link.up for link in ours)
    assert {n for n, ln in links.items() if ln.master == links["br0"].index} == {"tap1", "tap2", "p0", "vx0"}
    assert {n for n, ln in links.items() if ln.master == links["control"].index} == {"c0", "c1", "control0"}
    assert links["tap0"].master == links["w0"].master == 0
    assert links["tap0"].alias == f"{MARK} node0 lan"


def test_applying_again_changes_nothing(pnode: str) -> None:
    first = apply(pnode, FULL)
    assert apply(pnode, FULL) == first


def test_a_change_leaves_the_rest_alone(pnode: str, tap) -> None:  # type: ignore[no-untyped-def]
    before = apply(pnode, FULL)
    running = tap(pnode, "tap2")
    smaller = replace(
        FULL, machines=(machine(1, "tap2"),), wires=(), patches=(), bridges=(Bridge("br0", ("tap2", "vx0")),)
    )
    after = apply(pnode, smaller)
    assert not {"tap0", "tap1", "c0", "w0", "p0"} & after.keys()
    assert [after[n].index for n in ("tap2", "br0", "vx0")] == [before[n].index for n in ("tap2", "br0", "vx0")]
    running.send(FRAME)


def test_a_port_moves_to_another_bridge(pnode: str) -> None:
    apply(pnode, plan(machine(0, "tap0"), bridges=(Bridge("br0", ("tap0",)),)))
    links = apply(pnode, plan(machine(0, "tap0"), bridges=(Bridge("br0", ()), Bridge("br1", ("tap0",)))))
    assert links["tap0"].master == links["br1"].index


def test_tunnels_have_exactly_the_plans_forwarding(pnode: str) -> None:
    apply(pnode, FULL)
    assert forwarding(pnode) == {
        ("00:00:00:00:00:00", "100.64.0.2"),
        ("00:00:00:00:00:00", "100.64.0.3"),
        ("02:00:00:00:00:99", "100.64.0.2"),
    }
    moved = Tunnel("vx0", 77, (Remote("100.64.0.3", ("02:00:00:00:00:99",)),), "lan0")
    apply(pnode, replace(FULL, tunnels=(moved,)))
    assert forwarding(pnode) == {("00:00:00:00:00:00", "100.64.0.3"), ("02:00:00:00:00:99", "100.64.0.3")}


def forwarding(where: str) -> set[tuple[str, str]]:
    with namespaces.entered(where), netlink() as ip:
        entries = [e for e in ip.fdb("dump") if e.get_attr("NDA_DST")]
    return {(e.get_attr("NDA_LLADDR"), e.get_attr("NDA_DST")) for e in entries}


def test_a_tunnel_whose_number_changes_is_made_anew(pnode: str) -> None:
    apply(pnode, FULL)
    links = apply(pnode, replace(FULL, tunnels=(replace(FULL.tunnels[0], vni=78),)))
    assert links["vx0"].data["id"] == 78
    assert links["vx0"].master == links["br0"].index


def test_an_underlay_too_small_for_full_frames_is_refused(pnode: str) -> None:
    with namespaces.entered(pnode), netlink() as ip:
        ip.link("set", index=ip.link_lookup(ifname="underlay0")[0], mtu=1500)
    with pytest.raises(NodeError, match="vx0 can't carry full frames: underlay0 has MTU 1500"):
        apply(pnode, FULL)


def test_what_isnt_ours_is_never_removed(pnode: str) -> None:
    with namespaces.entered(pnode), netlink() as ip:
        ip.link("add", ifname="theirs", kind="bridge")
        ip.link("add", ifname="tap0", kind="bridge")
    with pytest.raises(NodeError, match="tap0 is in the way"):
        apply(pnode, FULL)
    assert "theirs" in links_of(pnode)


def test_a_missing_port_is_named(pnode: str) -> None:
    with pytest.raises(NodeError, match="tap9"):
        apply(pnode, plan(machine(0), bridges=(Bridge("br0", ("tap9",)),)))


def test_an_interface_that_a_container_brings_may_come_later(lab: Lab, pnode: str) -> None:
    wanted = plan(machine(0, "eth-a", kind="container"), bridges=(Bridge("br0", ("eth-a",)),))
    apply(pnode, wanted)
    lab.cable((pnode, "eth-a"), (pnode, "inside"))
    links = apply(pnode, wanted)
    assert links["eth-a"].master == links["br0"].index


def test_an_unshaped_wire_joins_two_taps(pnode: str, tap) -> None:  # type: ignore[no-untyped-def]
    from benito.network.interfaces import Interfaces

    apply(pnode, plan(machine(0, "tap0"), machine(1, "tap1"), wires=(Wire("wire", "tap0", "tap1"),)))
    first, second = tap(pnode, "tap0"), tap(pnode, "tap1")
    with namespaces.entered(pnode), netlink() as ip:
        Redirects(Interfaces(ip, MARK)).apply({"tap0": "tap1", "tap1": "tap0"})
    first.send(FRAME)
    assert second.receive() == FRAME
    second.send(FRAME)
    assert first.receive() == FRAME
    # Nothing but what was sent: no IPv6 neighbour discovery, no multicast reports.
    assert first.receive(0.3) is None


def test_a_bridge_passes_lldp_and_answers_for_nobody(lab: Lab, pnode: str, tap) -> None:  # type: ignore[no-untyped-def]
    lab.up(pnode, "lo", "10.7.7.7/32")
    apply(pnode, plan(machine(0, "tap0"), machine(1, "tap1"), bridges=(Bridge("br0", ("tap0", "tap1")),)))
    first, second = tap(pnode, "tap0"), tap(pnode, "tap1")
    # The kernel takes its time to tell the bridge that a machine has opened its tap.
    wait_for(lambda: first.send(FRAME) is None and second.receive(0.1) == FRAME, "the ports to open")
    wait_for(lambda: second.receive(0.3) is None, "silence")
    lldp = bytes.fromhex("0180c200000e02000000000188cc") + bytes(46)
    first.send(lldp)
    assert second.receive() == lldp
    arp = bytes.fromhex("ffffffffffff0200000000010806 0001080006040001 020000000001 0a070701 000000000000 0a070707")
    first.send(arp)
    assert second.receive() == arp
    assert first.receive(0.3) is None


def test_a_hundred_nodes_take_about_a_second(pnode: str) -> None:
    machines = tuple(machine(n, f"a{n}", f"b{n}") for n in range(100))
    ports = tuple(f"b{n}" for n in range(100))
    began = time.monotonic()
    apply(pnode, plan(*machines, bridges=(Bridge("br0", ports),)))
    # Generous: it takes 0.7 s on two idle cores.
    assert time.monotonic() - began < 20


def test_the_error_says_what_the_kernel_lacks() -> None:
    from benito.network.interfaces import explain

    class RefusalError(Exception):
        code = errno.EPERM

    assert explain(RefusalError(errno.EPERM)) == "the kernel said: Operation not permitted"
