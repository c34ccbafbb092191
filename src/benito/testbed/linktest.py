"""What the links do, measured from inside the nodes, beside what was asked of them."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Any

from benito.agent.rpc import Client
from benito.errors import BenitoError
from benito.testbed.home import Place
from benito.topology.model import Interface, Lan, Topology

INTERVAL_S = 0.1
MARGIN_S = 15.0
AT_ONCE = 2
"""Pairs measured at the same time; more would measure the host's load."""

_TIMES = re.compile(r"= (\d+\.?\d*)/(\d+\.?\d*)/(\d+\.?\d*)")
_COUNTS = re.compile(r"(\d+) packets transmitted, (\d+) received")


@dataclass(frozen=True, slots=True)
class Measurement:
    """One pair of members of a link or LAN. Times in milliseconds, loss of a round trip as a probability."""

    lan: str
    a: str
    b: str
    asked_rtt_ms: float
    asked_loss: float
    asked_kbps: int
    """The smaller of the bandwidths on the way from a to b; 0 = unlimited."""
    rtt_min_ms: float | None = None
    rtt_avg_ms: float | None = None
    rtt_max_ms: float | None = None
    sent: int = 0
    received: int = 0
    error: str = ""

    @property
    def loss(self) -> float | None:
        """The share of round trips that was lost."""
        return 1 - self.received / self.sent if self.sent else None


@dataclass(frozen=True, slots=True)
class _Pair:
    lan: Lan
    a: tuple[str, Interface]
    b: tuple[str, Interface]


def measure(
    place: Place, topology: Topology, *, count: int = 10, lans: frozenset[str] = frozenset()
) -> list[Measurement]:
    """Ping along every link, and around every LAN, `count` times each; `lans` limits it to those."""

    async def run() -> list[Measurement]:
        turns = asyncio.Semaphore(AT_ONCE)
        async with Client(place.keeper_socket) as client:
            return list(await asyncio.gather(*(_ping(client, turns, pair, count) for pair in pairs)))

    pairs = _pairs(topology, lans)
    return asyncio.run(run())


def _pairs(topology: Topology, lans: frozenset[str]) -> list[_Pair]:
    """The two ends of each link; each member of a LAN with the next one."""
    nodes = {node.name: node for node in topology.nodes}
    pairs = []
    for lan in topology.lans:
        if lans and lan.name not in lans:
            continue
        members = [(member.node, nodes[member.node].interfaces[member.port]) for member in lan.members]
        neighbours = zip(members, members[1:] + (members[:1] if len(members) > 2 else []), strict=False)
        pairs += [_Pair(lan, a, b) for a, b in neighbours]
    return pairs


def _asked(pair: _Pair) -> Measurement:
    (a, near), (b, far) = pair.a, pair.b
    ways = (near.outward, far.inward, far.outward, near.inward)
    kept = 1.0
    for way in ways:
        kept *= 1 - way.loss
    rates = [way.bandwidth_kbps for way in ways[:2] if way.bandwidth_kbps and pair.lan.enforced]
    return Measurement(pair.lan.name, a, b, sum(way.delay_ms for way in ways), 1 - kept, min(rates, default=0))


async def _ping(client: Client, turns: asyncio.Semaphore, pair: _Pair, count: int) -> Measurement:
    asked = _asked(pair)
    (node, near), (_, far) = pair.a, pair.b
    # The first packet also resolves the address, which takes a round trip of its own: it goes ahead.
    ping = ["ping", "-n", "-q", "-I", near.address or "", "-i", str(INTERVAL_S)]
    deadline = count * (INTERVAL_S + asked.asked_rtt_ms / 1000) + MARGIN_S

    async def run(argv: list[str], within_s: float) -> Any:
        arguments = {"node": node, "argv": [*argv, far.address], "deadline_s": within_s}
        return await client.call("run", arguments, deadline_s=within_s + MARGIN_S)

    async with turns:
        try:
            await run([*ping, "-c", "1", "-w", "10"], MARGIN_S)
            reply = await run([*ping, "-c", str(count), "-W", "5"], deadline)
        except BenitoError as error:
            return _with(asked, error=error.message)
    counts, times = _COUNTS.search(reply["stdout"]), _TIMES.search(reply["stdout"])
    if counts is None:
        return _with(asked, error=(reply["stderr"] or reply["stdout"]).strip() or f"ping: exit status {reply['code']}")
    least, average, most = (float(value) for value in times.groups()) if times else (None, None, None)
    return _with(asked, least, average, most, int(counts[1]), int(counts[2]))


def _with(
    asked: Measurement,
    least: float | None = None,
    average: float | None = None,
    most: float | None = None,
    sent: int = 0,
    received: int = 0,
    error: str = "",
) -> Measurement:
    from dataclasses import replace

    return replace(
        asked, rtt_min_ms=least, rtt_avg_ms=average, rtt_max_ms=most, sent=sent, received=received, error=error
    )
