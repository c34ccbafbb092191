"""Which OCI runtime is used: the first that works, remembered."""

import os
from pathlib import Path

import pytest

from benito.errors import HostError
from benito.machines import engine


def runtime(folder: Path, name: str, *, works: bool) -> Path:
    """A runtime that counts how often it is tried."""
    folder.mkdir(exist_ok=True)
    program = folder / name
    says = "exit 0" if works else "echo no hybrid control groups >&2; exit 1"
    program.write_text(f"#!/bin/sh\necho tried >> {folder}/{name}.log\n{says}\n")
    program.chmod(0o755)
    return program


def tried(folder: Path, name: str) -> int:
    log = folder / f"{name}.log"
    return len(log.read_text().splitlines()) if log.exists() else 0


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder), prepend=None)
    return folder


def test_the_first_that_works_is_taken_and_remembered(tmp_path: Path, programs: Path) -> None:
    runtime(programs, "crun", works=False)
    runc = runtime(programs, "runc", works=True)
    for _ in range(3):
        assert engine.decide(tmp_path / "cache") == str(runc)
    assert (tried(programs, "crun"), tried(programs, "runc")) == (1, 1)


def test_another_version_is_tried_again(tmp_path: Path, programs: Path) -> None:
    crun = runtime(programs, "crun", works=False)
    runtime(programs, "runc", works=True)
    engine.decide(tmp_path / "cache")
    runtime(programs, "crun", works=True)
    os.utime(crun, (1, 1))
    assert engine.decide(tmp_path / "cache") == str(crun)


def test_the_one_that_is_wanted_is_taken(tmp_path: Path, programs: Path) -> None:
    crun = runtime(programs, "crun", works=True)
    runc = runtime(programs, "runc", works=True)
    assert engine.decide(tmp_path / "cache") == str(crun)
    assert engine.decide(tmp_path / "cache", "runc") == str(runc)
    with pytest.raises(HostError, match="the container runtime youki is not installed"):
        engine.decide(tmp_path / "cache", "youki")


def test_other_control_groups_are_a_reason_to_try_again(
    tmp_path: Path, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crun = runtime(programs, "crun", works=True)
    monkeypatch.setattr(engine, "UNIFIED", tmp_path / "nowhere")
    engine.decide(tmp_path / "cache")
    monkeypatch.setattr(engine, "UNIFIED", crun)
    engine.decide(tmp_path / "cache")
    assert tried(programs, "crun") == 2


def test_what_each_said_is_told_when_none_works(tmp_path: Path, programs: Path) -> None:
    runtime(programs, "runc", works=False)
    with pytest.raises(HostError, match="runc: no hybrid control groups"):
        engine.decide(tmp_path / "cache")
    assert engine.found(tmp_path / "cache") is None


def test_none_installed_is_told_with_the_package(tmp_path: Path, programs: Path) -> None:
    with pytest.raises(HostError, match="apt-get install runc"):
        engine.decide(tmp_path / "cache")
