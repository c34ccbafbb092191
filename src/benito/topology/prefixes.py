"""An experiment's address space as a row of disjoint pieces, so that a set of destinations is one integer.

Bit i of such a set is the i-th piece in the order of addresses. A piece is the subnet of a segment; where subnets of
segments overlap, it is the single address of each of their members instead.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from socket import AF_INET, inet_pton


@dataclass(frozen=True, slots=True)
class End:
    """A member of a segment; `node` is its place in the file."""

    node: int
    address: int


@dataclass(frozen=True, slots=True)
class Segment:
    """The members of a LAN that share a subnet: one segment a LAN, unless its addresses are of several subnets."""

    lan: int
    """The LAN's place in the file."""
    network: int
    prefix: int
    ends: tuple[End, ...]

    @property
    def last(self) -> int:
        """The highest address of the subnet."""
        return self.network | (1 << (32 - self.prefix)) - 1


@dataclass(frozen=True, slots=True)
class Block:
    """A CIDR that covers exactly the pieces from `first` to `last`."""

    cidr: str
    first: int
    last: int


def address(text: str) -> int:
    """Return a dotted address as a number."""
    return int.from_bytes(inet_pton(AF_INET, text))


def dotted(number: int) -> str:
    """Return a number as a dotted address."""
    return f"{number >> 24}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def positions(bits: int) -> list[int]:
    """Return the places of the bits that are set, rising."""
    found: list[int] = []
    if bits.bit_count() > 16:
        find = bin(bits)[:1:-1].find
        place = find("1")
        while place >= 0:
            found.append(place)
            place = find("1", place + 1)
        return found
    while bits:
        top = bits.bit_length() - 1
        found.append(top)
        bits ^= 1 << top
    found.reverse()
    return found


def overlapping(segments: Sequence[Segment]) -> set[int]:
    """Return which segments (by place) have a subnet that another's shares, holds or lies in."""
    clash: set[int] = set()
    widest = -1  # the segment whose subnet reaches furthest so far; subnets are nested or disjoint, so this is enough
    for place in sorted(range(len(segments)), key=lambda i: (segments[i].network, segments[i].prefix, i)):
        if widest >= 0 and segments[place].network <= segments[widest].last:
            clash |= {widest, place}
        else:
            widest = place
    return clash


@dataclass(slots=True)
class Space:
    """The pieces of all segments."""

    segments: Sequence[Segment]
    masks: list[int] = field(default_factory=list)
    """Of each segment: the set of its pieces."""
    owners: list[int] = field(default_factory=list)
    """Of each piece: its segment."""
    clash: set[int] = field(default_factory=set)
    """Segments whose subnets overlap."""
    hosts: dict[int, int] = field(default_factory=dict)
    """Of each piece that is a single address: address -> piece."""
    _starts: list[int] = field(default_factory=list)
    _ends: list[int] = field(default_factory=list)
    _joined: int = 0
    """Pieces that begin where the one before them ends."""
    _blocks: dict[tuple[int, int], list[Block]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        clash = self.clash = overlapping(self.segments)
        pieces = {(s.network, s.last): place for place, s in enumerate(self.segments) if place not in clash}
        for place in sorted(clash):
            for member in self.segments[place].ends:  # an address used twice is the first segment's
                pieces.setdefault((member.address, member.address), place)
        self.masks = [0] * len(self.segments)
        for piece, ((start, end), place) in enumerate(sorted(pieces.items())):
            self.masks[place] |= 1 << piece
            self.owners.append(place)
            if place in clash:
                self.hosts[start] = piece
            if self._ends and self._ends[-1] + 1 == start:
                self._joined |= 1 << piece
            self._starts.append(start)
            self._ends.append(end)

    def aggregate(self, pieces: int, own: int) -> Iterator[str]:
        """Yield the fewest CIDRs that cover the pieces and nothing but them and pieces that are the node's own.

        A CIDR may be wider than an own subnet and cover it (the connected route is more specific), but none lies
        within one.
        """
        both = pieces | own
        starts = positions(both & ~(both << 1 & self._joined))
        ends = positions(both & ~((both & self._joined) >> 1))
        most_own = own.bit_count()
        for first, last in zip(starts, ends, strict=True):
            for block in self._cover(first, last):
                size = block.last - block.first + 1
                if size > most_own or pieces >> block.first & (1 << size) - 1:
                    yield block.cidr

    def _cover(self, first: int, last: int) -> list[Block]:
        """Return the fewest CIDRs for a run of pieces that follow each other without a gap."""
        known = self._blocks.get((first, last))
        if known is None:
            known = self._blocks[first, last] = list(self._split(first, last))
        return known

    def _split(self, first: int, last: int) -> Iterator[Block]:
        start, stop, piece = self._starts[first], self._ends[last] + 1, first
        while start < stop:
            # As large as the alignment of its start and the rest of the run allow; pieces are aligned themselves,
            # so a block never ends within one.
            size = min(start & -start or 1 << 32, 1 << (stop - start).bit_length() - 1)
            after = bisect_left(self._ends, start + size, piece, last + 1)
            yield Block(f"{dotted(start)}/{33 - size.bit_length()}", piece, after - 1)
            start, piece = start + size, after


def union(masks: Iterable[int]) -> int:
    """Return all the sets in one."""
    whole = 0
    for mask in masks:
        whole |= mask
    return whole
