"""Namespaces of our own to test in, removed whatever happens, and frames to send through them."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from benito.network import namespaces
from benito.network.interfaces import netlink
from benito.network.shaping.backend import Backend
from benito.network.shaping.choice import kernel_has_netem
from benito.network.shaping.netem import Netem
from benito.network.shaping.userspace import Userspace
from benito.plan.model import Direction, Wire

MARK = "Test/network"
ETHERTYPE = 0x88B5
"""For local experiments (IEEE 802)."""
PATIENCE_S = 10.0
UNSHAPED = Direction()

ETH_P_ALL = 0x0003
SO_TIMESTAMPNS, SO_RCVBUFFORCE = 35, 33
SOL_PACKET, PACKET_AUXDATA, PACKET_IGNORE_OUTGOING = 263, 8, 23


@dataclass
class Lab:
    """Makes namespaces with unique names and remembers what to undo."""

    stem: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:6]}")
    undo: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def namespace(self, name: str) -> str:
        full = f"{self.stem}-{name}"
        self.undo.callback(namespaces.remove, full)
        namespaces.create(full)
        with namespaces.entered(full), netlink() as ip:
            namespaces.quiet()
            ip.link("set", index=1, state="up")
        return full

    def cable(self, first: tuple[str, str], second: tuple[str, str], mtu: int = 1500) -> None:
        """Join two namespaces by a veth pair; each end is (namespace, interface)."""
        with contextlib.ExitStack() as stack:
            far = stack.enter_context(namespaces.path_of(second[0]).open())
            stack.enter_context(namespaces.entered(first[0]))
            with netlink() as ip:
                peer = {"ifname": second[1], "net_ns_fd": far.fileno(), "mtu": mtu}
                ip.link("add", ifname=first[1], kind="veth", mtu=mtu, peer=peer)
        for where, name in (first, second):
            self.up(where, name)

    def up(self, where: str, name: str, address: str = "") -> None:
        with namespaces.entered(where), netlink() as ip:
            index = ip.link_lookup(ifname=name)[0]
            ip.link("set", index=index, state="up")
            if address:
                host, _, prefix = address.partition("/")
                ip.addr("add", index=index, address=host, prefixlen=int(prefix))

    def run(self, where: str, *argv: str) -> subprocess.CompletedProcess[str]:
        command = ["nsenter", f"--net={namespaces.path_of(where)}", *argv]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def process(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a process that ends with the test."""
        process = subprocess.Popen(list(argv))

        def end() -> None:
            process.kill()
            process.wait()

        self.undo.callback(end)
        return process

    def station(self, where: str, interface: str) -> Station:
        station = Station(where, interface)
        self.undo.callback(station.close)
        return station


@pytest.fixture
def lab() -> Iterator[Lab]:
    if os.geteuid():
        pytest.skip("needs root")
    lab = Lab()
    with lab.undo:
        yield lab


class Station:
    """Sends and receives raw frames on an interface of some namespace."""

    def __init__(self, where: str, interface: str) -> None:
        with namespaces.entered(where):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            self.socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
            self.socket.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 8 << 20)
            self.socket.bind((interface, ETH_P_ALL))

    def send(self, frame: bytes) -> int:
        """Send, and return the time before (ns)."""
        before = time.time_ns()
        self.socket.send(frame)
        return before

    def receive(self, seconds: float = PATIENCE_S) -> tuple[bytes, int | None, int] | None:
        """Return the next frame, its VLAN tag or None, and when the kernel got it (ns); None when none comes."""
        self.socket.settimeout(max(0.001, seconds))
        try:
            frame, control, _, _ = self.socket.recvmsg(65536, 256)
        except TimeoutError:
            return None
        tag, arrival = None, time.time_ns()
        for level, kind, data in control:
            if (level, kind) == (SOL_PACKET, PACKET_AUXDATA):
                status, _, _, _, _, tci, _ = struct.unpack("=IIIHHHH", data)
                tag = tci if status & 0x10 else None
            elif (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS):
                whole, nanoseconds = struct.unpack("=qq", data)
                arrival = whole * 1_000_000_000 + nanoseconds
        return frame, tag, arrival

    def receive_all(self, expected: int, seconds: float = PATIENCE_S, quiet: float = 1.0) -> dict[int, int]:
        """Return the numbered frames that come, with their times, until `expected` or until none has come for long."""
        found: dict[int, int] = {}
        end = time.monotonic() + seconds
        while len(found) < expected and time.monotonic() < end:
            got = self.receive(quiet)
            if got is None:
                break
            number = number_of(got[0])
            if number is not None:
                found[number] = got[2]
        return found

    def close(self) -> None:
        self.socket.close()


