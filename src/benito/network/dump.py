"""Reads the interfaces of the current network namespace as raw messages: pyroute2 takes a millisecond for each."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

IFF_UP, IFF_NOARP = 0x01, 0x80
IFLA_IFNAME, IFLA_MTU, IFLA_LINK, IFLA_MASTER = 3, 4, 5, 10
IFLA_LINKINFO, IFLA_IFALIAS, IFLA_EXT_MASK, IFLA_LINK_NETNSID = 18, 20, 29, 37
IFLA_INFO_KIND = 1

_RTM_GETLINK, _NLMSG_ERROR, _NLMSG_DONE = 18, 2, 3
_REQUEST, _DUMP = 1, 0x300
_SKIP_STATS = 8
_TYPE = 0x3FFF
_PATIENCE_S = 30
HEADERS = 32
"""Bytes before the attributes of an interface's message."""


def interfaces() -> Iterator[bytes]:
    """Yield the message of each interface; OSError when the kernel refuses."""
    body = struct.pack("=BBHiII", 0, 0, 0, 0, 0, 0) + struct.pack("=HHI", 8, IFLA_EXT_MASK, _SKIP_STATS)
    request = struct.pack("=IHHII", 16 + len(body), _RTM_GETLINK, _REQUEST | _DUMP, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as connection:
        connection.bind((0, 0))
        connection.settimeout(_PATIENCE_S)
        connection.send(request)
        while True:
            data = connection.recv(1 << 18)
            while data:
                length, kind = struct.unpack_from("=IH", data)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    (code,) = struct.unpack_from("=i", data, 16)
                    raise OSError(-code, os.strerror(-code))
                yield data[:length]
                data = data[(length + 3) & ~3 :]


def head(message: bytes) -> tuple[int, int]:
    """Return an interface's index and flags."""
    index, flags = struct.unpack_from("=iI", message, 20)
    return index, flags


def attributes(data: bytes, start: int = HEADERS) -> dict[int, bytes]:
    """Return the attributes from `start` on, unparsed."""
    found = {}
    while start + 4 <= len(data):
        length, kind = struct.unpack_from("=HH", data, start)
        if length < 4:
            break
        found[kind & _TYPE] = data[start + 4 : start + length]
        start += (length + 3) & ~3
    return found


def text(value: bytes | None) -> str:
    """Read a name; empty when there is none."""
    return value.rstrip(b"\0").decode(errors="replace") if value else ""


def number(value: bytes | None) -> int:
    """Read a 32-bit number; 0 when there is none."""
    return int(struct.unpack("=I", value)[0]) if value else 0
