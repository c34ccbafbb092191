"""A hub joins pnodes, gives nodes a way out, and keeps experiments apart. The host here is a namespace, too."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import socket
from dataclasses import dataclass
from pathlib import Path

import pytest

from benito.errors import HostError
from benito.network import host, namespaces
from benito.network.fabric import Fabric
from benito.network.hub import PREFIX, Hub, HubPlan, hubs
from benito.network.interfaces import netlink, read_links
from benito.plan.model import (
    GATEWAY_MAC,
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

from .conftest import Lab, wait_for

pytestmark = pytest.mark.system

ETH_P_ARP = 0x806


@dataclass
class Host:
    """A namespace that plays the host, with an "internet" beyond it."""

    lab: Lab
    name: str
    run: Path

    def hub(self, number: int, internet: bool = True, run: Path | None = None) -> Hub:
        plan = HubPlan(
            f"{PREFIX}{self.lab.stem}-{number}",
            f"Test/exp{number}",
            ipaddress.IPv4Interface(f"10.10{number}.0.1/24"),
            ipaddress.IPv4Network(f"100.126.0.{4 * number}/30"),
            internet,
        )
        with self.entered():
            hub = Hub.create(plan, run or self.run)
        self.lab.undo.callback(self.remove, hub)
        return hub

    def remove(self, hub: Hub, run: Path | None = None) -> None:
        with self.entered():
            hub.remove(run or self.run)

    def node(self, hub: Hub, number: int) -> str:
        """A namespace on the hub's control network that stands for a node."""
        name = self.lab.namespace(f"node{hub.name[-1]}{number}")
        self.lab.cable((name, "eth0"), (hub.name, f"n{number}"))
        self.lab.up(name, "eth0", f"10.10{hub.name[-1]}.0.{10 + number}/24")
        with namespaces.entered(hub.name), netlink() as ip:
            links = read_links(ip)
            ip.link("set", index=links[f"n{number}"].index, master=links["control"].index)
        with namespaces.entered(name), netlink() as ip:
            ip.route("add", dst="0.0.0.0/0", gateway=f"10.10{hub.name[-1]}.0.1")
        return name

    def entered(self) -> contextlib.AbstractContextManager[None]:
        return namespaces.entered(self.name)

    def table(self) -> str:
        return self.lab.run(self.name, "nft", "list", "ruleset").stdout

    def forwards(self) -> bool:
        with self.entered():
            return Path("/proc/sys/net/ipv4/ip_forward").read_text().strip() == "1"


@pytest.fixture
def machine(lab: Lab, tmp_path: Path) -> Host:
    name = lab.namespace("host")
    beyond = lab.namespace("beyond")
    lab.cable((name, "eth0"), (beyond, "eth0"))
    lab.up(name, "eth0", "192.0.2.1/24")
    lab.up(beyond, "eth0", "192.0.2.9/24")
    with namespaces.entered(name):
        namespaces.write_sysctl("net/ipv4/ip_forward", 0)
    return Host(lab, name, tmp_path / "run")


def reaches(lab: Lab, where: str, address: str) -> bool:
    return lab.run(where, "ping", "-c", "2", "-i", "0.2", "-W", "1", address).returncode == 0


def test_the_host_reaches_nodes_and_nodes_the_world(lab: Lab, machine: Host) -> None:
    hub = machine.hub(1)
    node = machine.node(hub, 0)
    assert reaches(lab, machine.name, "10.101.0.10")
    assert reaches(lab, node, "192.0.2.9")
    assert machine.forwards()


def asked_for(lab: Lab, where: str, listener: str, address: str) -> bool:
    """Whether `listener` hears anybody ask for the address while `where` pings it."""
    with namespaces.entered(listener):
        ear = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ARP))
    with ear:
        ear.settimeout(0.5)
        assert reaches(lab, where, address)
        with contextlib.suppress(TimeoutError):
            while True:
                if ear.recv(60)[38:42] == socket.inet_aton(address):
                    return True
    return False


