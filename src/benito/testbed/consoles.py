"""Machines' serial consoles."""

from __future__ import annotations

import os
import socket
from pathlib import Path

from benito.errors import NodeError
from benito.testbed.home import Place
from benito.testbed.store import NodeRecord

LOGS = ("console.log", "container.log")
"""What a machine's console has shown, what a container's start said."""


def socket_folder(place: Place, node: NodeRecord) -> Path:
    """Return where a running node has its sockets."""
    return place.runtime / node.pnode / "nodes" / node.node


def connect(folder: Path, name: str) -> socket.socket:
    """Connect at once to a socket whose whole path may be too long for one; NodeError when nobody listens there.

    QEMU lets one in at a time, and few others wait for it.
    """
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        descriptor = os.open(folder, os.O_PATH)
        try:
            made.connect(f"/proc/self/fd/{descriptor}/{name}")
        finally:
            os.close(descriptor)
        made.setblocking(True)
    except BlockingIOError:
        made.close()
        raise NodeError("the console is in use", hint="it has room for one at a time; end the others") from None
    except OSError as error:
        made.close()
        raise NodeError(
            f"the console can't be reached: {error.strerror}", hint="is its machine running? see `benito status`"
        ) from None
    return made
