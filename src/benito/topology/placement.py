"""The node attributes that say what a node is made as and where it goes, by the names DETER's Containers gave them."""

from __future__ import annotations

import re
from collections.abc import Mapping

PREFIXES = ("containers:", "container:", "benito:", "")
"""`benito:` came before `containers:`; `container:` is a slip that real files have."""
KINDS = {
    "qemu": "qemu",
    "container": "container",
    "openvz": "container",
    "open_vz": "container",
    "process": "container",
    "physical": "physical",
    "embedded_pnode": "physical",
    "pnode": "physical",
}
TRUTH = {
    **dict.fromkeys(("true", "yes", "on", "1"), True),
    **dict.fromkeys(("false", "no", "off", "0", ""), False),
}
WHOLE = re.compile(r"\s*[+-]?\d+\s*")
MAX_DIGITS = 100
"""A longer number is a slip, and slow to read."""
PHYSICAL = "physical"
DEFAULT_KIND = "qemu"


def attribute(attributes: Mapping[str, str], name: str) -> str | None:
    """Return an attribute under any of the prefixes."""
    return next((attributes[prefix + name] for prefix in PREFIXES if prefix + name in attributes), None)


def kind(attributes: Mapping[str, str]) -> str | None:
    """Return the kind of a node; None where it is not said, ValueError where it is none that Benito knows."""
    text = attribute(attributes, "node_type")
    if text is None:
        return None
    if text.strip().lower() not in KINDS:
        raise ValueError(text)
    return KINDS[text.strip().lower()]


def partition(attributes: Mapping[str, str]) -> int | None:
    """Return the host's number that a node was given by hand; ValueError where it is not a whole number.

    Any whole number will do, negative ones too: it only says which nodes share a host.
    """
    return _whole(attributes, "partition")


def packing_pass(attributes: Mapping[str, str]) -> int | None:
    """Return the pass in which a node is packed; ValueError where it is not a whole number.

    The Containers reference calls the attribute PartitionPass, its guide PackingPass as well.
    """
    number = _whole(attributes, "PartitionPass")
    return _whole(attributes, "PackingPass") if number is None else number


def ghost(attributes: Mapping[str, str]) -> bool:
    """Return whether a node only takes room and is not started; ValueError where that is neither yes nor no."""
    text = attribute(attributes, "ghost")
    if text is None:
        return False
    if text.strip().lower() not in TRUTH:
        raise ValueError(text)
    return TRUTH[text.strip().lower()]


def _whole(attributes: Mapping[str, str], name: str) -> int | None:
    text = attribute(attributes, name)
    if text is None:
        return None
    if len(text) > MAX_DIGITS or not WHOLE.fullmatch(text):
        raise ValueError(text)
    return int(text)


def default_kind(placed_by_hand: bool, partition: int | None) -> str:
    """Return the kind of a node that doesn't say it: once a file gives any node a partition, those without one are
    physical (Benito's mixed mode, DETER Containers)."""
    return PHYSICAL if placed_by_hand and partition is None else DEFAULT_KIND


def image_url(attributes: Mapping[str, str]) -> str | None:
    """Return where the file says that a node's disk image can be fetched; `maverick_url` is the older name."""
    return attribute(attributes, "qemu_url") or attribute(attributes, "maverick_url")
