"""Runs an NS file in a Tcl child process that can do nothing but write down what the file does.

The child has no environment, no files but the script (an anonymous one in memory), no children of its own, and limits
on time, memory and output. Inside it the script runs in a safe interpreter. The recording is data from an untrusted
hand: its reader checks every field.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import selectors
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

from benito.errors import HostError

RECORDER = Path(__file__).with_name("recorder.tcl")
SEPARATOR = "\x1f"
ESCAPED = re.compile(r"\\(.)")
UNESCAPED = {"\\": "\\", "n": "\n", "u": SEPARATOR}
CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What a file may use up while it is read."""

    seconds: int = 20
    """Time for the script; the process as a whole gets ten seconds more."""
    memory: int = 1 << 30
    """Bytes of address space."""
    output: int = 64 << 20
    """Bytes of recording."""
    objects: int = 100_000
    """Nodes, links, LANs, agents and whatever else the script makes, together."""


@dataclass(frozen=True, slots=True)
class Record:
    """One thing the script did: what kind, on which line, with which fields."""

    kind: str
    line: int
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Recording:
    """Everything the script did, and how the child came to its end."""

    records: list[Record] = field(default_factory=list)
    complete: bool = False
    """Whether the child reached its own end; if not, `death` says why."""
    death: str = ""
    """`time`, `memory`, `output` or `crash`."""


def record(source: str, limits: Limits, pid: str, eid: str) -> Recording:
    """Run the script and return its recording; HostError where there is no tclsh."""
    tclsh = shutil.which("tclsh") or shutil.which("tclsh8.6")
    if tclsh is None:
        raise HostError("tclsh is not installed, and NS files are Tcl programs", hint="install the package tcl")
    descriptor = os.memfd_create("ns-file")
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(source.encode(errors="replace"))
        argv = [tclsh, str(RECORDER), f"/dev/fd/{descriptor}", str(limits.seconds), str(limits.objects), pid, eid]
        child = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
            start_new_session=True,
            pass_fds=(descriptor,),
        )
    finally:
        os.close(descriptor)
    return _watch(child, limits)


def _watch(child: subprocess.Popen[bytes], limits: Limits) -> Recording:
    """Let the child begin under its limits, collect what it writes, and see it dead."""
    try:
        _restrain(child.pid, limits)
        assert child.stdin is not None
        child.stdin.close()
        output, complaint, stopped = _collect(child, limits)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        status = child.wait(timeout=30)
        for stream in (child.stdout, child.stderr):
            if stream is not None:
                stream.close()
    if stopped == "output":
        return Recording(death=stopped)
    records = parse(output.decode("utf-8", "replace"))
    if records and records[-1].kind == "end":
        return Recording(records[:-1], complete=True)
    return Recording(records, death=stopped or _cause(status, complaint))


def _restrain(process: int, limits: Limits) -> None:
    cpu = limits.seconds + 5
    for which, value in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, limits.memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NPROC, 0),
        (resource.RLIMIT_NOFILE, 32),
    ):
        resource.prlimit(process, which, (value, value))


def _collect(child: subprocess.Popen[bytes], limits: Limits) -> tuple[bytes, bytes, str]:
    """Return standard output, standard error, and why the child had to be stopped (empty when it ended by itself)."""
    assert child.stdout is not None
    assert child.stderr is not None
    deadline = time.monotonic() + limits.seconds + 10
    chunks: dict[int, list[bytes]] = {child.stdout.fileno(): [], child.stderr.fileno(): []}
    size = 0
    stopped = ""
    with selectors.DefaultSelector() as selector:
        for descriptor in chunks:
            selector.register(descriptor, selectors.EVENT_READ)
        while selector.get_map() and not stopped:
            ready = selector.select(timeout=max(0.0, deadline - time.monotonic()))
            if not ready:
                stopped = "time"
            for key, _ in ready:
                data = os.read(key.fd, CHUNK)
                chunks[key.fd].append(data)
                size += len(data)
                if not data:
                    selector.unregister(key.fd)
            if size > limits.output:
                stopped = "output"
    return b"".join(chunks[child.stdout.fileno()]), b"".join(chunks[child.stderr.fileno()]), stopped


def _cause(status: int, complaint: bytes) -> str:
    if b"alloc" in complaint or status == -signal.SIGABRT:
        return "memory"
    if status in (-signal.SIGXCPU, -signal.SIGKILL):
        return "time"
    return "crash"


def parse(text: str) -> list[Record]:
    """Read the recorder's lines; a last line that was cut off is left out."""
    records = []
    lines = text.split("\n")
    for line in lines[:-1]:
        kind, *fields = line.split(SEPARATOR)
        if "\\" in line:
            fields = [ESCAPED.sub(lambda found: UNESCAPED.get(found[1], found[1]), value) for value in fields]
        number = int(fields[0]) if fields and fields[0].isdecimal() else 0
        records.append(Record(kind, number, tuple(fields[1:])))
    return records
