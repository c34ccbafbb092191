"""Options of the verbs that make an experiment from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benito.cli.common import F
from benito.cli.placing import addressing_option, placing_options

if TYPE_CHECKING:
    from benito.embedding.options import EmbeddingOptions
    from benito.testbed.home import ExperimentId
    from benito.testbed.store import Settings
    from benito.testbed.testbed import Testbed
    from benito.topology.sizes import Size

ignore_option = click.option(
    "--ignore-missing-software", is_flag=True, help="Start nodes without software that can't be had."
)


cold_option = click.option(
    "--cold/--warm",
    "cold",
    default=None,
    help="Boot each machine, or clone it from one that has booted (the default; kept for later swap-ins).",
)


def making_options(command: F) -> F:
    """What `create` and `up` have in common."""
    for decorate in reversed(
        (
            click.argument("file", type=click.Path(path_type=Path)),
            click.option("-p", "--pid", help="Project id (default: your login name)."),
            click.option("-e", "--eid", help="Experiment id, or PID/EID (default: the file's name)."),
            placing_options,
            sizing_options,
            click.option("--default-os", metavar="OS", help="Image or OS id of nodes whose file doesn't say one."),
            click.option("--image", help="Image for every node, whatever the file says."),
            click.option("--strict-os", is_flag=True, help="Refuse an OS that would be replaced by another."),
            addressing_option,
            click.option("--shaping", type=click.Choice(["auto", "netem", "userspace"]), default="auto"),
            click.option("--accelerator", type=click.Choice(["auto", "kvm", "tcg"]), default="auto"),
            cold_option,
            click.option("--no-internet", is_flag=True, help="Shut the nodes' way out."),
            click.option(
                "--share",
                "shares",
                multiple=True,
                metavar="DIR[:PATH][:ro]",
                help="A folder of this host that every node gets, there or at PATH.",
            ),
            ignore_option,
            click.option(
                "--member", "members", multiple=True, metavar="USER", help="Another local user who may log in."
            ),
        )
    ):
        command = decorate(command)
    return command


def sizing_options(command: F) -> F:
    """How large the nodes are whose file doesn't say."""
    for decorate in reversed(
        (
            click.option("--memory", metavar="MIB", help="Memory of nodes whose file doesn't say it; 2G works too."),
            click.option("--cpus", type=click.IntRange(1, 255), metavar="N", help="CPUs of such nodes (default: 1)."),
            click.option("--disk", metavar="SIZE", help="Disk of such nodes, such as 20G (default: their image's)."),
        )
    ):
        command = decorate(command)
    return command


def sizing(told: dict[str, Any]) -> Size:
    """Return the sizes that were told; InputError for what can't be one."""
    from benito.errors import InputError
    from benito.topology.sizes import LEAST_MEMORY_MIB, MOST_DISK_MIB, MOST_MEMORY_MIB, Size, number

    def read(name: str, least: int, most: int) -> int | None:
        text = told.get(name)
        if text is None:
            return None
        try:
            return number(text, least, most, "MiB")
        except InputError as error:
            raise InputError(f"--{name} {text}: {error.message}", hint=error.hint) from None

    memory, disk = read("memory", LEAST_MEMORY_MIB, MOST_MEMORY_MIB), read("disk", 1, MOST_DISK_MIB)
    return Size(memory, told.get("cpus"), disk)


def named(file: Path, pid: str | None, eid: str | None) -> ExperimentId:
    """Return the experiment's name, from the person and the file where it isn't given."""
    import re

    from benito.testbed.access import person
    from benito.testbed.home import ExperimentId

    if eid and "/" in eid:
        from benito.cli.common import agreed

        return agreed(eid, pid)
    stem = re.sub(r"[^A-Za-z0-9-]+", "-", file.stem).strip("-")
    return ExperimentId.checked(pid or person(), eid or stem)


def settings(bed: Testbed, file: Path, told: dict[str, Any], embedding: EmbeddingOptions) -> Settings:
    """Return the settings that the options say."""
    from benito.testbed.access import known_user, person
    from benito.testbed.sharing import parse
    from benito.testbed.store import Settings

    size = sizing(told)
    # root on this host can read everything anyway; `benito exec` works for it too.
    members = tuple(dict.fromkeys((person(), *told["members"], "root")))
    for user in members:
        known_user(user)
    return Settings(
        file=str(file.resolve()),
        packing=embedding.packing,
        embedding=embedding,
        memory_mib=size.memory_mib,
        cpus=size.cpus,
        disk_mib=size.disk_mib,
        default_os=told["default_os"],
        addressing=told["addressing"],
        shaping=told["shaping"],
        accelerator=told["accelerator"],
        internet=not told["no_internet"],
        strict_os=told["strict_os"],
        image=told["image"],
        members=members,
        shares=tuple(parse(text, bed.home, members[0]) for text in told.get("shares", ())),
        ignore_missing_software=told["ignore_missing_software"],
        cold=bool(told["cold"]),
    )
