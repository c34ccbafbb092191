"""Names of experiments, and where things lie."""

from pathlib import Path

import pytest

from benito.errors import InputError
from benito.testbed.home import ExperimentId, Home
from benito.testbed.testbed import refuse_domain


def test_spelling_does_not_make_another_experiment() -> None:
    home = Home(Path("/var/lib/benito"))
    first, second = home.place(ExperimentId("Demo", "Star")), home.place(ExperimentId("demo", "STAR"))
    assert (first.hash, first.folder) == (second.hash, second.folder)


def test_another_home_is_another_experiment() -> None:
    star = ExperimentId("Demo", "star")
    assert Home(Path("/a")).place(star).hash != Home(Path("/b")).place(star).hash


def test_the_longest_socket_path_fits_the_kernels_108_bytes() -> None:
    place = Home(Path("/any")).place(ExperimentId("p" * 63, "e" * 63))
    assert len(str(place.runtime / "pnode-99999" / ("n" * 63 + ".console"))) < 108


@pytest.mark.parametrize("name", ["a/b", "", "-a", "a-", "a b", "ä", "..", "a" * 64, "a.b", "a\n"])
def test_a_name_that_is_no_host_name_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="can't be EID"):
        ExperimentId.checked("Demo", name)


@pytest.mark.parametrize("pid", ["com", "DE", "dev", "local"])
def test_a_top_level_domain_is_no_pid(pid: str) -> None:
    with pytest.raises(InputError, match="top-level domain"):
        refuse_domain(ExperimentId(pid, "star"))


@pytest.mark.parametrize("pid", ["Demo", "DeterTest", "comm"])
def test_ordinary_pids_pass(pid: str) -> None:
    refuse_domain(ExperimentId(pid, "star"))
