"""Shortest paths from every node to every segment at once.

Only multi-homed nodes forward, so only they are searched over; the single-homed nodes of a segment all route alike and
are one vertex that listens and tells nobody. Destinations are bits of integers (`prefixes.Space`), so one step moves
all of a node's destinations to a neighbour together: all pairs of a grid of 1,000 nodes take a fraction of a second.

Distances. To a segment: the cost of each hop on the way, the last being that into the segment; a node on it sends
there directly, whatever that costs. To an address of a multi-homed node: the cheapest way to that node, by whatever
segment. Most of the time the way to the node's segment is one; where it isn't, the address gets a route of its own.

Ties go to the neighbour that comes first in the file, then to the LAN that comes first in the file.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from benito.topology.prefixes import Segment, Space, dotted, positions, union

Cost = int | Fraction


@dataclass(frozen=True, slots=True, order=True)
class Hop:
    """A way to the next node; hops sort in the order in which ties go."""

    node: int
    lan: int
    address: int


@dataclass(slots=True)
class _Vertex:
    """A forwarding node, or the single-homed nodes of a segment."""

    node: int
    """Place in the file; -1 for single-homed nodes."""
    segments: tuple[int, ...]
    hops: list[Hop] = field(default_factory=list)
    own: int = 0
    """Pieces that are its own segments' subnets: aggregates may cover them."""
    seen: int = 0
    chosen: list[int] = field(default_factory=list)
    """Of each hop: the pieces that are reached by it."""
    shortest: list[int] = field(default_factory=list)
    """Of each hop: the forwarding nodes that it's a shortest way to, ties included; as bits above the pieces."""
    listeners: list[tuple[int, int, Cost]] = field(default_factory=list)
    """Who has this vertex as a hop: vertex, which hop of it, cost from there."""


