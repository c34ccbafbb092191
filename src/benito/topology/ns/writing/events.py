"""Events, programs and groups as NS statements: the inverse of what the reader makes of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from benito.topology.model import Event, Program
from benito.topology.ns.events import PROGRAM_OPTIONS, QUEUE_KEYS, SIMULATOR_ACTIONS
from benito.topology.ns.writing.tcl import quoted, word

if TYPE_CHECKING:
    from benito.topology.ns.writing.experiment import Writer

OPTIONS = {key: option for option, key in PROGRAM_OPTIONS.items()}
STARTING = "_startcmd"
"""The program that runs a node's start command is the node's name with this."""
LINK = {"BANDWIDTH": ("bandwidth", "kb"), "DELAY": ("delay", "ms"), "PLR": ("plr", "")}
PLAIN = {
    "lan": ("up", "down", "create", "clear", "reset"),
    "node": ("reboot",),
    "program": ("stop",),
    "series": ("start", "run", "reset"),
}


class EventText:
    """The statements about what happens in time."""

    def __init__(self, writer: Writer) -> None:
        self.writer = writer
        self.topology = writer.topology
        self.names = writer.names

    def programs(self) -> Iterator[str]:
        """Yield the program agents."""
        for program in self.topology.programs:
            options = self._options(program)
            node = self.names.value("node", program.node)
            made = f"{node} program-agent -command {word(program.command)}{options}"
            yield self.names.made("program", program.name, made)

    def _options(self, program: Program) -> str:
        text = ""
        for key, value in program.attributes.items():
            if key in OPTIONS and value:
                text += f" {OPTIONS[key]} {word(value)}"
            elif value:
                self.writer.lacks(f"the program `{program.name}` has the attribute {key}")
        return text

    def groups(self) -> Iterator[str]:
        """Yield the event groups."""
        for name, members in self.topology.groups.items():
            known = [self.names.value(kind, each) for each in members if (kind := self.names.kind(each))]
            if len(known) < len(members):
                self.writer.lacks(f"the event group `{name}` has members that are not written")
            yield self.names.made("group", name, f'$ns event-group "{" ".join(known)}"')

    def series(self) -> Iterator[str]:
        """Yield timelines and sequences, empty; a series without any time is a sequence."""
        for name in series_names(self.topology.events):
            kind = (
                "timeline" if any(each.parent == name and each.time_s for each in self.topology.events) else "sequence"
            )
            yield self.names.made("series", name, f"$ns event-{kind}")

    def events(self) -> Iterator[str]:
        """Yield the events."""
        timelines = {each.parent for each in self.topology.events if each.parent and each.time_s}
        for event in self.topology.events:
            said = self._said(event)
            if said is None or any(";" in each for each in said[1]):
                what = " ".join((event.target, event.action, *event.arguments))
                self.writer.lacks(f"the event `{what[:80]}` at {event.time_s:g} s")
                continue
            text = " ".join([said[0], *(quoted(word(each)) for each in said[1])])
            time = "swapout" if event.trigger == "swapout" else _seconds(event.time_s)
            if not event.parent:
                yield f'$ns at {time} "{text}"'
            elif event.parent in timelines:
                yield f'{self.names.value("series", event.parent)} at {time} "{text}"'
            else:
                yield f'{self.names.value("series", event.parent)} append "{text}"'

    def _said(self, event: Event) -> tuple[str, list[str]] | None:
        """Return an event's target and words; None where NS can't say it."""
        name, tracing = event.target.removesuffix("-tracemon"), event.target.endswith("-tracemon")
        kind = self.names.kind(name)
        if kind is None and name.endswith(STARTING) and self.names.has("node", name.removesuffix(STARTING)):
            words = self._words("program", event)
            return None if words is None else (self.names.name("node", name.removesuffix(STARTING)) + STARTING, words)
        if kind is None:
            return self._queue(name, event, tracing) or self._of_simulator(event)
        target = self.names.value(kind, name)
        if tracing:
            return (target, ["trace", event.action]) if kind == "lan" else None
        if kind == "group":
            members = self.topology.groups[name]
            kind = self.names.kind(members[0]) if members else None
        words = self._words(kind, event) if kind else None
        return None if words is None else (target, words)

    def _of_simulator(self, event: Event) -> tuple[str, list[str]] | None:
        words = _simulator(event)
        return None if words is None else ("$ns", words)

    def _queue(self, name: str, event: Event, tracing: bool) -> tuple[str, list[str]] | None:
        """Return an event of one end's queue, which is named after its link and node."""
        found = self.writer.ends.get(name)
        pairs = [each.split("=", 1) for each in event.arguments if "=" in each]
        if found is None:
            return None
        if tracing:
            return found, ["trace", event.action]
        if event.action != "modify" or len(pairs) != 1 or pairs[0][0] not in _QUEUE:
            return None
        return found, ["set", _QUEUE[pairs[0][0]], pairs[0][1]]

    def _words(self, kind: str, event: Event) -> list[str] | None:
        pairs = dict(each.split("=", 1) for each in event.arguments if "=" in each)
        if event.action in PLAIN.get(kind, ()) and not event.arguments:
            return [event.action]
        if kind == "lan":
            return _link(event, pairs)
        if kind == "program":
            return _program(event, pairs)
        if kind == "node":
            return _node(event, pairs)
        return None


