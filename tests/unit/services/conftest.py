"""What the tests of the doors share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from simulated import simulated

from benito.testbed.testbed import Testbed


@pytest.fixture
def bed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Testbed]:
    """A testbed whose experiments are only entered."""
    with simulated(monkeypatch) as made:
        yield made
