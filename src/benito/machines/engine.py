"""The OCI runtime that makes containers: its commands, and which one works on this host."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from benito.errors import HostError
from benito.machines import oci

RUNTIMES = ("crun", "runc")
"""Those that are tried, the lighter one first."""
STATE = Path("/run/benito-oci")
"""Where a runtime keeps what it knows of its containers; a sandbox has a /run of its own."""
TRIAL_S = 20.0
UNIFIED = Path("/sys/fs/cgroup/cgroup.controllers")
"""There where control groups are of version 2 alone, which decides what some runtimes can do."""
TRIAL_GROUP = "benito-trial"


@dataclass(frozen=True, slots=True)
class Engine:
    """One runtime's command lines."""

    program: str
    state: Path = STATE

    def run(self, name: str, bundle: Path, pid_file: Path) -> list[str]:
        """Start a container and end; the container's first process is in the pid file then."""
        return [*self._begin(), "run", "--detach", "--bundle", str(bundle), "--pid-file", str(pid_file), name]

    def enter(self, name: str, argv: Sequence[str], *, detach: bool = False) -> list[str]:
        """Run a program in a container; with `detach` the runtime goes away and the program keeps its files."""
        return [*self._begin(), "exec", *(["--detach"] if detach else []), name, *argv]

    def delete(self, name: str) -> list[str]:
        """Forget a container that has ended."""
        return [*self._begin(), "delete", "--force", name]

    def knows(self, name: str) -> bool:
        """Whether the runtime has a container of that name, running or not."""
        return (self.state / name).exists()

    def _begin(self) -> list[str]:
        return [self.program, "--root", str(self.state)]


def decide(cache: Path, wanted: str = "") -> str:
    """Return the program of the runtime that works here; tried once and remembered until one of them changes.

    `wanted` (a name or path) allows no other. HostError with what each said when none works.
    """
    programs = _installed(wanted)
    stamps = [[program, Path(program).stat().st_mtime_ns] for program in programs]
    key = json.dumps([os.uname().release, UNIFIED.exists(), *stamps])
    kept = cache / "oci-runtime.json"
    with contextlib.suppress(OSError, ValueError):
        remembered = json.loads(kept.read_text())
        if remembered["key"] == key:
            return str(remembered["program"])
    said = {}
    for program in programs:
        said[program] = _trial(program)
        if said[program] is None:
            cache.mkdir(parents=True, exist_ok=True)
            kept.write_text(json.dumps({"key": key, "program": program}))
            return program
    words = "; ".join(f"{Path(program).name}: {reason}" for program, reason in said.items())
    raise HostError(f"no OCI runtime works on this host: {words}", hint="apt-get install runc")


def installed(wanted: str = "") -> str:
    """Return the names of the runtimes that are installed; HostError when there is none. Nobody tries them."""
    return " or ".join(Path(program).name for program in _installed(wanted))


def _installed(wanted: str) -> list[str]:
    programs = [program for name in ([wanted] if wanted else RUNTIMES) if (program := shutil.which(name))]
    if not programs and wanted:
        raise HostError(f"the container runtime {wanted} is not installed", hint="it is named in config.toml")
    if not programs:
        raise HostError("containers need an OCI runtime and none is installed", hint="apt-get install runc")
    return programs


def found(cache: Path, wanted: str = "") -> str | None:
    """Return the program of the runtime that works here; None when none does."""
    with contextlib.suppress(HostError):
        return decide(cache, wanted)
    return None


def _trial(program: str) -> str | None:
    """Run one program in a container made of this host's own programs; returns what was wrong."""
    with _bundle() as bundle:
        argv = [program, "--root", str(bundle / "state"), "run", "--bundle", str(bundle), f"benito-{uuid4().hex[:12]}"]
        try:
            done = subprocess.run(
                argv, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TRIAL_S, check=False
            )
        except subprocess.TimeoutExpired:
            return f"didn't end within {TRIAL_S:g} s"
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"exit status {done.returncode}"


@contextlib.contextmanager
def _bundle() -> Iterator[Path]:
    """A bundle that shows this host's programs."""
    with tempfile.TemporaryDirectory(prefix="benito-oci-") as made:
        bundle = Path(made)
        words = {
            "ociVersion": "1.0.2",
            "root": {"path": "root", "readonly": False},
            "process": oci.process(["/bin/true"], oci.Kernel.here()),
            "mounts": [*oci.mounts(), *(oci.bind(oci.Bind(Path(at), at, read_only=True)) for at in _programs())],
            "linux": {
                "namespaces": [{"type": kind} for kind in ("pid", "mount", "uts", "ipc", "network")],
                "cgroupsPath": f"/{TRIAL_GROUP}",
                "resources": {"pids": {"limit": 100}},
            },
        }
        (bundle / "root").mkdir()
        (bundle / "config.json").write_text(json.dumps(words))
        yield bundle


def _programs() -> list[str]:
    return [folder for folder in ("/usr", "/bin", "/lib", "/lib64") if Path(folder).is_dir()]
