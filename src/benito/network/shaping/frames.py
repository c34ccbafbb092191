"""Raw Ethernet frames of an interface, read and written many at a time, and the kernel's nanosecond timer.

Python's own `recvmsg` allocates, parses and asks for the interface's name anew for each frame; `recvmmsg` through
ctypes reads a whole batch into buffers that are laid out once. With PACKET_VNET_HDR large frames and unfinished
checksums pass untouched. The kernel takes a VLAN tag out of the frame; it is put back here.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from collections.abc import Iterator

BATCH = 64
VNET_HEADER = 10
"""Bytes in front of each frame: struct virtio_net_hdr."""

_SLOT = 65536 + 256
_CONTROL = 128
_MMSGHDR = 64
_SOL_PACKET = 263
_PACKET_AUXDATA = 8
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_PACKET_STATISTICS = 6
_SO_SNDBUFFORCE, _SO_RCVBUFFORCE = 32, 33
_SO_TIMESTAMPNS = 35
_ETH_P_ALL = 0x0003
_RECEIVE_BUFFER = 16 << 20
_SEND_BUFFER = 4 << 20
_VLAN_VALID, _VLAN_TPID_VALID = 0x10, 0x40
_MSG_DONTWAIT = 0x40
_CLOCK_MONOTONIC = 1
_TFD_TIMER_ABSTIME = 1
# Two control messages, always in this order: SCM_TIMESTAMPNS, then PACKET_AUXDATA (struct tpacket_auxdata).
_STAMP_AND_TAG = struct.Struct("=16xqq16xI12xHH")
_HEADER = struct.Struct("=BBHHHH")
_SEGMENTS = struct.Struct("=HH")
_TAG = struct.Struct("!HH")

_libc = ctypes.CDLL(None, use_errno=True)


def open_port(index: int, receive: bool) -> socket.socket:
    """Open a raw socket on the interface of this index; one that doesn't receive is for sending only."""
    port = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, 0)
    try:
        # All before bind: a frame received earlier would come without its header.
        for option in (_PACKET_VNET_HDR, _PACKET_IGNORE_OUTGOING, _PACKET_AUXDATA):
            port.setsockopt(_SOL_PACKET, option, 1)
        port.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _buffer(port, _SO_SNDBUFFORCE, socket.SO_SNDBUF, _SEND_BUFFER)
        if receive:
            _buffer(port, _SO_RCVBUFFORCE, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        port.bind((socket.if_indextoname(index), _ETH_P_ALL if receive else 0))
    except OSError:
        port.close()
        raise
    return port


def overruns(port: socket.socket) -> int:
    """Return how many frames found the socket's buffer full since the last call."""
    return int(struct.unpack("=II", port.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))[1])


class Batch:
    """Buffers for up to BATCH frames, shared by all sockets of one thread."""

    def __init__(self) -> None:
        # Of a mapping only the pages that frames have filled take memory.
        self._data = mmap.mmap(-1, BATCH * _SLOT)
        self._control = bytearray(BATCH * _CONTROL)
        self._vectors = bytearray(BATCH * 16)
        self._headers = bytearray(BATCH * _MMSGHDR)
        data, control, vectors = (_address(b) for b in (self._data, self._control, self._vectors))
        for i in range(BATCH):
            struct.pack_into("=QQ", self._vectors, i * 16, data + i * _SLOT, _SLOT)
            # struct msghdr: name, namelen, iov, iovlen, control, controllen, flags; then msg_len.
            words = (0, 0, vectors + i * 16, 1, control + i * _CONTROL, _CONTROL, 0, 0)
            struct.pack_into("=8Q", self._headers, i * _MMSGHDR, *words)
        # The kernel writes over the lengths in it: each call begins with a fresh copy.
        self._pristine = bytes(self._headers)
        self._address = ctypes.c_void_p(_address(self._headers))
        self._lengths = memoryview(self._headers).cast("I")
        self._view = memoryview(self._data)

    def receive(self, port: int) -> int:
        """Read what is there, at most BATCH frames, without waiting; OSError as recvmmsg has it."""
        self._headers[:] = self._pristine
        got: int = _libc.recvmmsg(port, self._address, BATCH, _MSG_DONTWAIT, None)
        if got < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return got

    def frames(self, count: int) -> Iterator[tuple[bytes | memoryview, int, int]]:
        """Yield each frame read with its header in front, its size, and when it arrived (CLOCK_REALTIME, ns).

        The frame is good until the next `receive` only, unless it is bytes.
        """
        lengths, control, view = self._lengths, self._control, self._view
        unpack = _STAMP_AND_TAG.unpack_from
        for i in range(count):
            length = lengths[i * 16 + 14]
            offset = i * _SLOT
            seconds, nanoseconds, status, tag, protocol = unpack(control, i * _CONTROL)
            frame: bytes | memoryview = view[offset : offset + length]
            size = length - VNET_HEADER
            if view[offset + 1]:  # struct virtio_net_hdr: gso_type
                size = _wire_size(frame, size)
            if status & _VLAN_VALID:
                frame = with_tag(frame, tag, protocol if status & _VLAN_TPID_VALID else 0x8100)
            yield frame, size, seconds * 1_000_000_000 + nanoseconds


def with_tag(frame: bytes | memoryview, tag: int, protocol: int) -> bytes:
    """Return the frame with a VLAN tag put in behind its addresses, and its offload header set right."""
    flags, kind, length, segment, start, offset = _HEADER.unpack_from(frame)
    header = _HEADER.pack(flags, kind, length + 4 if length else 0, segment, start + 4 if flags & 1 else start, offset)
    addresses = VNET_HEADER + 12
    return b"".join((header, frame[VNET_HEADER:addresses], _TAG.pack(protocol, tag), frame[addresses:]))


def _wire_size(frame: bytes | memoryview, size: int) -> int:
    """Return the bytes of all the frames that a large one stands for: each has headers of its own."""
    headers, segment = _SEGMENTS.unpack_from(frame, 2)
    more: int = (size - headers - 1) // segment * headers if segment and size > headers else 0
    return size + more


class Timer:
    """A timer with a file descriptor that gets readable at an absolute time of time.monotonic_ns()."""

    def __init__(self) -> None:
        self.fd: int = _libc.timerfd_create(_CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")
        self._when = (ctypes.c_longlong * 4)()
        self._armed = 0

    def arm(self, due: int) -> None:
        """Fire at `due`, instead of any time set before; 0 for never."""
        if due == self._armed:
            return
        self._armed = due
        self._when[2], self._when[3] = divmod(due, 1_000_000_000)
        _libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, self._when, None)

    def fired(self) -> None:
        """Take note that it has fired. Nothing is read: watch the descriptor edge-triggered."""
        self._armed = 0


def _buffer(port: socket.socket, force: int, ask: int, size: int) -> None:
    try:
        port.setsockopt(socket.SOL_SOCKET, force, size)
    except PermissionError:
        port.setsockopt(socket.SOL_SOCKET, ask, size)


def _address(buffer: bytearray | mmap.mmap) -> int:
    return ctypes.addressof(ctypes.c_char.from_buffer(buffer))
