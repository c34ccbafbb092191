"""Events: `$ns at`, timelines, sequences and groups, checked and put into the form of Emulab's event system."""

from __future__ import annotations

import re
from collections.abc import Callable

from benito import units
from benito.errors import InputError
from benito.topology.ns.drafts import (
    Agent,
    EventDraft,
    GroupDraft,
    Handle,
    LanDraft,
    NodeDraft,
    ProgramDraft,
    Thing,
)
from benito.topology.ns.experiment import Experiment, Statement

Outcome = tuple[str, tuple[str, ...], str]
"""An event's action, its arguments, and what to add to its target's name."""
TRACE = ("start", "stop", "snapshot", "kill")
QUEUE_KEYS = {
    "queue-in-bytes_": "QUEUE-IN-BYTES",
    "limit_": "LIMIT",
    "maxthresh_": "MAXTHRESH",
    "thresh_": "THRESH",
    "linterm_": "LINTERM",
    "q_weight_": "Q_WEIGHT",
}
TRAFFIC_KEYS = {"packetSize_": "PACKETSIZE", "rate_": "RATE", "interval_": "INTERVAL", "iptos_": "IPTOS"}
PROGRAM_OPTIONS = {
    "-dir": "DIR",
    "-expected-exit-code": "EXPECTED_EXIT_CODE",
    "-tag": "TAG",
    "-timeout": "TIMEOUT",
    "-command": "COMMAND",
}
SIMULATOR_ACTIONS = {
    "halt": ("halt", ()),
    "terminate": ("halt", ()),
    "swapout": ("swapout", ()),
    "stoprun": ("stoprun", ()),
    "stabilize": ("modify", ("mode=stabilize",)),
    "snapshot": ("snapshot", ("LOGHOLE_ARGS='-s'",)),
    "cleanlogs": ("reset", ("ASPECT=LOGHOLE",)),
    "reset-lans": ("reset", ("ASPECT=LANS",)),
    "bandwidth": ("modify", ()),
}


class Unsupported(Exception):  # noqa: N818 - it ends in a warning, not in an error
    """The target knows no such action; the event is left out with a warning."""


def _need(args: list[str], count: int, usage: str) -> None:
    if len(args) < count:
        raise InputError("the event lacks an argument", hint=f"write: {usage}")


def _trace(args: list[str]) -> Outcome:
    _need(args, 1, f"LINK trace {'|'.join(TRACE)}")
    if args[0] not in TRACE:
        raise Unsupported
    return args[0], (), "-tracemon"


def _link(_: Thing, action: str, args: list[str]) -> Outcome:
    if action in ("create", "clear", "reset", "up", "down"):
        return action, (), ""
    if action == "bandwidth":
        _need(args, 2, "LINK bandwidth 10Mb duplex")
        return "modify", (f"BANDWIDTH={units.bandwidth_kbps(args[0])}",), ""
    if action == "delay":
        _need(args, 1, "LINK delay 10ms")
        # The event system counts in milliseconds where a file gives no unit.
        delay = units.delay_ms(args[0] if args[0][-1:].isalpha() else f"{args[0]}ms")
        return "modify", (f"DELAY={delay:g}",), ""
    if action == "plr":
        _need(args, 1, "LINK plr 0.05")
        if not re.fullmatch(r"[+]?(\d+\.?\d*|\.\d+)(e-?\d{1,3})?", args[0], re.ASCII) or float(args[0]) > 1:
            raise InputError(f"the loss `{args[0][:40]}` is not a probability", hint="write a number from 0 to 1")
        return "modify", (f"PLR={float(args[0]):g}",), ""
    if action == "trace":
        return _trace(args)
    raise Unsupported


def _queue(_: Thing, action: str, args: list[str]) -> Outcome:
    if action == "trace":
        return _trace(args)
    if action != "set":
        raise Unsupported
    _need(args, 2, "QUEUE set limit_ 20")
    if args[0] not in QUEUE_KEYS:
        raise Unsupported
    return "modify", (f"{QUEUE_KEYS[args[0]]}={args[1]}",), ""


def _node(_: Thing, action: str, args: list[str]) -> Outcome:
    if action == "reboot":
        return action, (), ""
    if action == "snapshot-to":
        _need(args, 1, "NODE snapshot-to IMAGE")
        return "snapshot", (f"IMAGE={args[0]}",), ""
    if action == "reload":
        options = _options(args, {"-image": "IMAGE"})
        return action, tuple(f"{key}={value}" for key, value in options.items()), ""
    if action == "setdest":
        _need(args, 3, "NODE setdest X Y SPEED")
        return action, tuple(f"{key}={value}" for key, value in zip(("X", "Y", "SPEED"), args, strict=False)), ""
    raise Unsupported


def _options(args: list[str], known: dict[str, str]) -> dict[str, str]:
    """Read `-name value` pairs."""
    found = {}
    for name, value in zip(args[::2], [*args[1::2], ""], strict=False):
        if name not in known:
            raise InputError(f"`{name[:40]}` is not an option here", hint=f"options are {', '.join(known)}")
        found[known[name]] = value
    return found


def program_options(args: list[str]) -> dict[str, str]:
    """Read the options of a program agent; the timeout becomes seconds."""
    options = _options(args, PROGRAM_OPTIONS)
    if options.get("TIMEOUT"):
        options["TIMEOUT"] = f"{units.seconds(options['TIMEOUT']):g}"
    return options