def test_nodes_that_the_hub_knows_are_not_asked_for_aloud(lab: Lab, machine: Host) -> None:
    hub = machine.hub(1)
    known, _, bystander = (machine.node(hub, number) for number in range(3))
    with namespaces.entered(known), netlink() as ip:
        address = ip.get_links(ifname="eth0")[0].get_attr("IFLA_ADDRESS")
    hub.introduce([("10.101.0.10", address)])
    assert asked_for(lab, machine.name, bystander, "10.101.0.11")
    assert not asked_for(lab, machine.name, bystander, "10.101.0.10")
    # One that has another card by now is found again.
    with namespaces.entered(hub.name):
        namespaces.write_sysctl("net/ipv4/neigh/control/delay_first_probe_time", 1)
    hub.introduce([("10.101.0.12", "02:00:00:00:00:99")])
    wait_for(lambda: reaches(lab, machine.name, "10.101.0.12"), "the node with another card")


def test_a_gateway_keeps_its_address_whatever_is_attached(lab: Lab, machine: Host) -> None:
    hub = machine.hub(1)
    node = machine.node(hub, 0)
    assert reaches(lab, node, "192.0.2.9")
    lab.cable((lab.namespace("other"), "eth0"), (hub.name, "n1"))
    with namespaces.entered(hub.name), netlink() as ip:
        port = read_links(ip)["n1"]
        ip.link("set", index=port.index, address="02:00:00:00:00:01")
        ip.link("set", index=port.index, master=read_links(ip)["control"].index)
        assert ip.get_links(ifname="control")[0].get_attr("IFLA_ADDRESS") == GATEWAY_MAC


def test_the_host_reaches_a_node_whatever_its_routes(lab: Lab, machine: Host) -> None:
    node = machine.node(machine.hub(1), 0)
    with namespaces.entered(node), netlink() as ip:
        ip.route("del", dst="0.0.0.0/0", gateway="10.101.0.1")
        # As a node's own Benito may have it.
        ip.addr("add", index=read_links(ip)["lo"].index, address="100.126.0.5", prefixlen=30)
    assert reaches(lab, machine.name, "10.101.0.10")


def test_without_internet_nodes_stay_inside(lab: Lab, machine: Host) -> None:
    node = machine.node(machine.hub(1, internet=False), 0)
    assert reaches(lab, machine.name, "10.101.0.10")
    assert not reaches(lab, node, "192.0.2.9")
    assert not machine.forwards()


def test_one_without_internet_gains_none_by_another(lab: Lab, machine: Host) -> None:
    offline = machine.node(machine.hub(1, internet=False), 0)
    online = machine.node(machine.hub(2), 0)
    assert reaches(lab, online, "192.0.2.9")
    assert not reaches(lab, offline, "192.0.2.9")


def test_experiments_cant_reach_each_other_nor_others_them(lab: Lab, machine: Host) -> None:
    first, second = (machine.node(machine.hub(n), 0) for n in (1, 2))
    assert not reaches(lab, first, "10.102.0.10")
    assert not reaches(lab, second, "100.126.0.6")
    beyond = f"{lab.stem}-beyond"
    with namespaces.entered(beyond), netlink() as ip:
        ip.route("add", dst="10.101.0.0/24", gateway="192.0.2.1")
    assert not reaches(lab, beyond, "10.101.0.10")


def test_nodes_cant_open_connections_to_the_host(lab: Lab, machine: Host) -> None:
    node = machine.node(machine.hub(1), 0)
    with machine.entered():
        server = socket.create_server(("192.0.2.1", 8080))
    with server, namespaces.entered(node):
        client = socket.socket()
        with client:
            client.settimeout(1)
            with pytest.raises(TimeoutError):
                client.connect(("192.0.2.1", 8080))


def test_everything_goes_with_the_last_hub(machine: Host) -> None:
    first, second = machine.hub(1), machine.hub(2)
    machine.remove(first)
    assert "table inet benito" in machine.table()
    assert machine.forwards()
    machine.remove(second)
    assert machine.table() == ""
    assert not machine.forwards()
    with machine.entered(), netlink() as ip:
        assert set(read_links(ip)) == {"lo", "eth0"}
    assert not first.exists()


def test_forwarding_that_was_on_stays_on(machine: Host) -> None:
    with machine.entered():
        namespaces.write_sysctl("net/ipv4/ip_forward", 1)
    machine.remove(machine.hub(1))
    assert machine.forwards()


