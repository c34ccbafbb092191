"""Everything known of an NS file while its records are gone through: objects by name, faults, warnings."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benito.errors import Fault, InputError, Where
from benito.topology.model import Recorded, Routing
from benito.topology.ns.drafts import EventDraft, GroupDraft, Handle, LanDraft, NodeDraft, Port, ProgramDraft, Thing
from benito.topology.ns.naming import TclArray
from benito.topology.text import printable

MAX_FAULTS = 100
MAX_WARNINGS = 500
MAX_INTERFACES = 500_000
"""Of all nodes together."""
ARTICLES = {"node": "a node", "LAN": "a LAN", "link": "a link", "link or LAN": "a link or a LAN"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One command of the file: its name as the user knows it, its arguments and place."""

    name: str
    args: tuple[str, ...]
    where: Where
    subject: Thing | None = None
    """The object whose method it is."""

    @property
    def node(self) -> NodeDraft:
        """The subject of a node's method."""
        assert isinstance(self.subject, NodeDraft)
        return self.subject

    @property
    def lan(self) -> LanDraft:
        """The subject of a link's or LAN's method."""
        assert isinstance(self.subject, LanDraft)
        return self.subject


Handler = Callable[["Experiment", Statement], None]


@dataclass(frozen=True, slots=True)
class Command:
    """How a command is written, and what carries it out."""

    usage: str
    least: int
    most: int | None
    run: Handler


class Commands(dict[str, Command]):
    """Commands by name, each with its usage: `node type ?option? more ...`, forms separated by ` | `."""

    def add(self, name: str, usage: str) -> Callable[[Handler], Handler]:
        """Return a decorator that puts the handler into the table; the usage says how many arguments there can be."""
        forms = [form.split() for form in usage.split(" | ")]
        least = min(sum(not word.startswith("?") and word != "..." for word in form) for form in forms)
        most = None if "..." in usage.split() else max(len(form) for form in forms)

        def enter(handler: Handler) -> Handler:
            self[name] = Command(usage, least, most, handler)
            return handler

        return enter


def check_arguments(statement: Statement, command: Command) -> None:
    """Raise InputError when there are too few or too many arguments."""
    count = len(statement.args)
    if count < command.least or (command.most is not None and count > command.most):
        raise InputError(
            f"{statement.name} has {counted(count)}",
            hint=f"write: {statement.name} {command.usage}".rstrip(),
        )


def counted(count: int) -> str:
    """Say how many arguments there are."""
    return f"{count or 'no'} argument{'s' * (count != 1)}"


