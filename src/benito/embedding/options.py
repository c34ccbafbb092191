"""How the person wants nodes to be placed, apart from what the file says; the names are those of DETER's Containers.

Nodes are packed in passes, each onto pnodes of its own: containers in pass 0 and QEMU machines in pass 1, unless the
file puts a node into another pass. Settings of one pass go before those for all, and a number of pnodes (size) goes
before a number of nodes on each (packing).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from benito.errors import Fault, InputError
from benito.topology.placement import KINDS

PACKING_HINT = "it is the most virtual nodes that one pnode holds"
SIZE_HINT = "it is the number of pnodes that hold the virtual nodes"


@dataclass(frozen=True, slots=True)
class EmbeddingOptions:
    """All options that bear on kinds and places; can be kept as JSON by msgspec."""

    packing: int = 10
    """Most virtual nodes on one pnode."""
    size: int | None = None
    """Number of pnodes of each pass instead; fewer when there are fewer nodes."""
    nodes_only: bool = False
    """Whether links don't matter to the packing."""
    force_partition: bool = False
    """Whether partitions in the file don't matter: all is packed."""
    default_container: str | None = None
    """Kind of the nodes whose file doesn't say one, by any name that a file may use."""
    pass_packing: Mapping[int, int] = field(default_factory=dict)
    pass_size: Mapping[int, int] = field(default_factory=dict)
    pass_nodes_only: frozenset[int] = frozenset()

    @property
    def default_kind(self) -> str:
        """The kind of nodes that have none of their own."""
        return KINDS[self.default_container.strip().lower()] if self.default_container else "qemu"

    def faults(self) -> Iterator[Fault]:
        """Yield everything wrong with the options."""
        yield from _too_small("packing", [self.packing, *self.pass_packing.values()], PACKING_HINT)
        sizes = [*self.pass_size.values()] if self.size is None else [self.size, *self.pass_size.values()]
        yield from _too_small("size", sizes, SIZE_HINT)
        if self.default_container and self.default_container.strip().lower() not in KINDS:
            kind = self.default_container[:60]
            yield Fault(f"there is no kind of node `{kind}`", hint=f"known types are {', '.join(KINDS)}")

    def passes(self) -> set[int]:
        """The passes that have settings of their own."""
        return {*self.pass_packing, *self.pass_size, *self.pass_nodes_only}

    def parts(self, number: int, nodes: int) -> tuple[int, int]:
        """Return for a pass with so many nodes the number of pnodes and the most nodes that one of them holds."""
        if not nodes:
            return 0, 0
        size = self.pass_size.get(number, None if number in self.pass_packing else self.size)
        if size is None:
            packing = self.pass_packing.get(number, self.packing)
            return -(-nodes // packing), packing
        count = min(size, nodes)
        return count, -(-nodes // count)


DEFAULTS = EmbeddingOptions()


def _too_small(what: str, numbers: Iterable[int], hint: str) -> Iterator[Fault]:
    for number in numbers:
        if number < 1:
            yield Fault(f"the {what} must be at least 1, not {number}", hint=hint)


def read_passes(option: str, texts: Iterable[str]) -> dict[int, int]:
    """Read `PASS:NUMBER,PASS:NUMBER...`, given any number of times; InputError with everything that is wrong."""
    found: dict[int, int] = {}
    faults: list[Fault] = []
    for word in _words(texts):
        number, _, value = word.partition(":")
        if not (_whole(number) and _whole(value)):
            faults.append(Fault(f"`{word[:60]}` in {option} is not PASS:NUMBER", hint=f"write {option} 0:10,1:4"))
        elif found.setdefault(int(number), int(value)) != int(value):
            faults.append(Fault(f"{option} gives pass {int(number)} twice", hint="give each pass once"))
    if faults:
        raise InputError(faults[0].message, faults=faults)
    return found


def read_pass_list(option: str, texts: Iterable[str]) -> frozenset[int]:
    """Read `PASS,PASS...`, given any number of times; InputError with everything that is wrong."""
    words = list(_words(texts))
    faults = [
        Fault(f"`{word[:60]}` in {option} is not the number of a pass", hint=f"write {option} 0,1")
        for word in words
        if not _whole(word)
    ]
    if faults:
        raise InputError(faults[0].message, faults=faults)
    return frozenset(map(int, words))


def _words(texts: Iterable[str]) -> Iterator[str]:
    return (word.strip() for text in texts for word in text.split(",") if word.strip())


def _whole(text: str) -> bool:
    digits = text.strip().removeprefix("-")
    return digits.isdecimal() and len(digits) <= 18
