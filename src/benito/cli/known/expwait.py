"""`expwait [-t seconds] -e pid,eid state`: wait for an experiment's state, as Emulab's command of this name."""

from __future__ import annotations

import time

from benito.cli.known import emulab
from benito.cli.main import run

NAME = "expwait"
POLL_S = 0.2
TIMED_OUT = 8
"""Emulab's code for it."""


def wait(words: list[str]) -> int:
    """Return when the experiment is in the state; 8 when it isn't in time."""
    from benito.cli.common import say
    from benito.errors import InputError
    from benito.testbed.store import State
    from benito.testbed.testbed import Testbed

    ask = emulab.experiment_parser(NAME, "Wait until an experiment is in a state.", "state")
    ask.add_argument("-t", dest="timeout", type=float, metavar="seconds", help="wait no longer than that")
    told = emulab.told_of(ask, words)
    named, states = emulab.experiment(told.experiment, told.words, ask)
    if not states or (unknown := [state for state in states if state not in list(State)]):
        raise InputError(
            f"{unknown[0] if states else 'nothing'} is no state", hint=f"the states are {', '.join(State)}"
        )
    bed = Testbed()
    deadline = None if told.timeout is None else time.monotonic() + told.timeout
    # The state is in the store, which other processes write.
    while (record := bed.record(named)).state not in states:
        if deadline is not None and time.monotonic() > deadline:
            say(f"{record.id} is {record.state} after {told.timeout:g} s")
            return TIMED_OUT
        time.sleep(POLL_S)
    print(record.state)
    return 0


def main() -> None:
    """Run it as a command."""
    run(wait)
