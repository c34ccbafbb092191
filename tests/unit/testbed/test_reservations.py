"""Reservations: two experiments never share what only one can have."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest

from benito.errors import CapacityError
from benito.testbed import home, reservations
from benito.testbed.home import ExperimentId, Home
from benito.testbed.reservations import Lease, reserve

POOL = IPv4Network("192.168.0.0/16")


@pytest.fixture(autouse=True)
def _runtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(home, "RUNTIME", tmp_path / "run")
    monkeypatch.setattr(reservations, "RUNTIME", tmp_path / "run")


def take(
    tmp_path: Path,
    eid: str,
    *,
    nodes: int = 5,
    avoid: tuple[str, ...] = (),
    memory: int = 100,
    pool: IPv4Network = POOL,
) -> Lease:
    place = Home(tmp_path).place(ExperimentId("Demo", eid))
    networks = [IPv4Network(text) for text in avoid]
    return reserve(place, tmp_path, nodes, networks, [pool], lambda others: (memory, nodes, 0))


def test_experiments_get_networks_and_numbers_of_their_own(tmp_path: Path) -> None:
    first, second = take(tmp_path, "a"), take(tmp_path, "b")
    assert (first.subnet, second.subnet) == ("192.168.0.0/24", "192.168.1.0/24")
    assert first.number != second.number
    assert not first.uplink.overlaps(second.uplink)
    assert first.gateway == "192.168.0.1"


def test_what_is_in_use_is_skipped(tmp_path: Path) -> None:
    lease = take(tmp_path, "a", avoid=("0.0.0.0/0", "192.168.0.0/17", "192.168.128.7/32", "100.126.0.0/29"))
    assert lease.subnet == "192.168.129.0/24"
    assert lease.number == 2


def test_a_large_experiment_gets_a_large_network(tmp_path: Path) -> None:
    assert take(tmp_path, "a", nodes=252).subnet == "192.168.0.0/24"
    assert take(tmp_path, "b", nodes=253).subnet == "192.168.2.0/23"
    assert IPv4Network(take(tmp_path, "c", nodes=1355).subnet).num_addresses >= 1355


def test_no_room_names_the_pool_and_the_setting(tmp_path: Path) -> None:
    with pytest.raises(CapacityError, match="control_pools"):
        take(tmp_path, "a", avoid=("192.168.0.0/16",))


def test_needs_are_told_what_others_hold(tmp_path: Path) -> None:
    take(tmp_path, "a", memory=700)
    seen: list[int] = []

    def need(others: list[Lease]) -> tuple[int, int, int]:
        seen.extend(lease.memory_mib for lease in others)
        raise CapacityError("no")

    place = Home(tmp_path).place(ExperimentId("Demo", "b"))
    with pytest.raises(CapacityError):
        reserve(place, tmp_path, 1, [], [POOL], need)
    assert seen == [700]
    assert reservations.held(place) is None


def test_a_reservation_from_before_a_reboot_does_not_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = take(tmp_path, "a")
    monkeypatch.setattr(reservations, "boot_id", lambda: "another")
    assert reservations.leases() == []
    assert take(tmp_path, "b").subnet == first.subnet


def test_reserving_again_replaces_ones_own(tmp_path: Path) -> None:
    assert take(tmp_path, "a").subnet == take(tmp_path, "a").subnet
