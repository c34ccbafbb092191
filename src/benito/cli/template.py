"""`benito image templates` and `benito image rm-template`: the machines that others are cloned from."""

from __future__ import annotations

from typing import Any

import click

from benito.cli.common import json_option


@click.command("templates")
@json_option
def list_templates(as_json: bool) -> None:
    """List the machines kept asleep, from which swap-ins clone others.

    They are made by the first swap-in that needs them and removed when they are stale or too many.
    """
    import time

    from benito.cli.common import console, print_json, say, table
    from benito.testbed.templates import list_all
    from benito.testbed.testbed import Testbed

    templates = list_all(Testbed())
    if as_json:
        print_json(templates)
        return
    if not templates:
        say("there are no templates; the next swap-in of virtual machines makes one")
        return
    made = table("template", "image", "memory", "CPUs", "interfaces", "runs with", "size", "used", "nodes", "")
    for each in templates:
        record = each.record
        made.add_row(
            record.digest,
            record.image,
            f"{record.memory_mib} MiB",
            str(record.cpus),
            str(record.interfaces),
            record.accelerator,
            f"{each.size / 1e6:.0f} MB",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(each.used)),
            str(each.nodes or "-"),
            "stale" if each.stale else "",
        )
    console().print(made)


@click.command("rm-template")
@click.argument("digests", nargs=-1, metavar="[TEMPLATE]...")
@click.option("--all", "every", is_flag=True, help="Remove all that no node's disk lies on.")
def remove_template(digests: tuple[str, ...], every: bool) -> None:
    """Remove templates; one that disks of nodes lie on, running or kept, stays."""
    from benito.cli.common import say
    from benito.testbed.templates import remove, remove_unused
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito image rm-template`")
    bed = Testbed()
    if not digests and not every:
        raise click.UsageError("Name templates, or say --all.")
    removed: list[Any] = remove_unused(bed) if every else [remove(bed, digest) for digest in digests]
    for digest in removed:
        say(f"template {digest} is removed")
    if not removed:
        say("there is none to remove")
