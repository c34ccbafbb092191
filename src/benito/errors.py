"""The exceptions that Benito raises for its callers.

    BenitoError
     ├── InputError       a file or an option is wrong; carries every fault found   (exit status 2)
     ├── CapacityError    the hosts can't hold what is asked for                    (3)
     ├── StateError       the experiment is not in a state that allows this         (4)
     ├── BusyError        somebody else is at work on the same thing; try later     (5)
     ├── HostError        this host lacks something: root, a tool, a kernel feature (6)
     ├── NodeError        a machine, its guest or its link failed                   (7)
     └── AccessError      this user may not do that                                 (8)

Each message is one sentence for the person who caused it: what is wrong and where. The hint says what to do.
Anything else that escapes is a defect of Benito.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Where:
    """A place in an input file."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong in an input, with its place and remedy."""

    message: str
    where: Where | None = None
    hint: str = ""

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        hint = f" ({self.hint})" if self.hint else ""
        return f"{place}{self.message}{hint}"


class BenitoError(Exception):
    """Something went wrong that the user should be told in one sentence, with a hint of what to do."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "", where: Where | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.where = where

    def __str__(self) -> str:
        return str(Fault(self.message, self.where, self.hint))


class InputError(BenitoError):
    """An input is wrong; `faults` holds everything found, in the order of the file."""

    exit_status = 2

    def __init__(
        self, message: str, *, hint: str = "", where: Where | None = None, faults: Iterable[Fault] = ()
    ) -> None:
        super().__init__(message, hint=hint, where=where)
        self.faults: tuple[Fault, ...] = tuple(faults) or (Fault(message, where, hint),)

    def __str__(self) -> str:
        return "\n".join(str(fault) for fault in self.faults)


class CapacityError(BenitoError):
    """The hosts can't hold the experiment; nothing was started."""

    exit_status = 3


class StateError(BenitoError):
    """The experiment doesn't exist, exists already, or is in a state that doesn't allow this."""

    exit_status = 4


class BusyError(BenitoError):
    """Another process is changing the same experiment or building the same thing; trying later may work."""

    exit_status = 5


class HostError(BenitoError):
    """The host lacks something that the command needs: root, a program, a kernel feature, disk space."""

    exit_status = 6


class NodeError(BenitoError):
    """A machine did not start, its guest did not answer, or a command in it failed."""

    exit_status = 7


class AccessError(BenitoError):
    """Who asks may not do that, or hasn't shown who they are."""

    exit_status = 8
