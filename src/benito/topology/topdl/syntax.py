"""Says in plain words what libxml2 found wrong with a file's XML."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from benito.errors import Fault, Where
from benito.topology.text import printable

if TYPE_CHECKING:
    from lxml.etree import XMLSyntaxError

AMPERSAND = "write &amp; for an ampersand, &lt; for a less-than sign"
TEXTS: dict[str, tuple[str, str]] = {
    "ERR_DOCUMENT_EMPTY": ("the file does not begin with an element", "a TopDL file holds an <experiment>"),
    "ERR_DOCUMENT_END": ("there is more after the end of the root element", "a TopDL file holds one <experiment>"),
    "ERR_UNDECLARED_ENTITY": ("there is no entity of this name", AMPERSAND),
    "ERR_ENTITYREF_SEMICOL_MISSING": ("an ampersand begins what is no character reference", AMPERSAND),
    "ERR_NAME_REQUIRED": ("a name is missing after `<` or `&`", AMPERSAND),
    "ERR_INVALID_CHAR": ("there is a character that XML can't hold", "take it out"),
    "ERR_INVALID_HEX_CHARREF": ("there is a character reference that stands for no character", AMPERSAND),
    "ERR_INVALID_DEC_CHARREF": ("there is a character reference that stands for no character", AMPERSAND),
    "ERR_TAG_NOT_FINISHED": ("the file ends inside an element", "is it complete?"),
    "ERR_GT_REQUIRED": ("a tag is not closed with `>`", "is the file complete?"),
    "ERR_LT_IN_ATTRIBUTE": ("a `<` stands in the value of an XML attribute", AMPERSAND),
    "ERR_ATTRIBUTE_NOT_STARTED": ("the value of an XML attribute is not in quotes", "write it in quotes"),
    "ERR_ATTRIBUTE_REDEFINED": ("an element has the same XML attribute twice", "leave one of them out"),
    "ERR_COMMENT_NOT_FINISHED": ("a comment is not closed with `-->`", "close it"),
    "ERR_CDATA_NOT_FINISHED": ("a CDATA section is not closed with `]]>`", "close it"),
    "ERR_MISPLACED_CDATA_END": ("`]]>` stands in a text", "write ]]&gt;"),
    "ERR_HYPHEN_IN_COMMENT": ("`--` stands inside a comment", "use one hyphen"),
    "ERR_RESERVED_XML_NAME": ("an XML declaration stands inside the file", "it belongs into the first line"),
    "NS_ERR_UNDEFINED_NAMESPACE": ("an element has a namespace prefix that is not declared", "remove the prefix"),
}
TOO_LONG = "a text or name is longer than XML readers accept"
MISMATCH = re.compile(r"mismatch: (\S+) line (\d+) and (\S+?),")


def explain(error: XMLSyntaxError, text: str, file: str) -> Fault:
    """Return the fault; anything without words of ours is told in libxml2's."""
    from lxml.etree import ErrorTypes

    where = Where(file, error.lineno or 0)
    code: int = getattr(error, "code", 0)
    said = printable(error.msg or "it can't be read")
    name = next((key for key in TEXTS if getattr(ErrorTypes, key, None) == code), "")
    if code == ErrorTypes.ERR_RESOURCE_LIMIT:
        if "depth" in said:
            return Fault("the elements are nested too deep", where)
        return Fault(TOO_LONG, where)
    if code == ErrorTypes.ERR_TAG_NAME_MISMATCH and (found := MISMATCH.search(said)):
        message = f"`{found[1][:60]}` of line {found[2]} is closed by `{found[3][:60]}`"
        return Fault(message, where, f"close it with </{found[1][:60]}>")
    if code == ErrorTypes.ERR_NAME_TOO_LONG:
        return Fault(TOO_LONG, where)
    if name:
        message, hint = TEXTS[name]
        return Fault(message, where, hint)
    said = re.sub(r",? line \d+, column \d+$", "", " ".join(said.split()))
    return Fault(f"this is not well-formed XML: {said[:200]}", where)
