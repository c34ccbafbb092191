"""Which backend shapes on this kernel."""

from __future__ import annotations

import errno
import threading
from functools import cache
from pathlib import Path

from benito.errors import HostError
from benito.network import namespaces
from benito.network.interfaces import netlink
from benito.network.shaping import qdiscs
from benito.network.shaping.backend import Backend
from benito.network.shaping.netem import Netem
from benito.network.shaping.userspace import Userspace

AUTO, NETEM, USERSPACE = "auto", "netem", "userspace"


def choose(mark: str, engine: Path, wish: str = AUTO) -> Backend:
    """Return the backend for an experiment's wires: netem where the kernel has it, or the one wished for.

    `engine` is the wire engine's socket. HostError when netem is wished for and missing.
    """
    if wish not in (AUTO, NETEM, USERSPACE):
        raise HostError(f"there is no shaping backend {wish!r}", hint=f"{AUTO}, {NETEM} or {USERSPACE}")
    if wish == USERSPACE or (wish == AUTO and not kernel_has_netem()):
        return Userspace(mark, engine)
    if not kernel_has_netem():
        raise HostError("this kernel has no netem", hint=f"install a kernel with sch_netem, or use {USERSPACE}")
    return Netem(mark)


@cache
def kernel_has_netem() -> bool:
    """Whether the kernel shapes with netem: tried once, in a scratch namespace of a thread that ends at once."""
    found: list[bool] = []

    def attempt() -> None:
        namespaces.leave()
        with netlink("a trial of netem") as ip:
            ip.link("add", ifname="trial", kind="veth", peer={"ifname": "other"})
            index = ip.link_lookup(ifname="trial")[0]
            try:
                qdiscs.Queues(ip).have(index, qdiscs.ROOT, 0x10000, "netem", {"limit": 1000})
            except qdiscs.QueueError as error:
                found.append(False)
                if not error.missing and getattr(error.__cause__, "code", 0) not in (errno.EOPNOTSUPP, errno.EINVAL):
                    raise
            else:
                found.append(True)

    thread = threading.Thread(target=attempt, name="netem trial")
    thread.start()
    thread.join()
    if not found:
        raise HostError("can't find out whether this kernel has netem", hint="this needs root")
    return found[0]
