"""Error texts against their golden files; after a change of texts, `BENITO_WRITE_GOLDEN=1 pytest tests/unit/topology`
writes those anew: read the difference before committing it."""

from __future__ import annotations

import os
from pathlib import Path

from benito.errors import InputError

ERRORS = Path(__file__).parents[1] / "golden" / "errors"


def compare(error: InputError, name: str) -> None:
    """Hold what an error says against `golden/errors/<name>.txt`."""
    golden = ERRORS / f"{name}.txt"
    said = f"{error}\n"
    if os.environ.get("BENITO_WRITE_GOLDEN"):
        golden.write_text(said)
    assert said == golden.read_text()
