"""`tb-*` commands about nodes."""

from __future__ import annotations

from benito import units
from benito.errors import InputError, Where
from benito.topology import placement
from benito.topology.model import Software
from benito.topology.ns.drafts import NodeDraft, Thing
from benito.topology.ns.experiment import Commands, Experiment, Statement
from benito.topology.ns.lan_commands import on_or_off

COMMANDS = Commands()
FAILURE_ACTIONS = ("fatal", "nonfatal", "ignore")
ARCHIVES = (".tar", ".tar.Z", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst")
SHARED = ("/proj/", "/groups/", "/users/", "/share/", "/scratch/")
"""Folders that are the same on every node, so nothing can be unpacked there for one node."""


@COMMANDS.add("tb-set-node-os", "node os ?parent-os?")
def set_node_os(experiment: Experiment, statement: Statement) -> None:
    """Set the image of a node; the parent is the image of the host under a virtual node."""
    node = experiment.node(statement.args[0])
    node.os = statement.args[1]
    if len(statement.args) == 3 and statement.args[2] not in ("", "0"):
        node.attributes["parent_osid"] = statement.args[2]


@COMMANDS.add("tb-set-hardware", "node type ...")
def set_hardware(experiment: Experiment, statement: Statement) -> None:
    """Set the hardware type; Benito has no list of them, so any name is accepted."""
    experiment.node(statement.args[0]).hardware = statement.args[1]


@COMMANDS.add("tb-set-node-startcmd", "node command")
def set_node_startcmd(experiment: Experiment, statement: Statement) -> None:
    """Run a command at each boot; it may be set once (Emulab names a program after the node)."""
    node = experiment.node(statement.args[0])
    if node.start_command is not None:
        raise InputError(
            f"`{node.name}` has a start command already", hint='join the two with a semicolon: "first ; second"'
        )
    node.start_command = statement.args[1]


@COMMANDS.add("tb-set-node-startup", "node command")
def set_node_startup(experiment: Experiment, statement: Statement) -> None:
    """The older form of the start command."""
    experiment.node(statement.args[0]).startup = statement.args[1]


@COMMANDS.add("tb-set-node-failure-action", "node action")
def set_node_failure_action(experiment: Experiment, statement: Statement) -> None:
    """Say what a failed node does to the experiment."""
    node = experiment.node(statement.args[0])
    if statement.args[1] not in FAILURE_ACTIONS:
        raise InputError(
            f"`{statement.args[1][:60]}` is not a failure action", hint=f"write one of {', '.join(FAILURE_ACTIONS)}"
        )
    node.failure_action = statement.args[1]


@COMMANDS.add("tb-add-node-attribute", "node key value")
def add_node_attribute(experiment: Experiment, statement: Statement) -> None:
    """Set an attribute; the first call for a key wins (DETER)."""
    node = experiment.node(statement.args[0])
    key, value = statement.args[1:]
    if key in node.attributes and node.attributes[key] != value:
        experiment.warn(f"`{node.name}` has attribute {key} already; the first value stays", statement.where)
    elif key not in node.attributes:
        node.attributes[key] = value
        check_placement(node, key)


def check_placement(node: NodeDraft, key: str) -> None:
    """Raise InputError when the attribute just set says where or as what the node is made, and makes no sense."""
    one = {key: node.attributes[key]}
    try:
        placement.kind(one)
    except ValueError as error:
        hint = f"known types are {', '.join(placement.KINDS)}"
        raise InputError(f"`{node.name}` has the unknown node type `{str(error)[:60]}`", hint=hint) from None
    try:
        placement.partition(one)
    except ValueError as error:
        raise InputError(f"`{node.name}` has the partition `{str(error)[:60]}`", hint="write a number") from None


@COMMANDS.add("tb-set-node-rpms", "node rpm ...")
def set_node_rpms(experiment: Experiment, statement: Statement) -> None:
    """Install packages; a single argument may hold several, separated by spaces."""
    node = experiment.node(statement.args[0])
    packages = statement.args[1:]
    if len(packages) == 1:
        packages = tuple(packages[0].split())
    if not packages:
        experiment.warn(f"tb-set-node-rpms names no package for `{node.name}`", statement.where)
    node.software["rpms"] = tuple(Software(package, where=statement.where) for package in packages)


def read_archives(words: tuple[str, ...], usage: str, where: Where | None = None) -> tuple[Software, ...]:
    """Read `directory archive` pairs; a single word may hold all of them."""
    if len(words) == 1:
        words = tuple(words[0].split())
    if len(words) % 2 or not words:
        raise InputError(f"{usage.split()[0]} takes pairs of a directory and an archive", hint=f"write: {usage}")
    pairs = []
    for directory, archive in zip(words[::2], words[1::2], strict=True):
        if not directory.startswith("/"):
            raise InputError(f"the directory `{directory[:60]}` is not an absolute path", hint=f"write: {usage}")
        if directory.startswith(SHARED):
            raise InputError(
                f"the directory `{directory[:60]}` is shared by all nodes", hint="unpack into one on the node itself"
            )
        if not archive.endswith(ARCHIVES):
            raise InputError(
                f"`{archive[:60]}` is not an archive that can be unpacked",
                hint=f"its name ends in {', '.join(ARCHIVES)}",
            )
        pairs.append(Software(archive, directory, where))
    return tuple(pairs)


@COMMANDS.add("tb-set-node-tarfiles", "node directory-and-archive ...")
def set_node_tarfiles(experiment: Experiment, statement: Statement) -> None:
    """Unpack archives on a node."""
    node = experiment.node(statement.args[0])
    usage = "tb-set-node-tarfiles node directory archive ?directory archive ...?"
    node.software["tarfiles"] = read_archives(statement.args[1:], usage, statement.where)


@COMMANDS.add("tb-fix-node", "node host")
def fix_node(experiment: Experiment, statement: Statement) -> None:
    """Tie a node to a named machine."""
    _attribute(experiment, statement, "fixed")


COMMANDS["tb-bind-parent"] = COMMANDS["tb-fix-node"]


def _attribute(experiment: Experiment, statement: Statement, key: str) -> None:
    thing: Thing | None = experiment.names.get(statement.args[0])
    if not (thing is not None and thing.kind == "Blockstore"):
        thing = experiment.node(statement.args[0])
    if isinstance(thing, NodeDraft):
        thing.attributes[key] = statement.args[1]
    experiment.keep(statement.name, (thing.name, *statement.args[1:]), statement.where)


def _keep_attribute(name: str, usage: str, key: str) -> None:
    """Add a command that leaves an attribute on a node and is recorded."""

    def run(experiment: Experiment, statement: Statement) -> None:
        _attribute(experiment, statement, key)

    COMMANDS.add(name, usage)(run)


for _name, _usage, _key in (
    ("tb-set-node-cmdline", "node kernel-command-line", "cmdline"),
    ("tb-set-node-loadlist", "node images", "loadlist"),
    ("tb-set-node-sharingmode", "node mode", "sharing_mode"),
    ("tb-set-node-id", "node number", "numeric_id"),
    ("tb-set-node-inner-elab-role", "node role", "inner_elab_role"),
    ("tb-set-node-plab-role", "node role", "plab_role"),
    ("tb-set-node-plab-plcnet", "node link-or-lan", "plab_plcnet"),
    ("tb-set-node-deltas", "node deltas", "deltas"),
):
    _keep_attribute(_name, _usage, _key)


@COMMANDS.add("tb-set-node-usesharednode", "node weight")
def use_shared_node(experiment: Experiment, statement: Statement) -> None:
    """Ask for a node on a shared host."""
    node = experiment.node(statement.args[0])
    node.desires["pcshared"] = statement.args[1]
    experiment.keep(statement.name, (node.name, statement.args[1]), statement.where)


@COMMANDS.add("tb-set-node-routable-ip", "node on-or-off")
def set_node_routable_ip(experiment: Experiment, statement: Statement) -> None:
    """Ask for a control address that the world can reach."""
    node = experiment.node(statement.args[0])
    node.attributes["routable_control_ip"] = "true" if on_or_off(statement.args[1]) == "1" else "false"
    experiment.keep(statement.name, (node.name, statement.args[1]), statement.where)


@COMMANDS.add("tb-set-node-memory-size", "node MiB")
def set_node_memory_size(experiment: Experiment, statement: Statement) -> None:
    """Set a node's memory in MiB; kept as the attribute MEMORY_SIZE, as Emulab does."""
    node = experiment.node(statement.args[0])
    if not statement.args[1].isdecimal() or len(statement.args[1]) > 9:
        units.size_mib(statement.args[1])
        raise InputError("tb-set-node-memory-size takes MiB without a unit", hint="write 1024 for one GiB")
    node.attributes["MEMORY_SIZE"] = statement.args[1]


@COMMANDS.add("tb-set-sync-server", "node")
def set_sync_server(experiment: Experiment, statement: Statement) -> None:
    """Say which node the others meet at."""
    experiment.sync_server = experiment.node(statement.args[0])
