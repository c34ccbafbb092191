"""Locks: one holder, for root alone, no endless waits."""

from pathlib import Path

import pytest

from benito.errors import BusyError
from benito.testbed import flock


def test_only_one_holds_it_and_it_is_free_afterwards(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with flock.held(lock), pytest.raises(BusyError, match="is held by"), flock.held(lock, wait=False):
        pass
    with flock.held(tmp_path / "lock", wait=False):
        assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600


def test_waiting_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flock, "PATIENCE_S", 0.1)
    with flock.held(tmp_path / "lock"), pytest.raises(BusyError), flock.held(tmp_path / "lock"):
        pass


def test_a_lock_that_was_removed_while_held_is_no_lock_for_the_next(tmp_path: Path) -> None:
    with flock.held(tmp_path / "lock"):
        (tmp_path / "lock").unlink()
        with flock.held(tmp_path / "lock", wait=False):
            assert (tmp_path / "lock").exists()
