"""`benito ssh-config`."""

from __future__ import annotations

import click

from benito.cli.common import experiment_arguments


@click.command("ssh-config")
@experiment_arguments
@click.option("--host", help="How this host is reached from there (default: its name).")
@click.option("--user", help="Your login on this host and the nodes (default: yours here).")
@click.option("--known-hosts", is_flag=True, help="Print the nodes' host keys instead.")
def command(
    experiment: str | None, pid: str | None, eid: str | None, host: str | None, user: str | None, known_hosts: bool
) -> None:
    """Print what another computer's ~/.ssh/config needs to reach the nodes through this host.

    Its key must be among those in your ~/.ssh/authorized_keys here when the experiment is swapped in.
    """
    import os

    from benito.cli.common import chosen
    from benito.testbed.access import person
    from benito.testbed.testbed import Testbed

    bed = Testbed()
    place = bed.place(chosen(bed, experiment, pid, eid))
    if known_hosts:
        click.echo(place.known_hosts.read_text() if place.known_hosts.exists() else "", nl=False)
        return
    domain, login = place.experiment.domain, user or person()
    keys = f"~/.ssh/known_hosts.{domain}"
    jump = f"{login}@{host or os.uname().nodename}"
    click.echo(
        f"# {place.experiment} through {jump}. Fetch the nodes' host keys once:\n"
        f"#   ssh {jump} benito ssh-config {place.experiment} --known-hosts > {keys}\n"
        f'Match originalhost "*.{domain}"\n'
        f"    ProxyJump {jump}\n"
        f"    User {login}\n"
        f"    UserKnownHostsFile {keys}\n"
        f"    StrictHostKeyChecking yes\n"
        f"Match all"
    )
