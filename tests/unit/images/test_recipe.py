"""Recipes: what is known by name, what `--suite` makes, and what counts in the digest."""

from dataclasses import replace
from pathlib import Path

import pytest

from benito.errors import HostError, InputError
from benito.images import recipe
from benito.images.build import Origin, recipe_digest
from benito.images.initrd import _plain_name
from benito.images.packages import IncompleteError, _explained, _merging
from benito.images.sources import Archives, Suite, find_sources


def test_a_name_without_a_recipe_says_which_there_are() -> None:
    with pytest.raises(InputError, match="debian-11, debian-12, debian-13"):
        recipe.named("debian-3")


def test_a_suite_of_any_name_gets_its_distributions_kernel() -> None:
    assert recipe.of_suite("mine", "noble", "ubuntu", "24.04").kernel == recipe.UBUNTU_KERNEL
    assert recipe.of_suite("mine", "trixie", "debian", "13").release == "13"
    assert recipe.of_suite("mine", "zesty", "ubuntu", "17.04").components == ("main", "universe")
    assert recipe.of_suite("mine", "duke", "debian", "").release == "duke"


def test_every_choice_counts_in_the_digest() -> None:
    plain = recipe.named("debian-13")
    variants = [
        plain,
        replace(plain, size_mib=16384),
        replace(plain, packages=(*plain.packages, "frr")),
        replace(plain, customize="#!/bin/sh\n"),
        recipe.named("debian-12"),
    ]
    digests = {recipe_digest(each) for each in variants} | {recipe_digest(plain, Origin("http://m.test/debian"))}
    assert len(digests) == 6


def test_updates_are_taken_as_far_as_the_archive_has_them(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {("a", "noble"): ("main", "universe"), ("a", "noble-security"): ("main",)}

    def probe(uri: str, suite: str) -> Suite | None:
        return Suite(uri, suite, components=there[uri, suite]) if (uri, suite) in there else None

    monkeypatch.setattr("benito.images.sources.probe", probe)
    found = find_sources("noble", ("main", "universe"), Archives("a"))
    assert [suite.name for suite in found.suites] == ["noble", "noble-security"]
    assert found.entries(private=True) == "deb a noble main universe\ndeb a noble-security main universe\n"
    with pytest.raises(HostError, match="has no release jammy"):
        find_sources("jammy", ("main",), Archives("a"))


def test_an_archive_with_holes_is_told_from_one_that_is_away() -> None:
    hole = (
        "Err:83 http://m.test x\n  404  Not Found [IP: 192.0.2.1 80]\nE: Failed to fetch http://m.test/linux_1.deb  404"
    )
    assert isinstance(_explained("mmdebstrap", hole), IncompleteError)
    assert "can't be reached" in str(_explained("mmdebstrap", "Could not resolve 'm.test'"))


FAREWELL = "I: main() received signal PIPE: waiting for setup...\nE: mmdebstrap failed to run\n"


def test_a_package_that_is_not_there_is_named() -> None:
    log = "Building dependency tree...\nE: Unable to locate package frrr\nE: setup failed: E: apt-get install failed\n"
    assert _explained("mmdebstrap", log + FAREWELL).message == "the archive has no package frrr"
    dropped = "E: Package 'ntp' has no installation candidate\nE: setup failed: E: apt-get install failed\n"
    assert _explained("mmdebstrap", dropped + FAREWELL).message == "the archive has no package ntp"


def test_a_script_that_fails_is_told_with_its_last_words() -> None:
    log = (
        "I: running --customize-hook in shell: sh -c 'chroot \"$1\" /usr/lib/benito-customize'\n"
        "cat: /nonexistent: No such file or directory\n"
        'E: setup failed: E: command failed: chroot "$1" /usr/lib/benito-customize\n'
    )
    told = _explained("mmdebstrap", log + FAREWELL)
    assert told.message == "the script of --customize failed: cat: /nonexistent: No such file or directory"


def test_the_cause_is_told_and_not_what_follows_from_it() -> None:
    log = "E: Unable to correct problems, you have held broken packages.\nE: setup failed: E: apt-get install failed\n"
    assert "held broken packages" in _explained("mmdebstrap", log + FAREWELL).message


def test_old_releases_are_merged_by_hand() -> None:
    assert _merging("bullseye")[0].startswith("--setup-hook=")
    assert not any("--setup-hook" in word for word in _merging("trixie"))


def test_a_compressed_module_goes_by_its_plain_name() -> None:
    assert {_plain_name(f"a/virtio_net.ko{end}") for end in ("", ".xz", ".zst", ".gz")} == {"virtio_net.ko"}


def test_a_mirror_with_credentials_is_told_without_them() -> None:
    from benito.images.build import about

    info = about(recipe.named("debian-13"), "d", Origin("http://user:secret@m.test/debian", Path("k")))
    assert info.origin["mirror"] == "http://m.test/debian"
