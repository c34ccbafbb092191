"""Keys: what root writes and reads for people, whatever they have put there."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from benito.errors import InputError
from benito.testbed import access
from benito.testbed.home import ExperimentId, Home

ME = pwd.getpwuid(os.geteuid()).pw_name

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@needs_root
def test_a_key_is_its_users_and_the_folder_is_not(tmp_path: Path) -> None:
    login = access.login(Home(tmp_path), "nobody")
    status, folder = login.key.stat(), login.key.parent.stat()
    assert (status.st_uid, status.st_mode & 0o777) == (pwd.getpwnam("nobody").pw_uid, 0o600)
    assert (folder.st_uid, folder.st_mode & 0o777) == (0, 0o711)
    assert access.login(Home(tmp_path), "nobody").key.read_bytes() == login.key.read_bytes()


@needs_root
def test_a_persons_pipes_links_and_floods_are_no_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = pwd.getpwnam("nobody")
    ssh = tmp_path / "home" / ".ssh"
    ssh.mkdir(parents=True)
    os.mkfifo(ssh / "pipe.pub")
    (ssh / "zero.pub").symlink_to("/dev/zero")
    (ssh / "secret.pub").write_text("ssh-ed25519 of-another-user\n")
    os.chown(ssh / "secret.pub", 12345, 12345)
    (ssh / "huge.pub").write_bytes(b"ssh-rsa x\n" * 200_000)
    (ssh / "good.pub").write_text("ssh-ed25519 GOOD me\n")
    monkeypatch.setattr(
        access, "known_user", lambda user: pwd.struct_passwd((*entry[:5], str(tmp_path / "home"), entry[6]))
    )
    (account,) = access.accounts(Home(tmp_path), ["nobody"])
    assert [key.split()[1] for key in account.keys if "benito" not in key] == ["GOOD"]


@needs_root
def test_a_folder_that_does_not_answer_may_not_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert access.may("nobody", "-r", Path("/"))

    def hang(argv: list[str], *, timeout: float, **_: object) -> None:
        raise subprocess.TimeoutExpired(argv, timeout)

    monkeypatch.setattr(access.subprocess, "run", hang)
    assert not access.may("nobody", "-r", Path("/"))


def test_host_keys_stay_as_long_as_the_experiment(tmp_path: Path) -> None:
    place = Home(tmp_path).place(ExperimentId("Demo", "star"))
    access.host_keys(place, ["a", "b"])
    before = access.host_key(place, "a").read_text()
    access.host_keys(place, ["a", "b", "c"])
    assert access.host_key(place, "a").read_text() == before
    assert access.host_key(place, "a").stat().st_mode & 0o777 == 0o600
    lines = place.known_hosts.read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["a.star.demo", "b.star.demo", "c.star.demo"]
    assert len({line.split()[2] for line in lines}) == 3


def test_an_unknown_user_is_named() -> None:
    with pytest.raises(InputError, match="no local user 'nobody-of-that-name'"):
        access.known_user("nobody-of-that-name")


def test_a_member_whose_account_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no local user 'nobody-of-that-name'"):
        access.accounts(Home(tmp_path), ["nobody-of-that-name"])
