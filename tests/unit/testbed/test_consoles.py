"""Serial consoles: one at a time, and nobody waits for ever."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from benito.errors import NodeError
from benito.testbed.consoles import connect


def test_a_console_with_a_very_long_path_is_reached(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 200)
    folder.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        (tmp_path / "short").symlink_to(folder)
        listener.bind(str(tmp_path / "short/console"))
        listener.listen(1)
        with connect(folder, "console") as ours:
            theirs, _ = listener.accept()
            theirs.sendall(b"login: ")
            theirs.close()
            assert ours.recv(100) == b"login: "


def test_who_would_have_to_wait_for_others_is_told(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "console"))
        listener.listen(0)
        with connect(tmp_path, "console"), pytest.raises(NodeError, match="in use"):
            connect(tmp_path, "console")


def test_a_machine_that_is_gone_is_told(tmp_path: Path) -> None:
    with pytest.raises(NodeError, match="can't be reached"):
        connect(tmp_path, "console")
