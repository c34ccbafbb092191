"""`tb-*` commands about links and LANs: shaping, addresses, and what they are made of."""

from __future__ import annotations

import re

from benito import units
from benito.errors import InputError
from benito.topology.model import NO_SHAPING
from benito.topology.ns.drafts import LanDraft, Port
from benito.topology.ns.experiment import Commands, Experiment, Statement

COMMANDS = Commands()
ADDRESS = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)


def read_address(text: str) -> str:
    """Return an IPv4 address in its usual form; InputError where the text is none."""
    found = ADDRESS.fullmatch(text)
    if found is None or any(int(part) > 255 for part in found.groups()):
        raise InputError(
            f"`{text[:60]}` is not an IP address", hint="write four numbers from 0 to 255, such as 10.1.2.3"
        )
    return ".".join(str(int(part)) for part in found.groups())


def on_or_off(text: str) -> str:
    """Return `0` or `1`; InputError for anything else."""
    if text not in ("0", "1"):
        raise InputError(f"`{text[:60]}` is neither 0 nor 1", hint="write 1 for yes, 0 for no")
    return text


def _link_or_ends(experiment: Experiment, args: tuple[str, ...]) -> tuple[LanDraft, str]:
    """Read `link value` or `node node value`; return the link and the value."""
    if len(args) == 3:
        return experiment.between(experiment.node(args[0]), experiment.node(args[1])), args[2]
    return experiment.lan(args[0]), args[1]


def _set_loss(lan: LanDraft, text: str) -> None:
    side = units.each_side(units.loss(text))
    for port in lan.ports:
        port.loss_out = port.loss_in = side


@COMMANDS.add("tb-set-link-loss", "link loss | node node loss")
def set_link_loss(experiment: Experiment, statement: Statement) -> None:
    """Lose packets with this probability between any two members, half-way at each side."""
    _set_loss(*_link_or_ends(experiment, statement.args))


@COMMANDS.add("tb-set-lan-loss", "lan loss")
def set_lan_loss(experiment: Experiment, statement: Statement) -> None:
    """The same for a LAN."""
    _set_loss(experiment.lan(statement.args[0], kind="Lan"), statement.args[1])


def _member(experiment: Experiment, statement: Statement) -> Port:
    """Return the port named by `node lan` at the start of the arguments."""
    node = experiment.node(statement.args[0])
    return experiment.port(node, experiment.lan(statement.args[1], kind="Lan"))


def _set_delay(port: Port, text: str) -> None:
    port.delay_out = port.delay_in = units.delay_ms(text)


def _set_bandwidth(port: Port, text: str) -> None:
    port.bandwidth_out = port.bandwidth_in = units.bandwidth_kbps(text)


def _set_raw_loss(port: Port, text: str) -> None:
    port.loss_out = port.loss_in = units.loss(text)


@COMMANDS.add("tb-set-node-lan-delay", "node lan delay")
def set_node_lan_delay(experiment: Experiment, statement: Statement) -> None:
    """Set one member's delay, the same in both directions and not halved."""
    _set_delay(_member(experiment, statement), statement.args[2])


@COMMANDS.add("tb-set-node-lan-bandwidth", "node lan bandwidth")
def set_node_lan_bandwidth(experiment: Experiment, statement: Statement) -> None:
    """Set one member's bandwidth in both directions."""
    _set_bandwidth(_member(experiment, statement), statement.args[2])


@COMMANDS.add("tb-set-node-lan-loss", "node lan loss")
def set_node_lan_loss(experiment: Experiment, statement: Statement) -> None:
    """Set one member's loss, the same in both directions and not split."""
    _set_raw_loss(_member(experiment, statement), statement.args[2])


@COMMANDS.add("tb-set-node-lan-params", "node lan delay bandwidth loss")
def set_node_lan_params(experiment: Experiment, statement: Statement) -> None:
    """All three at once."""
    port = _member(experiment, statement)
    with experiment.collecting(statement.where):
        _set_delay(port, statement.args[2])
    with experiment.collecting(statement.where):
        _set_bandwidth(port, statement.args[3])
    _set_raw_loss(port, statement.args[4])


