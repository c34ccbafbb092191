"""Where frames that come in from an interface go, decided by the kernel before its own network stack sees them.

An interface that is a wire's end has one filter at its ingress: it redirects every frame to the other end (a direction
that the kernel carries), or to `void`, a bridge without ports, when userspace has taken a copy to deliver. So nothing
that nodes send is ever answered by the pnode itself.
"""

from __future__ import annotations

import errno

from benito.errors import NodeError
from benito.network.fabric import SHAPING
from benito.network.interfaces import Interfaces, explain

VOID = "void"

_INGRESS = 0xFFFFFFF2
"""TC_H_CLSACT with TC_H_MIN_INGRESS."""
_ETH_P_ALL = 0x0003
_CLSACT = "clsact"


class Redirects:
    """The filters of the namespace; reads each once and changes only what is wrong."""

    def __init__(self, interfaces: Interfaces) -> None:
        self._interfaces = interfaces
        self._ip = interfaces.ip
        self._hooked = {qdisc["index"] for qdisc in self._ip.get_qdiscs() if qdisc.get_attr("TCA_KIND") == _CLSACT}

    def apply(self, wanted: dict[str, str]) -> None:
        """Send what comes in from each interface to the one given, and let go of all others."""
        links = self._interfaces.links
        by_index = {links[name].index: name for name in wanted}
        for index in sorted(self._hooked - by_index.keys()):
            self._clear(index)
        for name, target in wanted.items():
            self._redirect(name, links[name].index, links[target].index)

    def void(self) -> None:
        """Have the place where frames end."""
        self._interfaces.bridge(VOID, f"{SHAPING} end of copies")

    def _redirect(self, name: str, index: int, target: int) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        if index in self._hooked:
            if self._target(index) == target:
                return
            self._clear(index)
        try:
            self._ip.tc("add", _CLSACT, index=index)
            self._ip.tc(
                "add-filter",
                "u32",  # matchall would do, but not every kernel has it; without keys it matches all the same.
                index=index,
                parent=_INGRESS,
                prio=1,
                protocol=_ETH_P_ALL,
                target=0,
                keys=[],
                action={"kind": "mirred", "direction": "egress", "action": "redirect", "ifindex": target},
            )
        except NetlinkError as error:
            raise NodeError(
                f"the wire's end {name} can't be redirected: {explain(error)}",
                hint="the kernel needs cls_u32, act_mirred and sch_ingress",
            ) from error
        self._hooked.add(index)

    def _target(self, index: int) -> int:
        for message in self._ip.get_filters(index=index, parent=_INGRESS):
            options = message.get_attr("TCA_OPTIONS")
            actions = options.get_attr("TCA_U32_ACT") if options else None
            action = actions.get_attr("TCA_ACT_PRIO_1") if actions else None
            if action:
                return int(action.get_attr("TCA_ACT_OPTIONS").get_attr("TCA_MIRRED_PARMS")["ifindex"])
        return 0

    def _clear(self, index: int) -> None:
        from pyroute2.netlink.exceptions import NetlinkError

        self._hooked.discard(index)
        try:
            self._ip.tc("del", _CLSACT, index=index)
        except NetlinkError as error:
            if error.code not in (errno.ENODEV, errno.ENOENT, errno.EINVAL):
                raise
