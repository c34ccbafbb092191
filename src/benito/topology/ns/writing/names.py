"""The names that objects get in an NS file, and the variables that give them: `x-3` is made by `set x(3)`."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable

from benito.topology.ns.naming import MAX_LENGTH, RESERVED
from benito.topology.ns.writing.tcl import COMMANDS, ELEMENT, IDENTIFIER, VARIABLES

TEMPORARY = re.compile(r"tb(node-n|link-l|lan-lan|seq-seq|tl-tl)\d+")
"""What Emulab calls an object before a variable names it."""


class Names:
    """Gives every object a valid name of its own, its old one where that is possible."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._kinds: dict[str, str] = {}
        self._taken: set[str] = set()
        self._scalars: set[str] = set()
        self._unnamed: set[str] = set()
        self.renamed: list[tuple[str, str, str]] = []
        """(kind, old name, new name)."""

    def add(self, kind: str, names: Iterable[str], unnamed: Container[str] = ()) -> None:
        """Enter objects of one kind; those in `unnamed` get their name when they are made, no variable gives it."""
        for old in names:
            if old in unnamed:
                self._unnamed.add(old)
            new = old if old in unnamed else self._free(_valid(old))
            self._taken.add(new.lower())
            self._names[kind, old] = new
            self._kinds.setdefault(old, kind)
            if not ELEMENT.fullmatch(new):
                self._scalars.add(new)
            if new != old:
                self.renamed.append((kind, old, new))

    def _free(self, name: str) -> str:
        """Return the name, or one like it that nothing has; names are apart without regard to case."""
        candidate, number = name, 1
        while candidate.lower() in self._taken or candidate in COMMANDS or candidate in VARIABLES:
            number += 1
            candidate = f"{name[: MAX_LENGTH - 6]}-x{number}"
        return candidate

    def kind(self, old: str) -> str | None:
        """Return what an object is; None where there is none of that name."""
        return self._kinds.get(old)

    def name(self, kind: str, old: str) -> str:
        """Return an object's new name."""
        return self._names[kind, old]

    def has(self, kind: str, old: str) -> bool:
        """Whether there is such an object."""
        return (kind, old) in self._names

    def variable(self, kind: str, old: str) -> str:
        """Return the variable that names the object."""
        name = self._names[kind, old]
        found = ELEMENT.fullmatch(name)
        free = found is not None and found[1] not in self._scalars and found[1] not in VARIABLES
        if found and free and IDENTIFIER.fullmatch(found[1]):
            return f"{found[1]}({found[2]})"
        return name

    def made(self, kind: str, old: str, how: str) -> str:
        """Return the statement that makes the object."""
        variable = self.variable(kind, old)
        return how if variable in self._unnamed else f"set {variable} [{how}]"

    def value(self, kind: str, old: str) -> str:
        """Return the variable's value as it is written."""
        variable = self.variable(kind, old)
        if variable in self._unnamed:
            return variable
        return f"${variable}" if IDENTIFIER.fullmatch(variable.partition("(")[0]) else f"${{{variable}}}"


def _valid(name: str) -> str:
    plain = re.sub(r"[^-0-9A-Za-z]+", "-", name)[:MAX_LENGTH].strip("-") or "x"
    if TEMPORARY.fullmatch(plain):
        plain = plain.removeprefix("tb")
    return f"{plain}-1" if plain.lower() in RESERVED else plain
