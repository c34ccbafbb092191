"""What is known while a TopDL file is gone through: its faults and warnings, and how its values are read."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from benito.errors import Fault, Where
from benito.topology.element import Element
from benito.topology.text import printable

MAX_FAULTS = 100
NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?", re.ASCII)
ADDRESS = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})", re.ASCII)


class Reading:
    """The faults and warnings so far; an empty file name is for elements that were read before."""

    def __init__(self, file: str = "") -> None:
        self.file = file
        self.faults: list[Fault] = []
        self.warnings: list[Fault] = []

    def where(self, element: Element) -> Where | None:
        """Return the element's place."""
        return Where(self.file, element.line) if self.file else None

    def fault(self, message: str, element: Element, hint: str = "") -> None:
        """Note something wrong."""
        if len(self.faults) < MAX_FAULTS:
            self.faults.append(Fault(printable(message), self.where(element), printable(hint)))

    def warn(self, message: str, element: Element, hint: str = "") -> None:
        """Note something that the person should know."""
        if len(self.warnings) < MAX_FAULTS:
            self.warnings.append(Fault(printable(message), self.where(element), printable(hint)))

    def number(self, element: Element, what: str, name: str, most: float, hint: str) -> float | None:
        """Read a number from 0 to `most`, the `what` of `name`; None with a fault where it is none."""
        text = element.text
        if not NUMBER.fullmatch(text) or not math.isfinite(value := float(text)):
            self.fault(f"the {what} `{text[:40]}` of {name} is not a number", element, hint)
            return None
        if value < 0:
            self.fault(f"the {what} `{text[:40]}` of {name} is negative", element, hint)
            return None
        if value > most:
            self.fault(f"the {what} `{text[:40]}` of {name} is more than {most:,.0f}", element, hint)
            return None
        return value

    def attributes(self, holder: Element, name: str) -> dict[str, str]:
        """Return the TopDL attributes of an element, the first of each name; `name` is the holder's in messages."""
        found: dict[str, str] = {}
        for each in holder.all("attribute"):
            key, value = each.value("attribute"), each.value("value")
            if not key:
                self.fault(f"an attribute of {name} has no name", each, NAMELESS)
            elif value is None:
                self.fault(f"the attribute `{key[:60]}` of {name} has no value", each, "write <value>...</value>")
            elif found.setdefault(key, value) != value:
                self.warn(f"{name} has the attribute {key[:60]} already; the first value holds", each)
        return found

    def check_children(self, holder: Element, known: Sequence[str], name: str) -> None:
        """Warn of elements that TopDL doesn't have there; text beside elements is a fault."""
        if holder.text and holder.children:
            short = " ".join(holder.text.split())[:40]
            self.fault(f"{name} holds the text `{short}` beside its elements", holder, "put it into an element")
        for child in holder.children:
            if child.tag not in known and len(self.warnings) < MAX_FAULTS:
                hint = nearest(child.tag[:40], known, 0.75)
                self.warn(f"`{child.tag[:40]}` means nothing in {name}; it is kept", child, hint)


def nearest(name: str, known: Sequence[str], cutoff: float = 0.6) -> str:
    """Return a hint at the known name that may have been meant; empty where none is near, or too many are known."""
    if len(known) > 2000 or len(name) > 60:
        return ""
    import difflib

    close = difflib.get_close_matches(name, known, 1, cutoff)
    return f"did you mean `{close[0]}`?" if close else ""


NAMELESS = "write <attribute><attribute>name</attribute><value>...</value></attribute>"


def place_of(holder: Element, key: str) -> Element:
    """Return the element that gives an attribute of this name, to point at; the holder itself where there is none."""
    return next((each for each in holder.all("attribute") if each.value("attribute") == key), holder)


def address(text: str) -> str | None:
    """Return an IPv4 address in its usual form; None where the text is none."""
    found = ADDRESS.fullmatch(text)
    if found is None or any(int(part) > 255 for part in found.groups()):
        return None
    return ".".join(str(int(part)) for part in found.groups())


def netmask(text: str) -> str | None:
    """Return a netmask in its usual form; None where the text is none."""
    plain = address(text)
    if plain is None:
        return None
    inverse = int.from_bytes(bytes(int(part) for part in plain.split(".")), "big") ^ 0xFFFFFFFF
    return None if inverse & (inverse + 1) or inverse == 0xFFFFFFFF else plain


def digits(value: float) -> str:
    """Write a number so that it is read back exactly, without an exponent."""
    from decimal import Decimal

    text = f"{Decimal(repr(value)):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def merged(holder: Element, wanted: Mapping[str, str]) -> Element:
    """Return the element with exactly these TopDL attributes: what it has already keeps its place and doubles."""
    kept: list[Element] = []
    done: set[str] = set()
    for each in holder.children:
        key = each.value("attribute") or "" if each.tag == "attribute" else None
        if key is None or (key in wanted and key in done):
            kept.append(each)
        elif key in wanted:
            done.add(key)
            kept.append(each if each.value("value") == wanted[key] else each.with_value("value", wanted[key]))
    kept += [attribute(key, value) for key, value in wanted.items() if key not in done]
    return holder.holding(kept)


def attribute(key: str, value: str) -> Element:
    """Return a TopDL attribute."""
    return Element("attribute", children=(Element("attribute", key), Element("value", value)))
