"""The objects of an NS file while it is read: they change with each statement and become the model at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from benito.errors import Where
from benito.topology.model import Discipline, LanKind, Queue, Shape, Software

QUEUE_VARIABLES = {
    "limit_": "50",
    "maxthresh_": "15",
    "thresh_": "5",
    "q_weight_": "0.002",
    "linterm_": "10",
    "queue-in-bytes_": "0",
    "bytes_": "0",
    "mean_pktsize_": "500",
    "wait_": "1",
    "setbit_": "0",
    "drop-tail_": "1",
    "red_": "0",
    "gentle_": "0",
}
"""ns-2's variables of a queue with Emulab's defaults."""


@dataclass(slots=True, eq=False)
class Thing:
    """Any object that the file made; `name` is what its variable called it."""

    id: int
    kind: str
    name: str
    where: Where


@dataclass(slots=True, eq=False)
class QueueDraft:
    """The queue of one port: what the link's type says, then what the file sets."""

    discipline: Discipline = Discipline.DROPTAIL
    values: dict[str, float] = field(default_factory=dict)

    def finish(self) -> Queue:
        """Return the model's queue."""
        red = self.values.get("red_", 0.0 if self.discipline is Discipline.DROPTAIL else 1.0)
        gentle = self.values.get("gentle_", 1.0 if self.discipline is Discipline.GRED else 0.0)
        kind = Discipline.DROPTAIL if not red else Discipline.GRED if gentle else Discipline.RED
        get = self.values.get
        return Queue(
            discipline=kind,
            limit=int(get("limit_", 50)),
            in_bytes=bool(get("queue-in-bytes_", 0)),
            threshold=get("thresh_", 5),
            max_threshold=get("maxthresh_", 15),
            weight=get("q_weight_", 0.002),
            linterm=get("linterm_", 10),
            mean_packet_size=int(get("mean_pktsize_", 500)),
        )


@dataclass(slots=True, eq=False)
class Port:
    """A node's end of a link or LAN."""

    node: NodeDraft
    lan: LanDraft
    index: int
    delay_out: float = 0.0
    delay_in: float = 0.0
    bandwidth_out: int = 0
    bandwidth_in: int = 0
    loss_out: float = 0.0
    loss_in: float = 0.0
    cost: float = 1.0
    address: str | None = None
    address_where: Where | None = None
    queue: QueueDraft = field(default_factory=QueueDraft)
    attributes: dict[str, str] = field(default_factory=dict)

    def outward(self) -> Shape:
        """Return the direction from the node into the LAN."""
        return Shape(self.delay_out, self.bandwidth_out, self.loss_out)

    def inward(self) -> Shape:
        """Return the direction from the LAN to the node."""
        return Shape(self.delay_in, self.bandwidth_in, self.loss_in)


@dataclass(slots=True, eq=False)
class Route:
    """What `add-route` asked for; looked into when all names and ports are known."""

    destination: Thing
    next_hop: NodeDraft
    where: Where


@dataclass(slots=True, eq=False)
class NodeDraft(Thing):
    """A node."""

    ports: list[Port] = field(default_factory=list)
    os: str | None = None
    hardware: str | None = None
    start_command: str | None = None
    startup: str | None = None
    failure_action: str | None = None
    software: dict[str, tuple[Software, ...]] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    desires: dict[str, str] = field(default_factory=dict)
    routes: dict[int, Route] = field(default_factory=dict)
    """By the destination's id."""
    agents: int = 0


@dataclass(slots=True, eq=False)
class LanDraft(Thing):
    """A link or LAN."""

    shape: LanKind = LanKind.LAN
    ports: list[Port] = field(default_factory=list)
    netmask: str | None = None
    attributes: dict[str, str] = field(default_factory=dict)
    first_ports: dict[int, Port] = field(default_factory=dict)
    """By the node's id."""

    def join(self, port: Port) -> None:
        """Add a member."""
        self.ports.append(port)
        self.first_ports.setdefault(port.node.id, port)

    def port_of(self, node: NodeDraft) -> Port | None:
        """Return the node's first port here."""
        return self.first_ports.get(node.id)


@dataclass(slots=True, eq=False)
class Handle(Thing):
    """A link or LAN seen from one node (`$ns link a b`, `$ns lanlink lan node`), or the queue there."""

    lan: LanDraft | None = None
    port: Port | None = None


@dataclass(slots=True, eq=False)
class ProgramDraft(Thing):
    """A program agent; the start command of a node is one too."""

    node: str = ""
    command: str = ""
    options: dict[str, str] = field(default_factory=dict)
    start: bool = False


@dataclass(slots=True, eq=False)
class GroupDraft(Thing):
    """An event group."""

    members: list[Thing] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Agent(Thing):
    """A traffic agent or application: what it hangs on and what was set."""

    node: NodeDraft | None = None
    port: int = 0
    peer: Agent | None = None
    application: Agent | None = None
    values: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class EventDraft:
    """An event; its target's name is asked for when all names are known."""

    time: float
    target: Thing
    action: str
    arguments: tuple[str, ...]
    where: Where
    parent: Thing | None = None
    trigger: str = "timer"
    suffix: str = ""
