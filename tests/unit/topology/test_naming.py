"""Tcl's order of array names, which decides Emulab's addresses."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benito.topology.ns.naming import TclArray, flaw

WORDS = st.text("abcXYZ019-", min_size=1, max_size=12)


def ask_tcl(lists: list[list[str]]) -> list[list[str]]:
    script = "".join(
        f"array unset a; {''.join(f'set a({name}) 1; ' for name in names)} puts [array names a]\n" for names in lists
    )
    done = subprocess.run(["tclsh"], input=script, capture_output=True, text=True, check=True, timeout=60)
    return [line.split() for line in done.stdout.splitlines()]


@pytest.mark.skipif(not shutil.which("tclsh"), reason="needs tclsh")
@settings(max_examples=5, deadline=None)
@given(st.lists(st.lists(WORDS, unique=True, min_size=1, max_size=120), min_size=20, max_size=20))
def test_names_come_as_tcl_gives_them(lists: list[list[str]]) -> None:
    found = []
    for names in lists:
        array = TclArray()
        for name in names:
            array.add(name)
        found.append(list(array.names()))

    assert found == ask_tcl(lists)


def test_a_renamed_object_moves() -> None:
    array = TclArray()
    for name in ("tblink-l3", "tblink-l4", "tblink-l5"):
        array.add(name)

    array.remove("tblink-l4")
    array.add("link1")

    assert sorted(array.names()) == ["link1", "tblink-l3", "tblink-l5"]


def test_links_of_a_star_are_numbered_as_emulab_does() -> None:
    array = TclArray()
    for number in range(3, 20, 2):
        array.add(f"tblink-l{number}")

    assert " ".join(array.names()).replace("tblink-", "") == "l7 l3 l17 l13 l9 l5 l19 l15 l11"


@pytest.mark.parametrize("name", ["n-0", "Node7", "a" * 63])
def test_valid_names(name: str) -> None:
    assert flaw(name) is None


@pytest.mark.parametrize("name", ["a_b", "", "a b", "é", "a" * 64, "n-1,2", "a\n"])
def test_invalid_names(name: str) -> None:
    assert flaw(name) is not None
