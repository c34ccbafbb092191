"""Gives every interface an address and every LAN a netmask, by Benito's rule or exactly by Emulab's.

benito: the i-th LAN of the file (from 0) gets 10.0.i.0/24, after 256 of them 10.1.0.0/24 and on; its members get .1,
.2, ...; a LAN with more than 254 members gets a wider subnet. Subnets that overlap one of the file's own are skipped.

emulab: LANs in the order of `Topology.numbering` get 10.1.1.0/24, 10.1.2.0/24, ..., 10.2.1.0/24, ...; their members get
.2, .3, ... A subnet is skipped only when it overlaps one that is known by then (Emulab: ns2ir/sim.tcl, lanlink.tcl).

Under both rules an address in the file stays, its LAN has that address's subnet, and the other members get the rest.
"""

from __future__ import annotations

import bisect
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from benito.errors import Fault, InputError, Where
from benito.topology.model import Interface, Lan, Topology

Rule = Literal["benito", "emulab"]
FULL = 0xFFFFFFFF
DEFAULT_MASK = 0xFFFFFF00
TEN = 10 << 24
END_OF_TEN = 11 << 24
IN_NS = "tb-set-netmask $lan 255.255.252.0"
IN_TOPDL = "give its interfaces the attribute ip4_netmask, such as 255.255.252.0"


@dataclass(slots=True)
class Subnet:
    """A LAN's subnet and what is taken in it."""

    base: int
    mask: int
    taken: set[int] = field(default_factory=set)

    @property
    def last(self) -> int:
        """The subnet's highest address, its broadcast address."""
        return self.base | (self.mask ^ FULL)


def number(dotted: str) -> int:
    """Return an address as an integer; ValueError where it is none."""
    parts = [int(part) for part in dotted.split(".")]
    if len(parts) != 4 or any(not 0 <= part <= 255 for part in parts):
        raise ValueError(dotted)
    return int.from_bytes(bytes(parts), "big")


def dotted(value: int) -> str:
    """Return an integer as an address."""
    return ".".join(str(byte) for byte in value.to_bytes(4, "big"))


def assign(topology: Topology, rule: Rule = "benito") -> Topology:
    """Return the topology with every address and netmask filled in; InputError with every fault found.

    Addresses that lie outside of their LAN's subnet, or that two of its members have, are faults under Benito's rule
    and warnings under Emulab's, which takes them.
    """
    interfaces = {node.name: list(node.interfaces) for node in topology.nodes}
    faults: list[Fault] = []
    doubts: list[Fault] = []
    widen = IN_NS if topology.source is None else IN_TOPDL
    fixed = {
        lan.name: found for lan in topology.lans if (found := _fixed(lan, interfaces, faults, doubts, rule, widen))
    }
    subnets = _emulab(topology, fixed) if rule == "emulab" else _benito(topology, fixed)
    masks = {}
    for lan in topology.lans:
        masks[lan.name] = dotted(subnets[lan.name].mask)
        _fill(lan, subnets[lan.name], interfaces, 2 if rule == "emulab" else 1, faults, widen)
    if rule == "benito":
        faults += doubts
    if faults:
        faults.sort(key=lambda fault: fault.where.line if fault.where else 0)
        raise InputError(f"{len(faults)} addresses can't be used", faults=faults)
    return replace(
        topology,
        nodes=tuple(replace(node, interfaces=tuple(interfaces[node.name])) for node in topology.nodes),
        lans=tuple(replace(lan, netmask=masks[lan.name]) for lan in topology.lans),
        warnings=(*topology.warnings, *doubts, *_twice(topology, interfaces)),
    )


def _fixed(
    lan: Lan, interfaces: dict[str, list[Interface]], faults: list[Fault], doubts: list[Fault], rule: Rule, widen: str
) -> Subnet | None:
    """Return the subnet that the file's own addresses give a LAN; None where it gives none.

    `widen` says how the file's language makes a subnet wider.
    """
    given = [
        (interface, number(interface.address))
        for interface in (interfaces[member.node][member.port] for member in lan.members)
        if interface.address is not None
    ]
    if not given:
        return None
    mask = number(lan.netmask) if lan.netmask else DEFAULT_MASK
    subnet = Subnet(given[-1 if rule == "emulab" else 0][1] & mask, mask)
    for interface, address in given:
        where = interface.where or lan.where
        host = address & ~mask & FULL
        if host in (0, ~mask & FULL):
            faults.append(_unusable(lan, address, mask, where, "zeros" if host == 0 else "ones"))
        elif address & mask != subnet.base:
            doubts.append(_outside(lan, address, subnet, where, widen))
        elif address in subnet.taken:
            message = f"two members of `{lan.name}` have the address {dotted(address)}"
            doubts.append(Fault(message, where, "give each member an address of its own"))
        subnet.taken.add(address)
    return subnet


def _outside(lan: Lan, address: int, subnet: Subnet, where: Where | None, widen: str) -> Fault:
    return Fault(
        f"the address {dotted(address)} is outside of {_cidr(subnet)}, where `{lan.name}` has its other addresses",
        where,
        f"use one subnet for each LAN, or widen it: {widen}",
    )


