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
    """Connect to a socket whose whole path may be too long for one; NodeError when nobody listens."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        descriptor = os.open(folder, os.O_PATH)
        try:
            made.connect(f"/proc/self/fd/{descriptor}/{name}")
        finally:
            os.close(descriptor)
    except OSError as error:
        made.close()
        raise NodeError(
            f"the console can't be reached: {error.strerror}", hint="is its machine running? see `benito status`"
        ) from None
    return made
