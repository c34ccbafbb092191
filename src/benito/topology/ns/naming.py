"""Names of objects: which are valid, and the order in which Emulab's parser goes through them."""

from __future__ import annotations

import re

VALID = re.compile(r"[-0-9A-Za-z]+", re.ASCII)
MAX_LENGTH = 63
"""Of a host name (RFC 1035)."""
RESERVED = frozenset({"ops"})
INITIAL_BUCKETS = 4
LOAD = 3
"""Names per bucket at which Tcl makes its table four times larger."""


class TclArray:
    """The names in a Tcl array, in the order in which `array names` gives them.

    Emulab numbers its LANs in that order, so it decides which addresses they get. Tcl's hash is the string's
    polynomial in 9; a bucket gives its newest name first; a table that grows is filled from its old buckets in order.
    """

    def __init__(self) -> None:
        self._buckets: list[list[str]] = [[] for _ in range(INITIAL_BUCKETS)]
        self._count = 0

    def _bucket(self, name: str) -> list[str]:
        value = 0
        for byte in name.encode():
            value = (value * 9 + byte) & 0xFFFFFFFF
        return self._buckets[value & (len(self._buckets) - 1)]

    def add(self, name: str) -> None:
        """Add a name that is not there yet."""
        self._bucket(name).insert(0, name)
        self._count += 1
        if self._count >= LOAD * len(self._buckets):
            former = self._buckets
            self._buckets = [[] for _ in range(4 * len(former))]
            for bucket in former:
                for each in bucket:
                    self._bucket(each).insert(0, each)

    def remove(self, name: str) -> None:
        """Take a name out; the table never shrinks."""
        self._bucket(name).remove(name)
        self._count -= 1

    def names(self) -> tuple[str, ...]:
        """Return all names in Tcl's order."""
        return tuple(name for bucket in self._buckets for name in bucket)


def flaw(name: str) -> tuple[str, str] | None:
    """Return what is wrong with the name of a node or LAN, and the remedy; None where nothing is."""
    if not VALID.fullmatch(name):
        suggestion = re.sub(r"[^-0-9A-Za-z]+", "-", name).strip("-")[:MAX_LENGTH]
        remedy = "names consist of letters, digits and hyphens"
        return f"the name `{name[:80]}` is not a valid host name", remedy + (
            f": `{suggestion}` would do" if suggestion else ""
        )
    if len(name) > MAX_LENGTH:
        return f"the name `{name[:20]}...` is longer than {MAX_LENGTH} characters", "choose a shorter one"
    return None
