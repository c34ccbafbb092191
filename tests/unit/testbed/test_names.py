"""Names on the host: what is written, and that nothing else is touched."""

import errno
from pathlib import Path

import pytest

from benito.errors import StateError
from benito.testbed import names
from benito.testbed.home import ExperimentId, Home, Place

BEFORE = "127.0.0.1 localhost\n# a comment\n192.0.2.7 printer.office.example\n"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    hosts = tmp_path / "hosts"
    hosts.write_text(BEFORE)
    monkeypatch.setattr(names, "HOSTS", hosts)
    monkeypatch.setattr(names, "SSH_DROPINS", tmp_path / "ssh_config.d")
    monkeypatch.setattr(names, "RUNTIME", tmp_path / "run")
    return Home(tmp_path).place(ExperimentId("Demo", "Star"))


def test_names_appear_and_vanish_without_a_trace(place: Place) -> None:
    names.publish(place, {"Center": "192.168.0.2"}, [names.Login("alice", Path("/keys/alice"))])
    assert "192.168.0.2\tcenter.star.demo\n" in names.HOSTS.read_text()
    assert names.published(place)
    names.withdraw(place)
    assert names.HOSTS.read_text() == BEFORE
    assert not names.published(place)
    assert list(names.SSH_DROPINS.iterdir()) == []


def test_publishing_twice_leaves_one_block(place: Place) -> None:
    names.publish(place, {"a": "192.168.0.2"}, [])
    names.publish(place, {"a": "192.168.0.3"}, [])
    text = names.HOSTS.read_text()
    assert text.count("# BEGIN") == 1
    assert "192.168.0.2" not in text


def test_two_experiments_keep_out_of_each_others_way(place: Place, tmp_path: Path) -> None:
    other = Home(tmp_path).place(ExperimentId("Demo", "lan"))
    names.publish(place, {"a": "192.168.0.2"}, [])
    names.publish(other, {"a": "192.168.1.2"}, [])
    names.withdraw(place)
    assert "a.lan.demo" in names.HOSTS.read_text()
    assert "a.star.demo" not in names.HOSTS.read_text()
    assert names.all_published() == {other.hash}


def test_a_hosts_file_without_a_last_newline_is_put_back_to_the_letter_but_for_that(place: Place) -> None:
    names.HOSTS.write_text("127.0.0.1 localhost")
    names.publish(place, {"a": "192.168.0.2"}, [])
    names.withdraw(place)
    assert names.HOSTS.read_text() == "127.0.0.1 localhost\n"


def test_a_hosts_file_that_is_a_mount_is_written_in_place(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    inode = names.HOSTS.stat().st_ino
    rename = Path.replace

    def busy(self: Path, target: Path) -> Path:
        if target == names.HOSTS:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return rename(self, target)

    monkeypatch.setattr(Path, "replace", busy)
    names.publish(place, {"a": "192.168.0.2"}, [])
    assert "a.star.demo" in names.HOSTS.read_text()
    names.withdraw(place)
    assert names.HOSTS.read_text() == BEFORE
    assert names.HOSTS.stat().st_ino == inode


def test_a_name_that_means_something_else_is_refused(place: Place) -> None:
    names.HOSTS.write_text(BEFORE + "192.0.2.9 A.star.DEMO\n")
    with pytest.raises(StateError, match=r"a\.star\.demo already stands"):
        names.refuse_taken(place, ["a", "b"])


def test_our_own_names_are_not_in_our_way(place: Place) -> None:
    names.publish(place, {"a": "192.168.0.2"}, [])
    names.refuse_taken(place, ["a"])


def test_each_user_is_given_their_own_key(place: Place) -> None:
    text = names.ssh_config(
        place, [names.Login("alice", Path("/keys/alice/id")), names.Login("bob", Path("/keys/bob/id"))]
    )
    assert 'Match originalhost "*.star.demo" localuser alice\n    IdentityFile "/keys/alice/id"\n' in text
    assert 'Match originalhost "*.star.demo" localuser bob\n    IdentityFile "/keys/bob/id"\n' in text
    assert "\n    StrictHostKeyChecking yes\n" in text
    assert "User " not in text


def test_a_block_that_lost_its_end_takes_no_line_of_a_person_along(place: Place) -> None:
    begin = f"# BEGIN benito Demo/Star {place.hash}\n"
    names.HOSTS.write_text(begin + "192.168.0.2\ta.star.demo\n192.0.2.9 mine\n")
    names.publish(place, {"a": "192.168.0.3"}, [])
    names.withdraw(place)
    assert names.HOSTS.read_text() == "192.0.2.9 mine\n"


def test_foreign_line_ends_and_links_stay(place: Place, tmp_path: Path) -> None:
    real = tmp_path / "real-hosts"
    real.write_bytes(b"127.0.0.1 localhost\r\n")
    names.HOSTS.unlink()
    names.HOSTS.symlink_to(real)
    names.publish(place, {"a": "192.168.0.3"}, [])
    assert b"a.star.demo" in real.read_bytes()
    names.withdraw(place)
    assert real.read_bytes() == b"127.0.0.1 localhost\r\n"
    assert names.HOSTS.is_symlink()


def test_another_homes_experiment_of_the_same_name_is_in_the_way(place: Place, tmp_path: Path) -> None:
    other = Home(tmp_path / "other").place(place.experiment)
    names.publish(other, {"a": "192.168.0.2"}, [])
    with pytest.raises(StateError, match="already stands"):
        names.refuse_taken(place, ["a"])


def test_a_drop_in_that_only_looks_like_ours_is_not_ours(place: Place) -> None:
    names.publish(place, {"a": "192.168.0.2"}, [])
    for stem in ("benito-lab", "benito-", "benito-0123456789"):
        (names.SSH_DROPINS / f"{stem}.conf").write_text("Host lab\n")
    assert names.all_published() == {place.hash}
