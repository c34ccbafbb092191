"""TopDL's XML: text to elements and back, within limits that no file can talk us out of.

A document type (and with it every entity, external or not), a processing instruction, a NUL, an encoding that is not
what the file says, more than `MAX_BYTES`, `MAX_TAGS` or a depth of `MAX_DEPTH` are refused before or while reading.
Nothing outside the file is ever looked at. Namespaces and attributes with one are left out: TopDL has none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from benito.errors import InputError, Where
from benito.topology.element import Element
from benito.topology.text import printable

MAX_BYTES = 16 << 20
MAX_TAGS = 1_000_000
"""Opening and closing ones; about 20,000 nodes."""
MAX_DEPTH = 32
MAX_WIDTH = 120
ENCODINGS = {
    **dict.fromkeys(("utf-8", "utf8"), "utf-8"),
    **dict.fromkeys(("us-ascii", "ascii"), "ascii"),
    **dict.fromkeys(("iso-8859-1", "latin1", "latin-1"), "latin-1"),
    "iso-8859-15": "iso-8859-15",
    "windows-1252": "cp1252",
    **dict.fromkeys(("utf-16", "utf-16le", "utf-16be", "utf16"), "utf-16"),
}
BOM = b"\xef\xbb\xbf"
DECLARATION = re.compile(r"\s*<\?xml\s[^<>]{0,400}?\?>")
DECLARED = re.compile(r"""\sencoding\s*=\s*["']([^"']*)["']""")
PROLOG = re.compile(r"(?:\s+|<!--.*?-->|<\?.*?\?>)*", re.DOTALL)
WRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 can't say."""


def is_xml(data: bytes) -> bool:
    """Whether a file's bytes are XML rather than Tcl."""
    if _wide(data):
        return _decoded(data, "utf-16", "").lstrip("\ufeff \t\r\n").startswith("<")
    start = data[:4096].removeprefix(BOM).lstrip() or data.removeprefix(BOM).lstrip()[:2]
    return start.startswith(b"<") and not start.startswith(b"<<")


def _wide(data: bytes) -> bool:
    return data.startswith((b"\xff\xfe", b"\xfe\xff", b"<\0", b"\0<"))


def _line(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _decoded(data: bytes, encoding: str, file: str) -> str:
    """Decode; `file` is empty where it is tried only."""
    if encoding == "utf-16" and not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16-le" if data.startswith(b"<") else "utf-16-be"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if not file:
            return ""
        line = data.count(b"\n", 0, error.start) + 1
        raise InputError(
            f"the file is not {encoding.upper()}, as it should be",
            where=Where(file, line),
            hint='save it as UTF-8, or name its encoding in the first line: <?xml version="1.0" encoding="..."?>',
        ) from None


def decode(data: bytes, file: str) -> str:
    """Return the file's text without XML declaration; InputError where its bytes are not what it says."""
    if len(data) > MAX_BYTES:
        raise InputError(f"the file is larger than the {MAX_BYTES >> 20} MiB a TopDL file may have", where=Where(file))
    data = data.removeprefix(BOM)
    head = _decoded(data, "utf-16", file)[:4096] if _wide(data) else data[:4096].decode("latin-1")
    declaration = DECLARATION.match(head.lstrip("\ufeff"))
    found = DECLARED.search(declaration[0]) if declaration else None
    said = found[1] if found else "UTF-16" if _wide(data) else "UTF-8"
    encoding = ENCODINGS.get(said.lower())
    if encoding is None:
        raise InputError(
            f"the encoding `{said[:40]}` is not one that TopDL files may have",
            where=Where(file, 1),
            hint="save the file as UTF-8",
        )
    if (encoding == "utf-16") != _wide(data):
        actual = "UTF-16" if _wide(data) else "not UTF-16"
        raise InputError(
            f"the file says that it is {said}, but it is {actual}", where=Where(file, 1), hint="save it as UTF-8"
        )
    text = _decoded(data, encoding, file).removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if "\0" in text:
        raise InputError(
            "the file contains a NUL byte",
            where=Where(file, _line(text, text.index("\0"))),
            hint="is this a text file?",
        )
    return "\n" * declaration[0].count("\n") + text[declaration.end() :] if declaration else text


def parse(data: bytes, file: str) -> Element:
    """Return the root element; InputError at the first thing that is not well-formed, or not allowed."""
    text = decode(data, file)
    if not text.strip():
        raise InputError("the file is empty", where=Where(file), hint="a TopDL file holds an <experiment>")
    start = PROLOG.match(text)
    if start and text.startswith("<!DOCTYPE", start.end()):
        raise InputError(
            "the file has a document type (<!DOCTYPE>), and TopDL has none",
            where=Where(file, _line(text, start.end())),
            hint="remove it, and write out the entities it defines",
        )
    if text.count("<") > MAX_TAGS:
        raise InputError(f"the file has more than {MAX_TAGS:,} tags", where=Where(file), hint="split the experiment")
    return _build(_tree(text, file), file, 1)


def _tree(text: str, file: str) -> Any:
    from lxml import etree

    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        recover=False,
    )
    try:
        root = etree.fromstring(text.encode("utf-8", "surrogatepass"), parser)
    except etree.XMLSyntaxError as error:
        from benito.topology.topdl.syntax import explain

        fault = explain(error, text, file)
        raise InputError(fault.message, where=fault.where, hint=fault.hint) from None
    for around in (*root.itersiblings(preceding=True), *root.itersiblings()):
        _refuse_instruction(around, file)
    return root


