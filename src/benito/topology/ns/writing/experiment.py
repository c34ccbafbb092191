"""A whole NS file: nodes, links, programs, events, and the list of what can't be said."""

from __future__ import annotations

from collections.abc import Iterator

from benito.errors import Fault
from benito.topology import placement
from benito.topology.model import Lan, Node, Recorded, Routing, Software, Topology
from benito.topology.ns.node_commands import ARCHIVES, SHARED
from benito.topology.ns.writing import Written
from benito.topology.ns.writing.events import EventText, series_names
from benito.topology.ns.writing.lans import LanText, fits_a_link
from benito.topology.ns.writing.names import Names
from benito.topology.ns.writing.tcl import comment, word
from benito.topology.text import printable
from benito.topology.topdl.computer import FAILURE_ACTION, HARDWARE, OLD_STARTUP, STARTUP
from benito.topology.topdl.writer import KIND_WORDS

ROUTING = {Routing.STATIC: "Static", Routing.MANUAL: "Manual", Routing.SESSION: "Session"}
NODE_STATEMENTS = {
    "fixed": ("tb-fix-node", "tb-bind-parent"),
    "cmdline": ("tb-set-node-cmdline",),
    "loadlist": ("tb-set-node-loadlist",),
    "sharing_mode": ("tb-set-node-sharingmode",),
    "numeric_id": ("tb-set-node-id",),
    "inner_elab_role": ("tb-set-node-inner-elab-role",),
    "plab_role": ("tb-set-node-plab-role",),
    "plab_plcnet": ("tb-set-node-plab-plcnet",),
    "deltas": ("tb-set-node-deltas",),
    "routable_control_ip": ("tb-set-node-routable-ip",),
    "role": ("bridge",),
}
"""Attributes of a node that a recorded statement sets."""
EXPERIMENT_STATEMENTS = {
    "colocate_factor": "tb-set-colocate-factor",
    "cpu_usage": "tb-set-cpu-usage",
    "mem_usage": "tb-set-mem-usage",
}
METHODS = {
    **dict.fromkeys(("set-fw-style", "add-rule", "topography"), "node"),
    **dict.fromkeys(("trace", "trace_snaplen", "trace_endnode", "trace_mysql", "implemented_by"), "lan"),
    **dict.fromkeys(("enable_openflow", "set_setting", "set_accesspoint", "SetTraceParams"), "lan"),
}
"""Recorded methods, and of what."""
EXTRA = ("cpu", "storage", "localname", "status", "service", "operation")


