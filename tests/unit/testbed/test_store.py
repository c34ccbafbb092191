"""The store: what two processes and a restart may do to it."""

from pathlib import Path

import pytest

from benito.errors import HostError, StateError
from benito.testbed.home import ExperimentId
from benito.testbed.store import NodeRecord, Settings, State, Store

STAR = ExperimentId("Demo", "star")
SETTINGS = Settings(file="/tmp/star.ns", packing=3, members=("alice",))


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "benito.db")
    made.create(STAR, SETTINGS)
    return made


def test_an_experiment_is_found_in_any_spelling(store: Store) -> None:
    record = store.experiment(ExperimentId("DEMO", "Star"))
    assert (record.id, record.state, record.settings) == (STAR, State.SWAPPED, SETTINGS)


def test_a_name_is_taken_in_every_spelling(store: Store) -> None:
    with pytest.raises(StateError, match=r"dEMO/STAR exists already \(as Demo/star\)"):
        store.create(ExperimentId("dEMO", "STAR"), SETTINGS)


def test_an_unknown_experiment_is_named(store: Store) -> None:
    with pytest.raises(StateError, match="there is no experiment Demo/nova"):
        store.experiment(ExperimentId("Demo", "nova"))


def test_each_swapin_has_a_number_of_its_own(store: Store) -> None:
    assert [store.begin_swapin(STAR, "boot"), store.begin_swapin(STAR, "boot")] == [1, 2]
    assert store.experiment(STAR).state is State.ACTIVATING


def test_another_process_sees_what_was_written(store: Store) -> None:
    nodes = [NodeRecord(n, "pnode-0000", "qemu", "debian-12", "192.168.0.2", ("10.0.0.1", "10.0.1.1")) for n in "ba"]
    store.set_nodes(STAR, nodes)
    store.set_statuses(STAR, {"a": ("booted", 3)})
    seen = Store(store.path).nodes(STAR)
    assert [node.node for node in seen] == ["b", "a"]
    assert (seen[1].boot, seen[1].code, seen[1].addresses) == ("booted", 3, ("10.0.0.1", "10.0.1.1"))


def test_forgetting_takes_the_nodes_along(store: Store) -> None:
    store.set_nodes(STAR, [NodeRecord("a", "pnode-0000", "qemu", "debian-12", "192.168.0.2", ())])
    store.forget(STAR)
    store.create(STAR, SETTINGS)
    assert store.nodes(STAR) == []


def test_a_database_of_another_version_is_left_alone(store: Store) -> None:
    store._db.execute("PRAGMA user_version=99")
    with pytest.raises(HostError, match="another version of Benito"):
        Store(store.path).experiments()


def test_a_place_that_cannot_be_written_is_an_error_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HostError, match="can't use"):
        Store(tmp_path / "file" / "benito.db").experiments()
