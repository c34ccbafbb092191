"""Goes through the recording of an NS file and gives each record its meaning."""

from __future__ import annotations

import difflib
import functools

from benito.errors import InputError, Where
from benito.topology.ns import events, failure, global_commands, lan_commands, node_commands, simulator
from benito.topology.ns.drafts import Agent, GroupDraft, Handle, LanDraft, NodeDraft, ProgramDraft, Thing
from benito.topology.ns.experiment import Commands, Experiment, Statement, check_arguments, counted
from benito.topology.ns.recording import Limits, Record, Recording

TESTBED = Commands({**node_commands.COMMANDS, **lan_commands.COMMANDS, **global_commands.COMMANDS})
DEATHS = {
    "time": ("the file runs for more than {seconds} seconds", "look for a loop that never ends"),
    "memory": ("the file needs more than {memory} MiB of memory", "look for a list or text that grows without end"),
    "output": ("the file describes more than can be read", "look for a loop that makes too many objects"),
    "crash": ("Tcl broke down while it read the file", "look for something unusual near this line"),
}


def interpret(recording: Recording, source: str, file: str, limits: Limits) -> Experiment:
    """Return everything the file says, with its faults."""
    experiment = Experiment(file)
    if recording.records and recording.records[-1].fields[2:4] == ("BENITO", "OBJECTS"):
        _take(experiment, recording.records[-1], source, limits)
        return experiment
    last = 1
    late = False
    for record in recording.records:
        last = record.line or last
        if experiment.ran is not None and record.kind not in ("error", "puts"):
            if record.kind == "call" and record.fields[1:2] == ("run",):
                experiment.fault(
                    "$ns run stands here for the second time", experiment.where(record.line), "leave one of them out"
                )
            elif not late:
                late = True
                experiment.warn("statements after $ns run have no effect", experiment.where(record.line))
            continue
        _take(experiment, record, source, limits)
        if experiment.full():
            return experiment
    if not recording.complete:
        text, hint = DEATHS[recording.death or "crash"]
        text = text.format(seconds=limits.seconds, memory=limits.memory >> 20)
        experiment.fault(text, experiment.where(last), hint)
    elif experiment.ran is None and not any(_fatal(record) for record in recording.records[-1:]):
        lines = max(source.rstrip("\n").count("\n") + 1, 1)
        experiment.fault("the file has no $ns run", Where(file, lines), "end the file with the line: $ns run")
    return experiment


def _take(experiment: Experiment, record: Record, source: str, limits: Limits) -> None:
    """Carry out one record; a fault in it does not end the reading."""
    where = experiment.where(record.line)
    try:
        if record.kind == "error":
            fault = failure.explain(record, source, experiment.file, limits)
            if _fatal(record):
                experiment.fault(fault.message, fault.where, fault.hint)
        else:
            TAKERS[record.kind](experiment, record.fields, where)
    except InputError as error:
        experiment.fault(error.message, where, error.hint)
    except (KeyError, IndexError, ValueError) as error:
        message = "this statement reaches into Benito's own procedures"
        raise InputError(message, where=where, hint="use another namespace than benito") from error


def _fatal(record: Record) -> bool:
    """Whether it is a Tcl error, and not the file's own `exit`."""
    return record.kind == "error" and record.fields[2:4] != ("BENITO", "EXIT")


