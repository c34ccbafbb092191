"""How states look: a tone (a colour), an icon and words, never a colour alone. `static/js/looks.js` says the same."""

from __future__ import annotations

from dataclasses import dataclass

from benito.testbed.store import State


@dataclass(frozen=True, slots=True)
class Look:
    """One state for the eye."""

    tone: str
    """`good`, `busy`, `bad`, `work`, `unknown` or empty: a class of the style sheet."""
    icon: str
    text: str


_STATES = {
    State.SWAPPED: Look("", "moon", "Swapped out"),
    State.ACTIVATING: Look("work", "loader", "Swapping in"),
    State.ACTIVE: Look("good", "circle-check", "Active"),
    State.MODIFYING: Look("work", "loader", "Modifying"),
    State.SWAPPING: Look("work", "loader", "Swapping out"),
    State.TERMINATING: Look("work", "loader", "Terminating"),
}
_BOOTS = {
    "booted": Look("good", "circle-check", "booted"),
    "running": Look("busy", "loader", "starting"),
    "dead": Look("bad", "circle-x", "dead"),
}
_UNKNOWN = Look("unknown", "circle-help", "unknown")
_NOTHING = Look("", "minus", "")


def state(of: State) -> Look:
    """Return how an experiment's state looks."""
    return _STATES[of]


def boot(of: str | None) -> Look:
    """Return how a node's boot state looks."""
    return _BOOTS.get(of or "", _UNKNOWN)


def command(boot_state: str | None, code: int | None, has_command: bool) -> Look:
    """Return what became of the start command, or of the machine's process when the node is dead."""
    if boot_state == "dead":
        return _NOTHING if code is None else Look("bad", "circle-alert", f"machine ended ({code})")
    if code is None:
        return Look("busy", "loader", "running") if has_command and boot_state == "booted" else _NOTHING
    return Look("bad", "circle-alert", f"exit {code}") if code else Look("good", "check", "exit 0")


def absent() -> Look:
    """Return how a node of an experiment looks that is swapped out."""
    return Look("", "moon", "not running")
