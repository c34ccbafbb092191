"""`benito console`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import socket
    from pathlib import Path

    from benito.testbed.store import NodeRecord

LEAVE = b"\x1d"
"""Ctrl-], as in telnet."""


@click.command("console")
@click.option("-p", "--pid", help="Project id.")
@click.option("-e", "--eid", help="Experiment id, or PID/EID.")
@click.option("--log", is_flag=True, help="Print what the console has shown so far instead.")
@click.argument("node")
def command(node: str, pid: str | None, eid: str | None, log: bool) -> None:
    """Open NODE's serial console, logged in as root; Ctrl-] leaves it. Containers and physical nodes have none."""
    from benito.cli.common import say
    from benito.cli.nodenames import active_nodes, experiment_of
    from benito.testbed.consoles import connect, socket_folder
    from benito.testbed.testbed import Testbed, require_root

    bed = Testbed()
    experiment, name = experiment_of(bed, node, pid, eid)
    if log:
        click.echo(_shown(bed.place(experiment).nodes / name))
        return
    require_root("`benito console`")
    place, nodes = active_nodes(bed, experiment, name)
    _require_console(nodes[0])
    connection = connect(socket_folder(place, nodes[0]), "console")
    say(f"console of {nodes[0].node}; Ctrl-] leaves it, Enter shows the prompt")
    _talk(connection)
    say("")


def _require_console(node: NodeRecord) -> None:
    """InputError for a node that shares the host's kernel: it has no serial line."""
    from benito.errors import InputError

    if node.kind != "qemu":
        raise InputError(
            f"{node.node} has no console, it is a {'physical node' if node.kind == 'physical' else node.kind}",
            hint=f"`benito ssh {node.node}` and `benito exec {node.node} COMMAND` reach it, "
            f"`benito console --log {node.node}` shows what its start said",
        )


def _shown(folder: Path) -> str:
    """What a machine's console has shown, or what a container's start said, harmless to this terminal.

    InputError when there is no such log.
    """
    from benito.cli.common import plain
    from benito.errors import HostError, InputError
    from benito.testbed.consoles import LOGS

    for log in (folder / name for name in LOGS):
        try:
            return plain(log.read_text(errors="replace").replace("\r\n", "\n"))
        except FileNotFoundError:
            continue
        except OSError as error:
            raise HostError(f"can't read {log}: {error.strerror}", hint="run it with sudo") from None
    raise InputError(f"there is no console log of {folder.name}", hint="`benito nodes` lists the nodes")


def _talk(connection: socket.socket) -> None:
    """Pass bytes both ways until Ctrl-], the end of input or the end of the machine."""
    import contextlib
    import select
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal) if os.isatty(terminal) else None
    if before:
        tty.setraw(terminal)
    try:
        with connection, contextlib.suppress(ConnectionError):
            while True:
                ready, _, _ = select.select([terminal, connection], [], [])
                if connection in ready:
                    data = connection.recv(65536)
                    if not data:
                        return
                    os.write(sys.stdout.fileno(), data)
                if terminal in ready:
                    typed = os.read(terminal, 4096)
                    if not typed or LEAVE in typed:
                        return
                    connection.sendall(typed)
    finally:
        if before:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
