"""Methods: of `$ns`, and of the nodes, links, queues and other objects that it makes."""

from __future__ import annotations

import re

from benito import units
from benito.errors import InputError
from benito.topology.model import Discipline, LanKind, Routing
from benito.topology.ns import events, traffic
from benito.topology.ns.drafts import (
    QUEUE_VARIABLES,
    Agent,
    GroupDraft,
    Handle,
    LanDraft,
    NodeDraft,
    Port,
    ProgramDraft,
    QueueDraft,
    Route,
    Thing,
)
from benito.topology.ns.experiment import Commands, Experiment, Statement, check_arguments, counted
from benito.topology.ns.node_commands import check_placement

SIMULATOR = Commands()
NODE = Commands()
LAN = Commands()
DISCIPLINES = {"DropTail": Discipline.DROPTAIL, "RED": Discipline.RED, "GRED": Discipline.GRED}
ROUTING = {
    "Static": Routing.STATIC,
    "Static-ddijk": Routing.STATIC,
    "Static-old": Routing.STATIC,
    "Manual": Routing.MANUAL,
    "Session": Routing.SESSION,
    "ospf": Routing.SESSION,
}
RECORDED_KINDS = ("Firewall", "Blockstore", "Topography", "Disk", "Custom", "Path", "Console")
NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?", re.ASCII)


@SIMULATOR.add("rtproto", "protocol ...")
def rtproto(experiment: Experiment, statement: Statement) -> None:
    """Say who fills the routing tables."""
    kind = statement.args[0]
    if kind not in ROUTING:
        experiment.warn(
            f"there is no routing protocol `{kind[:60]}`; the statement is ignored",
            statement.where,
            "write Static, Session or Manual",
        )
        return
    experiment.routing = ROUTING[kind]


@SIMULATOR.add("run", "...")
def run(experiment: Experiment, statement: Statement) -> None:
    """End the description."""
    experiment.ran = statement.where


@SIMULATOR.add("cost", "source destination cost")
def cost(experiment: Experiment, statement: Statement) -> None:
    """Set the routing cost of a link in one direction."""
    source = experiment.node(statement.args[0])
    link = experiment.between(source, experiment.node(statement.args[1]))
    experiment.port(source, link).cost = _cost(statement.args[2])


def _cost(text: str) -> float:
    if not NUMBER.fullmatch(text) or float(text) < 0:
        raise InputError(f"the cost `{text[:40]}` is not a number", hint="write a number from 0 up; 1 is usual")
    return float(text)


SIMULATOR.add("attach-agent", "node agent")(traffic.attach)
SIMULATOR.add("connect", "agent agent")(traffic.connect)


@SIMULATOR.add("node-config", "...")
def node_config(experiment: Experiment, statement: Statement) -> None:
    """Set what later nodes begin with (wireless topographies)."""
    if statement.args:
        experiment.keep("node-config", statement.args, statement.where)


@SIMULATOR.add("define-template-parameter", "name value ?description?")
def define_template_parameter(experiment: Experiment, statement: Statement) -> None:
    """Give a variable a value that a template's user could change."""
    experiment.keep("define-template-parameter", statement.args, statement.where)


@SIMULATOR.add("make-simulated", "")
def make_simulated(experiment: Experiment, statement: Statement) -> None:
    """Nodes inside ns-2's emulator; here they are nodes like the others."""
    experiment.warn("simulated nodes are made as ordinary nodes", statement.where)


@NODE.add("add-route", "destination next-hop")
def add_route(experiment: Experiment, statement: Statement) -> None:
    """Ask for a route; checked when the file is through."""
    node = statement.node
    destination = experiment.names.get(statement.args[0])
    if isinstance(destination, Handle):
        destination = destination.lan
    if not isinstance(destination, NodeDraft | LanDraft):
        name = statement.args[0][:60]
        raise InputError(f"`{name}` is not a node, link or LAN to route to", hint="make it before this line")
    if destination.id in node.routes:
        raise InputError(f"`{node.name}` has a route to `{destination.name}` already", hint="leave one of them out")
    node.routes[destination.id] = Route(destination, experiment.node(statement.args[1]), statement.where)


@NODE.add("add-desire", "desire weight ?override?")
def add_desire(experiment: Experiment, statement: Statement) -> None:
    """Wish for a feature of the host."""
    node = statement.node
    desire, weight, *override = statement.args
    if desire in node.desires and override in ([], ["0"]):
        raise InputError(f"`{node.name}` has the desire `{desire[:60]}` already", hint="leave one of them out")
    node.desires[desire] = weight
    experiment.keep("add-desire", (node.name, desire, weight), statement.where)


