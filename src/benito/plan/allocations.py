"""What the testbed has set aside for an experiment: the third input of a plan, after topology and assignment.

The testbed makes it in one transaction for the whole host, so that two experiments never share an address, a VNI or
a MAC address. Numbers of nodes and LANs name interfaces and make MAC addresses; a node or LAN keeps its number for as
long as it is in the experiment, so what stays keeps its names when other things come and go (`number`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network
from types import MappingProxyType

from benito.embedding.model import Assignment
from benito.plan.model import Account, Image, Share, Software
from benito.topology.model import Topology
from benito.topology.sizes import Size


@dataclass(frozen=True, slots=True)
class ControlNetwork:
    """The experiment's control network."""

    network: str
    """CIDR."""
    gateway: str
    """Way out, names and packages; the only thing on it besides the nodes that they know."""


@dataclass(frozen=True, slots=True)
class NodeAllocation:
    """What one node was given."""

    number: int
    """Unique in the experiment, below 65536."""
    control_address: str
    image: Image
    memory_mib: int
    cpus: int
    software: Software | None = None
    disk_mib: int = 0


@dataclass(frozen=True, slots=True)
class PnodeAllocation:
    """What one pnode was given."""

    underlay_address: str
    incarnation: int = 1
    """Counts the placements of this pnode; an agent of an older one has no say any more."""


@dataclass(frozen=True, slots=True)
class Allocations:
    """Everything that one experiment was given; covers each node, LAN and pnode that is to be planned."""

    experiment: str
    """`PID/EID`."""
    control: ControlNetwork
    nodes: Mapping[str, NodeAllocation]
    lans: Mapping[str, int]
    """A LAN's number: unique in the experiment; its VNI is `vni_base` and this."""
    pnodes: Mapping[str, PnodeAllocation]
    vni_base: int
    mac_prefix: int
    """The experiment's own second and third byte of MAC addresses, 0 to 65535."""
    underlay_prefix: int = 16
    accounts: tuple[Account, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    """Texts by their paths, for every node: how it uses what it was given."""
    shares: tuple[Share, ...] = ()

    def __post_init__(self) -> None:
        """ValueError for numbers that don't fit their fields on the wire: such allocations are a defect."""
        if not 0 <= self.mac_prefix < 2**16:
            raise ValueError(f"MAC prefix {self.mac_prefix} has more than 16 bits")
        if not 0 < self.vni_base <= 2**24 - 1 - max(self.lans.values(), default=0):
            raise ValueError(f"VNIs from {self.vni_base} on don't fit 24 bits")


def number(names: Iterable[str], before: Mapping[str, int] | None = None) -> dict[str, int]:
    """Give each name a number: the one it had before, else the lowest that is above all given before."""
    kept = before or {}
    fresh = max(kept.values(), default=-1) + 1
    numbers: dict[str, int] = {}
    for name in names:
        if name in kept:
            numbers[name] = kept[name]
        else:
            numbers[name] = fresh
            fresh += 1
    return numbers


EXAMPLE_IMAGE = Image("debian-12", "sha256:" + "0" * 64)


def example(
    topology: Topology,
    assignment: Assignment,
    *,
    experiment: str = "Example/plan",
    image: Image = EXAMPLE_IMAGE,
    memory_mib: int = 256,
    cpus: int = 1,
    sizes: Mapping[str, Size] = MappingProxyType({}),
) -> Allocations:
    """Return allocations as a testbed without other experiments would make them: for dry runs and tests."""
    default = Size(memory_mib, cpus, 0)

    def given(place: int, node: str) -> NodeAllocation:
        size = sizes.get(node, default).over(default)
        address = str(control[place + 2])
        assert size.memory_mib
        assert size.cpus
        return NodeAllocation(place, address, image, size.memory_mib, size.cpus, disk_mib=size.disk_mib or 0)

    control = _network("172.16.0.0", len(topology.nodes))
    underlay = _network("100.64.0.0", max(len(assignment.pnodes), 2**16 - 3))
    return Allocations(
        experiment=experiment,
        control=ControlNetwork(str(control), str(control[1])),
        nodes={node.name: given(place, node.name) for place, node in enumerate(topology.nodes)},
        lans=number(lan.name for lan in topology.lans),
        pnodes={name: PnodeAllocation(str(underlay[place + 1])) for place, name in enumerate(assignment.pnodes)},
        vni_base=4096,
        mac_prefix=0,
        underlay_prefix=underlay.prefixlen,
    )


def _network(base: str, nodes: int) -> IPv4Network:
    """Return the network at `base`, a /24 or larger, that holds so many nodes and a gateway."""
    return IPv4Network((base, min(24, 32 - (nodes + 2).bit_length())))
