"""`containerize.py [options] PROJECT EXPERIMENT FILE`: the command of DETER Containers, with all of its options."""

from __future__ import annotations

import argparse
import configparser
from collections.abc import Sequence
from pathlib import Path

from benito.cli.common import say
from benito.cli.known.making import make, parser, ungrouped
from benito.cli.main import run
from benito.cli.placing import placing

NAME = "containerize.py"
HARDWARE = "hosts here have no types to choose among"
SHAPING = "links are shaped where it keeps the file's meaning, there is nothing to choose"
TEMPLATE = "containers run the image that the node's OS names (`benito image list`)"
WITHOUT_EFFECT: dict[str, tuple[str | None, str]] = {
    "--pnode-types": ("TYPE,...", HARDWARE),
    "--pass-pnodes": ("PASS:TYPE,...;...", HARDWARE),
    "--end-node-shaping": (None, SHAPING),
    "--vde-switch-shaping": (None, SHAPING),
    "--openvz-diskspace": ("SIZE", "a container's disk grows as it needs"),
    "--openvz-template": ("NAME", TEMPLATE),
    "--openvz-template-dir": ("FOLDER", TEMPLATE),
    "--prefer-qemu-users": ("USER,...", "homes of the host's users aren't mounted on nodes"),
    "--qemu-prefer-users": ("USER,...", "homes of the host's users aren't mounted on nodes"),
    "--image": (None, "`benito graph` draws an experiment at any time"),
    "--no-image": (None, "no picture is made unless `benito graph` is asked for one"),
    "--keep-tmp": (None, "no temporary files are left to keep; the experiment's folder has everything"),
}
"""Options that are taken and change nothing: the name of their value, and why."""


def create(words: list[str]) -> None:
    """Create the experiment that the words ask for."""
    told = _parser().parse_intermixed_args(words)
    wanted = placing(vars(told))
    for option, (_, reason) in WITHOUT_EFFECT.items():
        if getattr(told, option[2:].replace("-", "_")):
            say(f"note: {option} has no effect: {reason}")
    if told.config:
        _read_config(told.config)
    make(ungrouped(told.project), told.experiment, told.file, wanted, told, NAME)


def _parser() -> argparse.ArgumentParser:
    ask = parser(NAME, "Create an experiment of containers (or other kinds of nodes) packed onto hosts, swapped out.")
    ask.add_argument("project", metavar="PROJECT", help="may be followed by /GROUP")
    ask.add_argument("experiment", metavar="EXPERIMENT", help="its name, which must be new")
    ask.add_argument("file", metavar="FILE", type=Path, help="NS or TopDL")
    ask.add_argument("--packing", type=int, default=10, metavar="N", help="most nodes on a host (default 10)")
    ask.add_argument("--size", type=int, metavar="N", help="number of hosts instead; goes before --packing")
    ask.add_argument("--default-container", default="openvz", metavar="KIND", help="of nodes that don't say theirs")
    ask.add_argument("--force-partition", action="store_true", help="pack even what the file places by hand")
    ask.add_argument("--nodes-only", action="store_true", help="pack without regard to links")
    for option, meaning in (
        ("--pass-pack", "packing of single passes"),
        ("--pass-size", "number of hosts of single passes"),
    ):
        ask.add_argument(option, action="append", default=[], metavar="PASS:N,...", help=meaning)
    ask.add_argument("--pass-nodes-only", action="append", default=[], metavar="PASS,...", help="packed without links")
    ask.add_argument("--config", type=Path, metavar="FILE", help="settings of an installation; read, without effect")
    for option, (value, reason) in WITHOUT_EFFECT.items():
        if value:
            ask.add_argument(option, metavar=value, help=f"no effect: {reason}")
        else:
            ask.add_argument(option, action="store_true", help=f"no effect: {reason}")
    return ask


def _read_config(file: Path) -> None:
    """Read a `site.conf`; InputError when it is none. Its keys are about the old installation."""
    from benito.errors import InputError

    config = configparser.ConfigParser(interpolation=None)
    try:
        config.read_string(file.read_text())
    except (OSError, ValueError, configparser.Error) as error:
        said = str(error).replace("\n", " ")
        hint = "it has sections in brackets and lines `key = value`"
        raise InputError(f"{file} can't be read: {said}", hint=hint) from error
    keys: Sequence[str] = [key for section in config.sections() for key in config.options(section)]
    if keys:
        say(f"note: {file}: {', '.join(keys)} have no effect: they were about DETER's own servers and hosts")


def main() -> None:
    """Run it as a command."""
    run(create)