@NODE.add("add-attribute", "key value")
def add_attribute(experiment: Experiment, statement: Statement) -> None:
    """Set an attribute; the last call for a key wins."""
    node = statement.node
    node.attributes[statement.args[0]] = statement.args[1]
    check_placement(node, statement.args[0])


@NODE.add("set", "variable value")
def set_node_variable(experiment: Experiment, statement: Statement) -> None:
    """Set one of the parser's own variables; only the image and hardware mean something here."""
    node = statement.node
    key, value = statement.args
    if key == "osid":
        node.os = value
    elif key == "type":
        node.hardware = value
    else:
        experiment.keep("node variable", (node.name, key, value), statement.where)


def _keep(commands: Commands, name: str, usage: str, feature: str = "") -> None:
    """Add a method that is recorded only, as this feature (its own name if none is given)."""

    def run(experiment: Experiment, statement: Statement) -> None:
        subject = statement.subject
        experiment.keep(feature or name, (subject.name if subject else "", *statement.args), statement.where)

    commands.add(name, usage)(run)


for _name, _usage in (("set-fw-style", "style"), ("add-rule", "rule"), ("topography", "topography")):
    _keep(NODE, _name, _usage)
for _name, _usage in (
    ("trace", "?what? ?filter?"),
    ("trace_snaplen", "bytes"),
    ("trace_endnode", "on-or-off"),
    ("trace_mysql", "on-or-off"),
    ("implemented_by", "path-or-link"),
    ("enable_openflow", "controller"),
    ("set_setting", "key value"),
    ("set_accesspoint", "node"),
    ("SetTraceParams", "node ?what? ?bytes? ?filter?"),
):
    _keep(LAN, _name, _usage)
_keep(LAN, "set", "variable value", "link variable")


@LAN.add("mustdelay", "")
def mustdelay(experiment: Experiment, statement: Statement) -> None:
    """Ask that the link can be shaped later; here every link can."""


@LAN.add("cost", "cost")
def lan_cost(experiment: Experiment, statement: Statement) -> None:
    """Set the routing cost of all members."""
    for port in statement.lan.ports:
        port.cost = _cost(statement.args[0])


def call(experiment: Experiment, statement: Statement, thing: Thing) -> None:
    """Carry out a method of any object; unknown ones are warned about and ignored (Emulab: nsobject.tcl)."""
    if statement.name == "get":
        return
    if isinstance(thing, NodeDraft | LanDraft) or thing.kind == "Simulator":
        table = NODE if isinstance(thing, NodeDraft) else LAN if isinstance(thing, LanDraft) else SIMULATOR
        command = table.get(statement.name)
        if command is None:
            noun = "$ns" if thing.kind == "Simulator" else f"`{thing.name}`"
            experiment.warn(f"{noun} has no method {statement.name[:60]}; the statement is ignored", statement.where)
            return
        check_arguments(statement, command)
        command.run(experiment, statement)
    elif isinstance(thing, Handle):
        _call_queue(experiment, thing, statement)
    elif isinstance(thing, Agent):
        traffic.call(experiment, thing, statement)
    elif isinstance(thing, ProgramDraft):
        _call_program(experiment, thing, statement)
    elif isinstance(thing, GroupDraft) and statement.name == "add":
        events.group(experiment, thing, statement.args, statement)
    elif thing.kind in RECORDED_KINDS:
        experiment.keep(thing.kind.lower(), (thing.name, statement.name, *statement.args), statement.where)
    else:
        experiment.warn(f"`{thing.name}` has no method {statement.name[:60]}; it is ignored", statement.where)


def _call_queue(experiment: Experiment, handle: Handle, statement: Statement) -> None:
    if handle.kind == "Queue" and statement.name == "trace":
        name = handle.lan.name if handle.lan else ""
        experiment.keep("trace", (name, *statement.args), statement.where)
        return
    if handle.kind != "Queue" or statement.name != "set" or len(statement.args) != 2:
        experiment.warn(f"a {handle.kind} has no method {statement.name}; the statement is ignored", statement.where)
        return
    key, text = statement.args
    if key not in QUEUE_VARIABLES:
        experiment.keep("queue variable", (handle.lan.name if handle.lan else "", key, text), statement.where)
        return
    value = {"true": "1", "false": "0"}.get(text, text)
    if not NUMBER.fullmatch(value) or float(value) < 0:
        raise InputError(
            f"the queue's {key} can't be `{text[:40]}`", hint=f"write a number such as {QUEUE_VARIABLES[key]}"
        )
    if key == "limit_" and not 1 <= float(value) <= 10**9:
        raise InputError(f"the queue's limit_ can't be `{text[:40]}`", hint="write the number of packets, such as 50")
    if handle.port is not None:
        handle.port.queue.values[key] = float(value)


