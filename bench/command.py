"""How quickly the command answers: `python -m bench.command`."""

import statistics
import subprocess
import sys
import time
from pathlib import Path

RUNS = 15


def main() -> None:
    """Print medians."""
    benito = str(Path(sys.executable).parent / "benito")
    for words in (["--help"], ["show", "examples/star.ns"], ["list"]):
        times = []
        for _ in range(RUNS):
            began = time.monotonic()
            subprocess.run([benito, *words], capture_output=True, check=True)
            times.append(time.monotonic() - began)
        bare = [_bare() for _ in range(RUNS)]
        print(
            f"benito {' '.join(words):<22} median of {RUNS}: {statistics.median(times):.3f} s "
            f"(python -c pass: {statistics.median(bare):.3f} s)"
        )


def _bare() -> float:
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "pass"], check=True)
    return time.monotonic() - began


if __name__ == "__main__":
    main()
