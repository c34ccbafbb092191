"""The wire engine's process: `python -m benito.agent.wires --socket S --state F`.

A process of its own, so that no restart of the agent harms a link; killed and started again, it goes on from its state
file at once.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from benito.network.shaping.engine import Engine

NICE = -10


def main() -> None:
    """Carry frames until SIGTERM."""
    parser = argparse.ArgumentParser(prog="benito.agent.wires", description="Carries the frames of shaped wires.")
    parser.add_argument("--socket", type=Path, required=True, help="where to listen for requests")
    parser.add_argument("--state", type=Path, required=True, help="file that keeps the wires over a restart")
    parser.add_argument("--seed", default="", help="make random loss repeatable")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _end)
    signal.signal(signal.SIGINT, _end)
    _come_first()
    engine = Engine(options.socket, options.state, options.seed)
    # Nothing per frame makes cycles: the collector would only cost time, at a bad moment.
    gc.collect()
    gc.freeze()
    gc.disable()
    engine.run()


def _come_first() -> None:
    """Run before ordinary processes: niceness alone leaves frames milliseconds late on a busy host."""
    try:
        # The kernel keeps a part of each second for everybody else, whatever we do.
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except OSError:
        # A control group without real-time allowance (v1), or no privilege.
        if os.getpriority(os.PRIO_PROCESS, 0) > NICE:
            with contextlib.suppress(OSError):
                os.setpriority(os.PRIO_PROCESS, 0, NICE)


def _end(number: int, frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
