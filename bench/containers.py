"""Prints how long light nodes take up and down, beside Mininet's bare shells on the same host in the same run.

    python -m bench.containers [COUNT...]      default: 200

Benito: from `benito up` to every node addressed, its start command run, names published and its ssh door open, then
`benito terminate`; some nodes are asked for sshd's greeting besides, which is not counted. Mininet: the whole life of
`mn --topo single,COUNT --switch lxbr --test none`. One unshaped LAN each; runs alternate, medians of three. The image
is unpacked before. Needs root.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benito.images.build import build
from benito.images.tree import ensure_tree

HOME = Path(os.environ.get("BENITO_TEST_HOME", "/var/tmp/benito-test"))
BENITO = [sys.executable, "-m", "benito.cli.main"]
EXPERIMENT = "BenchLight/lan"
ROUNDS = 3
PACKING = 200
SETTLE_S = 3


@dataclass
class Life:
    """Seconds of one experiment, and MiB a node while it was idle."""

    up: float
    down: float
    memory: float

    @property
    def whole(self) -> float:
        return self.up + self.down


def topology(count: int) -> str:
    """A LAN of so many containers, as TopDL: it has unshaped ones."""
    nodes = "".join(
        f"<elements><computer><name>n-{number}</name>"
        "<interface><substrate>lan</substrate><name>inf000</name></interface>"
        "<attribute><attribute>containers:node_type</attribute><value>container</value></attribute>"
        "<attribute><attribute>startup</attribute><value>exit 7</value></attribute>"
        "</computer></elements>\n"
        for number in range(count)
    )
    lan = "<substrates><name>lan</name></substrates>"
    return f"<experiment><version>1.0</version>{lan}\n{nodes}</experiment>\n"


def used_mib() -> float:
    """Memory that the host can't give to anybody else."""
    words = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    total, free = (int(words[name].split()[0]) for name in ("MemTotal", "MemAvailable"))
    return (total - free) / 1024


def live(home: Path, count: int) -> Life:
    """Bring an experiment up, see that it is, and take it down."""
    file = home / "lan.xml"
    file.write_text(topology(count))
    before = used_mib()
    began = time.monotonic()
    pid, _, eid = EXPERIMENT.partition("/")
    told = benito(home, "up", file, "-p", pid, "-e", eid, "--packing", PACKING, "--no-linktest", "--json")
    nodes = json.loads(told)["experiment"]["nodes"]
    while any((node["boot"], node["code"]) != ("booted", 7) for node in nodes):
        nodes = json.loads(benito(home, "status", EXPERIMENT, "--json"))["nodes"]
    for node in nodes:
        socket.create_connection((node["control"], 22), timeout=30).close()
    up = time.monotonic() - began
    for node in nodes[::40]:
        assert greeting(node["control"]).startswith("SSH-2.0"), node
    time.sleep(SETTLE_S)
    memory = (used_mib() - before) / count
    began = time.monotonic()
    benito(home, "terminate", EXPERIMENT)
    return Life(up, time.monotonic() - began, memory)


def greeting(address: str) -> str:
    """Return how a node's sshd greets; that starts one there."""
    with socket.create_connection((address, 22), timeout=30) as connection:
        return connection.recv(256).decode(errors="replace")


def environment(home: Path) -> dict[str, str]:
    """Return the environment of commands on that home."""
    return {**os.environ, "BENITO_HOME": str(home)}


def benito(home: Path, *words: object) -> str:
    """Run `benito WORDS` and return what it printed."""
    done = subprocess.run(
        [*BENITO, *map(str, words)], env=environment(home), capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise SystemExit(f"benito {' '.join(map(str, words))}: {done.stderr[-2000:]}")
    return done.stdout


def mininet(count: int) -> float | None:
    """Return the seconds of a Mininet network's life; None where Mininet isn't installed."""
    if shutil.which("mn") is None:
        return None
    argv = ["mn", "--topo", f"single,{count}", "--switch", "lxbr", "--test", "none"]
    began = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=600, check=False)
    took = time.monotonic() - began
    if not re.search(r"completed in", done.stdout + done.stderr):
        raise SystemExit(f"mininet: {done.stderr[-500:]}")
    return took


def main() -> None:
    """Measure."""
    counts = [int(word) for word in sys.argv[1:]] or [200]
    build("debian-12", HOME, lambda text: print(text, file=sys.stderr))
    with tempfile.TemporaryDirectory(prefix="bench-light-", dir=HOME) as folder:
        home = Path(folder)
        (home / "images").symlink_to(HOME / "images")
        from benito.images.catalog import Catalog

        ensure_tree(Catalog(home).get("debian-12"), lambda text: print(text, file=sys.stderr))
        for count in counts:
            lives, others = [], []
            for _ in range(ROUNDS):
                try:
                    lives.append(live(home, count))
                except BaseException:
                    subprocess.run([*BENITO, "terminate", EXPERIMENT], env=environment(home), check=False)
                    raise
                others.append(mininet(count))
            show(count, lives, [other for other in others if other is not None])


def show(count: int, lives: list[Life], others: list[float]) -> None:
    """Print medians."""
    print(
        f"{count:4d} containers  up {statistics.median(life.up for life in lives):5.2f} s  "
        f"down {statistics.median(life.down for life in lives):5.2f} s  "
        f"both {statistics.median(life.whole for life in lives):5.2f} s  "
        f"{statistics.median(life.memory for life in lives):.2f} MiB a node"
    )
    if others:
        print(f"{count:4d} in Mininet  both {statistics.median(others):5.2f} s", flush=True)


if __name__ == "__main__":
    main()
