"""Files by http: fetched once, asked for again only when they have changed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import msgspec
import pytest

from benito.errors import InputError
from benito.software.fetch import Note, fetch, prune


@dataclass
class Site:
    """A small web server."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, int]] = field(default_factory=list)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = made.files.get(self.path)
            tag = f'"{hash(data)}"'
            code = 404 if data is None else 304 if self.headers.get("If-None-Match") == tag else 200
            if self.path == "/away":
                code = 302
            made.asked.append((self.path, code))
            self.send_response(code)
            self.send_header("ETag", tag)
            if code == 302:
                self.send_header("Location", "file:///etc/passwd")
            length = len(data or b"") + 10 * (self.path == "/short")
            self.send_header("Content-Length", str(length if code == 200 else 0))
            self.end_headers()
            if code == 200:
                self.wfile.write(data or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    made.url = f"http://127.0.0.1:{server.server_port}"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_unchanged_file_is_sent_once(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = b"one"
    assert fetch(f"{site.url}/a", tmp_path, print).read_bytes() == b"one"
    assert fetch(f"{site.url}/a", tmp_path, print).read_bytes() == b"one"
    site.files["/a"] = b"two"
    assert fetch(f"{site.url}/a", tmp_path, print).read_bytes() == b"two"
    assert [code for _, code in site.asked] == [200, 304, 200]


def test_addresses_and_what_they_gave_are_roots_alone(site: Site, tmp_path: Path) -> None:
    site.files["/tool.tar?key=secret"] = b"tool"
    fetch(f"{site.url}/tool.tar?key=secret", tmp_path / "cache", lambda _: None)
    assert (tmp_path / "cache").stat().st_mode & 0o077 == 0


def test_what_was_fetched_serves_while_the_server_is_away(site: Site, tmp_path: Path) -> None:
    site.files["/a"] = b"one"
    fetch(f"{site.url}/a", tmp_path, print)
    note = next(tmp_path.glob("*.json"))
    gone = "http://127.0.0.1:9/a"
    note.write_text(note.read_text().replace(f"{site.url}/a", gone))
    from hashlib import sha256

    note.rename(tmp_path / f"{sha256(gone.encode()).hexdigest()}.json")
    told: list[str] = []
    assert fetch(gone, tmp_path, told.append).read_bytes() == b"one"
    assert "the copy fetched before is used" in told[0]


@pytest.mark.parametrize(
    ("path", "message"),
    [("/no", "404"), ("/away", "is not allowed"), ("/short", "the connection broke after 3 of 13 bytes")],
)
def test_what_goes_wrong_is_said(site: Site, tmp_path: Path, path: str, message: str) -> None:
    site.files["/short"] = b"one"
    with pytest.raises(InputError, match=message):
        fetch(site.url + path, tmp_path, print)
    assert not [file for file in tmp_path.iterdir() if file.name.startswith("new-")]


def test_a_server_that_isnt_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Connection refused"):
        fetch("http://127.0.0.1:9/a.tar", tmp_path, print)


def test_the_cache_keeps_what_was_asked_for_last(tmp_path: Path) -> None:
    for number, name in enumerate(("oldest", "old", "fresh")):
        (tmp_path / name).write_bytes(bytes(100))
        (tmp_path / f"{name}-address.json").write_bytes(msgspec.json.encode(Note("http://x/", name)))
        os.utime(tmp_path / name, (0, [1000, 2000, time.time()][number]))
    (tmp_path / "new-1").write_bytes(b"")
    os.utime(tmp_path / "new-1", (0, 1000))

    prune(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "fresh",
        "fresh-address.json",
        "old",
        "old-address.json",
    ]

    prune(tmp_path, 0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fresh", "fresh-address.json"]
