"""Text and elements of XML, with whatever a file may hold kept as text."""

from __future__ import annotations

import re
from xml.sax.saxutils import escape

NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Return the text with each character that XML can't hold replaced."""
    return NOT_XML.sub("�", text)


def content(text: str) -> str:
    """Return the text for between tags."""
    return escape(clean(text))


def element(tag: str, inner: str = "", **attributes: str | float) -> str:
    """Return an element around finished XML; `class_` is the attribute class, `_` in names stands for `-`."""
    written = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{_value(value)}"' for name, value in attributes.items() if value != ""
    )
    return f"<{tag}{written}>{inner}</{tag}>" if inner else f"<{tag}{written}/>"


def _value(value: str | float) -> str:
    if isinstance(value, str):
        return escape(clean(value), {'"': "&quot;", "\n": "&#10;", "\t": "&#9;", "\r": "&#13;"})
    return number(value)


def number(value: float) -> str:
    """Return a coordinate with a tenth of a px at most."""
    return f"{value:.1f}".removesuffix(".0")
