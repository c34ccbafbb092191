"""What a shaping backend is, and what it tells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from benito.plan.model import Direction, Wire


@dataclass(frozen=True, slots=True)
class Counters:
    """What became of the frames of one direction since the wire was made."""

    frames: int = 0
    """Delivered."""
    bytes: int = 0
    """Delivered, Ethernet headers included."""
    lost: int = 0
    """By the wire's loss probability."""
    dropped: int = 0
    """By the queue: it was full, or RED decided so."""
    late: int = 0
    """Delivered more than a millisecond after they were due (userspace only; netem doesn't tell)."""
    refused: int = 0
    """Not taken by the far interface, or not read in time: these are faults, not shaping."""


@dataclass(frozen=True, slots=True)
class WireCounters:
    """Both directions of one wire."""

    forward: Counters = field(default_factory=Counters)
    backward: Counters = field(default_factory=Counters)


class Backend(Protocol):
    """Makes wires real in the current network namespace.

    Synchronous; an asyncio program calls it in a thread. Errors: NodeError names the wire, HostError what the kernel
    lacks.
    """

    @property
    def name(self) -> str:
        """`netem` or `userspace`."""

    def apply(self, wires: Sequence[Wire]) -> None:
        """Have exactly these wires; changes parameters live, and nothing where nothing changed.

        A wire with an end that isn't there (yet) is made by a later call; the rest are made now.
        """

    def counters(self) -> dict[str, WireCounters]:
        """Return what was counted, by the wire's name."""

    def parameters(self) -> dict[str, tuple[Direction, Direction]]:
        """Return forward and backward as they really are in force, by the wire's name."""


def read_sent(ip: Any) -> dict[str, Counters]:
    """Return what each interface has sent, by name."""
    found = {}
    for message in ip.get_links():
        sent = message.get_attr("IFLA_STATS64")
        if sent:
            found[message.get_attr("IFLA_IFNAME")] = Counters(
                frames=sent["tx_packets"], bytes=sent["tx_bytes"], refused=sent["tx_dropped"]
            )
    return found
