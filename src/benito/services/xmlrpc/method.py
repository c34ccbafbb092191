"""How a method of the XML-RPC is written: a coroutine from a call to a reply, with its name and positions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benito.services.doors import Doors
from benito.services.xmlrpc.arguments import Arguments
from benito.services.xmlrpc.reply import Reply
from benito.testbed.people import Action, User
from benito.testbed.store import ExperimentRecord


@dataclass(frozen=True, slots=True)
class Call:
    """One call: who asks, and what with."""

    doors: Doors
    user: User
    arguments: Arguments

    def experiment(self, action: Action) -> ExperimentRecord:
        """Return the experiment that the call is about, when its user may do that with it."""
        pid, eid = self.arguments.text("proj"), self.arguments.text("exp")
        return self.doors.access.experiment(self.user, action, pid, eid)


Body = Callable[[Call], Awaitable[Reply]]


@dataclass(frozen=True, slots=True)
class Method:
    """What is called by a name."""

    body: Body
    positions: tuple[str, ...]
    """Names of plain arguments, in order."""


METHODS: dict[str, Method] = {}


def method(*names: str, positions: tuple[str, ...] = ("proj", "exp")) -> Callable[[Body], Body]:
    """Have a coroutine be called by these names."""

    def enter(body: Body) -> Body:
        for name in names:
            METHODS[name] = Method(body, positions)
        return body

    return enter
