"""The arguments of a call, as Emulab's clients give them: names with synonyms, booleans as words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benito.services.xmlrpc.reply import CallError, Code

VERSION = 0.1
SYNONYMS = {"pid": "proj", "gid": "group", "eid": "exp"}
EVERYWHERE = ("proj", "group", "exp", "extrainfo", "noemail")
"""What any call of an Emulab client may bring."""
TRUE = frozenset({"yes", "true", "1", "on", "y", "t"})
FALSE = frozenset({"no", "false", "0", "off", "n", "f", ""})


class Arguments:
    """Named arguments; what is wrong with one raises CallError with Emulab's words."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self._given = dict(given)
        for synonym, name in SYNONYMS.items():
            if synonym in self._given:
                self._given.setdefault(name, self._given[synonym])

    def __contains__(self, name: str) -> bool:
        return name in self._given

    def only(self, known: Iterable[str]) -> None:
        """CallError for an argument of another name: a misspelt one must not be overlooked."""
        taken = {*known, *EVERYWHERE, *SYNONYMS}
        if unknown := sorted(name for name in self._given if name not in taken):
            named = ", ".join(f"'{str(name)[:60]}'" for name in unknown[:8])
            raise CallError(Code.BADARGS, f"Unknown argument {named}; known are {', '.join(sorted(known))}")

    def text(self, name: str, default: str | None = None) -> str:
        """Return a string; without default it must be given."""
        value = self._given.get(name, default)
        if value is None:
            raise CallError(Code.BADARGS, f"Must supply '{name}'")
        if not isinstance(value, str | int | float):
            raise CallError(Code.BADARGS, f"'{name}' must be a string")
        return str(value)

    def truth(self, name: str, default: bool) -> bool:
        """Return a boolean, however it is written."""
        value = self._given.get(name, default)
        word = str(value).lower()
        if word not in TRUE | FALSE:
            raise CallError(Code.BADARGS, f"'{name}' must be yes or no")
        return word in TRUE

    def number(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number from 0 on."""
        value = self._given.get(name, default)
        if value is None:
            return None
        try:
            number = int(value)
        except (TypeError, ValueError):
            number = -1
        if number < 0:
            raise CallError(Code.BADARGS, f"Improperly formed {name}!")
        return number

    def words(self, name: str) -> list[str]:
        """Return a list of strings; one string counts as a list of what its commas part."""
        if name not in self._given:
            raise CallError(Code.BADARGS, f"Must supply '{name}'")
        value = self._given[name]
        words = value if isinstance(value, list | tuple) else str(value).split(",")
        if not all(isinstance(word, str | int) for word in words):
            raise CallError(Code.BADARGS, f"'{name}' must be strings")
        return [str(word).strip() for word in words if str(word).strip()]

    def several(self, name: str) -> tuple[str, ...]:
        """Return a list of strings, or one string as one; nothing when it isn't given."""
        value = self._given.get(name, ())
        words = value if isinstance(value, list | tuple) else (value,)
        if not all(isinstance(word, str) for word in words):
            raise CallError(Code.BADARGS, f"'{name}' must be strings")
        return tuple(word.strip() for word in words if word.strip())


def arguments(parameters: Sequence[Any], positions: Sequence[str]) -> Arguments:
    """Read what a call brings: `(version, {...})`, `({...})`, or plain values in the method's order.

    CallError with Emulab's BADVERSION for a version that isn't ours.
    """
    rest = list(parameters)
    if rest and isinstance(rest[0], float) and not isinstance(rest[0], bool):
        if abs(rest[0] - VERSION) > 1e-9:
            raise CallError(Code.BADVERSION, "Client version mismatch!")
        rest = rest[1:]
    if len(rest) == 1 and isinstance(rest[0], dict):
        return Arguments(rest[0])
    if len(rest) > len(positions):
        raise CallError(Code.BADARGS, f"at most {len(positions)} arguments are expected: {', '.join(positions)}")
    return Arguments(dict(zip(positions, rest, strict=False)))
