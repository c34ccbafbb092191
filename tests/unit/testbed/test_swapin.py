"""A swap-in that fails says why, also when not everything can be given back."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from benito.errors import CapacityError, HostError
from benito.testbed import swapin
from benito.testbed.home import ExperimentId, Home
from benito.testbed.store import Settings
from benito.testbed.testbed import Testbed


def test_the_reason_is_told_with_what_could_not_be_given_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> NoReturn:
        raise CapacityError("the host is full")

    def stuck(*_: Any, **__: Any) -> NoReturn:
        raise HostError("a group is stuck", hint="mend that")

    monkeypatch.setattr(swapin, "require_root", lambda _: None)
    monkeypatch.setattr(swapin, "leftovers", lambda _: False)
    monkeypatch.setattr(swapin, "_activate", full)
    monkeypatch.setattr(swapin, "release", stuck)
    bed = Testbed(Home(tmp_path))
    experiment = ExperimentId("Demo", "star")
    bed.store.create(experiment, Settings(file="star.ns", packing=1))
    with pytest.raises(HostError, match=r"^the host is full; and .*a group is stuck") as told:
        swapin.swap_in(bed, experiment)
    assert told.value.hint == "mend that"
