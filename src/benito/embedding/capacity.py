"""Whether the hosts can hold an experiment, and which pnode goes to which host; arithmetic on facts that are given.

Memory is promised beyond what a host has, because machines that were cloned from one template share most of theirs
and few use all; CPUs because most machines are idle. `Policy` says how far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from benito.errors import CapacityError


@dataclass(frozen=True, slots=True)
class Policy:
    """How far a host's resources are promised."""

    memory_overcommit: float = 1.5
    """Memory promised for each MiB that the host has."""
    machine_overhead_mib: int = 64
    """Memory that a machine's process takes besides its guest's."""
    vcpus_per_core: int = 64
    disk_per_node_mib: int = 256
    """What a node's disk is expected to grow to beyond its image."""
    light_memory_mib: int = 16
    """Memory promised to a node that shares the host's kernel; idle it takes about one."""
    light_disk_mib: int = 32
    """What such a node is expected to write."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one pnode's machines need."""

    pnode: str
    machines: tuple[tuple[int, int], ...]
    """Memory in MiB and CPUs of each virtual machine."""
    light: int = 0
    """How many nodes share the host's kernel; they have no CPUs of their own."""
    unpacked_mib: int = 0
    """Disk that the nodes' software takes once each has unpacked its own."""
    asked_mib: int = 0
    """Disk promised, besides what any node is expected to take, to nodes that asked for disks of a size."""


@dataclass(frozen=True, slots=True)
class Need:
    """A sum of resources."""

    memory_mib: int = 0
    vcpus: int = 0
    disk_mib: int = 0

    def __add__(self, other: Need) -> Need:
        return Need(self.memory_mib + other.memory_mib, self.vcpus + other.vcpus, self.disk_mib + other.disk_mib)

    def __sub__(self, other: Need) -> Need:
        return Need(self.memory_mib - other.memory_mib, self.vcpus - other.vcpus, self.disk_mib - other.disk_mib)

    def fits(self, room: Need) -> bool:
        """Whether all of it fits into the room."""
        return self.memory_mib <= room.memory_mib and self.vcpus <= room.vcpus and self.disk_mib <= room.disk_mib


@dataclass(frozen=True, slots=True)
class Host:
    """What a host has, and what of it is promised to others already."""

    name: str
    memory_mib: int
    cores: int
    disk_mib: int
    """Free now."""
    reserved: Need = Need()


def need(demands: Sequence[Demand], policy: Policy = Policy()) -> Need:
    """Return what the demands come to, overhead included."""
    machines = [machine for demand in demands for machine in demand.machines]
    light = sum(demand.light for demand in demands)
    return Need(
        sum(memory for memory, _ in machines)
        + len(machines) * policy.machine_overhead_mib
        + light * policy.light_memory_mib,
        sum(cpus for _, cpus in machines),
        len(machines) * policy.disk_per_node_mib
        + light * policy.light_disk_mib
        + sum(demand.unpacked_mib + demand.asked_mib for demand in demands),
    )


def room(host: Host, policy: Policy = Policy()) -> Need:
    """Return what a host can still promise."""
    whole = Need(int(host.memory_mib * policy.memory_overcommit), host.cores * policy.vcpus_per_core, host.disk_mib)
    return whole - host.reserved


def check(demands: Sequence[Demand], hosts: Sequence[Host], policy: Policy = Policy()) -> Mapping[str, str]:
    """Return each pnode's host, in the order of the demands: the largest first, each to the first host with room.

    The same facts give the same places. CapacityError with the sums when it doesn't fit.
    """
    rooms = {host.name: room(host, policy) for host in hosts}
    total = need(demands, policy)
    together = Need()
    for left in rooms.values():
        together += left
    if not total.fits(together):
        raise _too_much(demands, hosts, total, together, policy)
    places: dict[str, str] = {}
    for demand in sorted(demands, key=lambda demand: (-need([demand], policy).memory_mib, demand.pnode)):
        wanted = need([demand], policy)
        host = next((name for name, left in rooms.items() if wanted.fits(left)), None)
        if host is None:
            raise _no_room_for(demand, wanted, rooms)
        rooms[host] -= wanted
        places[demand.pnode] = host
    return {demand.pnode: places[demand.pnode] for demand in demands}