class Experiment:
    """The file so far."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.things: dict[int, Thing] = {}
        self.names: dict[str, Thing] = {}
        self.nodes: list[NodeDraft] = []
        self.lans: list[LanDraft] = []
        self.links: dict[tuple[int, int], LanDraft] = {}
        """The last link made between two nodes, by their ids in either order."""
        self.programs: list[ProgramDraft] = []
        self.groups: list[GroupDraft] = []
        self.events: list[EventDraft] = []
        self.lan_order = TclArray()
        self.routing = Routing.NONE
        self.attributes: dict[str, str] = {}
        self.environment: dict[str, str] = {}
        self.sync_server: NodeDraft | None = None
        self.recorded: list[Recorded] = []
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []
        self.ran: Where | None = None
        self._said: set[tuple[str, Where | None]] = set()
        self._kept: set[str] = set()
        self._interfaces = 0
        self._close: dict[tuple[str, str], list[str]] = {}

    def where(self, line: int) -> Where:
        """Return the place of a line of this file."""
        return Where(self.file, line)

    def fault(self, message: str, where: Where | None, hint: str = "") -> None:
        """Note something wrong, once."""
        if (message, where) not in self._said and len(self.faults) < MAX_FAULTS:
            self._said.add((message, where))
            self.faults.append(Fault(printable(message), where, printable(hint)))

    def warn(self, message: str, where: Where | None, hint: str = "") -> None:
        """Note something that the person should know, once."""
        if (message, where) not in self._said and len(self.warnings) < MAX_WARNINGS:
            self._said.add((message, where))
            self.warnings.append(Fault(printable(message), where, printable(hint)))

    def keep(self, feature: str, arguments: tuple[str, ...], where: Where) -> None:
        """Keep a statement that no stage acts on yet; the first of its kind is warned about."""
        self.recorded.append(Recorded(feature, arguments, where))
        if feature not in self._kept:
            self._kept.add(feature)
            self.warn(f"{feature} is recorded but not acted on yet", where)

    def reserve(self, interfaces: int) -> None:
        """Count interfaces that are about to be made; InputError when there are too many."""
        self._interfaces += interfaces
        if self._interfaces > MAX_INTERFACES:
            raise InputError(
                f"the file makes more than {MAX_INTERFACES} interfaces", hint="look for a loop that makes too many"
            )

    def full(self) -> bool:
        """Whether so much is wrong that reading on would not help."""
        return len(self.faults) >= MAX_FAULTS or self._interfaces > MAX_INTERFACES

    @contextmanager
    def collecting(self, where: Where | None) -> Iterator[None]:
        """Turn an InputError inside into a fault at this place and go on."""
        try:
            yield
        except InputError as error:
            self.fault(error.message, error.where or where, error.hint)

    def node(self, name: str) -> NodeDraft:
        """Return the node of that name; InputError where there is none."""
        found = self.names.get(name)
        if isinstance(found, NodeDraft):
            return found
        raise self._unknown(name, "node", [node.name for node in self.nodes])

    def lan(self, name: str, *, kind: str = "") -> LanDraft:
        """Return the link or LAN of that name (of the `kind` Link or Lan); InputError where there is none."""
        found = self.names.get(name)
        if isinstance(found, Handle) and found.kind == "SimplexLink" and found.lan is not None:
            found = found.lan
        if isinstance(found, LanDraft) and kind in ("", found.kind):
            return found
        noun = {"Link": "link", "Lan": "LAN"}.get(kind, "link or LAN")
        raise self._unknown(name, noun, [lan.name for lan in self.lans if kind in ("", lan.kind)])

    def _unknown(self, name: str, noun: str, candidates: list[str]) -> InputError:
        found = self.names.get(name)
        short = name if len(name) <= 60 else name[:57] + "..."
        message = f"`{short}` is not {ARTICLES[noun]}"
        if isinstance(found, LanDraft):
            what = ARTICLES["link" if found.kind == "Link" else "LAN"]
            return InputError(f"{message}, it is {what}", hint=f"name a {noun}")
        if isinstance(found, NodeDraft):
            return InputError(f"{message}, it is a node", hint=f"name a {noun}")
        close = self._close.get((name, noun))
        if close is None:
            seekable = len(candidates) <= 2000 and len(name) <= 60
            close = self._close[name, noun] = difflib.get_close_matches(name, candidates, 1) if seekable else []
        if close:
            return InputError(message, hint=f"did you mean `{close[0]}`?")
        made = {"node": "$ns node", "link": "$ns duplex-link", "LAN": "$ns make-lan"}.get(noun, "$ns duplex-link")
        example = re_name(short)
        return InputError(message, hint=f"make it first: set {example} [{made}{'' if noun == 'node' else ' ...'}]")

    def port(self, node: NodeDraft, lan: LanDraft) -> Port:
        """Return the node's port on the LAN; InputError where it isn't connected."""
        port = lan.port_of(node)
        if port is None:
            members = ", ".join(dict.fromkeys(each.node.name for each in lan.ports[:8]))
            raise InputError(f"`{node.name}` is not on `{lan.name}`", hint=f"its members are {members}")
        return port

    def between(self, one: NodeDraft, other: NodeDraft) -> LanDraft:
        """Return the last link made between two nodes; InputError where there is none."""
        link = self.links.get((one.id, other.id))
        if link is None:
            raise InputError(
                f"there is no link between `{one.name}` and `{other.name}`", hint="make it with $ns duplex-link"
            )
        return link


def re_name(text: str) -> str:
    """Return the text if it can stand as a variable's name in an example, else a placeholder."""
    return text if text and all(char.isalnum() or char in "-_" for char in text) else "name"