class Paths:
    """The routes of all nodes of a set of segments, as (CIDR, next hop's address)."""

    def __init__(self, segments: Sequence[Segment], forwarding: set[int], cost: Callable[[int, int], Cost]) -> None:
        """`forwarding` are the nodes that forward, `cost(lan, node)` what it costs a node to send into a LAN."""
        self._segments = segments
        self._cost = cost
        self._space = Space(segments)
        self._pieces = len(self._space.owners)
        self._vertices: list[_Vertex] = []
        self._by_node: dict[int, int] = {}
        self._by_segment: dict[int, int] = {}
        self._add_vertices(forwarding)
        self._precise = not self._even()
        self._all_nodes = (1 << len(self._by_node)) - 1
        self._shared = 0
        self._forwarding_on: dict[int, int] = {}
        self._addresses: dict[tuple[int, int], list[int]] = {}
        if self._precise:
            self._index_detours()
        peeled = self._peel()
        self._search({number for number, _, _ in peeled})
        for number, rank, parent in reversed(peeled):
            self._learn(number, rank, self._vertices[parent].seen)

    def of(self, node: int) -> list[tuple[str, str]]:
        """Return a forwarding node's routes."""
        return self._routes(self._vertices[self._by_node[node]]) if node in self._by_node else []

    def of_single(self, segment: int) -> list[tuple[str, str]]:
        """Return the routes of each single-homed node of a segment."""
        return self._routes(self._vertices[self._by_segment[segment]]) if segment in self._by_segment else []

    def _add_vertices(self, forwarding: set[int]) -> None:
        on: dict[int, list[int]] = {}
        single: list[int] = []
        for place, segment in enumerate(self._segments):
            here = {end.node for end in segment.ends}
            for node in here & forwarding:
                on.setdefault(node, []).append(place)
            if here & forwarding and here - forwarding:
                single.append(place)
        for node in sorted(on):
            self._by_node[node] = len(self._vertices)
            self._vertices.append(_Vertex(node, tuple(on[node])))
        for place in single:
            self._by_segment[place] = len(self._vertices)
            self._vertices.append(_Vertex(-1, (place,)))
        for number, vertex in enumerate(self._vertices):
            self._add_hops(number, vertex)

    def _add_hops(self, number: int, vertex: _Vertex) -> None:
        hops: dict[tuple[int, int], Hop] = {}
        for place in vertex.segments:
            segment = self._segments[place]
            for end in segment.ends:
                if end.node in self._by_node and end.node != vertex.node:
                    hops.setdefault((end.node, place), Hop(end.node, segment.lan, end.address))
        vertex.hops = sorted(hops.values())
        vertex.seen = union(self._space.masks[place] for place in vertex.segments)
        # Where subnets overlap the pieces are addresses: a route that covers one would win over the connected subnet.
        vertex.own = union(self._space.masks[place] for place in vertex.segments if place not in self._space.clash)
        vertex.chosen = [0] * len(vertex.hops)
        vertex.shortest = [0] * len(vertex.hops)
        for rank, hop in enumerate(vertex.hops):
            cost = 1 if vertex.node < 0 else self._cost(hop.lan, vertex.node)
            self._vertices[self._by_node[hop.node]].listeners.append((number, rank, cost))

    def _even(self) -> bool:
        """Whether all costs are equal and every cycle of nodes is even, single-homed ones included.

        Then two forwarding nodes of a segment are never equally far from a third: the way to it goes by the nearer
        one, and to the other by the segment. No address needs a route of its own.
        """
        costs = {cost for vertex in self._vertices for listener, _, cost in vertex.listeners if self._is_node(listener)}
        if len(costs) > 1:
            return False
        colour: dict[int, int] = {}
        for first in self._by_node.values():
            if first in colour:
                continue
            colour[first] = 0
            todo = [first]
            while todo:
                number = todo.pop()
                for listener, _, _ in self._vertices[number].listeners:
                    if listener not in colour:
                        colour[listener] = 1 - colour[number]
                        todo.append(listener)
                    elif colour[listener] == colour[number]:
                        return False
        return True

    def _is_node(self, vertex: int) -> bool:
        return self._vertices[vertex].node >= 0

    def _peel(self) -> list[tuple[int, int, int]]:
        """Take off what hangs on the rest by one hop, tip by tip: trees need no search.

        Everything behind such a vertex is reached by its parent, as if it were the parent's own; in turn it reaches
        everything else by its parent. Returns vertex, rank of its hop and parent in the order of taking off.
        """
        neighbours: list[set[tuple[int, int]]] = [set() for _ in self._vertices]  # (vertex, lan), by hop or listening
        for number, vertex in enumerate(self._vertices):
            for hop in vertex.hops:
                neighbours[number].add((self._by_node[hop.node], hop.lan))
                neighbours[self._by_node[hop.node]].add((number, hop.lan))
        tips = [number for number, near in enumerate(neighbours) if len(near) == 1]
        peeled: list[tuple[int, int, int]] = []
        for number in tips:  # grows as tips go
            if not neighbours[number]:
                continue  # the last of its tree
            (parent, lan) = next(iter(neighbours[number]))
            vertex, above = self._vertices[number], self._vertices[parent]
            if above.node < 0:
                continue  # single-homed nodes lead nowhere: they hang on this one, not it on them
            neighbours[number].clear()
            rank = next(r for r, hop in enumerate(vertex.hops) if (self._by_node[hop.node], hop.lan) == (parent, lan))
            peeled.append((number, rank, parent))
            if vertex.node >= 0:
                rank = next(r for r, hop in enumerate(above.hops) if (hop.node, hop.lan) == (vertex.node, lan))
                self._learn(parent, rank, vertex.seen | self._itself(number))
            neighbours[parent].discard((number, lan))
            if len(neighbours[parent]) == 1:
                tips.append(parent)
        return peeled

    def _learn(self, number: int, rank: int, bits: int) -> None:
        """Let a vertex reach by one of its hops what it doesn't know yet."""
        vertex = self._vertices[number]
        fresh = (bits | vertex.seen) ^ vertex.seen
        vertex.chosen[rank] |= fresh
        vertex.shortest[rank] |= fresh
        vertex.seen |= fresh

    def _itself(self, number: int) -> int:
        """Return the bit of a forwarding node as a destination."""
        return 1 << self._pieces + number if self._precise else 0

    def _search(self, peeled: set[int]) -> None:
        """Let every vertex that is left hear of every destination, nearest first."""
        pending: dict[Cost, dict[int, list[tuple[int, int]]]] = {}
        times: list[Cost] = []
        listeners = [
            [listening for listening in vertex.listeners if listening[0] not in peeled] for vertex in self._vertices
        ]

        def tell(number: int, distance: Cost, bits: int) -> None:
            for listener, rank, cost in listeners[number]:
                when = distance + cost
                heard = pending.get(when)
                if heard is None:
                    heard = pending[when] = {}
                    heapq.heappush(times, when)
                if listener in heard:
                    heard[listener].append((rank, bits))
                else:
                    heard[listener] = [(rank, bits)]

        for number in self._by_node.values():
            if number not in peeled:
                for distance, bits in self._origins(number):
                    tell(number, distance, bits)
        while times:
            now = heapq.heappop(times)
            for number, heard in pending.pop(now).items():
                if fresh := self._hear(self._vertices[number], heard):
                    tell(number, now, fresh)

    def _origins(self, number: int) -> Iterator[tuple[Cost, int]]:
        """Yield what a forwarding node knows from the start, by distance: itself, its tips, and its segments."""
        vertex = self._vertices[number]
        at: dict[Cost, int] = {0: vertex.seen | self._itself(number)}
        for place in vertex.segments:
            cost = self._cost(self._segments[place].lan, vertex.node)
            at[cost] = at.get(cost, 0) | self._space.masks[place]
            at[0] &= ~self._space.masks[place]
        vertex.seen |= self._itself(number)
        return ((distance, bits) for distance, bits in at.items() if bits)

    def _hear(self, vertex: _Vertex, heard: list[tuple[int, int]]) -> int:
        """Take in what hops of one distance tell; return what is new, to be told on."""
        heard.sort()
        before = known = vertex.seen
        for rank, bits in heard:
            if self._precise:
                vertex.shortest[rank] |= (bits | before) ^ before
            fresh = (bits | known) ^ known
            if fresh:
                vertex.chosen[rank] |= fresh
                known |= fresh
        vertex.seen = known
        return known ^ before

    def _routes(self, vertex: _Vertex) -> list[tuple[str, str]]:
        pieces = (1 << self._pieces) - 1
        chosen = [bits & pieces for bits in vertex.chosen] if self._precise else vertex.chosen
        own_way = self._detours(vertex, chosen) if self._precise else []
        routes: list[tuple[str, str]] = []
        for hop, bits in zip(vertex.hops, chosen, strict=True):
            if bits:
                via = dotted(hop.address)
                routes += [(cidr, via) for cidr in self._space.aggregate(bits, vertex.own)]
        return routes + own_way

    def _detours(self, vertex: _Vertex, chosen: list[int]) -> list[tuple[str, str]]:
        """Return host routes to addresses of forwarding nodes that the way to their segment is a detour to.

        Where the addresses are pieces themselves, `chosen` is changed instead.
        """
        routes: list[tuple[str, str]] = []
        for rank, bits in enumerate(tuple(chosen)):
            astray = self._all_nodes & ~(vertex.shortest[rank] >> self._pieces)
            for piece in positions(bits & self._shared):
                if wrong := self._forwarding_on[piece] & astray:
                    place = self._space.owners[piece]
                    for number in positions(wrong):
                        best = self._best(vertex, self._pieces + number)
                        for end in self._addresses[place, number]:
                            routes += self._redirect(end, place, rank, best, chosen, vertex)
        return routes

    def _redirect(
        self, target: int, place: int, rank: int, best: int, chosen: list[int], vertex: _Vertex
    ) -> list[tuple[str, str]]:
        """Send one address of a segment by another hop."""
        piece = self._space.hosts.get(target)
        if piece is None:
            return [(f"{dotted(target)}/32", dotted(vertex.hops[best].address))]
        if self._space.owners[piece] == place:
            chosen[rank] &= ~(1 << piece)
            chosen[best] |= 1 << piece
        return []

    def _index_detours(self) -> None:
        """Note which forwarding nodes are on each segment, at its first piece, where they are two or more."""
        for place, mask in enumerate(self._space.masks):
            here = 0
            for end in self._segments[place].ends:
                number = self._by_node.get(end.node)
                if number is not None:
                    here |= 1 << number
                    self._addresses.setdefault((place, number), []).append(end.address)
            if mask and here & here - 1:
                self._shared |= mask & -mask
                self._forwarding_on[(mask & -mask).bit_length() - 1] = here

    @staticmethod
    def _best(vertex: _Vertex, bit: int) -> int:
        return next(rank for rank, bits in enumerate(vertex.shortest) if bits >> bit & 1)
