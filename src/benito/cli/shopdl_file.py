"""What the changes of `shopdl.py` share: which nodes, where the result goes, and writing only what is good."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benito.cli.common import F

if TYPE_CHECKING:
    from benito.topology.model import Topology

file_argument = click.argument("file", type=click.Path(path_type=Path))


def selecting_options(command: F) -> F:
    """Which nodes: all, if none of these is given."""
    for decorate in reversed(
        (
            click.option("--node", "names", multiple=True, metavar="NAME", help="Name, or pattern like 'web-*'."),
            click.option("--regex", "patterns", multiple=True, help="Regular expression for the whole name."),
            click.option(
                "--where", multiple=True, metavar="KEY=VALUE", help="Only nodes whose attribute is like this."
            ),
            click.option("--kind", "kinds", multiple=True, help="Only nodes of this kind."),
        )
    ):
        command = decorate(command)
    return command


def output_options(command: F) -> F:
    """Where the changed file goes."""
    for decorate in reversed(
        (
            click.option("-o", "--output", type=click.Path(path_type=Path), help="Write here, leave FILE as it is."),
            click.option("--force", is_flag=True, help="Overwrite the file of -o."),
            click.option("--backup", default="~", show_default=True, metavar="SUFFIX", help="Of the old file's copy."),
            click.option("-n", "--dry-run", is_flag=True, help="Show the change, write nothing."),
        )
    ):
        command = decorate(command)
    return command


def selected(topology: Topology, options: dict[str, Any]) -> tuple[str, ...]:
    """Return the nodes that the options choose."""
    from benito.errors import InputError
    from benito.topology.selection import Selection, select

    pairs = []
    for text in options.get("where", ()):
        key, equals, wanted = text.partition("=")
        if not equals:
            raise InputError(f"--where {text}: the value is missing", hint="write KEY=VALUE")
        pairs.append((key.strip(), wanted.strip()))
    chosen = Selection(options.get("names", ()), options.get("patterns", ()), tuple(pairs), options.get("kinds", ()))
    return select(topology, chosen)


@dataclass(slots=True)
class Change:
    """A change under way: set `topology` to the new one."""

    topology: Topology
    nodes: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Tell the person something once the change is made."""
        self.notes.append(text)


@contextmanager
def edited(file: Path, options: dict[str, Any]) -> Iterator[Change]:
    """Read the file, let the caller change it, then write or show the result; nothing is written after an error."""
    from benito.errors import InputError, Where
    from benito.topology import topdl
    from benito.topology.reader import read

    before = read(file)
    output: Path | None = options["output"]
    if before.source is None and output is None and not options["dry_run"]:
        raise InputError("this is an NS file", where=Where(str(file)), hint="name a TopDL file to write with -o")
    change = Change(before, selected(before, options) if "where" in options else ())
    yield change
    old, new = topdl.write(before), topdl.write(change.topology)
    after = topdl.read_source(new, str(output or file))
    for note in (*change.notes, *_kinds_moved(before, after, change.nodes)):
        click.echo(note, err=True)
    if options["dry_run"]:
        lines = difflib.unified_diff(old.splitlines(), new.splitlines(), str(file), f"{file} (changed)", lineterm="")
        for line in lines:
            click.echo(line)
        return
    if new == old and output is None:
        click.echo("nothing to change", err=True)
        return
    _write(file, output, new, options)


def _kinds_moved(before: Topology, after: Topology, chosen: tuple[str, ...]) -> Iterator[str]:
    """Say which other nodes became another kind by the rule of partitions."""
    old = {node.name: node.kind for node in before.nodes}
    moved = [
        each for each in after.nodes if each.name in old and each.kind != old[each.name] and each.name not in chosen
    ]
    for kind in dict.fromkeys(node.kind for node in moved):
        names = [node.name for node in moved if node.kind == kind]
        shown = ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")
        yield f"now {kind}, as they say neither kind nor partition: {shown}"


def _write(file: Path, output: Path | None, text: str, options: dict[str, Any]) -> None:
    from benito.cli.files import write_file
    from benito.errors import InputError
    from benito.topology.text import read_bytes

    if output is not None and str(output) == "-":
        click.echo(text, nl=False)
        return
    if output is not None:
        write_file(output, text, overwrite=options["force"] or (output.exists() and output.samefile(file)))
        return
    suffix: str = options["backup"]
    if suffix:
        if "/" in suffix:
            raise InputError(f"--backup {suffix}: a suffix has no slash")
        copy_file(file, file.with_name(file.name + suffix), read_bytes(file))
    write_file(file, text, overwrite=True)


def copy_file(file: Path, copy: Path, data: bytes) -> None:
    """Keep the old file under another name, with its permissions; an earlier copy is replaced."""
    import shutil

    from benito.errors import InputError, Where

    temporary = copy.with_name(f".{copy.name}.new")
    try:
        temporary.write_bytes(data)
        shutil.copymode(file, temporary)
        temporary.replace(copy)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise InputError(f"the old file can't be kept: {error.strerror}", where=Where(str(copy))) from error
