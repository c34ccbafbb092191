"""`shopdl.py`: looks into TopDL files and changes them, many nodes at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from benito.cli.shopdl_file import edited, file_argument, output_options, selected, selecting_options


class InOrder(click.Group):
    """Lists the subcommands as they stand here."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="benito", message="shopdl.py %(version)s")
def shopdl() -> None:
    """Show and change TopDL files.

    A change is made in place, with the old file kept as FILE~, or written to another file with -o. NS files can be
    read too; their changed form is TopDL and needs -o. With -n the change is shown and nothing is written.
    """


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; ends the process with the error's exit status."""
    from benito.cli.main import run

    run(lambda words: shopdl.main(words, prog_name="shopdl.py", standalone_mode=False), arguments)


@shopdl.command("list")
@file_argument
@selecting_options
@click.option("-a", "--attribute", "attributes", multiple=True, metavar="NAME", help="Another column (repeatable).")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON list.")
def list_nodes(file: Path, attributes: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """List nodes with their kinds, partitions, images and links."""
    from benito.cli.shopdl_view import nodes_json, nodes_table
    from benito.topology.reader import read

    topology = read(file)
    names = selected(topology, options) if topology.nodes else ()
    click.echo((nodes_json if as_json else nodes_table)(topology, names, attributes))


@shopdl.command("show")
@file_argument
@selecting_options
def show_nodes(file: Path, **options: Any) -> None:
    """Show everything about nodes: attributes, software, interfaces."""
    from benito.cli.shopdl_view import node_text
    from benito.topology.reader import read

    topology = read(file)
    for name in selected(topology, options):
        click.echo(node_text(topology, topology.node(name)))


@shopdl.command("get")
@file_argument
@click.argument("key", metavar="ATTRIBUTE")
@selecting_options
def get_attribute(file: Path, key: str, **options: Any) -> None:
    """Print an attribute of nodes: name, tab, value. Nodes without it are left out; the exit status is 1 if all are."""
    from benito.topology.reader import read
    from benito.topology.selection import value

    topology = read(file)
    chosen = set(selected(topology, options))
    found = [
        (node.name, text) for node in topology.nodes if node.name in chosen and (text := value(node, key)) is not None
    ]
    for name, text in found:
        click.echo(f"{name}\t{text}")
    if not found:
        raise SystemExit(1)


@shopdl.command("set")
@file_argument
@click.argument("pairs", nargs=-1, required=True, metavar="NAME=VALUE...")
@selecting_options
@output_options
def set_attributes(file: Path, pairs: tuple[str, ...], **options: Any) -> None:
    """Set attributes of nodes."""
    from benito.errors import InputError
    from benito.topology import edit

    with edited(file, options) as change:
        for pair in pairs:
            key, equals, text = pair.partition("=")
            if not equals:
                raise InputError(f"`{pair}` has no value", hint="write NAME=VALUE")
            change.topology = edit.set_attribute(change.topology, change.nodes, key.strip(), text.strip())


@shopdl.command("unset")
@file_argument
@click.argument("keys", nargs=-1, required=True, metavar="NAME...")
@selecting_options
@output_options
def unset_attributes(file: Path, keys: tuple[str, ...], **options: Any) -> None:
    """Remove attributes of nodes."""
    from benito.topology import edit

    with edited(file, options) as change:
        for key in keys:
            change.topology = edit.remove_attribute(change.topology, change.nodes, key)


@shopdl.command("kind")
@file_argument
@click.argument("kind", metavar="KIND")
@selecting_options
@output_options
def set_kind(file: Path, kind: str, **options: Any) -> None:
    """Make nodes qemu, container or physical (or a word of DETER's: openvz, embedded_pnode...)."""
    from benito.topology import edit

    with edited(file, options) as change:
        change.topology = edit.set_kind(change.topology, change.nodes, kind)


def _text_command(name: str, argument: str, what: str, help: str) -> None:
    """Add a command that gives nodes a text, or takes it away."""

    @shopdl.command(name, help=help)
    @file_argument
    @click.argument("text", metavar=f"[{argument}]", required=False)
    @click.option("--clear", is_flag=True, help=f"Take {what} away.")
    @selecting_options
    @output_options
    def command(file: Path, text: str | None, clear: bool, **options: Any) -> None:
        from benito.topology import edit

        if (text is not None) == clear:
            raise click.UsageError(f"give either {what} or --clear")
        give = edit.set_os if name == "os" else edit.set_start_command
        with edited(file, options) as change:
            change.topology = give(change.topology, change.nodes, text)


_text_command("os", "IMAGE", "an image", "Give nodes an image.")
_text_command("startcmd", "COMMAND", "a command", "Give nodes a start command.")


@shopdl.command("partition")
@file_argument
@click.argument("number", type=click.IntRange(0), required=False)
@click.option("--packing", type=click.IntRange(1), help="Share the nodes out, at most so many to a partition.")
@click.option("--clear", is_flag=True, help="Take the partition away.")
@selecting_options
@output_options
def set_partition(file: Path, number: int | None, packing: int | None, clear: bool, **options: Any) -> None:
    """Put nodes into the partition NUMBER: nodes of one partition share a host.

    Once any node has a partition, nodes with neither a partition nor a kind are physical.
    """
    from benito.cli.shopdl_view import packed
    from benito.topology import edit

    if (number is not None) + (packing is not None) + clear != 1:
        raise click.UsageError("give a NUMBER, --packing or --clear")
    with edited(file, options) as change:
        if packing is None:
            change.topology = edit.place(change.topology, dict.fromkeys(change.nodes, number))
        else:
            partitions, report = packed(change.topology, change.nodes, packing)
            change.topology = edit.place(change.topology, partitions)
            change.note(report)


@shopdl.command("add-node")
@file_argument
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@click.option("--kind", "new_kind", help="qemu, container or physical.")
@click.option("--os", "image", help="Image.")
@click.option("--startcmd", "command", help="Start command.")
@click.option("--set", "pairs", multiple=True, metavar="NAME=VALUE", help="Attribute (repeatable).")
@output_options
def add_node(
    file: Path,
    names: tuple[str, ...],
    new_kind: str | None,
    image: str | None,
    command: str | None,
    pairs: tuple[str, ...],
    **options: Any,
) -> None:
    """Add nodes."""
    from benito.topology import edit
    from benito.topology.model import Node

    attributes = {key.strip(): text.strip() for key, _, text in (pair.partition("=") for pair in pairs)}
    with edited(file, options) as change:
        for name in names:
            change.topology = edit.add_node(change.topology, Node(name, os=image, start_command=command))
            for key, text in attributes.items():
                change.topology = edit.set_attribute(change.topology, (name,), key, text)
            if new_kind:
                change.topology = edit.set_kind(change.topology, (name,), new_kind)


@shopdl.command("remove-node")
@file_argument
@selecting_options
@output_options
def remove_node(file: Path, **options: Any) -> None:
    """Remove the chosen nodes and their interfaces; some must be chosen by an option."""
    from benito.topology import edit

    if not any(options[key] for key in ("names", "patterns", "where", "kinds")):
        raise click.UsageError("say which: --node, --regex, --where or --kind")
    with edited(file, options) as change:
        change.topology = edit.remove_nodes(change.topology, change.nodes)
        for lan in change.topology.lans:
            if len(lan.members) < 2:
                change.note(f"`{lan.name}` joins nothing now; remove it with: shopdl.py remove-link FILE {lan.name}")


def _add_lan(what: str) -> None:
    """Add the subcommand `add-link` or `add-lan`."""

    @shopdl.command(f"add-{what}", help=f"Join nodes by a new {'link' if what == 'link' else 'LAN'}.")
    @file_argument
    @click.argument("name")
    @click.argument(
        "members", nargs=2 if what == "link" else -1, required=True, metavar="NODE NODE" + "..." * (what == "lan")
    )
    @click.option("--bandwidth", default="", help="Such as 100Mb (default: no limit).")
    @click.option("--delay", default="", help="Between two members, such as 10ms.")
    @click.option("--loss", default="", help="Between two members: a probability such as 0.05.")
    @output_options
    def add(
        file: Path, name: str, members: tuple[str, ...], bandwidth: str, delay: str, loss: str, **options: Any
    ) -> None:
        from benito.topology import edit
        from benito.topology.model import LanKind

        with edited(file, options) as change:
            shape = edit.side(bandwidth, delay, loss)
            change.topology = edit.add_lan(change.topology, name, members, shape, LanKind(what))


_add_lan("link")
_add_lan("lan")


@shopdl.command("remove-link")
@file_argument
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
@output_options
def remove_link(file: Path, names: tuple[str, ...], **options: Any) -> None:
    """Remove links or LANs, with their interfaces."""
    from benito.topology import edit

    with edited(file, options) as change:
        change.topology = edit.remove_lans(change.topology, names)


@shopdl.command("rename")
@file_argument
@click.argument("old")
@click.argument("new")
@click.option("--link", is_flag=True, help="OLD is a link or LAN, not a node.")
@output_options
def rename(file: Path, old: str, new: str, link: bool, **options: Any) -> None:
    """Rename a node, or with --link a link or LAN."""
    from benito.topology import edit

    with edited(file, options) as change:
        change.topology = (edit.rename_lan if link else edit.rename_node)(change.topology, old, new)


@shopdl.command("check")
@file_argument
def check(file: Path) -> None:
    """Check a file: its errors end the command with status 2, its warnings are listed."""
    from benito.topology.addressing import assign
    from benito.topology.reader import read

    topology = assign(read(file))
    for warning in topology.warnings:
        click.echo(f"warning: {warning}")
    click.echo(f"{file}: good ({len(topology.nodes)} nodes, {len(topology.lans)} links and LANs)")


if __name__ == "__main__":
    main()
