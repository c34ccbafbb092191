"""How a long operation tells what it is doing; the commands and the web page show it each in their way."""

from __future__ import annotations

from contextlib import suppress
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


class Quiet:
    """Passes on what another listener can take; one that fails (its terminal is gone) is left alone."""

    def __init__(self, listener: Progress) -> None:
        self.listener = listener

    def step(self, text: str) -> None:
        """Pass it on."""
        with suppress(OSError, ValueError):
            self.listener.step(text)

    def node(self, node: str, phase: str) -> None:
        """Pass it on."""
        with suppress(OSError, ValueError):
            self.listener.node(node, phase)

    def notice(self, text: str) -> None:
        """Pass it on."""
        with suppress(OSError, ValueError):
            self.listener.notice(text)
