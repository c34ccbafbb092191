"""The sandbox's init on the real kernel: spawner, reaper, keeper, and the power switch of its PID namespace."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benito.agent import spawner
from benito.errors import NodeError

pytestmark = [
    pytest.mark.system,
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
    pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="this host has no /dev/net/tun"),
]

Ask = Callable[..., dict[str, Any]]


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[tuple[int, Ask]]:
    """A sandbox; yields its init's pid and a way to ask it."""
    argv = [sys.executable, "-m", "benito.agent.init", "--name", "box", "--socket", "/run/benito/r/init.sock"]
    done = subprocess.run([*argv, "--bind", f"{tmp_path}:r"], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    pid = int(done.stdout)
    watch = os.pidfd_open(pid)
    yield pid, lambda **words: spawner.request(tmp_path / "init.sock", **words)
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    select.select([watch], [], [], 10)


def ended(ask: Ask, job: str) -> int:
    """Wait for a job's end and return its exit code."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        code = ask(op="list")["jobs"][job]["code"]
        if code is not None:
            return int(code)
        time.sleep(0.02)
    raise AssertionError(f"{job} doesn't end")


def test_exit_codes_and_signals_are_recorded(sandbox: tuple[int, Ask]) -> None:
    _, ask = sandbox
    ask(op="spawn", name="three", argv=["sh", "-c", "exit 3"])
    ask(op="spawn", name="shot", argv=["sh", "-c", "kill -TERM $$; sleep 9"])
    ask(op="spawn", name="none", argv=["/does/not/exist"])
    assert (ended(ask, "three"), ended(ask, "shot"), ended(ask, "none")) == (3, -15, 127)


def test_a_job_runs_as_who_it_should_in_a_world_of_its_own(sandbox: tuple[int, Ask], tmp_path: Path) -> None:
    _, ask = sandbox
    script = (
        "id -u; hostname; ls /run/benito; echo $HOME; cat /proc/self/net/dev | wc -l; [ -w /dev/net/tun ] && echo tun"
    )
    ask(
        op="spawn",
        name="who",
        argv=["sh", "-c", script],
        uid=64070,
        gid=64070,
        env={"HOME": "/x", "PATH": os.defpath},
        log="/run/benito/r/log",
    )
    assert ended(ask, "who") == 0
    assert (tmp_path / "log").read_text().split() == ["64070", "box", "r", "/x", "3", "tun"]


def test_a_kept_job_comes_back_until_it_is_dropped(sandbox: tuple[int, Ask]) -> None:
    _, ask = sandbox
    first = ask(op="spawn", name="kept", argv=["sleep", "600"], keep=True)["pid"]
    ask(op="signal", name="kept", signal=signal.SIGKILL)
    deadline = time.monotonic() + 10
    while (pid := ask(op="list")["jobs"]["kept"]["pid"]) in (None, first):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    ask(op="drop", name="kept")
    assert ended(ask, "kept") == -9
    time.sleep(0.3)
    assert ask(op="list")["jobs"]["kept"]["pid"] is None
    assert pid != first


def test_orphans_are_reaped(sandbox: tuple[int, Ask], tmp_path: Path) -> None:
    _, ask = sandbox
    ask(
        op="spawn",
        name="parent",
        argv=["sh", "-c", "(sleep 0.2; echo $(ps -o stat= -A | grep -c Z) > /run/benito/r/z) & exit 0"],
    )
    ended(ask, "parent")
    deadline = time.monotonic() + 10
    while not (tmp_path / "z").exists() or not (tmp_path / "z").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    ask(op="spawn", name="look", argv=["sh", "-c", "sleep 0.2; ! grep -l '^State:.Z' /proc/[0-9]*/status"])
    assert ended(ask, "look") == 0


def test_wrong_requests_are_answered_and_do_no_harm(sandbox: tuple[int, Ask]) -> None:
    _, ask = sandbox
    for words in ({"op": "fly", "name": "x"}, {"op": "signal", "name": "nobody", "signal": 9}, {"op": "spawn"}, {}):
        with pytest.raises(NodeError, match="refused"):
            ask(**words)
    assert ask(op="list") == {"jobs": {}}


def test_killing_it_is_a_power_off(sandbox: tuple[int, Ask]) -> None:
    pid, ask = sandbox
    ask(op="spawn", name="long", argv=["sleep", "600"])
    children = Path(f"/proc/{pid}/task/{pid}/children")
    inner = [int(text) for text in (children.read_text().split() if children.exists() else [])]
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while any(Path(f"/proc/{child}").exists() for child in (pid, *inner) if _alive(child)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
