"""What a person should know before an experiment runs: what of the file has no effect yet, and what its start
commands will miss on machines of today.

Pure: looks at the topology alone. One notice a feature, naming the first nodes that it concerns.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benito.errors import Fault, Where
from benito.topology.model import Topology
from benito.topology.text import printable

GIVE = "give it with --share DIR:PATH, tb-set-node-tarfiles or an image of your own"
PAGE = "see docs/coming-from-deter.md"
FILL = "put there what it needs, on this host: proj/PID in Benito's folder; see docs/shared-folders.md"
PROJECTS = "/proj/"
SHARED = ("/share/", PROJECTS, "/users/", "/groups/", "/scratch/")
"""Folders of the old testbeds' file servers."""
TOOLS = ("/usr/local/etc/emulab/", "/usr/testbed/", "/usr/site/")
PROVIDED = frozenset(
    {
        "/usr/local/etc/emulab/emulab-sync",
        "/usr/local/etc/emulab/findif",
        "/usr/local/etc/emulab/startcmddone",
        "/usr/local/etc/emulab/tmcc",
        "/usr/testbed/bin/emulab-sync",
    }
)
"""Of the old testbeds' tools, those that every node has."""
PACKAGE_TOOLS = frozenset({"yum", "up2date", "rpm", "pkg_add", "pkg", "zypper"})
OTHER_SYSTEM = frozenset({"ipfw", "kldload", "fetch", "chkconfig"})
INSTEAD = {
    "brctl": "bridge-utils (or `ip link`)",
    "curl": "curl",
    "gcc": "build-essential",
    "git": "git",
    "ifconfig": "net-tools (or `ip addr`)",
    "iperf": "iperf (iperf3 is there)",
    "java": "default-jre-headless",
    "make": "build-essential",
    "netcat": "netcat-openbsd",
    "netstat": "net-tools (or `ss`)",
    "nc": "netcat-openbsd",
    "route": "net-tools (or `ip route`)",
    "screen": "screen",
    "tmux": "tmux",
    "wget": "wget",
}
"""Programs that Benito's Debian image lacks, and the Debian package that brings each."""
QUIET = frozenset({"program on ops", "tb-force-endnodeshaping", "tb-use-endnodeshaping", "vtype"})
"""Recorded, and nothing would change by acting on it, or the reader has its own words for it."""
NAMED = 3
"""How many nodes a notice names."""

