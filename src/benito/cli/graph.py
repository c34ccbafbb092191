"""`benito graph`: a picture of a file, or of an experiment with the states of its nodes."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benito.cli.placing import placing, placing_options

if TYPE_CHECKING:
    from benito.drawing import Statuses
    from benito.embedding.model import Assignment
    from benito.topology.model import Topology

FORMATS = ("svg", "png", "dot", "mermaid")
SUFFIXES = {".svg": "svg", ".png": "png", ".dot": "dot", ".gv": "dot", ".mmd": "mermaid"}
LEAST_PNG_WIDTH = 1600
MAX_PNG_SIDE = 16_000
CONVERT_S = 120


@click.command("graph")
@click.argument("what", required=False, metavar="[FILE | PID/EID]")
@click.option("--format", "form", type=click.Choice(FORMATS), help="Default: by the name of OUT, else svg.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Write here; otherwise to standard output.")
@click.option("--no-pnodes", is_flag=True, help="Leave out where the nodes go.")
@placing_options
def command(what: str | None, form: str | None, out: Path | None, no_pnodes: bool, **told: Any) -> None:
    """Draw what FILE asks for and where its nodes would go, or an experiment as it is now.

    Without a name it is the only experiment there is. Nothing is changed.
    """
    from benito import drawing

    form = form or SUFFIXES.get(out.suffix.lower() if out else "", "svg")
    if form == "png" and out is None and sys.stdout.isatty():
        raise click.UsageError("a PNG can't be shown in a terminal; say where to write it: -o FILE.png")
    topology, assignment, statuses, title = _asked(what, told)
    place = None if no_pnodes else assignment
    writers = {"dot": drawing.dot, "mermaid": drawing.mermaid}
    text = writers.get(form, drawing.svg)(topology, place, statuses, title=title)
    data = _png(text) if form == "png" else text.encode()
    if out is None:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()
    else:
        _write(out, data)


def _asked(what: str | None, told: dict[str, Any]) -> tuple[Topology, Assignment, Statuses | None, str]:
    """Return what to draw: a file's topology as it would be placed, or an experiment as it is."""
    from benito.embedding.embed import embed

    if what and Path(what).is_file():
        from benito.topology.addressing import assign
        from benito.topology.reader import read

        topology, assignment = embed(assign(read(Path(what)), "benito"), placing(told))
        return topology, assignment, None, Path(what).name
    if what and "/" not in what and ("." in what or Path(what).exists()):
        from benito.topology.reader import read

        read(Path(what))  # tells what is wrong with it
    return _experiment(what, told)


def _experiment(what: str | None, told: dict[str, Any]) -> tuple[Topology, Assignment, Statuses | None, str]:
    """Return an experiment's topology and places, and its nodes' states when it is swapped in."""
    from dataclasses import replace

    from benito.cli.common import chosen
    from benito.embedding.embed import embed
    from benito.embedding.model import Assignment, cut
    from benito.testbed.testbed import Testbed
    from benito.testbed.view import experiment_view

    bed = Testbed()
    record = bed.record(chosen(bed, what, None, None))
    view = experiment_view(bed, record)
    asked = bed.topology(bed.home.place(record.id), record.settings)
    options = placing(told)
    if _is_default("packing"):
        options = replace(options, packing=record.settings.packing)
    topology, assignment = embed(asked, options)
    places = {node.node: node.pnode for node in view.nodes}
    if {node.name for node in topology.nodes} != set(places):
        return topology, assignment, None, view.experiment
    kinds = {node.node: node.kind for node in view.nodes}
    topology = replace(topology, nodes=tuple(replace(node, kind=kinds[node.name]) for node in topology.nodes))
    there = Assignment({node.name: places[node.name] for node in topology.nodes}, cut(topology, places))
    return topology, there, {node.node: (node.boot, node.code) for node in view.nodes}, view.experiment


def _is_default(option: str) -> bool:
    source = click.get_current_context().get_parameter_source(option)
    return source is click.core.ParameterSource.DEFAULT


def _png(svg: str) -> bytes:
    """Return the picture in pixels, at least of a size at which it can be read."""
    import re
    import subprocess

    from benito.errors import HostError

    found = re.search(r'width="([\d.]+)" height="([\d.]+)"', svg)
    width, height = (float(found[1]), float(found[2])) if found else (1.0, 1.0)
    zoom = min(max(1.0, LEAST_PNG_WIDTH / width), 2.0, MAX_PNG_SIDE / max(width, height))
    try:
        done = subprocess.run(
            ["rsvg-convert", "--unlimited", "--zoom", f"{zoom:.3f}"],
            input=svg.encode(),
            capture_output=True,
            check=True,
            timeout=CONVERT_S,
        )
    except FileNotFoundError:
        raise HostError(
            "there is no rsvg-convert here, which makes PNG pictures",
            hint="install the package librsvg2-bin, or ask for `--format svg`, which every browser shows",
        ) from None
    except subprocess.CalledProcessError as error:
        raise HostError(f"rsvg-convert failed: {error.stderr.decode(errors='replace').strip()[:200]}") from error
    except subprocess.TimeoutExpired:
        raise HostError(f"rsvg-convert took more than {CONVERT_S} s", hint="ask for `--format svg`") from None
    return done.stdout


def _write(out: Path, data: bytes) -> None:
    from benito.errors import InputError

    try:
        out.write_bytes(data)
    except OSError as error:
        raise InputError(f"{out} can't be written: {error.strerror}", hint="choose another place with -o") from error
