"""Queueing disciplines of the current namespace: read once, changed where they differ.

The options of netem, tbf and RED are written here as the kernel has them, because pyroute2 knows them in part only.
All values are the kernel's: bytes a second, nanoseconds in steps of 64, probabilities as parts of 2^32 - 1.
"""

from __future__ import annotations

import errno
import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

Options = Mapping[str, int]

ROOT = 0xFFFFFFFF
TICK_NS = 64
"""What the kernel tells delays in."""

_MAX_U32 = 0xFFFFFFFF
_NETEM_RATE, _NETEM_LATENCY64 = 6, 10
_TBF_PARMS, _TBF_BURST = 1, 6
_RED_PARMS, _RED_STAB, _RED_MAX_P = 1, 2, 3
_LINKLAYER_ETHERNET = 1
_MAX_RATE = _MAX_U32
_FLAGS = {"replace": 0x505, "change": 0x005, "del": 0x005}
"""NLM_F_REQUEST | NLM_F_ACK, with NLM_F_CREATE | NLM_F_REPLACE for what may be new."""


def delay_ns(milliseconds: float) -> int:
    """Return a delay as the kernel keeps it, rounded up: nothing may be early."""
    return math.ceil(milliseconds * 1_000_000 / TICK_NS) * TICK_NS


def rate(kbps: int) -> int:
    """Return bytes a second."""
    return min(kbps * 125, _MAX_RATE)


def probability(share: float) -> int:
    """Return a probability as parts of 2^32 - 1."""
    return round(share * _MAX_U32)


class QueueError(Exception):
    """The kernel refused a queue; the NetlinkError is the cause."""

    def __init__(self, kind: str, missing: bool) -> None:
        super().__init__(kind)
        self.kind = kind
        self.missing = missing
        """Whether the kernel hasn't got this kind at all."""


@dataclass(frozen=True, slots=True)
class Queue:
    """One discipline as it is."""

    index: int
    handle: int
    parent: int
    kind: str
    options: Options = field(default_factory=dict)
    packets: int = 0
    bytes: int = 0
    drops: int = 0


class Queues:
    """All of the namespace's disciplines."""

    def __init__(self, ip: Any) -> None:
        self._ip = ip
        self._all = {(queue.index, queue.handle): queue for queue in map(_read, ip.get_qdiscs())}

    def get(self, index: int, handle: int) -> Queue | None:
        """Return the discipline of this handle on the interface, if there is one."""
        return self._all.get((index, handle))

    def have(self, index: int, parent: int, handle: int, kind: str, options: Options) -> None:
        """Have the discipline with these options; a change of options alone doesn't touch what is in the queue."""
        present = self.get(index, handle)
        if present and present.kind == kind:
            if all(present.options.get(key) == value for key, value in options.items()):
                return
            self._send("change", index, parent, handle, kind, _ENCODE[kind](options))
        else:
            self._send("replace", index, parent, handle, kind, _ENCODE[kind](options))
            # What was below a replaced one went with it.
            self._drop_below(index, handle)
        self._all[index, handle] = Queue(index, handle, parent, kind, options)

    def remove(self, index: int, handle: int) -> None:
        """Remove the discipline, and what is below it."""
        queue = self.get(index, handle)
        if queue:
            self._send("del", index, queue.parent, handle, queue.kind, None)
            self._drop_below(index, handle)
            del self._all[index, handle]

    def remove_others(self, spared: set[int], handle: int, kind: str) -> None:
        """Remove the disciplines of this handle and kind from all interfaces but the spared."""
        for queue in list(self._all.values()):
            if queue.handle == handle and queue.kind == kind and queue.index not in spared:
                self.remove(queue.index, handle)

    def _drop_below(self, index: int, handle: int) -> None:
        below = [key for key, q in self._all.items() if key[0] == index and q.parent & 0xFFFF0000 == handle]
        for key in below:
            del self._all[key]

    def _send(self, command: str, index: int, parent: int, handle: int, kind: str, options: bytes | None) -> None:
        from pyroute2.netlink.exceptions import NetlinkError
        from pyroute2.netlink.rtnl import RTM_DELQDISC, RTM_NEWQDISC

        message = _message(index, parent, handle, kind, options)
        message["header"]["type"] = RTM_DELQDISC if command == "del" else RTM_NEWQDISC
        message["header"]["flags"] = _FLAGS[command]
        try:
            self._ip.nlm_request_batch([message])
        except NetlinkError as error:
            # "Specified qdisc kind is unknown"
            raise QueueError(kind, missing=error.code == errno.ENOENT and command == "replace") from error


