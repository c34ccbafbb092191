"""The software of an experiment's file is found, or what is missing is named with node and line."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from benito.errors import InputError
from benito.testbed.home import ExperimentId, Place
from benito.testbed.software import Downloads, gather, missing
from benito.topology.model import Topology
from benito.topology.reader import read


class Listener:
    """Keeps what progress is told."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def step(self, text: str) -> None: ...

    def node(self, node: str, phase: str) -> None: ...

    def notice(self, text: str) -> None:
        self.notices.append(text)


def topology(folder: Path, *lines: str) -> Topology:
    file = folder / "file.ns"
    nodes = "foreach i {0 1 2 3 4} { set n($i) [$ns node] }"
    file.write_text("\n".join(["set ns [new Simulator]", nodes, *lines, "$ns run", ""]))
    return read(file)


def write_archive(file: Path) -> None:
    (file.parent / "x").write_text("x")
    with tarfile.open(file, "w:gz") as tar:
        tar.add(file.parent / "x", "x")


def gathered(
    folder: Path, asked: Topology, *, ignore: bool = False, person: str = "root"
) -> tuple[dict[str, str], list[str]]:
    """Return each node's bundle and the notices."""
    place, listener = Place(ExperimentId("P", "E"), "0", folder / "experiment"), Listener()
    given = gather(asked, place, Downloads(folder / "cache", 100), person, folder, ignore=ignore, progress=listener)
    return {node: software.bundle for node, software in given.items()}, listener.notices


def test_nodes_with_the_same_software_share_a_bundle(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar.gz")
    asked = topology(
        tmp_path,
        f"foreach i {{0 1}} {{ tb-set-node-tarfiles $n($i) /opt {tmp_path}/a.tar.gz }}",
        "tb-set-node-tarfiles $n(2) /usr/local a.tar.gz",
    )
    given, _ = gathered(tmp_path, asked)
    assert set(given) == {"n-0", "n-1", "n-2"}
    assert given["n-0"] == given["n-1"] != given["n-2"]
    bundles = {file.stem for file in (tmp_path / "experiment/software").iterdir()}
    assert bundles == set(given.values())


def test_everything_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    asked = topology(
        tmp_path,
        "foreach i {0 1 2 3 4} { tb-set-node-tarfiles $n($i) /opt /nowhere/a.tgz }",
        "tb-set-node-rpms $n(1) ftp://x/y.rpm apache",
    )
    faults = [str(fault) for fault in missing(asked)]
    place = tmp_path / "file.ns"
    go_on = "(to go on without it: --ignore-missing-software)"
    assert faults == [
        f"{place}:3: /nowhere/a.tgz, wanted on n-0, n-1, n-2 and 2 more, is not on this host: "
        f"No such file or directory {go_on}",
        f"{place}:4: ftp://x/y.rpm, wanted on n-1, can't be fetched: only http and https can {go_on}",
        f"{place}:4: apache, wanted on n-1, names no folder to unpack into and is no .deb or .rpm package {go_on}",
    ]
    with pytest.raises(InputError) as refused:
        gathered(tmp_path, asked)
    assert len(refused.value.faults) == 3
    given, notices = gathered(tmp_path, asked, ignore=True)
    assert given == {}
    assert notices == faults


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who can read everything")
@pytest.mark.timeout(60)
def test_a_pipe_or_a_device_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.tar")
    (tmp_path / "null.tar").symlink_to("/dev/null")
    (tmp_path / "folder.tar").mkdir()
    asked = topology(
        tmp_path,
        *(
            f"tb-set-node-tarfiles $n({i}) /opt {tmp_path}/{name}.tar"
            for i, name in enumerate(("pipe", "null", "folder"))
        ),
    )
    assert ["is no ordinary file" in str(fault) for fault in missing(asked)] == [True] * 3


def test_a_person_gets_no_file_that_is_not_theirs(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.tar.gz")
    (tmp_path / "a.tar.gz").chmod(0o600)
    with pytest.raises(InputError, match="may not be read by nobody"):
        gathered(tmp_path, topology(tmp_path, "tb-set-node-tarfiles $n(0) /opt a.tar.gz"), person="nobody")
