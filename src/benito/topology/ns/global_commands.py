"""`tb-*` commands about the experiment as a whole."""

from __future__ import annotations

import re

from benito.errors import InputError
from benito.topology.model import Recorded, Routing
from benito.topology.ns.experiment import Commands, Experiment, Statement
from benito.topology.ns.lan_commands import on_or_off
from benito.topology.ns.node_commands import read_archives

COMMANDS = Commands()
WEIGHT = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)


def _make_vtype(experiment: Experiment, statement: Statement, name: str, weight: float, types: str) -> None:
    """A virtual type stands for any of several hardware types."""
    experiment.recorded.append(Recorded("vtype", (name, str(weight), *types.split()), statement.where))


@COMMANDS.add("tb-make-soft-vtype", "name types")
def make_soft_vtype(experiment: Experiment, statement: Statement) -> None:
    """Mixing the types is discouraged."""
    _make_vtype(experiment, statement, statement.args[0], 0.5, statement.args[1])


@COMMANDS.add("tb-make-hard-vtype", "name types")
def make_hard_vtype(experiment: Experiment, statement: Statement) -> None:
    """Mixing the types is forbidden."""
    _make_vtype(experiment, statement, statement.args[0], 1.0, statement.args[1])


@COMMANDS.add("tb-make-weighted-vtype", "name weight types")
def make_weighted_vtype(experiment: Experiment, statement: Statement) -> None:
    """Mixing the types costs the weight."""
    name, weight, types = statement.args
    if not WEIGHT.fullmatch(weight) or len(weight) > 30 or not 0 < float(weight) < 1:
        raise InputError(f"the weight `{weight[:60]}` is not between 0 and 1", hint="write a number such as 0.3")
    _make_vtype(experiment, statement, name, float(weight), types)


@COMMANDS.add("tb-set-ip-routing", "none-or-ospf")
def set_ip_routing(experiment: Experiment, statement: Statement) -> None:
    """The older form of `$ns rtproto`."""
    kinds = {"none": Routing.NONE, "ospf": Routing.SESSION}
    if statement.args[0] not in kinds:
        raise InputError(f"`{statement.args[0][:60]}` is not a kind of routing", hint="write none or ospf")
    experiment.routing = kinds[statement.args[0]]


@COMMANDS.add("tb-set-tarfiles", "directory-and-archive ...")
def set_tarfiles(experiment: Experiment, statement: Statement) -> None:
    """Unpack archives on all nodes."""
    usage = "tb-set-tarfiles directory archive ?directory archive ...?"
    for software in read_archives(statement.args, usage):
        experiment.keep(statement.name, (software.install or "", software.location), statement.where)


def _range(name: str, key: str, least: int, most: int) -> None:
    """Add a command whose argument is a number in a range; kept as an attribute of the experiment."""

    def run(experiment: Experiment, statement: Statement) -> None:
        text = statement.args[0]
        if not WEIGHT.fullmatch(text) or len(text) > 12 or not least <= float(text) <= most:
            raise InputError(f"`{text[:60]}` is not a number from {least} to {most}", hint=f"write: {name} {least}")
        experiment.attributes[key] = text
        experiment.keep(name, statement.args, statement.where)

    COMMANDS.add(name, "number")(run)


_range("tb-set-colocate-factor", "colocate_factor", 1, 100)
_range("tb-set-cpu-usage", "cpu_usage", 1, 5)
_range("tb-set-mem-usage", "mem_usage", 1, 5)


def _switch(name: str, *, quiet: bool = False) -> None:
    """Add a command that takes 0 or 1; quiet ones ask for what Benito does anyway."""

    def run(experiment: Experiment, statement: Statement) -> None:
        on_or_off(statement.args[0])
        if quiet:
            experiment.recorded.append(Recorded(name, statement.args, statement.where))
        else:
            experiment.keep(name, statement.args, statement.where)

    COMMANDS.add(name, "on-or-off")(run)


for _name in ("tb-use-endnodeshaping", "tb-force-endnodeshaping", "tb-set-uselatestwadata", "tb-set-usewatunnels"):
    _switch(_name, quiet=True)
for _name in ("tb-fix-current-resources", "tb-set-encapsulate"):
    _switch(_name)


def _choice(name: str, values: tuple[str, ...]) -> None:
    """Add a command that takes one of a few words and is recorded."""

    def run(experiment: Experiment, statement: Statement) -> None:
        if statement.args[0] not in values:
            raise InputError(
                f"`{statement.args[0][:60]}` is not a value for {name}", hint=f"write one of {', '.join(values)}"
            )
        experiment.keep(name, statement.args, statement.where)

    COMMANDS.add(name, "value")(run)


_choice("tb-set-vlink-emulation", ("gre", "egre", "vtun", "veth-ne", "vlan", "alias"))
_choice("tb-set-packing-strategy", ("pack", "balance"))
_choice("tb-set-security-level", ("Green", "Blue", "Yellow", "Orange"))
_choice("tb-set-elabinelab-fw-type", ("ipfw2-vlan", "iptables-vlan"))


def _keep(name: str, usage: str) -> None:
    """Add a command that is recorded only."""

    def run(experiment: Experiment, statement: Statement) -> None:
        experiment.keep(name, statement.args, statement.where)

    COMMANDS.add(name, usage)(run)


for _name, _usage in (
    ("tb-allow-external", "?node? ..."),
    ("tb-set-jail-os", "os"),
    ("tb-set-delay-os", "os"),
    ("tb-set-delay-capacity", "number"),
    ("tb-set-nonfs", "on-or-off"),
    ("tb-set-dpdb", "on-or-off"),
    ("tb-use-physnaming", "on-or-off"),
    ("tb-use-ipassign", "on-or-off"),
    ("tb-set-ipassign-args", "arguments"),
    ("tb-set-wasolver-weights", "delay bandwidth loss"),
    ("tb-use-modelnet", "on-or-off"),
    ("tb-set-modelnet-physnodes", "cores edges"),
    ("tb-set-node-service", "service ..."),
    ("tb-add-node-service-hook", "service ..."),
    ("tb-feedback-vnode", "node hardware ..."),
    ("tb-feedback-vlan", "node lan ..."),
    ("tb-feedback-vlink", "link ..."),
    ("tb-elab-in-elab", "on-or-off"),
    ("tb-elab-in-elab-topology", "topology"),
    ("tb-elabinelab-singlenet", "?on-or-off?"),
    ("tb-set-inner-elab-eid", "eid"),
    ("tb-set-elabinelab-cvstag", "tag"),
    ("tb-set-elabinelab-attribute", "key value ?order?"),
    ("tb-unset-elabinelab-attribute", "key"),
    ("tb-set-elabinelab-role-attribute", "role key value ?order?"),
    ("tb-unset-elabinelab-role-attribute", "role key"),
    ("tb-set-use-oml", "..."),
    ("tb-set-oml-server", "node"),
    ("tb-set-oml-use-control", "on-or-off"),
    ("tb-set-oml-mp", "name ..."),
):
    _keep(_name, _usage)
