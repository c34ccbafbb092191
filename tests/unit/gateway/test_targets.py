"""Where the package proxy goes, and where it doesn't, whatever a node says."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benito.gateway.targets import Policy, RefusedError, is_own, public

from .conftest import settings

POLICY = Policy(settings("http://10.9.8.7/debian", "https://user:pw@Secure.example/apt/", "http://127.0.0.1:3142/x/"))


@pytest.mark.parametrize(
    ("asked", "gone_to"),
    [
        ("http://10.9.8.7/debian/dists/x/InRelease", "http://10.9.8.7/debian/dists/x/InRelease"),
        ("http://secure.example/apt/pool/a.deb", "https://secure.example/apt/pool/a.deb"),
        ("http://SECURE.example:443/apt/a", "https://secure.example/apt/a"),
        ("http://127.0.0.1:3142/x/dists/y", "http://127.0.0.1:3142/x/dists/y"),
        ("http://elsewhere.example/debian/x", "http://elsewhere.example/debian/x"),
    ],
)
def test_archives_of_the_host_are_reached_wherever_they_are(asked: str, gone_to: str) -> None:
    target = POLICY.get(asked)
    assert target.url == gone_to
    assert (target.archive is None) is ("elsewhere" in asked)


@pytest.mark.parametrize(
    "asked",
    [
        "http://10.9.8.7/debian/../secret",
        "http://10.9.8.7/debian/%2e%2e/secret",
        "http://10.9.8.7/debian/%252e%252e/secret",
        "http://10.9.8.7/debian\\..\\secret",
        "http://127.0.0.1:3143/x/",
        "http://anywhere.example:8080/",
        "http://user@10.9.8.7/debian/",
        "https://secure.example/apt/",
        "ftp://10.9.8.7/debian/",
        "/debian/dists",
        "http://[::1/",
    ],
)
def test_what_is_refused(asked: str) -> None:
    with pytest.raises((RefusedError, ValueError)):
        POLICY.get(asked)


def test_beside_an_archive_a_server_is_like_any_other() -> None:
    assert POLICY.get("http://10.9.8.7/debian-secret/x").archive is None
    assert POLICY.get("http://10.9.8.7/").archive is None


@pytest.mark.parametrize("authority", ["anywhere.example:22", "anywhere.example", ":443", "x.example:443x"])
def test_tunnels_go_to_the_webs_port_alone(authority: str) -> None:
    with pytest.raises(RefusedError):
        POLICY.connect(authority)
    assert POLICY.connect("anywhere.example:443").archive is None
    assert POLICY.connect("Secure.Example:443").archive is not None


def test_without_a_way_out_nothing_is_fetched() -> None:
    closed = Policy(settings("http://10.9.8.7/debian", internet=False))
    with pytest.raises(RefusedError, match="--no-internet"):
        closed.get("http://10.9.8.7/debian/x")
    with pytest.raises(RefusedError, match="--no-internet"):
        closed.connect("anywhere.example:443")


def test_no_address_of_this_host_or_of_a_private_network_is_public() -> None:
    inward = ["127.0.0.1", "10.1.2.3", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "::1"]
    inward += ["fe80::1%2", "fd00::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"]
    assert public(inward) == []
    assert public(["1.1.1.1", "2606:4700::1111"]) == ["1.1.1.1", "2606:4700::1111"]
    assert is_own("127.0.0.1")


@given(st.text(max_size=60))
def test_any_path_stays_in_its_archive_or_is_refused(tail: str) -> None:
    try:
        target = POLICY.get(f"http://10.9.8.7/debian/{tail}")
    except (RefusedError, ValueError):
        return
    if target.archive:
        assert target.path.startswith("/debian/")
        assert ".." not in target.path.partition("?")[0].split("/")
