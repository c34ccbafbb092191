"""Errors name the line of the statement, wherever it stands: in loops, procedures, evaluated text, nested bodies."""

from __future__ import annotations

import pytest
from ns_files import faults


def lines_of(body: str) -> list[int]:
    return [fault.where.line for fault in faults(body) if fault.where]


WRONG = "tb-set-node-os nobody FC6"


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (WRONG, [3]),
        (f"\n\n{WRONG}", [5]),
        (f"for {{set i 0}} {{$i < 2}} {{incr i}} {{\n    {WRONG}\n}}", [4]),
        (f"foreach x {{a b}} {{\n    foreach y {{c d}} {{\n\n        {WRONG}\n    }}\n}}", [6]),
        (f"set i 0\nwhile {{$i < 2}} {{\n    incr i\n    if {{$i}} {{\n        {WRONG}\n    }}\n}}", [7]),
        (f"proc p {{}} {{\n    {WRONG}\n}}\n\np", [4]),
        (f"proc p {{\n    a\n    b\n}} {{\n    if {{$a}} {{\n        {WRONG}\n    }}\n}}\np 1 2", [8]),
        (f"proc p {{}} {{\n    {WRONG}\n}}\nproc q {{}} {{\n    p\n}}\nforeach x {{1}} {{\n    q\n}}", [4]),
        (f"if {{0}} {{\n    set x 1\n}} elseif {{0}} {{\n}} else {{\n    {WRONG}\n}}", [7]),
        (f"switch a {{\n    a {{\n        {WRONG}\n    }}\n}}", [5]),
        (f"eval {{\n    {WRONG}\n}}", [4]),
        (f'eval "{WRONG}"', [3]),
        (f"set text {{{WRONG}}}\n\neval $text", [5]),
        (f"set x 1; {WRONG}", [3]),
        ("tb-set-node-os \\\n    nobody \\\n    FC6", [3]),
        (f"catch {{\n    {WRONG}\n}}", [4]),
        (f"{WRONG}\n# comment\n\n{WRONG}", [3, 6]),
        ("set l [$ns duplex-link \\\n    x \\\n    y 1Mb 1ms DropTail]", [3, 3]),
    ],
)
def test_a_wrong_statement(body: str, lines: list[int]) -> None:
    assert lines_of(body) == lines


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        ("set x $missing", [3]),
        ("foreach x {1} {\n    set y 1\n    set x $missing\n}", [5]),
        ("foreach x {\n    1\n} {\n    set x $missing\n}", [6]),
        ("proc p {} {\n\n    set x $missing\n}\nset a 1\np", [5]),
        ("proc p {} {\n    foreach x {1} {\n        set x $missing\n    }\n}\n\np", [5]),
        ("if {1} {\n    nosuchcommand 1\n}", [4]),
        ("proc p {} {\n    nosuchcommand 1\n}\nforeach x {1} {\n    p\n}", [4]),
        ("set x [expr 1 / 0]", [3]),
        ("while {1} {\n    switch x {\n        x {\n            expr {1 +}\n        }\n    }\n}", [6]),
    ],
)
def test_a_tcl_error(body: str, lines: list[int]) -> None:
    assert lines_of(body) == lines


def test_what_was_wrong_before_a_tcl_error_is_told_too() -> None:
    assert lines_of(f"{WRONG}\nset x $missing\n{WRONG}") == [3, 4]


def test_the_same_fault_in_a_loop_is_told_once() -> None:
    assert lines_of(f"for {{set i 0}} {{$i < 50}} {{incr i}} {{\n    {WRONG}\n}}") == [4]


def test_there_is_an_end_to_the_list_of_faults() -> None:
    assert len(lines_of("for {set i 0} {$i < 500} {incr i} {\n    tb-set-node-os nobody$i FC6\n}")) == 100
