"""The node attributes that say what a node is made as and where it goes, by the names DETER's Containers gave them."""

from __future__ import annotations

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
    """Return the host's number that a node was given by hand; ValueError where it is not a number."""
    text = attribute(attributes, "partition")
    if text is None:
        return None
    if not text.strip().isdecimal() or len(text) > 18:
        raise ValueError(text)
    return int(text)