def numbered(number: int, size: int = 1000) -> bytes:
    """Return a broadcast frame of `size` bytes that carries a number."""
    head = b"\xff" * 6 + bytes.fromhex("020000000001") + struct.pack("!HI", ETHERTYPE, number)
    return head + bytes(size - len(head))


def number_of(frame: bytes) -> int | None:
    """Return the number that a frame of `numbered` carries."""
    kind, number = struct.unpack_from("!HI", frame, 12)
    return number if kind == ETHERTYPE else None


@dataclass
class Link:
    """Two stations, in namespaces of their own, joined through a pnode by one wire from a0 to b0."""

    lab: Lab
    pnode: str
    a: str
    b: str
    backend: Backend
    engine: Engine | None
    left: Station
    right: Station

    def shape(self, forward: Direction, backward: Direction = UNSHAPED) -> None:
        self.apply(Wire("wire", "a0", "b0", forward, backward, "lan"))

    def apply(self, *wires: Wire) -> None:
        with namespaces.entered(self.pnode):
            self.backend.apply(wires)

    def counters(self):  # type: ignore[no-untyped-def]
        with namespaces.entered(self.pnode):
            return self.backend.counters()["wire"]

    def parameters(self) -> tuple[Direction, Direction]:
        with namespaces.entered(self.pnode):
            return self.backend.parameters()["wire"]


class Engine:
    """The wire engine, in a pnode."""

    def __init__(self, lab: Lab, pnode: str, folder: Path) -> None:
        self.socket = folder / "wires.sock"
        self.state = folder / "wires.json"
        self._start = lambda: lab.process(
            *("nsenter", f"--net={namespaces.path_of(pnode)}", sys.executable, "-m", "benito.agent.wires"),
            *("--socket", str(self.socket), "--state", str(self.state), "--seed", "7"),
        )
        self.start()

    def start(self) -> None:
        self.socket.unlink(missing_ok=True)
        self.process = self._start()
        wait_for(self._answers, "the wire engine to listen")

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as connection:
            try:
                connection.connect(str(self.socket))
            except OSError:
                return False
            return True


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Wait until the condition holds; there is no event to wait on across these borders."""
    end = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end:
            pytest.fail(f"waited in vain for {what}")
        time.sleep(0.01)


@pytest.fixture(params=["netem", "userspace"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "netem" and not kernel_has_netem():
        pytest.skip("this kernel has no sch_netem (test_netem_guest.py runs these in a guest that has)")
    return str(request.param)


@pytest.fixture
def link(lab: Lab, kind: str, tmp_path: Path) -> Link:
    pnode, a, b = (lab.namespace(name) for name in ("pnode", "a", "b"))
    lab.cable((pnode, "a0"), (a, "e0"), 1508)
    lab.cable((pnode, "b0"), (b, "e0"), 1508)
    lab.up(a, "e0", "10.9.0.1/24")
    lab.up(b, "e0", "10.9.0.2/24")
    engine = Engine(lab, pnode, tmp_path) if kind == "userspace" else None
    backend: Backend = Userspace(MARK, engine.socket) if engine else Netem(MARK)
    return Link(lab, pnode, a, b, backend, engine, lab.station(a, "e0"), lab.station(b, "e0"))
