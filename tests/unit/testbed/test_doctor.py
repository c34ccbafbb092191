"""`benito doctor` names what is missing and what brings it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from benito import run
from benito.testbed import doctor
from benito.testbed.doctor import Check, Grade
from benito.testbed.home import Home
from benito.testbed.testbed import Testbed

SETUP = Path(__file__).parents[3] / "setup.sh"
DAILY = ("qemu-system-x86_64", "qemu-img", "nft", "ssh-keygen", "ssh", "tclsh", "ip", "debugfs")


def check(what: str, bed: Testbed) -> Check:
    """Return one check's outcome."""
    return next(each for each in doctor.examine(bed) if each.what == what)


@pytest.fixture
def bed(tmp_path: Path) -> Testbed:
    return Testbed(Home(tmp_path / "home"))


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host without any program but those put into this folder."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    return programs


def put(host: Path, *programs: str) -> None:
    for program in programs:
        (host / program).write_text("#!/bin/sh\nexit 1\n")
        (host / program).chmod(0o755)


def test_a_bare_host_lacks_everything(host: Path, bed: Testbed) -> None:
    found = check("programs", bed)

    assert found.grade is Grade.BAD
    assert "tclsh" in found.found
    assert "tcl" in found.hint.split()
    assert check("containers", bed) == Check(
        "containers",
        Grade.NOTE,
        "only virtual machines can run: containers need an OCI runtime and none is installed",
        "apt-get install runc",
    )


def test_what_few_experiments_need_is_a_note(host: Path, bed: Testbed) -> None:
    put(host, *DAILY)

    assert check("programs", bed).grade is Grade.NOTE
    assert "`benito graph` can't make PNG files" in check("programs", bed).found


@pytest.mark.parametrize(
    ("user", "grade", "found"),
    [
        (0, Grade.NOTE, "only virtual machines can run: no OCI runtime works on this host: crun: exit status 1"),
        (1000, Grade.GOOD, "crun, catatonit"),
    ],
)
def test_root_tries_the_runtimes(
    user: int, grade: Grade, found: str, host: Path, bed: Testbed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    put(host, "crun", "catatonit")

    assert (check("containers", bed).grade, check("containers", bed).found) == (grade, found)


def test_setup_installs_every_package_that_is_asked_for() -> None:
    listed = re.search(r"^packages=\((.*?)\)", SETUP.read_text(), re.DOTALL | re.MULTILINE)
    assert listed
    assert set(run.PACKAGES.values()) <= set(listed[1].split())
