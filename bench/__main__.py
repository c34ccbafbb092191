"""`make bench`: runs every measurement and writes docs/benchmarks.md with the commands that made it.

    python -m bench [NAME ...]

With names only those are run and printed; the page is left as it is.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
from pathlib import Path

MEASUREMENTS = {
    "experiments": ("Whole experiments", ["-m", "bench.experiments"]),
    "links": ("A shaped wire", ["-m", "bench.links"]),
    "clones": ("Experiments of clones", ["-m", "bench.clones"]),
    "boot": ("Machines alone", ["bench/boot.py", "1", "5", "10"]),
    "planning": ("Reading and planning", ["bench/planning.py", "1000", "5000", "10000", "20000"]),
    "containers": ("Two hundred containers beside Mininet", ["-m", "bench.containers", "200"]),
    "doors": ("The doors with a thousand nodes", ["-m", "bench.doors", "1000"]),
    "kills": ("How soon the doors tell of what was killed", ["-m", "bench.kills"]),
    "handshakes": ("The encrypted doors in a flood", ["-m", "bench.handshakes"]),
    "web": ("The page with a thousand nodes", ["-m", "bench.web", "1000"]),
    "help": ("The command itself", ["-m", "bench.command"]),
}
PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def machine() -> str:
    """Name the machine."""
    memory = next(line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines() if "MemTotal" in line)
    model = next(
        (line.partition(": ")[2] for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "?",
    )
    qemu = subprocess.run(["qemu-system-x86_64", "--version"], capture_output=True, text=True, check=True).stdout
    return (
        f"{os.cpu_count()} cores ({model}), {int(memory) / 2**20:.1f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}, {qemu.splitlines()[0]}, load before: {os.getloadavg()[0]:.1f}"
    )


def run(words: list[str]) -> str:
    """Run one measurement, show it as it comes, and return it."""
    lines = []
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        lines.append(f"(ended with status {process.returncode})\n")
    return "".join(lines)


def main() -> None:
    """Measure."""
    chosen = sys.argv[1:]
    about = machine()
    print(about)
    parts = []
    for name in chosen or MEASUREMENTS:
        title, words = MEASUREMENTS[name]
        print(f"\n== {title}")
        command = f".venv/bin/python {' '.join(words)}"
        parts.append(f"## {title}\n\n`{command}`\n\n```\n{run(words)}```\n")
    if not chosen:
        today = datetime.date.today().isoformat()
        head = f"# Measured\n\nMade by `make bench` on {today}, in one run. The machine: {about}.\n"
        PAGE.write_text("\n".join([head, *parts]))


if __name__ == "__main__":
    main()
