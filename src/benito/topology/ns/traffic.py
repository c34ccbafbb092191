"""Traffic agents and applications (`new Agent/...`, `new Application/...`): recorded, no stage makes traffic yet."""

from __future__ import annotations

from benito import units
from benito.errors import InputError
from benito.topology.ns.drafts import Agent, NodeDraft
from benito.topology.ns.experiment import Experiment, Statement

FIRST_PORT = 5001
SINKS = ("Agent/Null", "Agent/TCPSink")


def find_agent(experiment: Experiment, name: str) -> Agent:
    """Return the agent of that name; InputError where there is none or it is an application."""
    found = experiment.names.get(name)
    if isinstance(found, Agent) and found.kind.startswith("Agent/"):
        return found
    raise InputError(
        f"`{name[:60]}` is not a traffic agent",
        hint="agents are Agent/UDP, Agent/TCP, Agent/Null, Agent/TCPSink and Agent/TCP/FullTcp",
    )


def attach(experiment: Experiment, statement: Statement) -> None:
    """`$ns attach-agent node agent`: put an agent on a node."""
    agent = find_agent(experiment, statement.args[1])
    node: NodeDraft = experiment.node(statement.args[0])
    agent.node = node
    agent.port = FIRST_PORT + node.agents
    node.agents += 1


def connect(experiment: Experiment, statement: Statement) -> None:
    """`$ns connect a b`: let two agents talk, or open a node's console to the user."""
    kinds = [getattr(experiment.names.get(name), "kind", "") for name in statement.args]
    if "Console" in kinds:
        experiment.keep("console tunnel", statement.args, statement.where)
        return
    one, other = (find_agent(experiment, name) for name in statement.args)
    one.peer, other.peer = other, one


def call(experiment: Experiment, agent: Agent, statement: Statement) -> None:
    """A method of an agent or application."""
    method, *args = (statement.name, *statement.args)
    if method == "attach-agent" and len(args) == 1:
        find_agent(experiment, args[0]).application = agent
    elif method == "set" and len(args) == 2:
        if args[0] == "rate_":
            units.bandwidth_kbps(args[1])
        agent.values[args[0]] = args[1]
    else:
        experiment.warn(f"{agent.kind} has no method {method}; the statement is ignored", statement.where)


def finish(experiment: Experiment) -> None:
    """Record every attached agent: name, role, protocol, node, port, peer's node and port, and what was set."""
    for agent in [thing for thing in experiment.things.values() if isinstance(thing, Agent)]:
        if agent.node is None or not agent.kind.startswith("Agent/"):
            continue
        if agent.peer is None or agent.peer.node is None:
            experiment.warn(f"the agent `{agent.name}` is not connected to another one", agent.where)
            continue
        source = agent.application or agent
        role = "sink" if agent.kind in SINKS else "source"
        protocol = "udp" if "Agent/UDP" in (agent.kind, agent.peer.kind) else "tcp"
        values = tuple(f"{key}={value}" for key, value in (agent.values | source.values).items())
        peer = agent.peer
        experiment.keep(
            "traffic",
            (source.name, role, protocol, agent.node.name, str(agent.port), peer.node.name, str(peer.port), *values)
            if peer.node
            else (),
            agent.where,
        )
