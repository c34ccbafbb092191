"""`benito serve` with a home of its own, over real machines; afterwards nothing of it is left."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benito.testbed.home import ExperimentId, Home

HOME = Path(os.environ.get("BENITO_TEST_HOME", "/var/tmp/benito-test"))
BENITO = [sys.executable, "-m", "benito.cli.main"]
SERVE_S = 60
LONG_S = 400


class Served:
    """A running `benito serve`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.url = ""
        self.calls = ""
        """Address of the XML-RPC."""
        self.status_port = 0
        self.env = {key: value for key, value in os.environ.items() if key != "SUDO_USER"}
        self.env["BENITO_HOME"] = str(home)

    def run(self, *words: str) -> str:
        """Run `benito WORDS` to its end and return what it printed."""
        done = subprocess.run(
            [*BENITO, *words], env=self.env, capture_output=True, text=True, timeout=LONG_S, check=False
        )
        return done.stdout

    @property
    def login(self) -> str:
        """The address that logs the first user in."""
        (file,) = (self.home / "serve" / "tokens").iterdir()
        return f"{self.url}/?token={file.read_text().strip()}"

    def pid(self, experiment: str, *words: str) -> int:
        """Return a process of that experiment whose command line has all these words, as this host sees it."""
        place = Home(self.home).place(ExperimentId.parse(experiment))
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                said = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                groups = (folder / "cgroup").read_text()
                if place.hash in said + groups and all(word in said + groups for word in words):
                    return int(folder.name)
        raise AssertionError(f"{experiment} has no process of {words}")

    def machine(self, experiment: str, node: str) -> int:
        """Return the pid of a node's QEMU, as this host sees it."""
        place = Home(self.home).place(ExperimentId.parse(experiment))
        found = subprocess.run(
            ["pgrep", "-f", f"qemu-system.* -name {node},"], capture_output=True, text=True, check=True
        )
        for pid in map(int, found.stdout.split()):
            if place.hash in Path(f"/proc/{pid}/cgroup").read_text():
                return pid
        raise AssertionError(f"{node} has no machine")


@contextmanager
def served() -> Iterator[Served]:
    """Serve until the end of the block; then take down everything of this home."""
    home = HOME / f"web-{os.getpid()}"
    home.mkdir(parents=True)
    for shared in ("images", "templates"):
        (HOME / shared).mkdir(exist_ok=True)
        (home / shared).symlink_to(HOME / shared)
    made = Served(home)
    ports = ["--port", "0", "--xmlrpc-port", "0", "--status-port", "0"]
    process = subprocess.Popen([*BENITO, "serve", *ports], env=made.env, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stderr is not None
        for line in process.stderr:
            if found := re.search(r"http://[\d.]+:\d+", line):
                made.url = found[0]
            elif found := re.search(r"https://\S+", line):
                made.calls = found[0]
            elif found := re.search(r"port (\d+)$", line.strip()):
                made.status_port = int(found[1])
                break
        assert made.status_port, "benito serve didn't say where it listens"
        yield made
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(SERVE_S)
        for record in json.loads(made.run("list", "--json") or "[]"):
            made.run("terminate", record["experiment"])
        made.run("sweep")
        subprocess.run(["rm", "-rf", str(home)], check=False, timeout=60)