def _too_much(
    demands: Sequence[Demand], hosts: Sequence[Host], total: Need, together: Need, policy: Policy
) -> CapacityError:
    """Say everything that is short, with the sums, and what would help."""
    machines = [machine for demand in demands for machine in demand.machines]
    light = sum(demand.light for demand in demands)
    count = len(machines) + light
    short: list[str] = []
    hints: list[str] = []
    if total.memory_mib > together.memory_mib:
        groups = sorted(Counter(memory for memory, _ in machines).items())
        overhead = policy.machine_overhead_mib
        terms = [f"{times} × ({memory} + {overhead})" for memory, times in groups]
        terms += [f"{light} × {policy.light_memory_mib}"] if light else []
        sums = f"{' + '.join(terms)} MiB = " if len(terms) <= 3 else ""
        short.append(f"{sums}{_gib(total.memory_mib)} of memory")
        hints += _memory_hints(machines, together.memory_mib - light * policy.light_memory_mib, overhead)
    if total.vcpus > together.vcpus:
        short.append(f"{total.vcpus} CPUs")
        hints.append("fewer CPUs a node (`--cpus`)")
    if total.disk_mib > together.disk_mib:
        disks = [f"{len(machines)} × {policy.disk_per_node_mib}"] if machines else []
        disks += [f"{light} × {policy.light_disk_mib}"] if light else []
        software = sum(demand.unpacked_mib for demand in demands)
        disks += [f"{software} (software)"] if software else []
        asked = sum(demand.asked_mib for demand in demands)
        disks += [f"{asked} (sizes asked for)"] if asked else []
        short.append(f"{' + '.join(disks)} MiB = {_gib(total.disk_mib)} of disk")
        hints.append("free disk space")
    who = "this host" if len(hosts) == 1 else f"the {len(hosts)} hosts together"
    nodes = "1 node needs" if count == 1 else f"{count} nodes need"
    return CapacityError(
        f"{nodes} {' and '.join(short)}; {who} can give {_given(hosts, total, together, policy)}",
        hint="what would help: " + ", ".join(["fewer nodes", *hints, "more hosts"]),
    )


def _given(hosts: Sequence[Host], total: Need, together: Need, policy: Policy) -> str:
    """Say what the hosts can give of all that is short, and how that comes about."""
    given: list[str] = []

    def add(left: int, whole: str, taken: int, show: Callable[[int], str]) -> None:
        reserved = f", {show(taken)} taken" if taken else ""
        given.append(f"{show(max(0, left))} ({whole}{reserved})")

    taken = Need()
    for host in hosts:
        taken += host.reserved
    if total.memory_mib > together.memory_mib:
        memory = _gib(sum(host.memory_mib for host in hosts))
        add(together.memory_mib, f"{memory} × {policy.memory_overcommit:g}", taken.memory_mib, _gib)
    if total.vcpus > together.vcpus:
        cores = sum(host.cores for host in hosts)
        add(
            together.vcpus,
            f"{cores} core{'' if cores == 1 else 's'} × {policy.vcpus_per_core}",
            taken.vcpus,
            lambda cpus: f"{cpus} CPUs",
        )
    if total.disk_mib > together.disk_mib:
        add(together.disk_mib, f"{_gib(sum(host.disk_mib for host in hosts))} free", taken.disk_mib, _gib)
    return " and ".join(given)


def _memory_hints(machines: Sequence[tuple[int, int]], room_mib: int, overhead: int) -> list[str]:
    """Say how light nodes would have to be, where any node can be that light."""
    each = room_mib // len(machines) - overhead if machines else 0
    return [f"lighter nodes (`--memory {each}` would fit)"] if each >= 64 else []


def _no_room_for(demand: Demand, wanted: Need, rooms: Mapping[str, Need]) -> CapacityError:
    """Say which pnode fits nowhere although all hosts together have enough."""
    roomiest = max(rooms, key=lambda name: rooms[name].memory_mib)
    left = rooms[roomiest]
    return CapacityError(
        f"{demand.pnode} with {len(demand.machines) + demand.light} nodes needs {_gib(wanted.memory_mib)} of memory, "
        f"{wanted.vcpus} CPUs and {_gib(wanted.disk_mib)} of disk; the roomiest host left, {roomiest}, can give "
        f"{_gib(left.memory_mib)}, {left.vcpus} CPUs and {_gib(left.disk_mib)}",
        hint="a smaller packing (`--packing`) makes smaller pnodes, which fit better",
    )


def _gib(mib: int) -> str:
    return f"{mib / 1024:.1f} GiB" if mib >= 1024 else f"{mib} MiB"