def _program(_: Thing, action: str, args: list[str]) -> Outcome:
    if action in ("start", "run", "set"):
        options = program_options(args)
        order = [key for key in PROGRAM_OPTIONS.values() if options.get(key)]
        return "modify" if action == "set" else action, tuple(f"{key}={options[key]}" for key in order), ""
    if action == "stop":
        return action, (), ""
    if action == "kill":
        _need(args, 1, "PROGRAM kill SIGNAL")
        return action, (f"SIGNAL={args[0]}",), ""
    raise Unsupported


def _traffic(target: Thing, action: str, args: list[str]) -> Outcome:
    if target.kind != "Application/Traffic/CBR":
        return action, tuple(args), ""
    if action in ("start", "stop", "reset"):
        return action, (), ""
    if action != "set":
        raise Unsupported
    _need(args, 2, "GENERATOR set packetSize_ 500")
    if args[0] not in TRAFFIC_KEYS:
        raise Unsupported
    value = str(units.bandwidth_kbps(args[1])) if args[0] == "rate_" else args[1]
    return "modify", (f"{TRAFFIC_KEYS[args[0]]}={value}",), ""


def _series(_: Thing, action: str, args: list[str]) -> Outcome:
    if action in ("start", "run", "reset"):
        return action, (), ""
    raise Unsupported


def _simulator(_: Thing, action: str, args: list[str]) -> Outcome:
    if action in SIMULATOR_ACTIONS:
        return *SIMULATOR_ACTIONS[action], ""
    if action in ("msg", "message"):
        return "message", (" ".join(args),), ""
    if action == "log":
        return "log", (" ".join(args),), ""
    if action == "report":
        options = _options(args, {"-digester": "DIGESTER", "-archive": "ARCHIVE"})
        return "report", tuple(f"{key}={value}" for key, value in options.items()), ""
    if action == "trace-for":
        _need(args, 1, "$ns trace-for SECONDS")
        return "start", (f"DURATION={args[0]}",), ""
    if action == "linktest":
        options = _options(args, {"-bw": "BW", "-stopat": "STOPAT"})
        return "linktest", tuple(f"{key}={value}" for key, value in options.items()), ""
    raise Unsupported


def _any(_: Thing, action: str, args: list[str]) -> Outcome:
    return action, tuple(args), ""


Checker = Callable[[Thing, str, list[str]], Outcome]
SERIES = ("EventSequence", "EventTimeline")
OTHERS: dict[str, Checker] = {
    "Queue": _queue,
    "Simulator": _simulator,
    **dict.fromkeys(SERIES, _series),
    **dict.fromkeys(("Console", "Disk", "Custom"), _any),
}


def _checker(thing: Thing) -> Checker:
    if isinstance(thing, GroupDraft):
        return _checker(thing.members[0]) if thing.members else _any
    if isinstance(thing, LanDraft):
        return _link
    if isinstance(thing, NodeDraft):
        return _node
    if isinstance(thing, ProgramDraft):
        return _program
    if isinstance(thing, Agent):
        return _traffic
    if thing.kind in OTHERS:
        return OTHERS[thing.kind]
    raise Unsupported


def schedule(experiment: Experiment, owner: Thing, time: str, statement: Statement) -> None:
    """Add one event of `$ns at`, a timeline or a sequence; the statement's name is the target."""
    name, args = statement.name, list(statement.args)
    if name.startswith("#"):
        return
    target = experiment.names.get(name)
    if target is None:
        if name.startswith("$"):
            raise InputError(
                f"the event is for `{name[:60]}` as it stands, not for what the variable holds",
                hint="braces keep variables as they are: write the event in double quotes",
            )
        raise InputError(
            f"the event is for `{name[:60]}`, which is no object of this experiment",
            hint="events go to links, LANs, nodes, programs, traffic and sequences; Tcl procedures can't run later",
        )
    if not args:
        raise InputError(f"the event does not say what `{name[:60]}` shall do", hint='write: $ns at 60 "$link0 down"')
    trigger, seconds = "timer", 0.0
    if time == "swapout" and owner.kind == "Simulator":
        trigger = "swapout"
    elif owner.kind != "EventSequence":
        seconds = units.seconds(time)
    try:
        action, arguments, suffix = _checker(target)(target, args[0], args[1:])
    except Unsupported:
        experiment.warn(f"`{name}` has no event {args[0]}; it is left out", statement.where)
        return
    parent = owner if owner.kind in SERIES else None
    if isinstance(target, Handle) and target.lan is not None and target.port is not None:
        suffix = f"-{target.port.node.name}{suffix}"
        target = target.lan
    experiment.events.append(EventDraft(seconds, target, action, arguments, statement.where, parent, trigger, suffix))


def group(experiment: Experiment, draft: GroupDraft, names: tuple[str, ...], statement: Statement) -> None:
    """Put objects into an event group; a group inside counts as its members."""
    for name in names:
        thing = experiment.names.get(name)
        if thing is None:
            experiment.fault(
                f"`{name[:60]}` can't be in an event group, it is no object of this experiment",
                statement.where,
                "groups hold programs, links, nodes and traffic",
            )
        elif isinstance(thing, GroupDraft):
            draft.members += thing.members
        else:
            draft.members.append(thing)
