"""`benito convert`: a file's experiment in the other language."""

from __future__ import annotations

from pathlib import Path

import click

SUFFIXES = {".xml": "topdl", ".topdl": "topdl", ".ns": "ns", ".tcl": "ns"}


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Where to write (default: standard output).")
@click.option(
    "--to", type=click.Choice(["ns", "topdl"]), help="Language (default: by OUTPUT's suffix, else the other)."
)
@click.option("--force", is_flag=True, help="Overwrite OUTPUT.")
def command(file: Path, output: Path | None, to: str | None, force: bool) -> None:
    """Write the experiment of FILE as NS or TopDL; what the language can't say is told on standard error."""
    from benito.cli.files import write_file
    from benito.topology import topdl
    from benito.topology.ns import writing
    from benito.topology.reader import read

    topology = read(file)
    warnings = list(topology.warnings)
    if to is None:
        other = "ns" if topology.source is not None else "topdl"
        to = SUFFIXES.get(output.suffix.lower(), other) if output else other
    if to == "ns":
        written = writing.write(topology)
        text = written.text
        warnings += written.warnings
    else:
        text = topdl.write(topology)
    if output is None or str(output) == "-":
        click.echo(text, nl=False)
    else:
        write_file(output, text, overwrite=force)
    for warning in warnings:
        click.echo(f"warning: {warning}", err=True)