def _refuse_instruction(node: Any, file: str) -> None:
    if not isinstance(node.tag, str):
        name = printable(str(getattr(node, "target", ""))[:40])
        raise InputError(
            f"the file has a processing instruction (<?{name} ...?>), and TopDL has none",
            where=Where(file, node.sourceline or 0),
            hint="remove it",
        )


def _build(node: Any, file: str, depth: int) -> Element:
    """Turn what lxml read into an element of ours."""
    _refuse_instruction(node, file)
    if depth > MAX_DEPTH:
        raise InputError(f"the elements are nested more than {MAX_DEPTH} deep", where=Where(file, node.sourceline or 0))
    children = []
    text = node.text or ""
    for child in node:
        children.append(_build(child, file, depth + 1))
        if child.tail:
            text += child.tail
    attributes = tuple((str(key), str(value)) for key, value in node.attrib.items() if not key.startswith("{"))
    tag = node.tag.rpartition("}")[2]
    return Element(tag, text.strip(), tuple(children), attributes, node.sourceline or 0)


def serialise(root: Element, instead: str | None = None) -> str:
    """Write a document; InputError where a text holds a character that XML can't, unless something stands `instead`."""
    lines = _lines(root, "", instead)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + "\n".join(lines) + "\n"


def _lines(element: Element, indent: str, instead: str | None) -> Iterator[str]:
    attributes = "".join(f' {key}="{_quoted(value, instead)}"' for key, value in element.attributes)
    opening = element.tag + attributes
    text = _escaped(element.text, instead)
    if not element.children:
        yield f"{indent}<{opening}>{text}</{element.tag}>" if text else f"{indent}<{opening}/>"
        return
    if not any(child.children for child in element.children):
        inner = "".join(next(_lines(each, "", instead)) for each in element.children)
        line = f"{indent}<{opening}>{text}{inner}</{element.tag}>"
        if len(line) <= MAX_WIDTH or element.tag == "attribute":
            yield line
            return
    yield f"{indent}<{opening}>{text}"
    for child in element.children:
        yield from _lines(child, indent + "  ", instead)
    yield f"{indent}</{element.tag}>"


def _escaped(text: str, instead: str | None) -> str:
    wrong = WRITABLE.search(text)
    if wrong and instead is None:
        raise InputError(
            f"the text `{text[: wrong.start()][-30:]}` goes on with a character that XML can't hold "
            f"(U+{ord(wrong[0]):04X})",
            hint="take it out",
        )
    if wrong:
        text = WRITABLE.sub(lambda _: instead or "", text)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _quoted(text: str, instead: str | None) -> str:
    return _escaped(text, instead).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")
