"""Real experiments in a BENITO_HOME of the tests' own, gone afterwards whatever happens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from host import changes, snapshot  # noqa: E402

HOME = Path(os.environ.get("BENITO_TEST_HOME", "/var/tmp/benito-test"))
BENITO = [sys.executable, "-m", "benito.cli.main"]
LONG_S = 400


def _interruptible() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass
class Bed:
    """The command line, as a person would use it."""

    home: Path

    @property
    def env(self) -> dict[str, str]:
        """The environment of its commands."""
        return {key: value for key, value in os.environ.items() if key != "SUDO_USER"} | {"BENITO_HOME": str(self.home)}

    def run(self, *words: str | Path, within: float = LONG_S) -> subprocess.CompletedProcess[str]:
        """Run `benito WORDS` to its end."""
        argv = [*BENITO, *map(str, words)]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=within, check=False)

    def ok(self, *words: str | Path, within: float = LONG_S) -> str:
        """Run it, expect success, return what it printed."""
        done = self.run(*words, within=within)
        assert done.returncode == 0, f"benito {' '.join(map(str, words))}\n{done.stdout}\n{done.stderr}\n{self.logs()}"
        return done.stdout

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start `benito WORDS` and don't wait; it can be interrupted, even where the tests run in the background."""
        argv = [*BENITO, *map(str, words)]
        pipe = subprocess.PIPE
        return subprocess.Popen(argv, env=self.env, text=True, stdout=pipe, stderr=pipe, preexec_fn=_interruptible)

    def status(self, experiment: str) -> dict[str, Any]:
        """Return `benito status --json`."""
        told: dict[str, Any] = json.loads(self.run("status", experiment, "--json").stdout)
        return told

    def nodes(self, experiment: str) -> dict[str, tuple[str | None, int | None]]:
        """Return each node's boot status and code."""
        return {node["node"]: (node["boot"], node["code"]) for node in self.status(experiment)["nodes"]}

    def inside(self, name: str, command: str) -> subprocess.CompletedProcess[str]:
        """Run a command in a node with a plain OpenSSH client."""
        argv = ["ssh", "-o", "BatchMode=yes", "-o", "ConnectTimeout=60", name, command]
        return subprocess.run(argv, env=self.env, capture_output=True, text=True, timeout=180, check=False)

    def logs(self) -> str:
        """Return the ends of all logs, for a failure's report."""
        found = []
        for log in sorted(self.home.glob("experiments/*/*/logs/*.log")):
            found += [f"--- {log}", *log.read_text(errors="replace").splitlines()[-8:]]
        return "\n".join(found)


def eventually(check: Callable[[], bool], within_s: float, what: str) -> float:
    """Wait until the check holds and return how long it took."""
    began = time.monotonic()
    while not check():
        assert time.monotonic() - began < within_s, f"not within {within_s:g} s: {what}"
        time.sleep(0.05)
    return time.monotonic() - began


def write(folder: Path, name: str, text: str) -> Path:
    """Write an experiment's file."""
    file = folder / name
    file.write_text(f"set ns [new Simulator]\nsource tb_compat.tcl\n{text}\n$ns run\n")
    return file


@pytest.fixture(scope="session")
def image_home() -> Path:
    """The home that keeps the tests' image, built on first use."""
    from benito.images.build import build

    build("debian-12", HOME, lambda text: print(f"image: {text}", file=sys.stderr))
    return HOME


@pytest.fixture(scope="session")
def bed(image_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """A home of this run's own that shares the image; afterwards the host must be as it was."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    before = snapshot()
    home = image_home / f"run-{os.getpid()}"
    home.mkdir()
    for shared in ("images", "templates"):
        (image_home / shared).mkdir(exist_ok=True)
        (home / shared).symlink_to(image_home / shared)
    made = Bed(home)
    yield made
    for record in json.loads(made.run("list", "--json").stdout):
        made.run("terminate", record["experiment"])
    made.run("sweep")
    subprocess.run(["rm", "-rf", str(home)], check=False, timeout=60)
    assert changes(before) == {}