def test_forwarding_that_somebody_else_needs_by_now_stays_on(lab: Lab, machine: Host) -> None:
    hub = machine.hub(1)
    for words in (
        ["add", "table", "ip", "theirs"],
        ["add", "chain", "ip", "theirs", "out", "{ type nat hook postrouting priority 100; }"],
        ["add", "rule", "ip", "theirs", "out", "masquerade"],
    ):
        assert lab.run(machine.name, "nft", *words).returncode == 0
    machine.remove(hub)
    assert machine.forwards()


def test_a_refresh_mends_what_a_kill_left(machine: Host) -> None:
    hub = machine.hub(1)
    # The uplink went, and its owner was killed before the rest.
    with machine.entered():
        with netlink() as ip:
            ip.link("del", index=read_links(ip)[host.uplink_name(hub.name)].index)
        host.refresh(machine.run)
    assert machine.table() == ""
    assert not machine.forwards()


def test_creating_again_mends_and_disturbs_nothing(lab: Lab, machine: Host) -> None:
    hub = machine.hub(1)
    node = machine.node(hub, 0)
    hub.introduce([("10.101.0.99", "02:00:00:00:00:63")])
    with machine.entered(), netlink() as ip:
        before = read_links(ip)
    machine.hub(1)
    assert "10.101.0.99" in lab.run(hub.name, "ip", "neigh").stdout
    with machine.entered(), netlink() as ip:
        assert read_links(ip) == before
    assert reaches(lab, node, "192.0.2.9")


def test_hubs_are_found_with_their_marks(machine: Host) -> None:
    hub = machine.hub(1)
    assert hub in hubs()
    assert Hub.find(hub.name) == hub
    with machine.entered():
        assert [(uplink.mark, uplink.internet) for uplink in host.uplinks()] == [("Test/exp1", True)]
    machine.remove(hub)
    assert Hub.find(hub.name) is None