@COMMANDS.add("tb-set-link-simplex-params", "link source delay bandwidth loss")
def set_link_simplex_params(experiment: Experiment, statement: Statement) -> None:
    """Shape the direction away from the source: half of the delay and loss at each end, the bandwidth at both."""
    link = experiment.lan(statement.args[0], kind="Link")
    source = experiment.port(experiment.node(statement.args[1]), link)
    delay = units.delay_ms(statement.args[2])
    bandwidth = units.bandwidth_kbps(statement.args[3])
    side = units.each_side(units.loss(statement.args[4]))
    source.delay_out, source.bandwidth_out, source.loss_out = delay / 2, bandwidth, side
    for port in link.ports:
        if port is not source:
            port.delay_in, port.bandwidth_in, port.loss_in = delay / 2, bandwidth, side


@COMMANDS.add("tb-set-lan-simplex-params", "lan node to-delay to-bandwidth to-loss from-delay from-bandwidth from-loss")
def set_lan_simplex_params(experiment: Experiment, statement: Statement) -> None:
    """Set each direction of one member as it stands: into the LAN, then out of it."""
    lan = experiment.lan(statement.args[0], kind="Lan")
    port = experiment.port(experiment.node(statement.args[1]), lan)
    port.delay_out = units.delay_ms(statement.args[2])
    port.bandwidth_out = units.bandwidth_kbps(statement.args[3])
    port.loss_out = units.loss(statement.args[4])
    port.delay_in = units.delay_ms(statement.args[5])
    port.bandwidth_in = units.bandwidth_kbps(statement.args[6])
    port.loss_in = units.loss(statement.args[7])


def _set_address(experiment: Experiment, statement: Statement, port: Port, text: str) -> None:
    port.address = read_address(text)
    port.address_where = statement.where


@COMMANDS.add("tb-set-ip", "node address")
def set_ip(experiment: Experiment, statement: Statement) -> None:
    """Address a node that has a single interface."""
    node = experiment.node(statement.args[0])
    if len(node.ports) != 1:
        raise InputError(
            f"`{node.name}` has {len(node.ports) or 'no'} links, so tb-set-ip can't tell which one is meant",
            hint="use tb-set-ip-link or tb-set-ip-lan, after the link is made",
        )
    _set_address(experiment, statement, node.ports[0], statement.args[1])


@COMMANDS.add("tb-set-ip-interface", "node other-node address")
def set_ip_interface(experiment: Experiment, statement: Statement) -> None:
    """Address a node on the last link between it and another node."""
    node = experiment.node(statement.args[0])
    link = experiment.between(node, experiment.node(statement.args[1]))
    _set_address(experiment, statement, experiment.port(node, link), statement.args[2])


@COMMANDS.add("tb-set-ip-link", "node link address")
def set_ip_link(experiment: Experiment, statement: Statement) -> None:
    """Address a node on a link."""
    link = experiment.lan(statement.args[1], kind="Link")
    _set_address(experiment, statement, experiment.port(experiment.node(statement.args[0]), link), statement.args[2])


@COMMANDS.add("tb-set-ip-lan", "node lan address")
def set_ip_lan(experiment: Experiment, statement: Statement) -> None:
    """Address a node on a LAN."""
    lan = experiment.lan(statement.args[1], kind="Lan")
    _set_address(experiment, statement, experiment.port(experiment.node(statement.args[0]), lan), statement.args[2])


@COMMANDS.add("tb-set-netmask", "link-or-lan netmask")
def set_netmask(experiment: Experiment, statement: Statement) -> None:
    """Set a LAN's netmask; only the lower 16 bits are free (Emulab: tb_compat.tcl)."""
    lan = experiment.lan(statement.args[0])
    mask = read_address(statement.args[1])
    bits = int.from_bytes(bytes(int(part) for part in mask.split(".")), "big")
    inverse = bits ^ 0xFFFFFFFF
    if inverse & (inverse + 1):
        raise InputError(f"`{mask}` is not a netmask", hint="write ones, then zeros, such as 255.255.255.0")
    if bits & 0xFFFF0000 != 0xFFFF0000 or inverse < 3:
        raise InputError(f"the netmask `{mask}` leaves no usable subnet", hint="write 255.255.0.0 to 255.255.255.252")
    lan.netmask = mask


