"""Links and LANs as NS statements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from benito import units
from benito.topology.model import NO_SHAPING, Discipline, Interface, Lan, LanKind, Shape
from benito.topology.topdl.reading import netmask
from benito.topology.topdl.shaping import pair_loss

if TYPE_CHECKING:
    from benito.topology.ns.writing.experiment import Writer

MAX_DELAY_MS = 3_600_000
TYPES = {Discipline.DROPTAIL: "DropTail", Discipline.RED: "RED", Discipline.GRED: "GRED"}
SETTINGS = {
    "multiplexed": "tb-set-multiplexed",
    "useveth": "tb-set-useveth",
    "endnodeshaping": "tb-set-endnodeshaping",
    "allowcolocate": "tb-set-allowcolocate",
    "switch_fabric": "tb-set-switch-fabric",
    "layer": "tb-set-link-layer",
    "accesspoint": "tb-set-lan-accesspoint",
    "encap": "tb-set-link-encap",
    "failureaction": "tb-set-link-failure-action",
    "protocol": "tb-set-lan-protocol",
}
"""Attributes of a LAN that a recorded statement sets."""
QUEUE = {
    "limit": ("limit_", 50),
    "in_bytes": ("queue-in-bytes_", 0),
    "threshold": ("thresh_", 5),
    "max_threshold": ("maxthresh_", 15),
    "weight": ("q_weight_", 0.002),
    "linterm": ("linterm_", 10),
    "mean_packet_size": ("mean_pktsize_", 500),
}


def fits_a_link(lan: Lan, ends: Sequence[Interface]) -> bool:
    """Whether duplex-link can say it: two nodes, and each direction shaped alike at both ends."""
    if lan.kind != LanKind.LINK or len({member.node for member in lan.members}) != 2 or len(ends) != 2:
        return False
    one, other = ends
    return one.outward == other.inward and other.outward == one.inward


class LanText:
    """The statements of one link or LAN."""

    def __init__(self, writer: Writer, lan: Lan) -> None:
        self.writer = writer
        self.lan = lan
        self.ends = [writer.interfaces[member.node, member.port] for member in lan.members]
        self.nodes = [writer.names.value("node", member.node) for member in lan.members]
        self.me = writer.names.value("lan", lan.name)
        self.is_link = fits_a_link(lan, self.ends)

    def lines(self) -> Iterator[str]:
        """Yield the statements."""
        if self.lan.kind == LanKind.LINK and not self.is_link:
            self.writer.lacks(f"`{self.lan.name}` is written as a LAN: NS can't shape a link's ends each by itself")
        if len(set(self.nodes)) < len(self.nodes):
            self.writer.lacks(f"a node is on `{self.lan.name}` twice: NS can shape and address its first place only")
        yield from self._link() if self.is_link else self._lan()
        yield from self._addresses()
        yield from self._queues()
        yield from self._costs()
        for key, value in self.lan.attributes.items():
            recorded = any(self.lan.name in each.arguments for each in self.writer.recorded(SETTINGS.get(key, "")))
            if key == NO_SHAPING and value in ("0", "1"):
                yield f"tb-set-noshaping {self.me} {value}"
            elif not recorded and key != "cloud":
                self.writer.lacks(f"`{self.lan.name}` has the attribute {key}: {value}")

    def _link(self) -> Iterator[str]:
        there, back = (end.outward for end in self.ends)
        kind = TYPES[self.ends[0].queue.discipline]
        ends = " ".join(self.nodes)
        shape = f"{self.bandwidth(there)} {self.delay(2 * there.delay_ms)}"
        yield self.writer.names.made("lan", self.lan.name, f"$ns duplex-link {ends} {shape} {kind}")
        if there == back:
            if there.loss:
                yield f"tb-set-link-loss {self.me} {self.pair(there.loss)}"
            return
        for node, shape_of in zip(self.nodes, (there, back), strict=True):
            values = f"{self.delay(2 * shape_of.delay_ms)} {self.bandwidth(shape_of)} {self.pair(shape_of.loss)}"
            yield f"tb-set-link-simplex-params {self.me} {node} {values}"

    def _lan(self) -> Iterator[str]:
        base = self._base()
        method = "make-cloud" if self.lan.attributes.get("cloud") == "1" else "make-lan"
        shape = f"{self.bandwidth(base)} {self.delay(2 * base.delay_ms)}"
        yield self.writer.names.made("lan", self.lan.name, f'$ns {method} "{" ".join(self.nodes)}" {shape}')
        if base.loss:
            yield f"tb-set-lan-loss {self.me} {self.pair(base.loss)}"
        done: set[str] = set()
        for node, end in zip(self.nodes, self.ends, strict=True):
            if node in done or end.outward == end.inward == base:
                continue
            done.add(node)
            out = f"{self.delay(end.outward.delay_ms)} {self.bandwidth(end.outward)} {self.loss(end.outward.loss)}"
            into = f"{self.delay(end.inward.delay_ms)} {self.bandwidth(end.inward)} {self.loss(end.inward.loss)}"
            if end.outward == end.inward:
                yield f"tb-set-node-lan-params {node} {self.me} {out}"
            else:
                yield f"tb-set-lan-simplex-params {self.me} {node} {out} {into}"

    def _base(self) -> Shape:
        """Return the shape that most members have in both directions and that a LAN as a whole can have.

        A node's second place on the LAN can't be shaped by itself, so such places come before all others.
        """
        first: dict[str, int] = {}
        for place, node in enumerate(self.nodes):
            first.setdefault(node, place)
        second = [end for place, end in enumerate(self.ends) if first[self.nodes[place]] != place]
        counted = Counter(
            end.outward
            for end in second or self.ends
            if end.outward == end.inward and (not end.outward.loss or pair_loss(end.outward.loss) is not None)
        )
        return counted.most_common(1)[0][0] if counted else Shape()

    def _addresses(self) -> Iterator[str]:
        mask = self.lan.netmask
        if mask is not None:
            host = int.from_bytes(bytes(int(part) for part in mask.split(".")), "big") ^ 0xFFFFFFFF
            if netmask(mask) is None or not 3 <= host <= 0xFFFF:
                self.writer.lacks(f"`{self.lan.name}` has the netmask {mask}, NS knows 255.255.0.0 to 255.255.255.252")
            else:
                yield f"tb-set-netmask {self.me} {mask}"
        command = "tb-set-ip-link" if self.is_link else "tb-set-ip-lan"
        done: set[str] = set()
        for node, end in zip(self.nodes, self.ends, strict=True):
            if end.address is not None and node not in done:
                yield f"{command} {node} {self.me} {end.address}"
            done.add(node)

    def _queues(self) -> Iterator[str]:
        made = self.ends[0].queue.discipline if self.is_link else Discipline.DROPTAIL
        for place, (node, end) in enumerate(zip(self.nodes, self.ends, strict=True)):
            other = self.nodes[1 - place] if self.is_link else self.me
            queue = f"[[$ns link {node} {other}] queue]" if self.is_link else f"[[$ns lanlink {other} {node}] queue]"
            for key, value in _queue_values(end, made):
                yield f"{queue} set {key} {value}"

    def _costs(self) -> Iterator[str]:
        costs = [self.writer.topology.costs.get((self.lan.name, member.node), 1.0) for member in self.lan.members]
        if set(costs) == {1.0}:
            return
        if self.is_link:
            for node, other, cost in zip(self.nodes, reversed(self.nodes), costs, strict=True):
                if cost != 1:
                    yield f"$ns cost {node} {other} {_digits(cost)}"
        elif len(set(costs)) == 1:
            yield f"{self.me} cost {_digits(costs[0])}"
        else:
            self.writer.lacks(f"the members of `{self.lan.name}` have different routing costs")

    def bandwidth(self, shape: Shape) -> str:
        """Return a bandwidth, the nearest that NS has."""
        near = min(max(shape.bandwidth_kbps, units.MIN_BANDWIDTH_KBPS), units.MAX_BANDWIDTH_KBPS)
        if shape.bandwidth_kbps in (0, near):
            return units.bandwidth_text(shape.bandwidth_kbps)
        said = units.bandwidth_text(near)
        self.writer.lacks(f"`{self.lan.name}` has {shape.bandwidth_kbps} kb/s, the nearest that NS knows is {said}")
        return said

    def delay(self, milliseconds: float) -> str:
        """Return a delay."""
        if milliseconds > MAX_DELAY_MS:
            self.writer.lacks(f"`{self.lan.name}` has a delay of more than an hour, NS knows at most that")
        return units.delay_text(min(milliseconds, MAX_DELAY_MS))

    def pair(self, side: float) -> str:
        """Return the loss between two members whose sides lose this."""
        exact = pair_loss(side)
        return self.loss(1 - (1 - side) ** 2 if exact is None else exact)

    def loss(self, probability: float) -> str:
        """Return a loss; what is too small for NS is none."""
        if 0 < probability < units.MIN_LOSS:
            self.writer.lacks(f"`{self.lan.name}` loses less than NS can say")
            return "0"
        return _digits(probability)


def _queue_values(end: Interface, made: Discipline) -> Iterator[tuple[str, str]]:
    """Yield the variables of a queue that differ from what its link's type gives it."""
    queue = end.queue
    if queue.discipline != made:
        yield "red_", "0" if queue.discipline == Discipline.DROPTAIL else "1"
        yield "gentle_", "1" if queue.discipline == Discipline.GRED else "0"
    for field, (variable, usual) in QUEUE.items():
        value = getattr(queue, field)
        if value != usual:
            yield variable, _digits(float(value))


def _digits(value: float) -> str:
    text = f"{Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
