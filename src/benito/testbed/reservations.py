"""What each swapped-in experiment holds of this host: addresses, numbers, memory, CPUs, disk.

Reservations are files under /run/benito, one an experiment, made under one lock for all Benitos on the host, whatever
their BENITO_HOME. A reboot of the host clears them with /run; where /run survives, the boot id tells.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from ipaddress import IPv4Network
from pathlib import Path

import msgspec

from benito.errors import CapacityError, StateError
from benito.network.host import UPLINK_POOL
from benito.testbed import flock
from benito.testbed.home import RUNTIME, Place

MIN_PREFIX = 24
"""The smallest control network, as a prefix length."""
RESERVED_HOSTS = 4
"""Network, gateway, broadcast and one to spare in each control network."""
MAX_NUMBER = UPLINK_POOL.num_addresses // 4


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    """One experiment's reservation."""

    home: str
    experiment: str
    hash: str
    boot_id: str
    number: int
    """Unique on the host: its uplink, MAC addresses and tunnel ids derive from it."""
    subnet: str
    """The control network, CIDR."""
    memory_mib: int
    vcpus: int
    disk_mib: int

    @property
    def control(self) -> IPv4Network:
        return IPv4Network(self.subnet)

    @property
    def gateway(self) -> str:
        """The hub's address on the control network."""
        return str(self.control[1])

    @property
    def uplink(self) -> IPv4Network:
        """The /30 between host (first address) and hub (second)."""
        base = int(UPLINK_POOL.network_address) + 4 * self.number
        return IPv4Network((base, 30))


@cache
def boot_id() -> str:
    """Return what tells this boot of the host from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def leases() -> list[Lease]:
    """Return the reservations of this boot, of every Benito on this host."""
    found = []
    for file in sorted(RUNTIME.glob("*/lease.json")):
        lease = _read(file)
        if lease and lease.boot_id == boot_id():
            found.append(lease)
    return found


def _read(file: Path) -> Lease | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Lease)
    except (OSError, msgspec.MsgspecError):
        return None


def held(place: Place) -> Lease | None:
    """Return the experiment's reservation, if it has one from this boot."""
    lease = _read(place.lease)
    return lease if lease and lease.boot_id == boot_id() else None


@contextmanager
def locked() -> Iterator[None]:
    """One reservation at a time on this host."""
    with flock.held(RUNTIME / "reservations.lock"):
        yield


def reserve(
    place: Place,
    home: Path,
    nodes: int,
    avoid: Iterable[IPv4Network],
    pools: Iterable[IPv4Network],
    need: Callable[[list[Lease]], tuple[int, int, int]],
) -> Lease:
    """Reserve for an experiment of that many nodes and return what it got; nothing is held when this raises.

    `need` is given the other reservations and returns memory (MiB), virtual CPUs and disk (MiB), or raises
    CapacityError. `avoid` lists networks that the control network must not overlap.
    """
    with locked():
        others = [lease for lease in leases() if lease.hash != place.hash]
        for lease in others:
            if lease.experiment.lower() == place.experiment.key:
                raise StateError(
                    f"{lease.experiment} of {lease.home} runs on this host, and its nodes have the same names",
                    hint="choose another PID or EID",
                )
        memory, vcpus, disk = need(others)
        lease = Lease(
            home=str(home),
            experiment=str(place.experiment),
            hash=place.hash,
            boot_id=boot_id(),
            number=_free_number({lease.number for lease in others}, avoid := list(avoid)),
            subnet=str(_free_subnet(nodes, pools, [*avoid, *(lease.control for lease in others), UPLINK_POOL])),
            memory_mib=memory,
            vcpus=vcpus,
            disk_mib=disk,
        )
        place.runtime.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = place.lease.with_suffix(".new")
        new.write_bytes(msgspec.json.encode(lease))
        new.replace(place.lease)
    return lease


def _free_number(taken: set[int], avoid: list[IPv4Network]) -> int:
    for number in range(MAX_NUMBER):
        network = IPv4Network((int(UPLINK_POOL.network_address) + 4 * number, 30))
        if number not in taken and not any(network.subnet_of(other) for other in avoid if other.prefixlen):
            return number
    raise CapacityError(
        f"all {MAX_NUMBER} networks of {UPLINK_POOL} between host and experiments are in use",
        hint="swap an experiment out",
    )


def _free_subnet(nodes: int, pools: Iterable[IPv4Network], avoid: list[IPv4Network]) -> IPv4Network:
    prefix = min(MIN_PREFIX, 32 - (nodes + RESERVED_HOSTS - 1).bit_length())
    tried = []
    taken = list(ipaddress.collapse_addresses(network for network in avoid if network.prefixlen))
    for pool in pools:
        tried.append(str(pool))
        if pool.prefixlen > prefix:
            continue
        for subnet in pool.subnets(new_prefix=prefix):
            if not any(subnet.overlaps(other) for other in taken):
                return subnet
    raise CapacityError(
        f"no free /{prefix} for the control network in {', '.join(tried)}: the host or the experiment uses them",
        hint="name another range with `control_pools` in config.toml",
    )