def series_names(events: tuple[Event, ...]) -> list[str]:
    """Return the timelines and sequences in order of appearance."""
    return list(dict.fromkeys(event.parent for event in events if event.parent))


def _seconds(value: float) -> str:
    from decimal import Decimal

    return f"{Decimal(repr(value)):f}"


def _link(event: Event, pairs: dict[str, str]) -> list[str] | None:
    if event.action != "modify" or len(pairs) != 1 or (key := next(iter(pairs))) not in LINK:
        return None
    method, unit = LINK[key]
    value = pairs[key]
    if key == "BANDWIDTH":
        return [method, "*" if value == "0" else value + unit, "duplex"]
    return [method, value + unit]


def _program(event: Event, pairs: dict[str, str]) -> list[str] | None:
    if event.action == "kill" and len(pairs) == 1 and "SIGNAL" in pairs:
        return ["kill", pairs["SIGNAL"]]
    action = {"modify": "set", "start": "start", "run": "run"}.get(event.action)
    if action is None or any(key not in OPTIONS for key in pairs):
        return None
    return [action, *(word for key, value in pairs.items() for word in (OPTIONS[key], value))]


def _node(event: Event, pairs: dict[str, str]) -> list[str] | None:
    if event.action == "snapshot" and "IMAGE" in pairs:
        return ["snapshot-to", pairs["IMAGE"]]
    if event.action == "reload":
        return ["reload", *(["-image", pairs["IMAGE"]] if "IMAGE" in pairs else [])]
    if event.action == "setdest":
        return ["setdest", *(pairs.get(key, "0") for key in ("X", "Y", "SPEED"))]
    return None


_QUEUE = {meaning: name for name, meaning in QUEUE_KEYS.items()}
_SIMULATOR = {meaning: name for name, meaning in reversed(SIMULATOR_ACTIONS.items())}


def _simulator(event: Event) -> list[str] | None:
    if (event.action, event.arguments) in _SIMULATOR:
        return [_SIMULATOR[event.action, event.arguments]]
    pairs = dict(each.split("=", 1) for each in event.arguments if "=" in each)
    if event.action in ("message", "log"):
        return ["msg" if event.action == "message" else "log", *(" ".join(event.arguments)).split()]
    if event.action == "start" and "DURATION" in pairs:
        return ["trace-for", pairs["DURATION"]]
    options = {
        "report": {"DIGESTER": "-digester", "ARCHIVE": "-archive"},
        "linktest": {"BW": "-bw", "STOPAT": "-stopat"},
    }
    known = options.get(event.action)
    if known is None or any(key not in known for key in pairs):
        return None
    return [event.action, *(word for key, value in pairs.items() for word in (known[key], value))]
