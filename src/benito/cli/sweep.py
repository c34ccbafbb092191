"""`benito sweep`."""

from __future__ import annotations

import click

from benito.cli.common import json_option


@click.command("sweep")
@click.option("-n", "--dry-run", is_flag=True, help="Only tell what would be done.")
@json_option
def command(dry_run: bool, as_json: bool) -> None:
    """Find and remove what a crash, a SIGKILL or a restart of the host left behind."""
    from benito.cli.common import print_json, say
    from benito.testbed.sweep import sweep
    from benito.testbed.testbed import Testbed, require_root

    require_root("`benito sweep`")
    findings = sweep(Testbed(), dry_run=dry_run)
    if as_json:
        print_json(findings)
        return
    for finding in findings:
        click.echo(f"{finding.what}: {finding.done}")
    if not findings:
        say("nothing was left behind")
