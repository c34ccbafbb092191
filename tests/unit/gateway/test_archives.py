"""The host's apt configuration, of whatever form, as the gateway understands it."""

from __future__ import annotations

from pathlib import Path

import pytest

from benito.gateway import archives
from benito.gateway.settings import Archive, Proxies
from benito.images.sources import all_uris

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
 https://second.example:8443/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 mQINBF
 -----END PGP PUBLIC KEY BLOCK-----

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: sid
Components: main
"""
ONE_LINE = """\
deb [arch=amd64 signed-by=/etc/apt/keyrings/x.gpg] https://me:s%40cret@Private.Example/apt stable main
# deb http://commented.example/debian sid main
deb cdrom:[Debian]/ bookworm main
deb file:/srv/mirror ./
"""


def test_every_form_of_entry_is_read(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text(ONE_LINE)
    (tmp_path / "sources.list.d" / "debian.sources").write_text(DEB822)
    (tmp_path / "sources.list.d" / "old.sources.disabled").write_text(DEB822.replace("mirror.example", "no.example"))
    found = archives.read(all_uris(tmp_path))
    assert found == (
        Archive(scheme="https", host="private.example", port=443, path="/apt/", user="me", password="s@cret"),
        Archive(scheme="http", host="mirror.example", port=80, path="/debian/"),
        Archive(scheme="https", host="second.example", port=8443, path="/debian/"),
    )


@pytest.mark.parametrize(
    ("machine", "uri", "known"),
    [
        ("private.example", "https://private.example/apt", True),
        ("private.example/apt", "https://private.example/apt", True),
        ("private.example/other", "https://private.example/apt", False),
        ("private.example", "http://private.example/apt", False),
        ("http://private.example", "http://private.example/apt", True),
        ("private.example:8443", "https://private.example/apt", False),
        ("private.example:8443", "https://private.example:8443/apt", True),
        ("rivate.example", "https://private.example/apt", False),
    ],
)
def test_passwords_go_where_apt_would_send_them(tmp_path: Path, machine: str, uri: str, known: bool) -> None:
    (tmp_path / "auth.conf.d").mkdir()
    (tmp_path / "auth.conf.d" / "x.conf").write_text(f"machine {machine} login me password secret\n")
    (tmp_path / "sources.list").write_text(f"deb {uri} stable main\n")
    (archive,) = archives.host_apt(apt=tmp_path, environment={}).archives
    assert (archive.user, archive.password) == (("me", "secret") if known else ("", ""))


def test_a_broken_file_of_passwords_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "auth.conf").write_text("machine x login\nnonsense here")
    (tmp_path / "sources.list").write_text("deb http://a.example/debian stable main\n")
    (archive,) = archives.host_apt(apt=tmp_path, environment={}).archives
    assert archive.user == ""


@pytest.mark.parametrize(
    ("settings", "environment", "expected"),
    [
        ([], {}, Proxies()),
        ([], {"http_proxy": "http://p:3128"}, Proxies(http="http://p:3128", https="http://p:3128")),
        (
            [("Acquire::http::Proxy", "http://q:1")],
            {"http_proxy": "http://p:3128", "no_proxy": "localhost, .corp.example"},
            Proxies(http="http://q:1", https="http://q:1", bypass=("localhost", ".corp.example")),
        ),
        (
            [("Acquire::http::Proxy", "DIRECT"), ("Acquire::https::proxy", "http://s:2")],
            {"http_proxy": "http://p:3128"},
            Proxies(https="http://s:2"),
        ),
        (
            [("Acquire::http::Proxy", "http://q:1"), ("Acquire::http::Proxy::Near.Example", "DIRECT")],
            {},
            Proxies(http="http://q:1", https="http://q:1", hosts={"http://near.example": ""}),
        ),
    ],
)
def test_proxies_are_those_of_apt(
    settings: list[tuple[str, str]], environment: dict[str, str], expected: Proxies
) -> None:
    assert archives.proxies(settings, environment) == expected


@pytest.mark.parametrize(
    ("script", "hosts"), [("echo http://found:1", {"http://a.example": "http://found:1"}), ("exit 3", {})]
)
def test_a_program_that_finds_no_proxy_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, hosts: dict[str, str]
) -> None:
    (tmp_path / "sources.list").write_text("deb http://a.example/debian stable main\n")
    program = tmp_path / "detect"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(archives, "fetching_settings", lambda: [f'Acquire::http::Proxy-Auto-Detect "{program}";'])
    assert archives.host_apt(apt=tmp_path, environment={}).proxies.hosts == hosts


def test_exceptions_come_before_the_proxy() -> None:
    proxies = Proxies(http="http://p", hosts={"http://near.example": ""}, bypass=(".corp.example", "lone.example"))
    assert proxies.to("http", "far.example") == "http://p"
    assert proxies.to("http", "near.example") == ""
    assert proxies.to("http", "a.corp.example") == ""
    assert proxies.to("http", "lone.example") == ""
    assert proxies.to("http", "notcorp.example") == "http://p"
