"""Machines that are thrown away: what their consoles say is read to the end and kept in part."""

from __future__ import annotations

import os

from benito.machines.throwaway import _KEPT, _Tail


def test_of_a_console_without_end_the_last_lines_are_kept() -> None:
    ours, theirs = os.pipe()
    tail = _Tail(os.fdopen(ours, "rb"))
    with os.fdopen(theirs, "wb") as console:
        for number in range(100_000):
            console.write(f"line {number} \x1b[31m\r\n".encode())
        console.write(b"\n\nand the end")
    tail.join(20)
    assert tail.lines()[-2:] == ["line 99999 [31m", "and the end"]
    assert len(tail._kept) <= _KEPT
