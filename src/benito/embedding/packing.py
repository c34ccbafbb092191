"""Packs an experiment's nodes onto as few pnodes as hold them, with little traffic between the pnodes.

The rule that scripts for the original rely on: at most `packing` virtual nodes on each pnode. A physical node is a
pnode by itself. METIS gives the shape of the parts; since its parts are only about equal, nodes are then moved from
parts that are too full to parts with room. Several runs compete and the smallest crossing bandwidth wins, so the
result never has more pnodes than it must: ceil(nodes / packing).
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import gcd

from benito.embedding.model import UNLIMITED_KBPS, Assignment, assignment, away, lan_kbps
from benito.errors import InputError
from benito.topology.model import Topology
from benito.topology.placement import PHYSICAL

_LARGE = 2000
"""From this many nodes on, fewer runs compete."""
_LARGEST_SUM = 2**30
"""METIS adds edge weights in 32 bits."""


@dataclass(frozen=True, slots=True)
class _Graph:
    """The virtual nodes (numbers below `nodes`) and one hub for each LAN of three or more, joined by weighed edges.

    A hub weighs nothing itself: METIS puts it where most of its LAN is, and so counts what crosses from there.
    """

    nodes: int
    edges: Sequence[dict[int, int]]
    """Of each vertex: neighbour -> weight."""
    lans: Sequence[tuple[tuple[int, ...], tuple[int, ...]]]
    """Members and their bandwidths."""


def pack(topology: Topology, packing: int) -> Assignment:
    """Put every virtual node on a pnode of at most `packing`, and every physical one on a pnode of its own.

    The same topology gives the same assignment. InputError when `packing` is below 1.
    """
    if packing < 1:
        raise InputError(
            f"the packing must be at least 1, not {packing}", hint="it is the most virtual nodes that one pnode holds"
        )
    virtual = [node.name for node in topology.nodes if node.kind != PHYSICAL]
    packed = iter(split(topology, virtual, -(-len(virtual) // packing), packing))
    physical = len(virtual)  # part numbers from here on belong to the physical nodes
    parts: list[int] = []
    for place, node in enumerate(topology.nodes):
        parts.append(physical + place if node.kind == PHYSICAL else next(packed))
    return assignment(topology, parts)


def split(
    topology: Topology, names: Sequence[str], count: int, most: int, *, nodes_only: bool = False
) -> Sequence[int]:
    """Return the part of each of the named nodes: `count` parts, none empty, of at most `most` nodes each.

    `count * most` must be enough for all and `count` no more than there are nodes. With `nodes_only` the links don't
    matter: the parts are equal but for one, in the order of the file.
    """
    if count <= 1:
        return [0] * len(names)
    if count == len(names):
        return range(count)
    if nodes_only:
        return [place * count // len(names) for place in range(len(names))]
    graph = _graph(topology, names)
    best: list[int] = []
    least: tuple[int, int] | None = None
    for parts in _candidates(graph, count):
        _repair(graph, parts, count, most)
        _fill(graph, parts, count)
        cost = _cost(graph, parts)
        if least is None or cost < least:
            best, least = parts, cost
    return best[: graph.nodes]


def _graph(topology: Topology, names: Sequence[str]) -> _Graph:
    """Weigh what joins the named nodes; a LAN's members elsewhere don't matter, they cross wherever the rest is."""
    index = {name: number for number, name in enumerate(names)}
    nodes = {node.name: node for node in topology.nodes}
    lans: list[tuple[tuple[int, ...], tuple[int, ...]]] = []
    for lan in topology.lans:
        rates = lan_kbps([nodes[member.node].interfaces[member.port] for member in lan.members])
        here = [(index[m.node], rate) for m, rate in zip(lan.members, rates, strict=True) if m.node in index]
        if len({vertex for vertex, _ in here}) > 1:
            lans.append((tuple(vertex for vertex, _ in here), tuple(rate for _, rate in here)))
    all_rates = [rate or UNLIMITED_KBPS for _, rates in lans for rate in rates]
    unit = max(gcd(*all_rates), max(all_rates, default=1) * 2 * len(all_rates) // _LARGEST_SUM, 1)
    edges: list[dict[int, int]] = [{} for _ in names]
    for members, rates in lans:
        weights = [max(1, (rate or UNLIMITED_KBPS) // unit) for rate in rates]
        if len(members) == 2:
            _join(edges, *members, min(weights))
            continue
        edges.append({})
        for member, weight in zip(members, weights, strict=True):
            _join(edges, member, len(edges) - 1, weight)
    return _Graph(len(names), edges, lans)


def _join(edges: list[dict[int, int]], a: int, b: int, weight: int) -> None:
    edges[a][b] = edges[a].get(b, 0) + weight
    edges[b][a] = edges[b].get(a, 0) + weight


def _candidates(graph: _Graph, count: int) -> Iterator[list[int]]:
    """Yield METIS's partitions, hubs included: bisected (nearly equal parts) and k-way (a smaller cut), by seeds."""
    import pymetis

    starts, ends, weights = array("i", [0]), array("i"), array("i")
    for near in graph.edges:
        ends.extend(near.keys())
        weights.extend(near.values())
        starts.append(len(ends))
    sizes = array("i", [1] * graph.nodes + [0] * (len(graph.edges) - graph.nodes))
    adjacency = pymetis.CSRAdjacency(starts, ends)
    for seed in range(1, 4 if graph.nodes < _LARGE else 2):
        for recursive in (True, False):
            _, parts = pymetis.part_graph(
                count,
                adjacency,
                vweights=sizes,
                eweights=weights,
                recursive=recursive,
                options=pymetis.Options(seed=seed),
            )
            yield list(parts)