@COMMANDS.add("tb-set-noshaping", "link-or-lan on-or-off")
def set_noshaping(experiment: Experiment, statement: Statement) -> None:
    """Say whether a LAN's bandwidths are left unenforced; its delay and loss aren't touched (DETER: ns-commands)."""
    experiment.lan(statement.args[0]).attributes[NO_SHAPING] = on_or_off(statement.args[1])


def _keep_lan_setting(name: str, usage: str, key: str, *, kind: str = "", values: tuple[str, ...] = ()) -> None:
    """Add a command that leaves an attribute on a LAN and is recorded."""

    def run(experiment: Experiment, statement: Statement) -> None:
        lan = experiment.lan(statement.args[0], kind=kind)
        value = statement.args[1]
        if values and value not in values:
            raise InputError(f"`{value[:60]}` is not a value for {name}", hint=f"write one of {', '.join(values)}")
        lan.attributes[key] = value
        experiment.keep(name, (lan.name, *statement.args[1:]), statement.where)

    COMMANDS.add(name, usage)(run)


for _name, _usage, _key, _kind in (
    ("tb-set-multiplexed", "link-or-lan on-or-off", "multiplexed", ""),
    ("tb-set-useveth", "link-or-lan on-or-off", "useveth", ""),
    ("tb-set-endnodeshaping", "link-or-lan on-or-off", "endnodeshaping", ""),
    ("tb-set-allowcolocate", "link-or-lan on-or-off", "allowcolocate", ""),
    ("tb-set-lan-protocol", "lan protocol", "protocol", "Lan"),
    ("tb-set-link-protocol", "link protocol", "protocol", "Link"),
    ("tb-set-switch-fabric", "link-or-lan fabric", "switch_fabric", ""),
    ("tb-set-link-layer", "link layer", "layer", "Link"),
    ("tb-set-lan-accesspoint", "lan node", "accesspoint", "Lan"),
):
    _keep_lan_setting(_name, _usage, _key, kind=_kind)
_keep_lan_setting("tb-set-link-encap", "link-or-lan style", "encap", values=("gre", "egre", "vtun", "veth-ne", "vlan"))
_keep_lan_setting("tb-set-link-failure-action", "link-or-lan action", "failureaction", values=("fatal", "nonfatal"))


def _keep(name: str, usage: str) -> None:
    """Add a command that is recorded only."""

    def run(experiment: Experiment, statement: Statement) -> None:
        experiment.keep(name, statement.args, statement.where)

    COMMANDS.add(name, usage)(run)


for _name, _usage in (
    ("tb-set-link-est-bandwidth", "link bandwidth | node node bandwidth"),
    ("tb-set-link-backfill", "link bandwidth | node node bandwidth"),
    ("tb-set-link-simplex-backfill", "link source bandwidth"),
    ("tb-set-lan-est-bandwidth", "lan bandwidth"),
    ("tb-set-lan-backfill", "lan bandwidth"),
    ("tb-set-lan-simplex-backfill", "lan node to-bandwidth from-bandwidth"),
    ("tb-set-node-lan-est-bandwidth", "node lan bandwidth"),
    ("tb-set-node-lan-backfill", "node lan bandwidth"),
    ("tb-set-lan-setting", "lan key value"),
    ("tb-set-node-lan-setting", "lan node key value"),
    ("tb-fix-interface", "node link-or-lan interface"),
    ("tb-add-ip-alias-lan", "node lan address"),
    ("tb-add-ip-alias-link", "node link address"),
    ("tb-add-ip-alias-interface", "node other-node address"),
):
    _keep(_name, _usage)
