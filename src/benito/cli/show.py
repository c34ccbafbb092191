"""`benito show`: what a file asks for, as a table or as JSON."""

from __future__ import annotations

from pathlib import Path

import click

from benito.cli.placing import addressing_option


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@addressing_option
def command(file: Path, as_json: bool, addressing: str) -> None:
    """Show what FILE asks for: nodes, links and LANs with their addresses and shaping."""
    from benito.topology import addressing as addresses
    from benito.topology.reader import read

    topology = addresses.assign(read(file), "emulab" if addressing == "emulab" else "benito")
    if as_json:
        import json

        from benito.topology.show import describe

        click.echo(json.dumps(describe(topology), indent=1))
        return
    from benito.cli.topology_table import print_topology

    print_topology(topology)