def _unusable(lan: Lan, address: int, mask: int, where: Where | None, digits: str) -> Fault:
    return Fault(
        f"the address {dotted(address)} on `{lan.name}` has nothing but {digits} after its netmask {dotted(mask)}",
        where,
        f"it stands for {'the subnet itself' if digits == 'zeros' else 'all of the subnet'}: choose another one",
    )


def _cidr(subnet: Subnet) -> str:
    return f"{dotted(subnet.base)}/{subnet.mask.bit_count()}"


def _fill(
    lan: Lan, subnet: Subnet, interfaces: dict[str, list[Interface]], first: int, faults: list[Fault], widen: str
) -> None:
    """Give the members without an address the free ones in order."""
    address = subnet.base + first
    for member in lan.members:
        interface = interfaces[member.node][member.port]
        if interface.address is None:
            while address in subnet.taken:
                address += 1
            if address >= subnet.last:
                message = f"the subnet {_cidr(subnet)} has no room for the {len(lan.members)} members of `{lan.name}`"
                faults.append(Fault(message, lan.where, f"widen it: {widen}"))
                return
            interfaces[member.node][member.port] = replace(interface, address=dotted(address))
            address += 1


class _Ranges:
    """Address ranges that are taken; they may overlap each other."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []

    def add(self, subnet: Subnet) -> None:
        start, end = subnet.base, subnet.last
        low = bisect.bisect_left(self._ends, start)
        high = bisect.bisect_right(self._starts, end)
        if low < high:
            start, end = min(start, self._starts[low]), max(end, self._ends[high - 1])
        self._starts[low:high] = [start]
        self._ends[low:high] = [end]

    def clash(self, start: int, end: int) -> int | None:
        """Return the end of a taken range that overlaps this one; None where it is free."""
        index = bisect.bisect_left(self._ends, start)
        if index < len(self._starts) and self._starts[index] <= end:
            return self._ends[index]
        return None


def _benito(topology: Topology, fixed: dict[str, Subnet]) -> dict[str, Subnet]:
    taken = _Ranges()
    for subnet in fixed.values():
        taken.add(subnet)
    subnets = dict(fixed)
    position = TEN
    for lan in topology.lans:
        if lan.name in fixed:
            position = max(position, min(position + 256, END_OF_TEN))
            continue
        mask = number(lan.netmask) if lan.netmask else _mask_for(len(lan.members))
        size = max((mask ^ FULL) + 1, 256)
        base = -(-position // size) * size
        while (end := taken.clash(base, base + size - 1)) is not None:
            base = -(-(end + 1) // size) * size
        if base + size > END_OF_TEN:
            raise InputError(
                f"there is no room left in 10.0.0.0/8 for `{lan.name}`", where=lan.where, hint="use smaller LANs"
            )
        subnets[lan.name] = Subnet(base, mask)
        taken.add(subnets[lan.name])
        position = base + size
    return subnets


def _mask_for(members: int) -> int:
    """Return the netmask of the smallest subnet, at least a /24, that has this many host addresses."""
    size = 256
    while size - 2 < members:
        size *= 2
    return FULL ^ (size - 1)


def _emulab(topology: Topology, fixed: dict[str, Subnet]) -> dict[str, Subnet]:
    lans = {lan.name: lan for lan in topology.lans}
    taken = _Ranges()
    subnets: dict[str, Subnet] = {}
    candidates: dict[int, Iterator[int]] = {}
    for name in topology.numbering or tuple(lans):
        lan = lans.get(name)
        if name in fixed:
            subnets[name] = fixed[name]
        else:
            mask = number(lan.netmask) if lan and lan.netmask else DEFAULT_MASK
            subnets[name] = Subnet(_next(candidates.setdefault(mask, _candidates(mask)), mask, taken, lan), mask)
        taken.add(subnets[name])
    return subnets


def _next(candidates: Iterator[int], mask: int, taken: _Ranges, lan: Lan | None) -> int:
    for base in candidates:
        if taken.clash(base, base | (mask ^ FULL)) is None:
            return base
    raise InputError(
        "Emulab's rule has no subnet left", where=lan.where if lan else None, hint="use --addressing benito"
    )


def _candidates(mask: int) -> Iterator[int]:
    """Go through the subnets in Emulab's order; a part of the mask that is 0 leaves its part of the address 0."""
    third, fourth = mask >> 8 & 0xFF, mask & 0xFF
    thirds = range(256 - third, 255, 256 - third) if third else range(1)
    fourths = range(256 - fourth, 255, 256 - fourth) if fourth else range(1)
    for second in range(1, 254):
        for c in thirds:
            for d in fourths:
                yield TEN | second << 16 | c << 8 | d


def _twice(topology: Topology, interfaces: dict[str, list[Interface]]) -> Iterator[Fault]:
    """Warn of addresses that stand on two LANs: the hosts file can name only one of them."""
    seen: dict[str, str] = {}
    for lan in topology.lans:
        for member in lan.members:
            address = interfaces[member.node][member.port].address or ""
            other = seen.setdefault(address, lan.name)
            if other != lan.name:
                yield Fault(f"the address {address} is used on `{other}` and on `{lan.name}`", lan.where)