def _repair(graph: _Graph, parts: list[int], count: int, packing: int) -> None:
    """Move nodes out of parts that hold more than `packing`, first those that add least to the cut.

    Half of what is too much goes at a time, then the moves are weighed again: exact for the usual node or two, and
    still quick where METIS left nearly everything in one part (as it does with a star's heavy edges).
    """
    held: list[set[int]] = [set() for _ in range(count)]
    for vertex in range(graph.nodes):
        held[parts[vertex]].add(vertex)
    room = {part: packing - len(held[part]) for part in range(count) if len(held[part]) < packing}
    for part in range(count):
        while (excess := len(held[part]) - packing) > 0:
            moves = _moves(graph, parts, held[part], part, room)
            for _, vertex, target in moves[: -(-excess // 2)]:
                if target not in room:
                    target = max(room, key=lambda other: (room[other], -other))
                held[part].remove(vertex)
                parts[vertex] = target
                room[target] -= 1
                if not room[target]:
                    del room[target]


def _fill(graph: _Graph, parts: list[int], count: int) -> None:
    """Give each part without nodes one of the fullest part: the one that is joined least to the rest of it."""
    held: list[list[int]] = [[] for _ in range(count)]
    for vertex in range(graph.nodes):
        held[parts[vertex]].append(vertex)
    for part in range(count):
        if held[part]:
            continue
        donor = max(range(count), key=lambda other: (len(held[other]), -other))
        joined = {
            vertex: sum(weight for near, weight in graph.edges[vertex].items() if parts[near] == donor)
            for vertex in held[donor]
        }
        vertex = min(joined, key=lambda vertex: (joined[vertex], vertex))
        held[donor].remove(vertex)
        held[part].append(vertex)
        parts[vertex] = part


def _moves(
    graph: _Graph, parts: list[int], vertices: set[int], part: int, room: dict[int, int]
) -> list[tuple[int, int, int]]:
    """Return what it adds to the cut to move each vertex of a part to its best neighbouring part with room, cheapest
    first; the target is -1 where any part is as good."""
    moves: list[tuple[int, int, int]] = []
    for vertex in vertices:
        towards: dict[int, int] = {}
        for near, weight in graph.edges[vertex].items():
            towards[parts[near]] = towards.get(parts[near], 0) + weight
        inside = towards.pop(part, 0)
        target = min(
            (other for other in towards if other in room), key=lambda other: (-towards[other], other), default=-1
        )
        moves.append((inside - towards.get(target, 0), vertex, target))
    return sorted(moves)


def _cost(graph: _Graph, parts: list[int]) -> tuple[int, int]:
    """Return the crossing bandwidth in kb/s, unlimited members counted as such, and the number of crossing members."""
    bandwidth = crossing = 0
    for members, rates in graph.lans:
        out = away([parts[member] for member in members], rates)
        bandwidth += sum(rate or UNLIMITED_KBPS for rate in out)
        crossing += len(out)
    return bandwidth, crossing
