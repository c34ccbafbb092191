"""Options of the verbs that decide where nodes go; their names are those of DETER's Containers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from benito.cli.common import F

if TYPE_CHECKING:
    from benito.embedding.options import EmbeddingOptions

PASSES = "PASS:N,..."


def placing_options(command: F) -> F:
    """Where nodes go and what they are made as."""
    for decorate in reversed(
        (
            click.option("--packing", type=int, default=10, show_default=True, help="Most virtual nodes on one pnode."),
            click.option("--size", type=int, metavar="N", help="Number of pnodes for the virtual nodes instead."),
            click.option("--nodes-only", is_flag=True, help="Pack without regard to links."),
            click.option("--force-partition", is_flag=True, help="Pack even what the file places by hand."),
            click.option("--default-container", metavar="KIND", help="Kind of nodes whose file doesn't say one."),
            click.option("--pass-pack", multiple=True, metavar=PASSES, help="Packing of single passes."),
            click.option("--pass-size", multiple=True, metavar=PASSES, help="Number of pnodes of single passes."),
            click.option("--pass-nodes-only", multiple=True, metavar="PASS,...", help="Passes packed without links."),
        )
    ):
        command = decorate(command)
    return command


addressing_option = click.option(
    "--addressing",
    type=click.Choice(["benito", "emulab"]),
    default="benito",
    show_default=True,
    help="Rule for addresses that the file leaves open.",
)


def placing(told: dict[str, Any]) -> EmbeddingOptions:
    """Return the options that were told; InputError when one of the passes' can't be read."""
    from benito.embedding.options import EmbeddingOptions, read_pass_list, read_passes

    return EmbeddingOptions(
        packing=told["packing"],
        size=told["size"],
        nodes_only=told["nodes_only"],
        force_partition=told["force_partition"],
        default_container=told["default_container"],
        pass_packing=read_passes("--pass-pack", told["pass_pack"]),
        pass_size=read_passes("--pass-size", told["pass_size"]),
        pass_nodes_only=read_pass_list("--pass-nodes-only", told["pass_nodes_only"]),
    )
