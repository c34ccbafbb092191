"""Options of the verbs that make an experiment from a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from benito.cli.common import F
from benito.cli.placing import placing_options

if TYPE_CHECKING:
    from benito.embedding.options import EmbeddingOptions
    from benito.testbed.home import ExperimentId
    from benito.testbed.store import Settings
    from benito.testbed.testbed import Testbed

ignore_option = click.option(
    "--ignore-missing-software", is_flag=True, help="Start nodes without software that can't be had."
)


def making_options(command: F) -> F:
    """What `create` and `up` have in common."""
    for decorate in reversed(
        (
            click.argument("file", type=click.Path(path_type=Path)),
            click.option("-p", "--pid", help="Project id (default: your login name)."),
            click.option("-e", "--eid", help="Experiment id (default: the file's name)."),
            placing_options,
            click.option("--memory", type=int, metavar="MIB", help="Memory of a node (default: the host's setting)."),
            click.option("--cpus", type=click.IntRange(1, 255), default=1, show_default=True, help="CPUs of a node."),
            click.option("--image", help="Image for every node, whatever the file says."),
            click.option("--strict-os", is_flag=True, help="Refuse an OS that would be replaced by another."),
            click.option("--addressing", type=click.Choice(["benito", "emulab"]), default="benito", show_default=True),
            click.option("--shaping", type=click.Choice(["auto", "netem", "userspace"]), default="auto"),
            click.option("--accelerator", type=click.Choice(["auto", "kvm", "tcg"]), default="auto"),
            click.option("--no-internet", is_flag=True, help="Shut the nodes' way out."),
            ignore_option,
            click.option(
                "--member", "members", multiple=True, metavar="USER", help="Another local user who may log in."
            ),
        )
    ):
        command = decorate(command)
    return command


def named(file: Path, pid: str | None, eid: str | None) -> ExperimentId:
    """Return the experiment's name, from the person and the file where it isn't given."""
    import re

    from benito.testbed.access import person
    from benito.testbed.home import ExperimentId

    stem = re.sub(r"[^A-Za-z0-9-]+", "-", file.stem).strip("-")
    return ExperimentId.checked(pid or person(), eid or stem)


def settings(bed: Testbed, file: Path, told: dict[str, Any], embedding: EmbeddingOptions) -> Settings:
    """Return the settings that the options say."""
    from benito.errors import InputError
    from benito.testbed.access import known_user, person
    from benito.testbed.store import Settings

    memory = told["memory"] or bed.config.memory_mib
    if memory < 64:
        raise InputError(f"--memory {memory}: no node runs in less than 64 MiB")
    # root on this host can read everything anyway; `benito exec` works for it too.
    members = tuple(dict.fromkeys((person(), *told["members"], "root")))
    for user in members:
        known_user(user)
    return Settings(
        file=str(file.resolve()),
        packing=embedding.packing,
        embedding=embedding,
        memory_mib=memory,
        cpus=told["cpus"],
        addressing=told["addressing"],
        shaping=told["shaping"],
        accelerator=told["accelerator"],
        internet=not told["no_internet"],
        strict_os=told["strict_os"],
        image=told["image"],
        members=members,
        ignore_missing_software=told["ignore_missing_software"],
    )
