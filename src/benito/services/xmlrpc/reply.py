"""What every call returns: Emulab's struct of code, value and output."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from benito.errors import AccessError, BenitoError, BusyError, HostError, InputError


class Code(IntEnum):
    """Emulab's response codes (xmlrpc/emulabclient.py)."""

    SUCCESS = 0
    BADARGS = 1
    ERROR = 2
    FORBIDDEN = 3
    BADVERSION = 4
    SERVERERROR = 5
    TOOBIG = 6
    REFUSED = 7
    TIMEDOUT = 8


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `output` is for people, `value` for programs. After a failure it is the command's exit status."""

    value: Any = 0
    output: str = ""
    code: Code = Code.SUCCESS

    @property
    def struct(self) -> dict[str, Any]:
        """As it goes over the wire."""
        return {"code": int(self.code), "value": self.value, "output": self.output}


class CallError(BenitoError):
    """A call is answered with this code instead of a value."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code


CODES: tuple[tuple[type[BenitoError], Code], ...] = (
    (InputError, Code.BADARGS),
    (AccessError, Code.FORBIDDEN),
    (BusyError, Code.REFUSED),
    (HostError, Code.SERVERERROR),
)


def failure(error: BenitoError) -> Reply:
    """Return the answer that tells of an error."""
    if isinstance(error, CallError):
        return Reply(error.exit_status, error.message, error.code)
    return failed(type(error), str(error))


def failed(kind: type[BenitoError], text: str) -> Reply:
    """Return the answer for an error of that kind."""
    code = next((code for each, code in CODES if issubclass(kind, each)), Code.ERROR)
    return Reply(kind.exit_status, text, code)
