"""Every error text of the TopDL reader stands in a golden file beside the file that causes it.

After a change of texts, `BENITO_WRITE_GOLDEN=1 pytest tests/unit/topology/topdl` writes them anew: read the difference
before committing it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benito.errors import InputError
from benito.topology.addressing import assign
from benito.topology.reader import read

GOLDEN = Path(__file__).parents[3] / "golden" / "errors"
FILES = sorted(GOLDEN.glob("topdl-*.xml"))
NO_LINE = {"topdl-empty-declaration"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_errors_read_as_in_the_golden_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(GOLDEN)

    with pytest.raises(InputError) as raised:
        assign(read(Path(path.name)))

    text = f"{raised.value}\n"
    golden = path.with_suffix(".txt")
    if os.environ.get("BENITO_WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()
    assert all(fault.where and (fault.where.line or path.stem in NO_LINE) for fault in raised.value.faults)
    lines = [fault.where.line for fault in raised.value.faults if fault.where]
    assert lines == sorted(lines)
