"""What a substrate is: whoever gives pnodes and takes them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benito.embedding.capacity import Host


@dataclass(frozen=True, slots=True)
class PnodeRequest:
    """What a pnode needs."""

    pnode: str
    memory_mib: int
    """Bound of all that runs there."""
    underlay: str
    """Its address on the underlay, with prefix (`100.64.0.1/16`)."""


@dataclass(frozen=True, slots=True)
class Pnode:
    """A pnode that was given: where its agent listens, and what runs it."""

    name: str
    host: str
    runtime: Path
    """Folder of its sockets, as this host sees it."""
    pid: int | None = None
    """Its init, where that is a process of this host."""

    @property
    def init_socket(self) -> Path:
        return self.runtime / "init.sock"


class Substrate(Protocol):
    """Gives and takes pnodes of one experiment."""

    def hosts(self) -> Sequence[Host]:
        """The hosts at hand, with what they have."""

    def acquire(self, request: PnodeRequest) -> Pnode:
        """Give a pnode, with its agent and wire engine running; the running one when it was given already."""

    def alive(self, pnode: str) -> bool:
        """Whether the pnode still runs."""

    def release(self, pnode: str) -> None:
        """Take it back, whatever runs there; fine when it is gone."""
