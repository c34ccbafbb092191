"""`benito serve` under systemd: its unit file, and the word that it is ready."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from benito.errors import HostError
from benito.testbed.home import Home

PATH = Path("/etc/systemd/system/benito-serve.service")
"""Not `benito.service`: a node has one by that name, and a node may be somebody's host."""


def text(home: Home, options: Sequence[str]) -> str:
    """Return the unit file for this installation, home and options."""
    benito = Path(sys.executable).with_name("benito")
    command = " ".join(_quoted(word).replace("$", "$$") for word in (str(benito), "serve", *options))
    template = files("benito.services").joinpath(PATH.name).read_text()
    return template.replace("@HOME@", _quoted(f"BENITO_HOME={home.root}")).replace("@COMMAND@", command)


def _quoted(word: str) -> str:
    """Write a word for a unit file, where % begins a specifier."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return f'"{escaped}"' if " " in escaped else escaped


def install(home: Home, options: Sequence[str], path: Path = PATH) -> Path:
    """Write the unit file; HostError where systemd isn't."""
    if not path.parent.is_dir():
        raise HostError(
            f"there is no {path.parent}", hint="without systemd, have another supervisor run `benito serve`"
        )
    path.write_text(text(home, options))
    return path


def ready() -> None:
    """Tell systemd that the doors are open, where it wants to know."""
    address = os.environ.pop("NOTIFY_SOCKET", "")
    if address:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as notify:
            notify.connect("\0" + address[1:] if address.startswith("@") else address)
            notify.sendall(b"READY=1")
