"""TopDL files that are wrong on purpose end within their limits, with an error that says so, and reach nothing."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from benito.errors import InputError
from benito.topology import topdl
from benito.topology.reader import read
from benito.topology.topdl.document import MAX_BYTES, MAX_DEPTH, MAX_TAGS

LAUGHS = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><experiment>&b;</experiment>'


def refusal(source: str | bytes) -> str:
    """Return what the reader says to a document, without its place."""
    with pytest.raises(InputError) as raised:
        topdl.read_source(source, "t.xml")
    (fault,) = raised.value.faults
    assert fault.where is not None
    assert fault.where.file == "t.xml"
    return fault.message


def experiment(inner: str) -> str:
    return f"<experiment>{inner}</experiment>"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (experiment(" " * MAX_BYTES), "the file is larger than the 16 MiB a TopDL file may have"),
        (experiment("<a/>" * MAX_TAGS), "the file has more than 1,000,000 tags"),
        ("<a>" * (MAX_DEPTH + 1) + "</a>" * (MAX_DEPTH + 1), "the elements are nested more than 32 deep"),
        ("<a>" * 100_000 + "</a>" * 100_000, "the elements are nested too deep"),
        ("<a>" * 100_000, "the elements are nested too deep"),
        (experiment(f"<version>{'1' * 10_000_001}</version>"), "a text or name is longer than XML readers accept"),
        (experiment(f'<version x="{"1" * 10_000_001}"/>'), "a text or name is longer than XML readers accept"),
        (f"<{'a' * 100_000}/>", "a text or name is longer than XML readers accept"),
        ("<a\0/>", "the file contains a NUL byte"),
        (LAUGHS, "the file has a document type (<!DOCTYPE>), and TopDL has none"),
        (
            f'\ufeff<?xml version="1.0" encoding="utf-16"?>{LAUGHS}'.encode("utf-16-le"),
            "the file has a document type (<!DOCTYPE>), and TopDL has none",
        ),
        (experiment("&lol;"), "there is no entity of this name"),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else None,
)
def test_what_is_too_much(source: str | bytes, message: str) -> None:
    assert refusal(source) == message


def test_a_file_of_a_hundred_megabytes(tmp_path: Path) -> None:
    file = tmp_path / "t.xml"
    with file.open("w") as opened:
        opened.write("<experiment>")
        opened.truncate(100 << 20)

    with pytest.raises(InputError, match="the file is larger than 64 MiB"):
        read(file)


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


@pytest.mark.parametrize(
    "document",
    [
        '<!DOCTYPE experiment SYSTEM "{url}"><experiment/>',
        '<!DOCTYPE experiment [<!ENTITY x SYSTEM "{url}">]><experiment>&x;</experiment>',
        '<!DOCTYPE experiment [<!ENTITY % x SYSTEM "{url}"> %x;]><experiment/>',
        '<?xml-stylesheet href="{url}"?><experiment/>',
        '<experiment xmlns:xi="http://www.w3.org/2001/XInclude"><xi:include href="{url}" parse="text"/></experiment>',
        '<experiment xmlns:i="http://www.w3.org/2001/XMLSchema-instance" i:schemaLocation="x {url}"/>',
    ],
)
@pytest.mark.parametrize("where", ["file", "net"])
def test_nothing_outside_the_file_is_looked_at(
    document: str, where: str, server: socket.socket, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush")
    url = secret.as_uri() if where == "file" else f"http://127.0.0.1:{server.getsockname()[1]}/x"

    try:
        said = topdl.write(topdl.read_source(document.format(url=url), "t.xml"))
    except InputError as error:
        said = str(error)

    assert "hush" not in said
    with pytest.raises(BlockingIOError):
        server.accept()
