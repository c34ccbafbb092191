"""Every error text of the NS reader stands in a golden file beside the file that causes it (`golden.py`)."""

from __future__ import annotations

from pathlib import Path

import pytest

from benito.errors import InputError
from benito.topology.addressing import assign
from benito.topology.reader import read
from golden import ERRORS, compare

FILES = sorted(ERRORS.glob("*.ns"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_errors_read_as_in_the_golden_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ERRORS)

    with pytest.raises(InputError) as raised:
        assign(read(Path(path.name)))

    compare(raised.value, path.stem)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_error_names_file_and_line(path: Path) -> None:
    with pytest.raises(InputError) as raised:
        assign(read(path))

    for fault in raised.value.faults:
        assert fault.where is not None
        assert fault.where.file == str(path)
        assert fault.where.line > 0 or path.stem == "empty"


def test_faults_are_in_the_order_of_the_file() -> None:
    with pytest.raises(InputError) as raised:
        read(ERRORS / "links.ns")

    lines = [fault.where.line for fault in raised.value.faults if fault.where]
    assert lines == sorted(lines)
