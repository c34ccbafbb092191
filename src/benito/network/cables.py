"""Network namespaces of machines that have no kernel of their own, and the cables that lead into them.

A cable is a veth pair: its end in the pnode has the name that the plan gives the interface, its other end is the node's
own interface, with the planned MAC address, named as a machine's kernel would: `eth0` for the control network, then
`eth1`, ... by port. The namespaces are mounted in a folder of the pnode, so that interfaces and whatever was attached
to them outlive the node's processes, as a machine's cards outlive its operating system.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benito.errors import HostError
from benito.mounts import MS_BIND, mount, unmount
from benito.network import batch, namespaces
from benito.network.interfaces import DEVICE_MTU, MTU, Interfaces, netlink
from benito.plan.model import Machine

_SIOCETHTOOL = 0x8946
_ETHTOOL_STSO, _ETHTOOL_SGSO, _ETHTOOL_SGRO = 0x1F, 0x24, 0x2C
_SEGMENTATION = (_ETHTOOL_STSO, _ETHTOOL_SGSO, _ETHTOOL_SGRO)


@dataclass(frozen=True, slots=True)
class _Cable:
    name: str
    inner: str
    mac: str
    what: str
    large_frames: bool


class Cables:
    """The cables of one pnode's machines; works in the current network namespace, which is the pnode's.

    Synchronous, and safe to run twice: an asyncio program calls it in a thread.
    """

    def __init__(self, mark: str, folder: Path) -> None:
        self._mark = mark
        self._folder = folder

    def namespace(self, machine: Machine) -> Path:
        """Return where a machine's network namespace is mounted."""
        return self._folder / machine.control.name

    def lay(self, machines: Sequence[Machine]) -> None:
        """Have every cable of these machines. NodeError names the one at fault."""
        if not machines:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = [machine for machine in machines if not namespaces.is_namespace(self.namespace(machine))]
        _make_namespaces([self.namespace(machine) for machine in fresh])
        with netlink(f"the interfaces of {self._mark}") as ip:
            interfaces = Interfaces(ip, self._mark)
        plain: dict[Path, list[str]] = {}
        wanted = batch.Batch()
        with contextlib.ExitStack() as opened:
            for machine in machines:
                path = self.namespace(machine)
                missing = [cable for cable in _cables(machine) if cable.name not in interfaces.links]
                if not missing:
                    continue
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                opened.callback(os.close, descriptor)
                for cable in missing:
                    self._ask(wanted, cable, descriptor)
                    if not cable.large_frames:
                        plain.setdefault(path, []).append(cable.inner)
            wanted.run()
        for path, names in plain.items():
            _whole_frames_off(path, names)

    def _ask(self, wanted: batch.Batch, cable: _Cable, namespace: int) -> None:
        what = f"the interface {cable.name} of {self._mark}"
        far = b"".join(
            (
                batch.link(),
                batch.text(batch.IFLA_IFNAME, cable.inner),
                batch.attribute(batch.IFLA_ADDRESS, bytes.fromhex(cable.mac.replace(":", ""))),
                batch.number(batch.IFLA_MTU, MTU),
                batch.number(batch.IFLA_NET_NS_FD, namespace),
            )
        )
        kind = batch.text(batch.IFLA_INFO_KIND, "veth")
        data = batch.nest(batch.IFLA_INFO_DATA, batch.nest(batch.VETH_INFO_PEER, far))
        name = batch.text(batch.IFLA_IFNAME, cable.name)
        mtu = batch.number(batch.IFLA_MTU, DEVICE_MTU)
        wanted.new(what, batch.link() + name + mtu + batch.nest(batch.IFLA_LINKINFO, kind, data))
        alias = batch.text(batch.IFLA_IFALIAS, f"{self._mark} {cable.what}")
        wanted.set(what, batch.link(up=True) + name + alias)

    def cut(self, machine: Machine) -> None:
        """Take a machine's cables and namespace away; fine when they are gone."""
        with netlink(f"the interfaces of {self._mark}") as ip:
            interfaces = Interfaces(ip, self._mark)
            interfaces.remove(*(cable.name for cable in _cables(machine)))
        path = self.namespace(machine)
        unmount(str(path))
        path.unlink(missing_ok=True)


def _cables(machine: Machine) -> Iterator[_Cable]:
    control = machine.control
    yield _Cable(control.name, "eth0", control.mac, f"{machine.node} control", True)
    for place, nic in enumerate(machine.nics, 1):
        yield _Cable(nic.name, f"eth{place}", nic.mac, f"{machine.node} {nic.lan}", nic.large_frames)


def _make_namespaces(paths: Sequence[Path]) -> None:
    """Make new network namespaces and mount them at these paths."""
    faults: list[BaseException] = []

    def work() -> None:
        try:
            for path in paths:
                path.touch()
                namespaces.leave()
                # The node itself switches it on where it is wanted. Not on the control network: hundreds of nodes
                # would greet each other there for nothing.
                namespaces.write_sysctl("net/ipv6/conf/default/disable_ipv6", 1)
                mount(f"/proc/self/task/{threading.get_native_id()}/ns/net", str(path), None, MS_BIND)
        except (OSError, HostError) as error:
            faults.append(error)

    # A thread of its own: the caller stays where it is.
    worker = threading.Thread(target=work, name="namespaces")
    worker.start()
    worker.join()
    if faults:
        raise HostError(f"can't make a network namespace: {faults[0]}")


def _whole_frames_off(path: Path, names: Sequence[str]) -> None:
    """Have the kernel cut what the node sends into frames of the MTU before they leave these interfaces."""
    with namespaces.entered(path), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        for name in names:
            for setting in _SEGMENTATION:
                value = ctypes.create_string_buffer(struct.pack("=II", setting, 0))
                request = struct.pack("16sP16x", name.encode(), ctypes.addressof(value))
                with contextlib.suppress(OSError):
                    fcntl.ioctl(connection, _SIOCETHTOOL, request)
