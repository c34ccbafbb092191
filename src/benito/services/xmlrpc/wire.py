"""Calls and replies as XML: no document types, no entities, nothing deep, nothing that XML can't hold."""

from __future__ import annotations

import re
import xmlrpc.client
from typing import Any
from xml.parsers.expat import ExpatError

from defusedxml.common import DefusedXmlException
from defusedxml.xmlrpc import DefusedExpatParser

from benito.errors import InputError

MAX_DEPTH = 64
MAX_ELEMENTS = 100_000
FAULT_PARSE, FAULT_METHOD = -32700, -32601
"""Of the XML-RPC "specification for fault code interoperability"."""
_CONTROLS = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_INT = 2**31


class _Reader(xmlrpc.client.Unmarshaller):
    """The standard library's reader, bounded."""

    def __init__(self) -> None:
        super().__init__(use_builtin_types=True)
        self._open = 0
        self._seen = 0

    def start(self, tag: str, attrs: Any) -> None:
        self._open += 1
        self._seen += 1
        if self._open > MAX_DEPTH or self._seen > MAX_ELEMENTS:
            raise InputError("the call is nested too deeply or has too many values")
        super().start(tag, attrs)

    def end(self, tag: str, *rest: Any) -> None:
        self._open -= 1
        super().end(tag, *rest)


def read_call(data: bytes) -> tuple[str, tuple[Any, ...]]:
    """Return a call's method and parameters; InputError for anything that isn't a call."""
    reader = _Reader()
    parser = DefusedExpatParser(reader, forbid_dtd=True)
    try:
        parser.feed(data)
        parser.close()
        parameters = reader.close()
        method = reader.getmethodname()
    except DefusedXmlException:
        raise InputError("document types and entities are not taken") from None
    except (ExpatError, xmlrpc.client.Error, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InputError(f"this is no XML-RPC call: {error}") from None
    if not method:
        raise InputError("this is no XML-RPC call: it names no method")
    return str(method), tuple(parameters)


def write_reply(value: Any) -> bytes:
    """Return a reply that holds one value."""
    return xmlrpc.client.dumps((_clean(value),), methodresponse=True, allow_none=False).encode()


def write_fault(code: int, text: str) -> bytes:
    """Return a reply that tells of a call that couldn't be made."""
    return xmlrpc.client.dumps(xmlrpc.client.Fault(code, _clean(text))).encode()


def _clean(value: Any) -> Any:
    """Return the value as XML-RPC can hold it: no control characters, no None, no number beyond 32 bits."""
    if value is None:
        return ""
    if isinstance(value, str):
        return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, bool | float | bytes | xmlrpc.client.Binary):
        return value
    if isinstance(value, int):
        return int(value) if -_INT <= value < _INT else str(int(value))
    if isinstance(value, dict):
        return {_clean(str(key)): _clean(each) for key, each in value.items()}
    return [_clean(each) for each in value]
