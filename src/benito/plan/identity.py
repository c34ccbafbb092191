"""Interface names and MAC addresses: deterministic, unique, and unchanged while their node or LAN stays.

Names are those inside a pnode, at most 15 characters (the kernel's limit):

    n12p3  tap of node 12's port 3           w12p3 / v12p3  patch at that member: the wire's end / the bridge's port
    n12c   tap of its control interface      b5             bridge of LAN 5
    l5     wire that is link 5               x5             tunnel of LAN 5
    m12p3  wire of a shaped LAN's member

A MAC address is 02:EE:EE:NN:NN:PP: experiment, node, port + 1 (0 is the control interface). Ports from 255 on count
on in the upper bits of the first byte (06, 0a, 0e, ...), which stays a locally administered unicast address. There the
last byte is never 0: that is left to the gateway (model.GATEWAY_MAC).
"""

from __future__ import annotations

from benito.errors import CapacityError

MOST_NODES = 2**16
_PORTS_A_BYTE = 255
MOST_PORTS = 64 * _PORTS_A_BYTE


def tap(node: int, port: int) -> str:
    """Name the tap of a node's port."""
    return f"n{node}p{port}"


def control_tap(node: int) -> str:
    """Name the tap of a node's control interface."""
    return f"n{node}c"


def patch(node: int, port: int) -> tuple[str, str]:
    """Name the two ends of a shaped member's patch: the wire's and the bridge's."""
    return f"w{node}p{port}", f"v{node}p{port}"


def member_wire(node: int, port: int) -> str:
    """Name the wire of a shaped LAN's member."""
    return f"m{node}p{port}"


def link_wire(lan: int) -> str:
    """Name the wire that is a link."""
    return f"l{lan}"


def bridge(lan: int) -> str:
    """Name a LAN's bridge."""
    return f"b{lan}"


def tunnel(lan: int) -> str:
    """Name a LAN's tunnel."""
    return f"x{lan}"


def mac(prefix: int, node: int, port: int | None) -> str:
    """Return the MAC address of a node's port, or of its control interface when `port` is None.

    CapacityError when the numbers don't fit.
    """
    if not 0 <= node < MOST_NODES:
        raise CapacityError(
            f"node number {node} is too large: an experiment has at most {MOST_NODES} nodes",
            hint="split the experiment",
        )
    if port is not None and port >= MOST_PORTS:
        raise CapacityError(
            f"port {port} is too large: a node has at most {MOST_PORTS} interfaces",
            hint="put the neighbours on a LAN instead of on links of their own",
        )
    block, last = (0, 0) if port is None else (port // _PORTS_A_BYTE, port % _PORTS_A_BYTE + 1)
    return f"{2 | block << 2:02x}:{prefix >> 8:02x}:{prefix & 255:02x}:{node >> 8:02x}:{node & 255:02x}:{last:02x}"
