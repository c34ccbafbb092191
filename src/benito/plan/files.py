"""An experiment's plans as files and as one text: what all pnodes are told alike stands there once.

A hosts file and a description of a thousand nodes in each of a hundred plans would be most of them. An agent still
gets its plan whole (`model.encode`): what is read here is put together again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from benito.plan.model import Account, Inside, PnodePlan, decode

COMMON = "common.json"
PLANS = "pnode-*.json"


@dataclass(frozen=True, slots=True)
class Common:
    """The fields of a PnodePlan that are the same for every pnode of an experiment."""

    accounts: tuple[Account, ...] = ()
    hosts: str = ""
    inside: Inside = field(default_factory=Inside)


def write(folder: Path, plans: Sequence[PnodePlan]) -> None:
    """Write the plans of an experiment into its empty folder."""
    (folder / COMMON).write_bytes(_text(common(plans)))
    for plan in plans:
        (folder / f"{plan.pnode}.json").write_bytes(_text(_alone(plan)))


def read(folder: Path) -> tuple[PnodePlan, ...]:
    """Return the plans in a folder, whole; none where nothing was written. ValueError where they can't be read."""
    import msgspec

    files = sorted(folder.glob(PLANS))
    if not files:
        return ()
    shared = msgspec.json.decode((folder / COMMON).read_bytes(), type=Common)
    return tuple(
        replace(decode(file.read_bytes()), accounts=shared.accounts, hosts=shared.hosts, inside=shared.inside)
        for file in files
    )


def text(plans: Sequence[PnodePlan]) -> Iterator[str]:
    """Yield the parts of one JSON object, one a pnode: `{"common": {...}, "pnodes": [{...}, ...]}`."""
    yield '{\n"common": ' + _text(common(plans)).decode().rstrip("\n") + ',\n"pnodes": ['
    for place, plan in enumerate(plans):
        yield (",\n" if place else "\n") + _text(_alone(plan)).decode().rstrip("\n")
    yield "\n]\n}\n"


def common(plans: Sequence[PnodePlan]) -> Common:
    """Return what the plans of one experiment have alike."""
    return Common(plans[0].accounts, plans[0].hosts, plans[0].inside) if plans else Common()


def _alone(plan: PnodePlan) -> dict[str, Any]:
    """Return a plan's fields without those that `Common` has."""
    import msgspec

    bare = replace(plan, accounts=(), hosts="", inside=Inside())
    fields: dict[str, Any] = msgspec.to_builtins(bare)
    return {name: value for name, value in fields.items() if name not in Common.__dataclass_fields__}


def _text(value: Any) -> bytes:
    import msgspec

    return msgspec.json.format(msgspec.json.encode(value), indent=1) + b"\n"