def _new(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    number, kind, name, *rest = fields
    maker = Agent if kind.startswith(("Agent/", "Application/")) else MAKERS.get(kind, Thing)
    thing = maker(int(number), kind, name, where)
    experiment.things[thing.id] = thing
    experiment.names[name] = thing
    statement = Statement(kind, tuple(rest), where, thing)
    if kind in BEGIN:
        BEGIN[kind](experiment, statement)
    elif kind == "Null" and name.startswith("null"):
        experiment.warn(f"there is no class {rest[0][:60]}; the object does nothing", where)


def _begin_node(experiment: Experiment, statement: Statement) -> None:
    experiment.nodes.append(statement.node)
    if statement.name == "Bridge":
        statement.node.attributes["role"] = "bridge"
        experiment.keep("bridge", (statement.node.name,), statement.where)
    if statement.args:
        experiment.warn("$ns node takes no arguments; they are ignored", statement.where)


def _begin_lan(experiment: Experiment, statement: Statement) -> None:
    lan = statement.lan
    experiment.lans.append(lan)
    experiment.lan_order.add(lan.name)
    experiment.reserve(len(statement.args))
    make = simulator.make_link if statement.name == "Link" else simulator.make_lan
    make(experiment, lan, statement)


def _begin_handle(experiment: Experiment, statement: Statement) -> None:
    """`$ns link a b` and `$ns lanlink lan node`."""
    handle = statement.subject
    assert isinstance(handle, Handle)
    method = "link" if statement.name == "SimplexLink" else "lanlink"
    if len(statement.args) != 2:
        usage = "node node" if method == "link" else "lan node"
        raise InputError(f"$ns {method} has {counted(len(statement.args))}", hint=f"write: $ns {method} {usage}")
    if method == "link":
        source = experiment.node(statement.args[0])
        handle.lan = experiment.between(source, experiment.node(statement.args[1]))
        handle.port = experiment.port(source, handle.lan)
    else:
        handle.lan = experiment.lan(statement.args[0], kind="Lan")
        handle.port = experiment.port(experiment.node(statement.args[1]), handle.lan)


def _begin_queue(experiment: Experiment, statement: Statement) -> None:
    """The queue of a handle, or of a link's end (`$link set toqueue`)."""
    queue = statement.subject
    assert isinstance(queue, Handle)
    owner = experiment.things.get(int(statement.args[0]))
    if isinstance(owner, Handle):
        queue.lan, queue.port = owner.lan, owner.port
    elif isinstance(owner, LanDraft) and len(owner.ports) == 2:
        queue.lan, queue.port = owner, owner.ports[0 if statement.args[1] == "toqueue" else 1]


def _begin_program(experiment: Experiment, statement: Statement) -> None:
    """`$node program-agent -command ...`, `new Program $ns`, or a node's start command."""
    program = statement.subject
    assert isinstance(program, ProgramDraft)
    if len(statement.args) == 2 and statement.args[1] == "-startcmd":
        program.start = True
        program.node = statement.args[0]
    elif len(statement.args) > 1 or isinstance(experiment.names.get("".join(statement.args)), NodeDraft):
        program.node = statement.args[0]
        options = events.program_options(list(statement.args[1:]))
        program.command = options.pop("COMMAND", "")
        program.options = options
    experiment.programs.append(program)


def _begin_group(experiment: Experiment, statement: Statement) -> None:
    draft = statement.subject
    assert isinstance(draft, GroupDraft)
    experiment.groups.append(draft)
    names = () if experiment.names.get("".join(statement.args[:1]), draft).kind == "Simulator" else statement.args
    events.group(experiment, draft, names, statement)


def _begin_sequence(experiment: Experiment, statement: Statement) -> None:
    if statement.args == ("catch",):
        experiment.keep("sequence with an error handler", (), statement.where)


MAKERS: dict[str, type[Thing]] = {
    "Node": NodeDraft,
    "Bridge": NodeDraft,
    "Link": LanDraft,
    "Lan": LanDraft,
    "SimplexLink": Handle,
    "LanLink": Handle,
    "Queue": Handle,
    "Program": ProgramDraft,
    "EventGroup": GroupDraft,
}
BEGIN = {
    "Node": _begin_node,
    "Bridge": _begin_node,
    "Link": _begin_lan,
    "Lan": _begin_lan,
    "SimplexLink": _begin_handle,
    "LanLink": _begin_handle,
    "Queue": _begin_queue,
    "Program": _begin_program,
    "EventGroup": _begin_group,
    "EventSequence": _begin_sequence,
}


def _rename(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    thing = experiment.things[int(fields[0])]
    del experiment.names[thing.name]
    if isinstance(thing, LanDraft):
        experiment.lan_order.remove(thing.name)
        experiment.lan_order.add(fields[1])
    thing.name = fields[1]
    experiment.names[thing.name] = thing


def _clash(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    name = fields[1]
    other = experiment.names.get(name)
    if other is None:
        raise InputError(f"`{name[:60]}` is a Tcl command and can't name an object", hint="choose another variable")
    raise InputError(f"the name `{name[:60]}` is used already ({other.where})", hint="choose another variable")


def _testbed(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    name, *args = fields
    command = TESTBED.get(name)
    if command is None:
        close = _misspelled(name)
        if close:
            raise InputError(f"there is no command {name[:60]}", hint=f"did you mean {close}?")
        experiment.warn(f"there is no command {name[:60]}; the statement is ignored", where)
        return
    statement = Statement(name, tuple(args), where)
    check_arguments(statement, command)
    command.run(experiment, statement)


@functools.lru_cache(maxsize=1000)
def _misspelled(name: str) -> str:
    """Return the command that was meant, empty where none is near."""
    return next(iter(difflib.get_close_matches(name, TESTBED, 1, 0.9)), "") if len(name) <= 60 else ""


def _call(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    number, method, *args = fields
    thing = experiment.things[int(number)]
    simulator.call(experiment, Statement(method, tuple(args), where, thing), thing)


def _event(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    owner, time, target, *args = fields
    events.schedule(experiment, experiment.things[int(owner)], time, Statement(target, tuple(args), where))


def _arity(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    usage = '$ns at 60 "$link0 down"' if fields[0] == "at" else '$sequence append "$link0 down"'
    raise InputError(f"{fields[0]} has {counted(len(fields) - 2)}", hint=f"write: {usage}")


def _badlist(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    raise InputError(f"the event `{fields[0][:60]}` has unbalanced braces or quotes", hint="balance them")


def _opt(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    experiment.environment[fields[0]] = fields[1]


def _puts(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    experiment.warn(f"the file says: {fields[0].strip()}", where)


def _fallback(experiment: Experiment, fields: tuple[str, ...], where: Where) -> None:
    experiment.keep("sequence with an error handler", fields, where)


TAKERS = {
    "new": _new,
    "rename": _rename,
    "clash": _clash,
    "tb": _testbed,
    "call": _call,
    "event": _event,
    "arity": _arity,
    "badlist": _badlist,
    "opt": _opt,
    "puts": _puts,
    "fallback": _fallback,
}
