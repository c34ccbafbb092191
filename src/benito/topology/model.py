"""What the experimenter asked for, whatever language it was written in.

TopDL's model is the common one: nodes have interfaces, an interface joins a LAN (TopDL: substrate), and a link is a
LAN of two. Everything the file says is kept, known or not: attributes by name, statements that no stage acts on as
`Recorded`. Values are frozen; changes make new topologies (`dataclasses.replace`).

Units everywhere: delay in milliseconds, bandwidth in kb/s (1 kb = 1000 bits, 0 = unlimited), loss as a probability.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from benito.errors import Fault, Where
from benito.topology.element import Element

EMPTY: Mapping[str, str] = MappingProxyType({})
NO_SHAPING = "noshaping"
"""The attribute of a LAN whose bandwidths are told and not enforced, when it is `1` (NS: `tb-set-noshaping`)."""


def _empty() -> Mapping[str, str]:
    """Return EMPTY: Python 3.11 takes no unhashable value for a field's default."""
    return EMPTY


class LanKind(StrEnum):
    """How the file made it; a link is a LAN of exactly two."""

    LINK = "link"
    LAN = "lan"


class Routing(StrEnum):
    """Who fills the nodes' routing tables (NS: `$ns rtproto`)."""

    NONE = "none"
    STATIC = "static"
    MANUAL = "manual"
    SESSION = "session"


class Discipline(StrEnum):
    """How a queue drops packets when it fills."""

    DROPTAIL = "droptail"
    RED = "red"
    GRED = "gred"


@dataclass(frozen=True, slots=True)
class Queue:
    """The queue in front of a member's shaped direction towards the LAN (defaults: Emulab's `ns2ir`)."""

    discipline: Discipline = Discipline.DROPTAIL
    limit: int = 50
    """Packets, or bytes when `in_bytes`."""
    in_bytes: bool = False
    threshold: float = 5
    max_threshold: float = 15
    weight: float = 0.002
    linterm: float = 10
    mean_packet_size: int = 500
    """Bytes."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What one direction between a member and its LAN does to packets."""

    delay_ms: float = 0.0
    bandwidth_kbps: int = 0
    loss: float = 0.0


@dataclass(frozen=True, slots=True)
class Interface:
    """A node's port on a LAN. Its port number is its place in `Node.interfaces`."""

    lan: str
    name: str = ""
    """As the file names it (TopDL `eth0`); empty when it doesn't."""
    address: str | None = None
    """IPv4 address; None until the file or the addressing rule gives one."""
    outward: Shape = Shape()
    """From the member into the LAN."""
    inward: Shape = Shape()
    """From the LAN to the member."""
    queue: Queue = Queue()
    attributes: Mapping[str, str] = field(default_factory=_empty)
    where: Where | None = None
    """Where the file gives the address, if it does."""
    source: Element | None = None
    """TopDL: the element as read. The writer changes in it only what the other fields say differently."""


@dataclass(frozen=True, slots=True)
class Software:
    """Something to install on a node before its start command: a package, or an archive to unpack (TopDL: software)."""

    location: str
    install: str | None = None
    """Directory to unpack into; None for a package."""
    where: Where | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Node:
    """A machine of the experiment."""

    name: str
    interfaces: tuple[Interface, ...] = ()
    os: str | None = None
    """Image name as written (NS `tb-set-node-os`, TopDL attribute `osid`)."""
    hardware: str | None = None
    kind: str = "qemu"
    """`qemu`, `container` or `physical`."""
    start_command: str | None = None
    """As the person wrote it, given to a shell."""
    failure_action: str | None = None
    """`fatal`, `nonfatal` or `ignore`; None when the file is silent (Emulab's default is fatal)."""
    partition: int | None = None
    attributes: Mapping[str, str] = field(default_factory=_empty)
    where: Where | None = None
    startup: str | None = None
    """Emulab's older start command (`tb-set-node-startup`): run at boot, its exit code is not reported."""
    software: tuple[Software, ...] = ()
    source: Element | None = None
    """TopDL: the element as read, without its interfaces."""


@dataclass(frozen=True, slots=True)
class Member:
    """One end of a LAN."""

    node: str
    port: int


@dataclass(frozen=True, slots=True)
class Lan:
    """A link or LAN; members in the order in which they were joined."""

    name: str
    members: tuple[Member, ...]
    kind: LanKind = LanKind.LAN
    netmask: str | None = None
    """Dotted; None until the file or the addressing rule gives one."""
    attributes: Mapping[str, str] = field(default_factory=_empty)
    where: Where | None = None
    source: Element | None = None
    """TopDL: the element as read."""

    @property
    def enforced(self) -> bool:
        """Whether its members' bandwidths are limits; delay and loss always are what is asked for."""
        return self.attributes.get(NO_SHAPING) != "1"


@dataclass(frozen=True, slots=True)
class ManualRoute:
    """A route the file asks for (NS: `$node add-route`)."""

    node: str
    destination: str
    """Name of a node or LAN, or `link src dst` resolved to a LAN's name."""
    next_hop: str
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """Something to happen at a time after swap-in (NS: `$ns at`), or when its timeline or sequence runs.

    Actions are Emulab's event types in lower case; arguments are `KEY=value` as its event system carries them, with
    bandwidth in kb/s, delay in ms and loss as a probability.
    """

    time_s: float
    target: str
    action: str
    arguments: tuple[str, ...] = ()
    where: Where | None = None
    parent: str = ""
    """The timeline or sequence that it belongs to; events of a sequence follow each other and have no time."""
    trigger: str = "timer"
    """`timer`, or `swapout` for an event that happens just before swap-out."""


@dataclass(frozen=True, slots=True)
class Program:
    """A command that events can start on a node (NS: program agents)."""

    name: str
    node: str
    command: str
    attributes: Mapping[str, str] = field(default_factory=_empty)
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Recorded:
    """A statement that is kept as it is because no stage acts on it yet."""

    feature: str
    arguments: tuple[str, ...] = ()
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Foreign:
    """An element of a TopDL file that is no computer (testbed, segment, other): kept, never built."""

    element: Element
    position: int
    """How many nodes stand before it."""


@dataclass(frozen=True, slots=True)
class Topology:
    """One experiment as asked for. Node and LAN names are unique; every member names an existing interface."""

    nodes: tuple[Node, ...]
    lans: tuple[Lan, ...]
    routing: Routing = Routing.NONE
    routes: tuple[ManualRoute, ...] = ()
    costs: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """(LAN, node) -> cost of sending from that node into that LAN; 1 where silent."""
    events: tuple[Event, ...] = ()
    programs: tuple[Program, ...] = ()
    recorded: tuple[Recorded, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=_empty)
    numbering: tuple[str, ...] = ()
    """LAN names in the order in which Emulab numbers them; empty where the language has no such order.

    Names without a LAN here are LANs that the file left without members: they take a number too.
    """
    warnings: tuple[Fault, ...] = field(default=(), compare=False)
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MappingProxyType({}))
    """Event groups: name -> names of what an event to the group goes to."""
    environment: Mapping[str, str] = field(default_factory=_empty)
    """Environment of the program agents (NS: the array `opt`)."""
    foreign: tuple[Foreign, ...] = ()
    source: Element | None = None
    """TopDL: the root element as read, without its substrates and elements."""

    def node(self, name: str) -> Node:
        """Return the node of that name; KeyError where there is none."""
        for node in self.nodes:
            if node.name == name:
                return node
        raise KeyError(name)
