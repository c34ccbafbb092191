"""What an agent is told: everything one pnode needs to run its part of an experiment, as data.

A plan is JSON on the way (`encode`, `decode`), versioned, and holds no secret: private keys are named, never contained.
Interface names are those inside the pnode's own network namespace: unique there, at most 15 characters.
Units: delay in milliseconds, rates in kb/s (0 = unlimited), loss as a probability, memory in MiB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

VERSION = 1

CONTROL_UPLINK = "control0"
"""The interface in a pnode that the substrate joins to the experiment's control network."""
CONTROL_BRIDGE = "control"
"""The pnode's bridge of its machines' control interfaces and the uplink."""
GATEWAY_MAC = "06:00:00:00:00:00"
"""The MAC address of every experiment's gateway on its control network; no node's can be it (see `identity.mac`)."""
UNDERLAY = "underlay0"
"""The interface in a pnode that carries tunnels to the other pnodes."""


@dataclass(frozen=True, slots=True)
class Red:
    """Random early detection; thresholds in packets."""

    threshold: float = 5
    max_threshold: float = 15
    weight: float = 0.002
    linterm: float = 10
    mean_packet_size: int = 500


@dataclass(frozen=True, slots=True)
class Direction:
    """What a wire does to frames going one way: first the queue and rate, then loss, then the delay."""

    delay_ms: float = 0.0
    rate_kbps: int = 0
    loss: float = 0.0
    queue_limit: int = 50
    """Packets (bytes when `queue_in_bytes`) that may wait for the rate; without a rate nothing waits."""
    queue_in_bytes: bool = False
    red: Red | None = None

    @property
    def shaped(self) -> bool:
        """Whether frames come out otherwise than they went in."""
        return bool(self.delay_ms or self.rate_kbps or self.loss)


@dataclass(frozen=True, slots=True)
class Wire:
    """Joins two interfaces and passes every Ethernet frame between them."""

    name: str
    a: str
    b: str
    forward: Direction = Direction()
    """From a to b: what comes in from the device a leaves at the device b."""
    backward: Direction = Direction()
    lan: str = ""

    @property
    def shaped(self) -> bool:
        """Whether either direction is shaped; an unshaped wire is the kernel's business alone."""
        return self.forward.shaped or self.backward.shaped


@dataclass(frozen=True, slots=True)
class Bridge:
    """A switch of the named interfaces; passes link-local multicast (LLDP and its like) too."""

    name: str
    ports: tuple[str, ...]
    lan: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """A pair of virtual interfaces: `name` for a wire's end, `peer` a bridge's port."""

    name: str
    peer: str
    lan: str = ""


@dataclass(frozen=True, slots=True)
class Remote:
    """Another pnode's end of a tunnel and the MAC addresses behind it."""

    address: str
    macs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Tunnel:
    """A VXLAN interface with static forwarding entries."""

    name: str
    vni: int
    remotes: tuple[Remote, ...]
    lan: str = ""


@dataclass(frozen=True, slots=True)
class Underlay:
    """This pnode's address on the network that joins the pnodes."""

    address: str
    prefix: int


@dataclass(frozen=True, slots=True)
class Nic:
    """An interface of a machine on an experimental LAN; `name` is its tap in the pnode."""

    name: str
    lan: str
    port: int
    mac: str
    address: str | None
    prefix: int
    large_frames: bool = False
    """Whether the guest may hand over frames larger than the MTU (segmentation offload)."""


@dataclass(frozen=True, slots=True)
class ControlNic:
    """A machine's interface on the control network; `name` is its tap in the pnode."""

    name: str
    mac: str
    address: str
    prefix: int
    gateway: str


@dataclass(frozen=True, slots=True)
class Route:
    """A static route inside a machine."""

    destination: str
    """CIDR."""
    via: str


@dataclass(frozen=True, slots=True)
class Account:
    """A person's login on a machine, with password-less sudo."""

    name: str
    keys: tuple[str, ...]
    """Public keys, one authorized_keys line each. The account `root` gets all of them besides."""
    uid: int = 0
    """The user id of the person on the host, where it can be the same; 0: any."""


@dataclass(frozen=True, slots=True)
class Image:
    """The image a machine runs: its name in the catalog and the digest that the catalog had when the plan was made."""

    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Software:
    """What a fresh machine unpacks at its root before it is configured, once; later boots leave it alone."""

    bundle: str
    """Digest of a plain tar archive: the file `software/<bundle>.tar` in the experiment's folder.

    A virtual machine has it as a read-only disk with the serial number `benito-software`, a container as the file
    /var/lib/benito/software.tar.
    """
    debs: tuple[str, ...] = ()
    """Debian packages among what was unpacked, by their paths, to be installed in this order."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One node of this pnode."""

    node: str
    kind: str
    image: Image
    memory_mib: int
    cpus: int
    control: ControlNic
    nics: tuple[Nic, ...] = ()
    routes: tuple[Route, ...] = ()
    forwarding: bool = False
    """Whether the machine forwards between its interfaces."""
    start_command: str | None = None
    host_key: str = ""
    """Name of the machine's ssh host key among the experiment's secrets."""
    startup: str | None = None
    """A second command begun at each boot, whose end nobody waits for (Emulab's older start command)."""
    software: Software | None = None
    disk_mib: int = 0
    """Size of its disk, which its root file system fills; 0: as large as its image's."""
    template: str = ""
    """Digest of the template that a virtual machine without a disk yet is cloned from; empty: it boots."""


@dataclass(frozen=True, slots=True)
class Share:
    """A folder of the host that nodes have; where it is on the host is the substrate's business."""

    target: str
    """Its place in the nodes."""
    read_only: bool = False
    people: tuple[int, ...] = ()
    """User ids whose files in it are theirs on both sides."""
    served: bool = True
    """Whether virtual machines can mount it from their gateway."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What all nodes of an experiment find inside, besides the hosts file."""

    files: Mapping[str, str] = field(default_factory=dict)
    """Texts by their paths from the root."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Of their start commands."""
    sync_server: str = ""
    """The node at which the others meet (`emulab-sync`)."""
    shares: tuple[Share, ...] = ()
    """Folders of the host; in a pnode the n-th is `/run/benito/share-n`."""


@dataclass(frozen=True, slots=True)
class PnodePlan:
    """One pnode's part of an experiment."""

    experiment: str
    """`PID/EID`."""
    pnode: str
    incarnation: int
    underlay: Underlay
    machines: tuple[Machine, ...]
    accounts: tuple[Account, ...] = ()
    hosts: str = ""
    """The hosts file of every node."""
    inside: Inside = Inside()
    bridges: tuple[Bridge, ...] = ()
    patches: tuple[Patch, ...] = ()
    wires: tuple[Wire, ...] = ()
    tunnels: tuple[Tunnel, ...] = ()
    version: int = VERSION


def encode(plan: PnodePlan) -> bytes:
    """Return the plan as indented JSON, the same bytes for the same plan."""
    import msgspec

    return msgspec.json.format(msgspec.json.encode(plan), indent=1) + b"\n"


def decode(data: bytes) -> PnodePlan:
    """Read a plan back; ValueError (msgspec.ValidationError) when it isn't one of this version."""
    import msgspec

    plan = msgspec.json.decode(data, type=PnodePlan)
    if plan.version != VERSION:
        raise ValueError(f"plan version {plan.version} is not {VERSION}")
    return plan
