"""Many netlink requests at once: the few messages that hundreds of cables need, packed by hand.

pyroute2 packs and parses each message in Python objects and waits for each answer, which takes longer than the kernel
itself does. Here requests go out many in one system call, and only refusals are looked at.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from benito.errors import HostError, NodeError

IFF_UP = 1
IFLA_ADDRESS, IFLA_IFNAME, IFLA_MTU, IFLA_MASTER = 1, 3, 4, 10
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_NET_NS_FD = 18, 20, 28
IFLA_INFO_KIND, IFLA_INFO_DATA, VETH_INFO_PEER = 1, 2, 1

_RTM_NEWLINK, _NLMSG_ERROR = 16, 2
_REQUEST, _ACK, _EXCL, _CREATE = 1, 4, 0x200, 0x400
_NESTED = 0x8000
_AT_ONCE = 48
"""Requests in one system call; their answers must fit the socket's buffer."""
_PATIENCE_S = 30


def attribute(kind: int, value: bytes) -> bytes:
    """Pack one attribute."""
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def text(kind: int, value: str) -> bytes:
    """Pack a name."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """Pack a 32-bit number."""
    return attribute(kind, struct.pack("=I", value))


def nest(kind: int, *inner: bytes) -> bytes:
    """Pack attributes in one."""
    return attribute(kind | _NESTED, b"".join(inner))


def link(index: int = 0, *, up: bool = False) -> bytes:
    """Pack the head of an interface's message; index 0 leaves it to the name."""
    return struct.pack("=BBHiII", 0, 0, 0, index, IFF_UP if up else 0, IFF_UP if up else 0)


class Batch:
    """Requests about interfaces of the current network namespace, carried out in order by `run`."""

    def __init__(self) -> None:
        self._requests: list[tuple[str, int, bytes]] = []

    def new(self, what: str, body: bytes) -> None:
        """Ask for a new interface; `what` names it in errors."""
        self._requests.append((what, _REQUEST | _ACK | _CREATE | _EXCL, body))

    def set(self, what: str, body: bytes) -> None:
        """Ask for a change of one that is there by then."""
        self._requests.append((what, _REQUEST | _ACK, body))

    def run(self) -> None:
        """Carry everything out; NodeError names the first that the kernel refused."""
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as connection:
            connection.bind((0, 0))
            connection.settimeout(_PATIENCE_S)
            for start in range(0, len(self._requests), _AT_ONCE):
                self._send(connection, start, self._requests[start : start + _AT_ONCE])
        self._requests.clear()

    def _send(self, connection: socket.socket, start: int, requests: list[tuple[str, int, bytes]]) -> None:
        message = b"".join(
            struct.pack("=IHHII", 16 + len(body), _RTM_NEWLINK, flags, start + place, 0) + body
            for place, (_, flags, body) in enumerate(requests)
        )
        try:
            connection.send(message)
            missing = len(requests)
            while missing:
                for sequence, code in _answers(connection.recv(1 << 16)):
                    missing -= 1
                    if code:
                        what = self._requests[sequence][0]
                        raise NodeError(f"{what}: the kernel said: {os.strerror(code)}")
        except OSError as error:
            raise HostError(f"{requests[0][0]}: {error.strerror or error}") from error


def _answers(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield sequence number and error code of each acknowledgement."""
    while len(data) >= 20:
        length, kind, _, sequence, _, code = struct.unpack_from("=IHHIIi", data)
        if kind == _NLMSG_ERROR:
            yield sequence, -code
        data = data[(length + 3) & ~3 :]
