"""Every error text of the TopDL reader stands in a golden file beside the file that causes it (`golden.py`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benito.errors import InputError
from benito.topology.addressing import assign
from benito.topology.reader import read
from golden import ERRORS, compare

FILES = sorted(ERRORS.glob("topdl-*.xml"))
NO_LINE = {"topdl-empty-declaration"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_errors_read_as_in_the_golden_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)

    with pytest.raises(InputError) as raised:
        assign(read(Path(path.name)))

    compare(raised.value, path.stem)
    assert all(fault.where and (fault.where.line or path.stem in NO_LINE) for fault in raised.value.faults)
    lines = [fault.where.line for fault in raised.value.faults if fault.where]
    assert lines == sorted(lines)
