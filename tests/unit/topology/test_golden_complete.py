"""Every error that the readers can raise stands in a golden file: a new one without a golden fails here.

The sources are searched for the places where a fault is made, and each place's text, with anything in the place of
what it fills in, for the goldens. Texts that are made elsewhere (a table, another function) are looked up there.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

import benito.topology
from benito.topology.ns import failure, interpret
from benito.topology.topdl import syntax
from golden import ERRORS

SOURCES = Path(benito.topology.__file__).parent
UNITS = SOURCES.parent / "units.py"
READERS = sorted(
    [*SOURCES.glob("ns/*.py"), *SOURCES.glob("topdl/*.py"), SOURCES / "text.py", SOURCES / "addressing.py", UNITS]
)
MAKERS = ("fault", "Fault", "InputError")
RETURNING = ("ns/failure.py", "ns/naming.py")
"""Where functions return a message with its remedy."""
WRITERS = ("topdl/writer.py", "topdl/lan_writer.py")
TITLES = ("\0 has \0 error\0", "\0 addresses can't be used")
"""What an error with several faults is called where nobody asks for the faults."""
WARNINGS = ("the address \0 is used on `\0` and on `\0`",)
OF_WRITING = ("the text `\0` goes on with a character that XML can't hold (U+\0)",)
"""Told by `test_topdl_writing`."""
WORDS_OF_OTHERS = ("this is not well-formed XML: \0",)
"""For whatever a later libxml2 may find that has no text of ours yet."""
WITHOUT_GOLDEN = {*TITLES, *WARNINGS, *OF_WRITING, *WORDS_OF_OTHERS}
ANYTHING = "\0"


@dataclass(frozen=True)
class Site:
    """Where a fault is made, and what it says; ANYTHING where something is filled in."""

    place: str
    text: str

    @property
    def pattern(self) -> str:
        return ".*".join(map(re.escape, self.text.split(ANYTHING)))


def sites() -> Iterator[Site]:
    """Yield every place of the readers that makes a fault."""
    for file in READERS:
        name = f"{file.parent.name}/{file.name}"
        if name in WRITERS:
            continue
        tree = ast.parse(file.read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for said in messages(function, returned=name in RETURNING):
                    for text in texts(said, function, tree):
                        yield Site(f"{name}:{said.lineno}", text)


def messages(function: ast.FunctionDef, *, returned: bool) -> Iterator[ast.expr]:
    """Yield what a function gives as a fault's message, functions inside it left out."""
    waiting: list[ast.AST] = [*function.body]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef):
            continue
        waiting.extend(ast.iter_child_nodes(node))
        if isinstance(node, ast.Call) and node.args:
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if called in MAKERS:
                yield node.args[0]
        if returned and isinstance(node, ast.Return) and isinstance(node.value, ast.Tuple):
            yield node.value.elts[0]


def texts(node: ast.expr, *scopes: ast.AST) -> Iterator[str]:
    """Yield what an expression can say; nothing where that is made somewhere else."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(str(part.value) if isinstance(part, ast.Constant) else ANYTHING for part in node.values)
    elif isinstance(node, ast.IfExp):
        yield from texts(node.body, *scopes)
        yield from texts(node.orelse, *scopes)
    elif isinstance(node, ast.Name):
        for scope in scopes:
            values = [
                each.value
                for each in ast.walk(scope)
                if isinstance(each, ast.Assign) and any(getattr(to, "id", "") == node.id for to in each.targets)
            ]
            for value in values:
                yield from texts(value, *scopes)
            if values:
                break


GOLDENS = "\n".join(path.read_text() for path in sorted(ERRORS.glob("*.txt")))
SITES = sorted(set(sites()), key=lambda site: site.place)


def test_the_places_are_found() -> None:
    assert len(SITES) > 120


@pytest.mark.parametrize(
    "site", [each for each in SITES if each.text not in WITHOUT_GOLDEN], ids=lambda site: site.place
)
def test_every_text_has_a_golden(site: Site) -> None:
    assert re.search(site.pattern, GOLDENS), f"no golden for: {site.text.replace(ANYTHING, '...')}"


def test_what_needs_no_golden_is_still_said() -> None:
    assert {site.text for site in SITES} >= WITHOUT_GOLDEN


@pytest.mark.parametrize("table", [failure.BRACES, interpret.DEATHS, syntax.TEXTS], ids=["braces", "deaths", "syntax"])
def test_every_text_of_a_table_has_a_golden(table: Mapping[str, tuple[str, str]]) -> None:
    for text, _ in table.values():
        pattern = re.sub(r"\\\{\w+\\\}", ".*", re.escape(text))
        if text not in WITHOUT_GOLDEN:
            assert re.search(pattern, GOLDENS), text