_PATH = re.compile(r"(?<![\w./-])(?:/[\w.+@%:${}-]+)+/?")
_SEPARATOR = re.compile(r"[;&|()\n`{}]+|\$\(|\b(?:then|else|do)\b")
_PREFIXES = frozenset({"sudo", "exec", "nohup", "time", "env", "nice", "if", "while", "until", "!", "setsid"})
_ASSIGNMENT = re.compile(r"\w+=")
_INSTALLS = re.compile(r"\b(?:apt|apt-get|aptitude)\b.*\binstall\b", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the file and the node that runs it."""

    node: str
    text: str
    where: Where | None


def advice(topology: Topology) -> tuple[Fault, ...]:
    """Return the notices, those about whole features first; what the reader has warned of isn't repeated."""
    return (*_unused(topology), *_misses(topology))


def programs(command: str) -> Iterator[str]:
    """Yield the words of a shell command that name programs, as far as that can be told without a shell."""
    for part in _SEPARATOR.split(command):
        prefixed = False
        for word in part.split():
            if _ASSIGNMENT.match(word) or (prefixed and word.startswith("-")):
                continue
            if word in _PREFIXES:
                prefixed = True
                continue
            yield word.strip("\"'")
            break


def paths(command: str) -> Iterator[str]:
    """Yield the absolute paths in a shell command."""
    for found in _PATH.finditer(command):
        yield found.group().rstrip(".:,")


def _unused(topology: Topology) -> Iterator[Fault]:
    """Yield what is kept and not acted on."""
    if topology.events:
        count = _count(len(topology.events), "event")
        yield Fault(f"{count} kept with the experiment, nothing makes them happen yet", topology.events[0].where)
    if topology.programs:
        count = _count(len(topology.programs), "program")
        hint = "use tb-set-node-startcmd for what is to run at once"
        message = f"{count} kept with the experiment, only events start programs and they don't happen yet"
        yield Fault(message, topology.programs[0].where, hint)
    said = {warning.message.split(" ", 1)[0] for warning in topology.warnings}
    for feature in dict.fromkeys(each.feature for each in topology.recorded):
        if feature.split(" ", 1)[0] not in said and feature not in QUIET:
            first = next(each for each in topology.recorded if each.feature == feature)
            yield Fault(f"{printable(feature)} is recorded but not acted on yet", first.where)
    if topology.foreign:
        kinds = ", ".join(dict.fromkeys(each.element.tag for each in topology.foreign))
        yield Fault(f"{_count(len(topology.foreign), 'element')} kept ({kinds}), only computers are built")


def _misses(topology: Topology) -> Iterator[Fault]:
    """Yield what commands will not find, each once with the nodes concerned."""
    found: dict[tuple[str, str], list[Command]] = {}
    for command in _commands(topology):
        for finding in dict.fromkeys(_look(command.text)):
            found.setdefault(finding, []).append(command)
    for (message, hint), commands in found.items():
        who = _names(dict.fromkeys(command.node for command in commands))
        yield Fault(f"the start command of {who} {printable(message)}", commands[0].where, hint)


def _commands(topology: Topology) -> Iterator[Command]:
    for node in topology.nodes:
        for text in filter(None, (node.start_command, node.startup)):
            yield Command(node.name, text, node.where)


def _look(command: str) -> Iterator[tuple[str, str]]:
    """Yield (what is the matter, what to do) for one command."""
    every = list(paths(command))
    if any("/magi/" in path for path in every):
        hint = "MAGI wants Python 2: give it with an image of your own, or put what its agents do into start commands"
        yield "starts MAGI, which no node has of itself", f"{hint}; {PAGE}"
    for folder in SHARED:
        inside = [path for path in every if path.startswith(folder) and "/magi/" not in path]
        if inside and folder == PROJECTS:
            yield f"uses {inside[0]}: nodes have this host's folder of the project, empty at first", FILL
        elif inside:
            yield f"uses {inside[0]}: nodes have no {folder[:-1]} of themselves", GIVE
    for path in every:
        if path.startswith(TOOLS) and path not in PROVIDED:
            yield f"uses {path}, a tool of the old testbed that nodes don't have", PAGE
    if not any("/magi/" in path for path in every):
        yield from _look_at_programs(command)


def _look_at_programs(command: str) -> Iterator[tuple[str, str]]:
    installs = _INSTALLS.search(command)
    for program in dict.fromkeys(programs(command)):
        name = program.rpartition("/")[2]
        if name == "python":
            yield "runs `python`, which is Python 3 today", "older scripts need changes, or an image with Python 2"
        elif re.fullmatch(r"python2(\.\d+)?", name):
            yield f"runs `{name}`, which today's systems don't have", "port the script, or bring an image with Python 2"
        elif name in PACKAGE_TOOLS:
            yield f"runs `{name}`, Benito's own images are Debian", "write: apt-get install -y PACKAGE"
        elif name in OTHER_SYSTEM:
            yield f"runs `{name}`, Benito's own images are Debian", "use Debian's own tool, or an image that has it"
        elif name in INSTEAD and not installs:
            hint = f"Debian's package: {INSTEAD[name]}; write: apt-get install -y ... before it"
            yield f"runs `{name}`, which Benito's own images lack", hint


def _names(nodes: Iterable[str]) -> str:
    names = list(nodes)
    more = len(names) - NAMED
    return ", ".join(names[:NAMED]) + (f" and {more} more" if more > 0 else "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun} is" if number == 1 else f"{number} {noun}s are"