def _call_program(experiment: Experiment, program: ProgramDraft, statement: Statement) -> None:
    if statement.name != "set" or len(statement.args) != 2:
        experiment.warn(f"a program has no method {statement.name}; the statement is ignored", statement.where)
        return
    key, value = statement.args
    if key == "node":
        program.node = value
    elif key == "command":
        program.command = value
    else:
        program.options[key.replace("-", "_").upper()] = value


def connect(experiment: Experiment, lan: LanDraft, node: NodeDraft, shape: tuple[float, int], kind: Discipline) -> None:
    """Give a node a port on a link or LAN: half of the delay, and the whole bandwidth, in each direction."""
    delay, bandwidth = shape
    port = Port(
        node, lan, len(node.ports), delay / 2, delay / 2, bandwidth, bandwidth, queue=QueueDraft(discipline=kind)
    )
    node.ports.append(port)
    lan.join(port)


def make_link(experiment: Experiment, lan: LanDraft, statement: Statement) -> None:
    """`$ns duplex-link node node bandwidth delay queue`."""
    lan.shape = LanKind.LINK
    usage = "node node bandwidth delay queue"
    if len(statement.args) < 5:
        raise InputError(f"$ns duplex-link has {counted(len(statement.args))}", hint=f"write: $ns duplex-link {usage}")
    if len(statement.args) > 5:
        experiment.warn("$ns duplex-link: arguments after the queue are ignored", lan.where)
    bandwidth, delay, kind = _shape(experiment, lan, *statement.args[2:5])
    ends: list[NodeDraft] = []
    for name in statement.args[:2]:
        with experiment.collecting(lan.where):
            ends.append(experiment.node(name))
    if len(ends) == 2 and ends[0] is ends[1]:
        raise InputError(f"a link can't join `{ends[0].name}` to itself", hint="name two different nodes")
    for node in ends:
        connect(experiment, lan, node, (delay, bandwidth), kind)
    if len(ends) == 2:
        experiment.links[ends[0].id, ends[1].id] = experiment.links[ends[1].id, ends[0].id] = lan


def make_lan(experiment: Experiment, lan: LanDraft, statement: Statement) -> None:
    """`$ns make-lan "node node ..." bandwidth delay`, and the kinds that are made like it."""
    method, bandwidth_text, delay_text, count, *members = statement.args
    if int(count) < 3:
        usage = f'$ns {method} "node node" bandwidth delay'
        raise InputError(f"$ns {method} has {counted(int(count))}", hint=f"write: {usage}")
    if int(count) > 3:
        experiment.warn(f"$ns {method}: arguments after the delay are ignored", lan.where)
    if method == "make-cloud":
        lan.attributes["cloud"] = "1"
    bandwidth, delay, kind = _shape(experiment, lan, bandwidth_text, delay_text, "DropTail")
    for name in members:
        thing = experiment.names.get(name)
        if thing is not None and thing.kind == "Blockstore":
            experiment.warn(f"the blockstore `{name}` is left out of `{lan.name}`: it is not served yet", lan.where)
            continue
        with experiment.collecting(lan.where):
            connect(experiment, lan, experiment.node(name), (delay, bandwidth), kind)


def _shape(
    experiment: Experiment, lan: LanDraft, bandwidth: str, delay: str, kind: str
) -> tuple[int, float, Discipline]:
    """Read what a link is asked to be; every fault is noted."""
    kbps, milliseconds = 0, 0.0
    with experiment.collecting(lan.where):
        kbps = units.bandwidth_kbps(bandwidth)
    with experiment.collecting(lan.where):
        milliseconds = units.delay_ms(delay)
    if kind not in DISCIPLINES:
        experiment.warn(
            f"there is no queue type `{kind[:60]}`; DropTail is used", lan.where, "write DropTail, RED or GRED"
        )
    return kbps, milliseconds, DISCIPLINES.get(kind, Discipline.DROPTAIL)
