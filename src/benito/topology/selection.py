"""Choosing nodes of a topology: by name, pattern, what they say, or kind."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from fnmatch import fnmatchcase

from benito.errors import InputError
from benito.topology import placement
from benito.topology.model import Node, Topology

FIELDS = ("name", "kind", "os", "hardware", "partition", "start_command", "failure_action")
"""What can be asked for beside attributes."""
MAX_PATTERN = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Which nodes are meant: those that a name or pattern finds (all where none is given), and that fit the rest."""

    names: tuple[str, ...] = ()
    """Names, or patterns with `*`, `?` and `[...]`."""
    patterns: tuple[str, ...] = ()
    """Regular expressions that fit the whole name."""
    where: tuple[tuple[str, str], ...] = ()
    """Attribute or field, and the value it must have; the value may be a pattern with `*`, `?` and `[...]`."""
    kinds: tuple[str, ...] = ()


def value(node: Node, key: str) -> str | None:
    """Return an attribute of a node, else the field of that name; None where it says nothing."""
    if key in node.attributes:
        return node.attributes[key]
    if key in FIELDS:
        found = getattr(node, key)
        return None if found is None else str(found)
    return None


def select(topology: Topology, selection: Selection) -> tuple[str, ...]:
    """Return the names of the nodes meant, in the order of the file; InputError where a name finds none."""
    every = [node.name for node in topology.nodes]
    chosen = set() if selection.names or selection.patterns else set(every)
    for name in selection.names:
        chosen |= _named(every, name)
    for pattern in selection.patterns:
        chosen |= _matching(every, pattern)
    kinds = {_kind(word) for word in selection.kinds}
    found = tuple(
        node.name
        for node in topology.nodes
        if node.name in chosen
        and (not kinds or node.kind in kinds)
        and all(fnmatchcase(value(node, key) or "", wanted) for key, wanted in selection.where)
    )
    if not found:
        raise InputError("no node is chosen", hint="list the nodes with: shopdl.py list FILE")
    return found


def _named(every: list[str], name: str) -> set[str]:
    found = {each for each in every if each == name or fnmatchcase(each, name)}
    if not found:
        close = difflib.get_close_matches(name, every[:2000], 1)
        raise InputError(f"there is no node `{name[:60]}`", hint=f"did you mean `{close[0]}`?" if close else "")
    return found


def _matching(every: list[str], pattern: str) -> set[str]:
    try:
        expression = re.compile(pattern[:MAX_PATTERN])
    except re.error as error:
        raise InputError(f"`{pattern[:60]}` is not a regular expression: {error}") from None
    found = {each for each in every if expression.fullmatch(each)}
    if not found:
        raise InputError(f"no node's name is like `{pattern[:60]}`")
    return found


def _kind(word: str) -> str:
    if word.lower() not in placement.KINDS:
        raise InputError(f"`{word[:60]}` is not a kind of node", hint=f"kinds are {', '.join(placement.KINDS)}")
    return placement.KINDS[word.lower()]
