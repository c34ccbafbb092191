"""How a long operation tells what it is doing; the commands and the web page show it each in their way."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Listens to a long operation."""

    def step(self, text: str) -> None:
        """The operation as a whole now does this."""

    def node(self, node: str, phase: str) -> None:
        """A node has come to this phase: `starting`, `running`, `configuring`, `booted`, `dead`, ..."""

    def notice(self, text: str) -> None:
        """Something the person should know."""


class Silence:
    """Listens and says nothing."""

    def step(self, text: str) -> None:
        """Ignore it."""

    def node(self, node: str, phase: str) -> None:
        """Ignore it."""

    def notice(self, text: str) -> None:
        """Ignore it."""
