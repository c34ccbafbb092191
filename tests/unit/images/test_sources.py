"""Which of the host's apt entries are Debian's own."""

import subprocess
from pathlib import Path

import pytest

from benito.errors import HostError
from benito.images import sources
from benito.images.sources import Archives, Sources, Suite, archives, find_archives

DEB822 = """\
Types: deb
# an old address
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main
"""


def test_deb822_entries_are_found(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/debian.sources").write_text(DEB822)
    found = find_archives("debian", tmp_path, {})
    assert found == Archives("http://mirror.test/debian", "http://mirror.test/debian-security")


def test_other_vendors_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list.d/a.list").write_text(
        "deb [arch=amd64 signed-by=/etc/apt/keyrings/v.gpg] https://vendor.test/linux/debian bookworm stable\n"
        "deb [signed-by=/etc/apt/keyrings/w.gpg] https://wine.test/debian/ bookworm main\n"
        "deb https://node.test/node_20.x nodistro main\n"
    )
    (tmp_path / "sources.list.d/b.sources.disabled").write_text(DEB822.replace("mirror", "disabled"))
    (tmp_path / "sources.list.d/c.sources").write_text(DEB822.replace("mirror", "off") + "Enabled: no\n")
    (tmp_path / "sources.list").write_text(
        "# deb http://commented.test/debian bookworm main\ndeb-src http://source.test/debian bookworm main\n"
        "deb http://plain.test/debian/ bookworm main # the one\n"
    )
    assert find_archives("debian", tmp_path, {}) == Archives("http://plain.test/debian/")


def test_a_host_without_debian_entries_says_what_to_set(tmp_path: Path) -> None:
    assert find_archives("debian", tmp_path, {}) is None
    told = find_archives("debian", tmp_path, {"BENITO_DEBIAN_MIRROR": "http://m.test/debian"})
    assert told == Archives("http://m.test/debian")
    with pytest.raises(HostError, match="BENITO_UBUNTU_MIRROR"):
        archives("ubuntu")


def test_credentials_stay_on_the_host() -> None:
    uri = "https://user:secret@m.test:8443/debian"
    sources = Sources((Suite(uri, "bookworm"), Suite(uri, "bookworm-updates")))
    assert "secret" in sources.entries(private=True)
    assert sources.entries(private=False) == (
        "deb https://m.test:8443/debian bookworm main\ndeb https://m.test:8443/debian bookworm-updates main\n"
    )


def test_an_archive_that_does_not_answer_has_no_release(monkeypatch: pytest.MonkeyPatch) -> None:
    def hang(argv: list[str], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(argv, timeout)

    monkeypatch.setattr(sources.subprocess, "run", hang)
    assert sources.probe("http://nowhere.example/debian", "bookworm") is None
