"""How somebody at a door wants an experiment to be run: the options of `benito create`, by the names doors give them.

Both doors get words; what is wrong with one is told beside its name, all of it at once. Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from benito.embedding.options import read_pass_list, read_passes
from benito.errors import InputError
from benito.topology import sizes
from benito.topology.placement import KINDS

MOST_PACKING = 100_000
ACCELERATORS = ("auto", "kvm", "tcg")
CHOICES = {
    "addressing": ("benito", "emulab"),
    "shaping": ("auto", "netem", "userspace"),
    "accelerator": ACCELERATORS,
}
NUMBERS = {
    "packing": (1, MOST_PACKING, ""),
    "size": (1, MOST_PACKING, ""),
    "memory": (sizes.LEAST_MEMORY_MIB, sizes.MOST_MEMORY_MIB, "MiB"),
    "cpus": (1, sizes.MOST_CPUS, ""),
    "disk": (1, sizes.MOST_DISK_MIB, "MiB"),
}
NAMES = ("image", "default_os")
PASSES: dict[str, Callable[[str, list[str]], Any]] = {
    "pass_pack": read_passes,
    "pass_size": read_passes,
    "pass_nodes_only": lambda _, texts: read_pass_list("pass_nodes_only", texts),
}
WORDS = (*NUMBERS, *CHOICES, *NAMES, *PASSES, "default_container")
"""Options that are words; each may be left empty."""
TRUTHS = {
    "internet": True,
    "strict_os": False,
    "nodes_only": False,
    "force_partition": False,
    "cold": False,
    "ignore_missing_software": False,
}
"""Options that are yes or no, with what holds where nothing is said."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What may be chosen for an experiment. Sizes are in MiB, of nodes whose file doesn't say; None is the image's."""

    packing: int = 10
    size: int | None = None
    memory: int | None = None
    cpus: int | None = None
    disk: int | None = None
    addressing: str = "benito"
    shaping: str = "auto"
    accelerator: str = "auto"
    image: str | None = None
    default_os: str | None = None
    default_container: str | None = None
    pass_pack: dict[int, int] = {}
    pass_size: dict[int, int] = {}
    pass_nodes_only: frozenset[int] = frozenset()
    internet: bool = True
    strict_os: bool = False
    nodes_only: bool = False
    force_partition: bool = False
    cold: bool = False
    ignore_missing_software: bool = False
    share: tuple[str, ...] = ()
    """`DIR[:PATH][:ro]` each."""


def read(
    words: Mapping[str, str], truths: Mapping[str, bool], share: tuple[str, ...]
) -> tuple[Options, dict[str, str]]:
    """Return the options, and what is wrong with which of them; words that are empty or missing leave the default."""
    chosen: dict[str, Any] = {**truths, "share": share}
    faults: dict[str, str] = {}
    for name in WORDS:
        if text := words.get(name, "").strip():
            try:
                chosen[name] = _value(name, text)
            except InputError as error:
                faults[name] = f"{error.message}: {error.hint}" if error.hint else error.message
    return Options(**chosen), faults


def _value(name: str, text: str) -> Any:
    if name in NUMBERS:
        return sizes.number(text, *NUMBERS[name])
    if name in PASSES:
        return PASSES[name](name, [text])
    known = tuple(KINDS) if name == "default_container" else CHOICES.get(name, ())
    if known and text.lower() not in known:
        raise InputError(f"there is no {name} `{text[:60]}`", hint=f"one of {', '.join(known)}")
    return text.lower() if known else text