def test_a_hub_that_cant_be_made_leaves_nothing(machine: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise HostError("no")

    monkeypatch.setattr(Hub, "_join_host", fails)
    with pytest.raises(HostError, match="no"):
        machine.hub(1)
    assert f"{PREFIX}{machine.lab.stem}-1" not in namespaces.names()


def test_the_hosts_routes_are_known(machine: Host) -> None:
    machine.hub(1)
    with machine.entered():
        known = {str(network) for network in host.host_routes()}
    assert {"192.0.2.0/24", "10.101.0.0/24", "100.126.0.4/30", "127.0.0.0/8"} <= known


def test_a_forward_policy_of_drop_is_named(lab: Lab, machine: Host) -> None:
    with machine.entered():
        assert host.forward_obstacle() is None
    assert lab.run(machine.name, "nft", "add", "table", "ip", "filter").returncode == 0
    hook = "{ type filter hook forward priority 0; policy drop; }"
    assert lab.run(machine.name, "nft", "add", "chain", "ip", "filter", "FORWARD", hook).returncode == 0
    with machine.entered():
        assert "ip filter FORWARD" in str(host.forward_obstacle())
    assert json.loads(lab.run(machine.name, "nft", "-j", "list", "ruleset").stdout)


@pytest.mark.parametrize("program", ["iptables-nft", "iptables-legacy"])
def test_a_firewall_that_forwards_nothing_is_named_until_it_lets_us_through(
    lab: Lab, machine: Host, program: str
) -> None:
    if lab.run(machine.name, program, "-P", "FORWARD", "DROP").returncode != 0:
        pytest.skip(f"{program} is not installed, or this kernel lacks its part of it")
    node = machine.node(machine.hub(1), 0)
    with machine.entered():
        assert "DROP" in str(host.forward_obstacle()).upper()
    assert reaches(lab, machine.name, "10.101.0.10")
    assert not reaches(lab, node, "192.0.2.9")
    pool = str(host.UPLINK_POOL)
    back = ("-m", "conntrack", "--ctstate", "ESTABLISHED,RELATED")
    for words in (("-s", pool), ("-d", pool, *back)):
        assert lab.run(machine.name, program, "-I", "FORWARD", *words, "-j", "ACCEPT").returncode == 0
    with machine.entered():
        assert host.forward_obstacle() is None
    assert reaches(lab, node, "192.0.2.9")


@dataclass
class Pnode:
    """A sandbox's stand-in: a process in a namespace, attached to the hub, and its part of one LAN."""

    name: str
    pid: int
    underlay: str


def pnode(lab: Lab, hub: Hub, number: int) -> Pnode:
    name = lab.namespace(f"pnode{number}")
    process = lab.process("nsenter", f"--net={namespaces.path_of(name)}", "sleep", "600")
    inode = namespaces.path_of(name).stat().st_ino
    wait_for(lambda: Path(f"/proc/{process.pid}/ns/net").stat().st_ino == inode, "the sandbox")
    found = Pnode(name, process.pid, f"100.64.0.{number + 1}")
    hub.attach(f"pnode-{number:04}", process.pid, f"{found.underlay}/16")
    return found


def test_pnodes_meet_on_the_underlay_with_large_packets(lab: Lab, machine: Host) -> None:
    hub = machine.hub(1, internet=False)
    first, _ = pnode(lab, hub, 0), pnode(lab, hub, 1)
    done = lab.run(first.name, "ping", "-c", "1", "-W", "2", "-M", "do", "-s", "1600", "100.64.0.2")
    assert done.returncode == 0, done.stdout
    hub.attach("pnode-0000", first.pid, f"{first.underlay}/16")
    assert reaches(lab, first.name, "100.64.0.2")
    hub.detach("pnode-0000")
    assert not reaches(lab, first.name, "100.64.0.2")


def test_a_lan_over_three_pnodes(lab: Lab, machine: Host) -> None:
    hub = machine.hub(1, internet=False)
    pnodes = [pnode(lab, hub, number) for number in range(3)]
    stations = []
    for number, here in enumerate(pnodes):
        remotes = tuple(Remote(p.underlay, (mac(n),)) for n, p in enumerate(pnodes) if n != number)
        control = ControlNic("c0", "", "10.101.0.9", 24, "10.101.0.1")
        nic = Nic("t0", "lan", 0, mac(number), None, 24)
        wanted = PnodePlan(
            hub.mark,
            f"pnode-{number:04}",
            1,
            Underlay(here.underlay, 16),
            (Machine(f"n{number}", "qemu", Image("", ""), 1, 1, control, (nic,)),),
            bridges=(Bridge("br0", ("p0", "vx0"), "lan"),),
            patches=(Patch("w0", "p0", "lan"),),
            tunnels=(Tunnel("vx0", 7, remotes, "lan"),),
            wires=(Wire("w", "t0", "w0"),),
        )
        # The node itself is a veth end in a namespace, in the place of the tap.
        with namespaces.entered(here.name):
            Fabric().apply(wanted)
        node = lab.namespace(f"lan{number}")
        lab.cable((here.name, "port"), (node, "eth0"), 1508)
        with namespaces.entered(here.name), netlink() as ip:
            links = read_links(ip)
            ip.link("set", index=links["port"].index, master=links["br0"].index)
        with namespaces.entered(node), netlink() as ip:
            ip.link("set", index=ip.link_lookup(ifname="eth0")[0], address=mac(number), mtu=1500)
        lab.up(node, "eth0", f"10.0.0.{number + 1}/24")
        stations.append(node)
    for there in ("10.0.0.2", "10.0.0.3"):
        done = lab.run(stations[0], *["ping", "-c", "2", "-i", "0.2", "-W", "2", "-M", "do", "-s", "1472"], there)
        assert done.returncode == 0, done.stdout
    # A broadcast reaches both others, once each; so does a full frame with a VLAN tag.
    ears = [lab.station(node, "eth0") for node in stations[1:]]
    mouth = lab.station(stations[0], "eth0")
    frame = bytes.fromhex("ffffffffffff") + bytes.fromhex(mac(0).replace(":", "")) + b"\x88\xb5" + bytes(1500)
    tagged = frame[:12] + b"\x81\x00\x00\x05" + frame[12:]
    for sent, tag in ((frame, None), (tagged, 5)):
        mouth.send(sent)
        for ear in ears:
            got = next(got for got in iter(ear.receive, None) if got[0][12:14] == b"\x88\xb5")
            assert got[:2] == (frame, tag)
            assert ear.receive(0.2) is None


def mac(number: int) -> str:
    return f"02:00:00:00:01:{number:02x}"