def _message(index: int, parent: int, handle: int, kind: str, options: bytes | None) -> Any:
    message = _message_class()()
    message["index"], message["parent"], message["handle"] = index, parent, handle
    message["attrs"] = [("TCA_KIND", kind)]
    if options is not None:
        message["attrs"].append(("TCA_OPTIONS", options))
    return message


@cache
def _message_class() -> Any:
    from pyroute2.netlink import nlmsg
    from pyroute2.netlink.rtnl.tcmsg import tcmsg

    # Not derived from tcmsg, whose map of attributes would be inherited instead of this one.
    class Request(nlmsg):  # type: ignore[misc]  # pyroute2 is untyped.
        fields = tcmsg.fields
        nla_map = (("TCA_UNSPEC", "none"), ("TCA_KIND", "asciiz"), ("TCA_OPTIONS", "cdata"))

    return Request


def _attribute(kind: int, data: bytes) -> bytes:
    return struct.pack("=HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def _netem(options: Options) -> bytes:
    # The rate is always there: left out, the kernel would keep the former one.
    shape = struct.pack("=6I", 0, options["limit"], options.get("loss", 0), 0, 0, 0)
    speed = _attribute(_NETEM_RATE, struct.pack("=IiIi", options.get("rate", 0), 0, 0, 0))
    return shape + speed + _attribute(_NETEM_LATENCY64, struct.pack("=q", options.get("delay_ns", 0)))


def _tbf(options: Options) -> bytes:
    speed = struct.pack("=BBHhHI", 0, _LINKLAYER_ETHERNET, 0, 0, 0, options["rate"])
    parameters = speed + bytes(12) + struct.pack("=III", options["limit"], 0, 0)
    return _attribute(_TBF_PARMS, parameters) + _attribute(_TBF_BURST, struct.pack("=I", options["burst"]))


def _red(options: Options) -> bytes:
    scell, table = _idle_damping(options["wlog"], options["packet_ns"])
    limits = struct.pack("=III", options["limit"], options["min"], options["max"])
    span = max(1, options["max"] - options["min"])
    plog = max(0, min(31, math.ceil(math.log2(span * _MAX_U32 / options["max_p"]))))
    parameters = limits + struct.pack("=BBBB", options["wlog"], plog, scell, 0)
    return (
        _attribute(_RED_PARMS, parameters)
        + _attribute(_RED_STAB, table)
        + _attribute(_RED_MAX_P, struct.pack("=I", options["max_p"]))
    )


def _idle_damping(wlog: int, packet_ns: int) -> tuple[int, bytes]:
    """Return RED's table of how much the average has shrunk after an idle time, and its step (tc_red.c)."""
    per_tick = -math.log(1.0 - 1.0 / (1 << wlog)) / max(1.0, packet_ns / TICK_NS)
    longest = 31.0 / per_tick
    step = next((power for power in range(32) if longest / (1 << power) < 512), 31)
    table = bytes(min(31, int((i << step) * per_tick)) for i in range(255))
    return step, table + bytes([31])


_ENCODE = {"netem": _netem, "tbf": _tbf, "red": _red}


def _read(message: Any) -> Queue:
    kind = message.get_attr("TCA_KIND")
    told = message.get_attr("TCA_STATS2")
    basic = (told.get_attr("TCA_STATS_BASIC") if told else None) or {}
    waiting = (told.get_attr("TCA_STATS_QUEUE") if told else None) or {}
    return Queue(
        index=message["index"],
        handle=message["handle"],
        parent=message["parent"],
        kind=kind,
        options=_decode(kind, message.get_attr("TCA_OPTIONS")),
        packets=basic.get("packets", 0),
        bytes=basic.get("bytes", 0),
        drops=waiting.get("drops", 0),
    )


def _decode(kind: str, options: Any) -> Options:
    if not options:
        return {}
    if kind == "netem":
        speed = options.get_attr("TCA_NETEM_RATE") or {"rate": 0}
        ticks = options["delay"]
        return {
            "limit": options["limit"],
            "loss": options["loss"],
            "delay_ns": ticks * TICK_NS,
            "rate": speed["rate"],
        }
    if kind == "tbf":
        parameters = options.get_attr("TCA_TBF_PARMS")
        return {"rate": parameters["rate"], "limit": parameters["limit"]}
    if kind == "red":
        limit, low, high, wlog = struct.unpack_from("=IIIB", bytes.fromhex(options.replace(":", "")), 4)
        return {"limit": limit, "min": low, "max": high, "wlog": wlog}
    return {}
