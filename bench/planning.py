"""What reading, packing and planning cost: `python bench/planning.py [NODES ...]`.

First the whole command `benito plan --json` on trees: its time, and the most memory that it had. Then its parts, in CPU
seconds, children's included.

Shapes: a LAN of every 200 nodes joined in a row by routers, and a tree of links, both written as NS files; static
routes; 50 nodes a pnode. A grid (every node multi-homed, the worst for routes) is timed at 1,000 nodes only.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

from benito.embedding.packing import pack
from benito.plan.allocations import example
from benito.plan.build import plan
from benito.topology.addressing import assign
from benito.topology.reader import read
from benito.topology.routing import routes

SIZES = (1_000, 5_000, 10_000, 20_000)
PACKING = 50
HEAD = "source tb_compat.tcl\nset ns [new Simulator]\n"
TAIL = "$ns rtproto Static\n$ns run\n"


def tree(nodes: int) -> str:
    """Return a file of a tree of links, five children a node."""
    return (
        f"{HEAD}for {{set i 0}} {{$i < {nodes}}} {{incr i}} {{\n  set n($i) [$ns node]\n"
        "  if {$i > 0} {set l($i) [$ns duplex-link $n([expr ($i-1)/5]) $n($i) 10Mb 10ms DropTail]}\n}\n" + TAIL
    )


def campus(nodes: int) -> str:
    """Return a file of LANs of 200, their first nodes joined in a row."""
    return (
        f"{HEAD}for {{set i 0}} {{$i < {nodes}}} {{incr i}} {{set n($i) [$ns node]}}\n"
        f"for {{set i 0}} {{$i < {nodes}}} {{incr i 200}} {{\n  set names {{}}\n"
        f'  for {{set j $i}} {{$j < $i+200 && $j < {nodes}}} {{incr j}} {{append names "$n($j) "}}\n'
        "  set lan($i) [$ns make-lan $names 100Mb 2ms]\n"
        "  if {$i > 0} {set l($i) [$ns duplex-link $n([expr $i-200]) $n($i) 1Gb 4ms DropTail]}\n}\n" + TAIL
    )


def grid(nodes: int) -> str:
    """Return a file of a grid, 40 wide."""
    return (
        f"{HEAD}for {{set i 0}} {{$i < {nodes}}} {{incr i}} {{\n  set n($i) [$ns node]\n"
        "  if {$i % 40 > 0} {set r($i) [$ns duplex-link $n([expr $i-1]) $n($i) 10Mb 10ms DropTail]}\n"
        "  if {$i >= 40} {set d($i) [$ns duplex-link $n([expr $i-40]) $n($i) 10Mb 10ms DropTail]}\n}\n" + TAIL
    )


def measure(shape: Callable[[int], str], nodes: int, folder: Path) -> None:
    """Time one shape and print a line of a Markdown table."""
    file = folder / f"{shape.__name__}.ns"
    file.write_text(shape(nodes))
    marks = [_cpu_s()]
    topology = assign(read(file), "benito")
    marks.append(_cpu_s())
    assignment = pack(topology, PACKING)
    marks.append(_cpu_s())
    table = routes(topology)
    marks.append(_cpu_s())
    plans = plan(topology, assignment, example(topology, assignment))
    marks.append(_cpu_s())
    times = " | ".join(f"{after - before:.2f}" for before, after in pairwise(marks))
    most = max(map(len, table.values()))
    print(f"| {shape.__name__} | {nodes} | {len(plans)} | {assignment.cut.lans} | {most} | {times} |")


def command(nodes: int, folder: Path) -> None:
    """Run the command on a tree and print a line of a Markdown table."""
    file = folder / "whole.ns"
    file.write_text(tree(nodes))
    benito = str(Path(sys.executable).parent / "benito")
    argv = [benito, "plan", "--json", "--packing", str(PACKING), str(file)]
    began = time.monotonic()
    with (folder / "plan.json").open("wb") as output:
        process = subprocess.Popen(argv, stdout=output)
        _, status, used = os.wait4(process.pid, 0)
    took = time.monotonic() - began
    if status:
        raise SystemExit(f"benito plan ended with status {status}")
    written = (folder / "plan.json").stat().st_size
    cpu = used.ru_utime + used.ru_stime
    print(f"| {nodes} | {took:.1f} | {cpu:.1f} | {used.ru_maxrss / 1024:.0f} | {written / 2**20:.1f} |")


def _cpu_s() -> float:
    """Return the CPU time that this process and its ended children have taken."""
    spent = os.times()
    return spent.user + spent.system + spent.children_user + spent.children_system


def main() -> None:
    """Print the tables."""
    sizes = [int(size) for size in sys.argv[1:]] or SIZES
    with tempfile.TemporaryDirectory() as folder:
        # First, while this process is small: what a process had before it became another counts as that one's.
        print("benito plan --json (a tree)\n")
        print("| nodes | s | CPU s | peak memory, MiB | printed, MiB |")
        print("|---|---|---|---|---|")
        for size in sizes:
            command(size, Path(folder))
        print("\nIts parts, in CPU seconds\n")
        print("| shape | nodes | pnodes | LANs cut | most routes | read | pack | route | plan (with routes) |")
        print("|---|---|---|---|---|---|---|---|---|")
        for size in sizes:
            for shape in (tree, campus):
                measure(shape, size, Path(folder))
        measure(grid, 1000, Path(folder))


if __name__ == "__main__":
    main()