class Writer:
    """Writes one topology."""

    def __init__(self, topology: Topology) -> None:
        self.topology = topology
        self.interfaces = {
            (node.name, port): each for node in topology.nodes for port, each in enumerate(node.interfaces)
        }
        self.by_hand = any(node.partition is not None for node in topology.nodes)
        self.names = Names()
        self._lacks: dict[str, None] = {}
        self._recorded: dict[str, list[Recorded]] = {}
        for each in topology.recorded:
            self._recorded.setdefault(each.feature, []).append(each)
        made = [lan for lan in topology.lans if lan.members]
        self.links = {
            lan.name for lan in made if fits_a_link(lan, [self.interfaces[m.node, m.port] for m in lan.members])
        }
        count = len(topology.nodes)
        self.names.add("node", (node.name for node in topology.nodes), {f"tbnode-n{n}" for n in range(1, count + 1)})
        labels = {
            label
            for number, lan in enumerate(made, count + 1)
            if lan.name == (label := f"tblink-l{number}" if lan.name in self.links else f"tblan-lan{number}")
        }
        self.names.add("lan", (lan.name for lan in made), labels)
        self.names.add("program", (program.name for program in topology.programs))
        self.names.add("group", topology.groups)
        self.names.add("series", series_names(topology.events))
        self.names.add("blockstore", dict.fromkeys(each.arguments[0] for each in self.recorded("blockstore")))
        self.ends = self._ends()
        """Name of a link or LAN and a node's, joined by a hyphen -> how the queue there is written."""

    def _ends(self) -> dict[str, str]:
        found: dict[str, str] = {}
        last: dict[frozenset[str], str] = {}
        for lan in self.topology.lans:
            if lan.name in self.links:
                last[frozenset(member.node for member in lan.members)] = lan.name
        for lan in self.topology.lans:
            nodes = [member.node for member in lan.members]
            for node in nodes:
                me = self.names.value("node", node)
                if lan.name not in self.links:
                    found[f"{lan.name}-{node}"] = f"[[$ns lanlink {self.names.value('lan', lan.name)} {me}] queue]"
                elif last[frozenset(nodes)] == lan.name:
                    other = self.names.value("node", nodes[1 - nodes.index(node)])
                    found[f"{lan.name}-{node}"] = f"[[$ns link {me} {other}] queue]"
        return found

    def lacks(self, what: str) -> None:
        """Note something that NS can't say."""
        self._lacks.setdefault(printable(what))

    def recorded(self, feature: str) -> list[Recorded]:
        """Return the recorded statements of a kind."""
        return self._recorded.get(feature, [])

    def write(self) -> Written:
        """Return the file."""
        for kind, old, new in self.names.renamed:
            self.lacks(f"the {kind} `{old}` is called `{new}` here: NS can't name it so")
        events = EventText(self)
        sections = [
            [line for node in self.topology.nodes for line in self._node(node)],
            [line for lan in self.topology.lans for line in self._lan(lan)],
            [*self._routes(), *self._recorded_lines(), *self._experiment()],
            [*events.programs(), *events.groups(), *events.series(), *events.events()],
        ]
        self._left_out()
        head = ["set ns [new Simulator]", "source tb_compat.tcl"]
        if self._lacks:
            head = [comment("What NS can't say, and is not in this file:"), *map(_item, self._lacks), "", *head]
        routing = [f"$ns rtproto {ROUTING[self.topology.routing]}"] if self.topology.routing in ROUTING else []
        parts = [head, *(section for section in sections if section), [*routing, "$ns run"]]
        text = "\n\n".join("\n".join(part) for part in parts) + "\n"
        return Written(text, tuple(Fault(f"not in the NS file: {each}") for each in self._lacks))

    def _node(self, node: Node) -> Iterator[str]:
        me = self.names.value("node", node.name)
        bridge = any(each.arguments == (node.name,) for each in self.recorded("bridge"))
        yield self.names.made("node", node.name, f"$ns {'bridge' if bridge else 'node'}")
        parent = node.attributes.get("parent_osid")
        if node.os is not None:
            yield f"tb-set-node-os {me} {word(node.os)}" + (f" {word(parent)}" if parent else "")
        if node.hardware is not None:
            yield f"tb-set-hardware {me} {word(node.hardware)}"
        if node.start_command is not None:
            yield f"tb-set-node-startcmd {me} {word(node.start_command)}"
        if node.startup is not None:
            yield f"tb-set-node-startup {me} {word(node.startup)}"
        if node.failure_action is not None:
            yield f"tb-set-node-failure-action {me} {node.failure_action}"
        yield from self._software(node, me)
        for key, value in self._attributes(node).items():
            if key == "MEMORY_SIZE" and value.isdecimal():
                yield f"tb-set-node-memory-size {me} {value}"
            else:
                yield f"tb-add-node-attribute {me} {word(key)} {word(value)}"

    def _attributes(self, node: Node) -> dict[str, str]:
        """Return the attributes that no other statement sets."""
        said = {
            HARDWARE: node.hardware,
            FAILURE_ACTION: node.failure_action,
            OLD_STARTUP: node.startup,
            "parent_osid": node.attributes.get("parent_osid") if node.os is not None else None,
            **{prefix + STARTUP: node.start_command for prefix in placement.PREFIXES},
        }
        wanted = {key: value for key, value in node.attributes.items() if said.get(key) != value}
        for key, features in NODE_STATEMENTS.items():
            if any(node.name in each.arguments[:1] for feature in features for each in self.recorded(feature)):
                wanted.pop(key, None)
        usual = placement.default_kind(self.by_hand, node.partition)
        if (placement.kind(node.attributes) or usual) != node.kind:
            wanted["containers:node_type"] = KIND_WORDS.get(node.kind, node.kind)
        if node.partition is not None and placement.partition(node.attributes) != node.partition:
            wanted["containers:partition"] = str(node.partition)
        if node.partition is None and placement.partition(node.attributes) is not None:
            for prefix in placement.PREFIXES:
                wanted.pop(prefix + "partition", None)
        return wanted

    def _software(self, node: Node, me: str) -> Iterator[str]:
        packages, archives = [], []
        for each in node.software:
            if not _fits(each):
                place = f" into {each.install}" if each.install else ""
                self.lacks(f"`{node.name}` installs {each.location}{place}")
            elif each.install is None:
                packages.append(word(each.location))
            else:
                archives.append(f"{word(each.install)} {word(each.location)}")
        lines = [f"tb-set-node-rpms {me} {' '.join(packages)}"] if packages else []
        lines += [f"tb-set-node-tarfiles {me} {' '.join(archives)}"] if archives else []
        kinds = [each.install is None for each in node.software if _fits(each)]
        if kinds not in (sorted(kinds), sorted(kinds, reverse=True)):
            self.lacks(f"the order in which packages and archives are installed on `{node.name}`")
        yield from lines if kinds[:1] == [True] else reversed(lines)

    def _lan(self, lan: Lan) -> Iterator[str]:
        if lan.members:
            yield from LanText(self, lan).lines()
        else:
            self.lacks(f"`{lan.name}` has no members")

    def _routes(self) -> Iterator[str]:
        for route in self.topology.routes:
            kind = "node" if self.names.has("node", route.destination) else "lan"
            hop = self.names.value("node", route.next_hop)
            destination = self.names.value(kind, route.destination)
            yield f"{self.names.value('node', route.node)} add-route {destination} {hop}"

    def _recorded_lines(self) -> Iterator[str]:
        for name in dict.fromkeys(each.arguments[0] for each in self.recorded("blockstore")):
            yield self.names.made("blockstore", name, "$ns blockstore")
        for each in self.topology.recorded:
            words = [self._word(argument) for argument in each.arguments]
            if each.feature == "vtype" and len(words) > 2:
                name, weight, *_ = words
                types = word(" ".join(each.arguments[2:]))
                how = {"0.5": "soft-vtype", "1.0": "hard-vtype"}.get(weight)
                yield f"tb-make-{how} {name} {types}" if how else f"tb-make-weighted-vtype {name} {weight} {types}"
            elif each.feature in ("add-desire", "node variable") and len(words) > 2:
                method = "set" if each.feature == "node variable" else each.feature
                yield f"{words[0]} {method} {' '.join(words[1:])}"
            elif each.feature.startswith("tb-"):
                yield " ".join([each.feature, *words])
            elif each.feature in METHODS and self.names.kind("".join(each.arguments[:1])) == METHODS[each.feature]:
                yield " ".join([words[0], each.feature, *words[1:]])
            elif each.feature == "blockstore":
                yield " ".join(words)
            elif each.feature != "bridge":
                self.lacks(f"the statement {each.feature} {' '.join(each.arguments)[:80]}")

    def _word(self, argument: str) -> str:
        kind = self.names.kind(argument)
        return self.names.value(kind, argument) if kind in ("node", "lan", "blockstore") else word(argument)

    def _experiment(self) -> Iterator[str]:
        for key, value in self.topology.attributes.items():
            if key == "sync_server" and self.names.has("node", value):
                yield f"tb-set-sync-server {self.names.value('node', value)}"
            elif not self.recorded(EXPERIMENT_STATEMENTS.get(key, "")):
                self.lacks(f"the experiment has the attribute {key}: {value}")
        for key, value in self.topology.environment.items():
            yield f"set {word(f'opt({key})')} {word(value)}"

    def _left_out(self) -> None:
        """Note what only TopDL has."""
        order = {lan.name: place for place, lan in enumerate(self.topology.lans)}
        for node in self.topology.nodes:
            places = [order[each.lan] for each in node.interfaces]
            if places != sorted(places):
                self.lacks(f"the order of the interfaces of `{node.name}`: here it is the order of the links")
            for each in node.interfaces:
                if each.attributes:
                    self.lacks(
                        f"attributes of the interface of `{node.name}` on `{each.lan}`: {', '.join(each.attributes)}"
                    )
                if each.name and not each.name.startswith("inf"):
                    self.lacks(f"the name `{each.name}` of the interface of `{node.name}` on `{each.lan}`")
            if node.source is not None and (kept := {child.tag for child in node.source.children} & {*EXTRA}):
                self.lacks(f"of `{node.name}`: {', '.join(sorted(kept))}")
        for foreign in self.topology.foreign:
            self.lacks(f"the {foreign.element.tag} {foreign.element.value('uri') or ''}".rstrip())


def _item(text: str) -> str:
    return comment(f"  {text}")


def _fits(software: Software) -> bool:
    """Whether the reader would take it (Emulab: tb_compat.tcl)."""
    if software.install is None:
        return bool(software.location) and not any(char.isspace() for char in software.location)
    absolute = software.install.startswith("/") and not software.install.startswith(SHARED)
    return absolute and software.location.endswith(ARCHIVES)
