"""qemu_experiment.py, mixed_experiment.py and containerize.py: what they create and what they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from benito.cli.known import containerize, mixed_experiment, qemu_experiment
from benito.embedding.options import EmbeddingOptions
from benito.errors import InputError, StateError
from benito.testbed import testbed
from benito.testbed.home import ExperimentId
from benito.testbed.store import Settings, State

NS = "set ns [new Simulator]\nset a [$ns node]\nset b [$ns node]\nset l [$ns duplex-link $a $b 1Mb 1ms DropTail]\n"
TOPDL = """<experiment><version>1.0</version><elements><computer><name>a</name>
<attribute><attribute>partition</attribute><value>3</value></attribute></computer></elements>
<elements><computer><name>b</name></computer></elements></experiment>
"""
PASSES = ["--pass-pack", "0:4,1:5", "--pass-size", "1:2", "--pass-nodes", "1"]


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENITO_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(testbed, "require_root", lambda what: None)


@pytest.fixture
def ns(tmp_path: Path) -> str:
    file = tmp_path / "pair.ns"
    file.write_text(NS + "$ns run\n")
    return str(file)


@pytest.fixture
def xml(tmp_path: Path) -> str:
    file = tmp_path / "pair.xml"
    file.write_text(TOPDL)
    return str(file)


def made(name: str = "P/E") -> Settings:
    """Return the settings of the experiment that was created; it is swapped out."""
    record = testbed.Testbed().record(ExperimentId.parse(name))
    assert record.state is State.SWAPPED
    return record.settings


def test_qemu_experiment_creates_and_says_where(ns: str, capsys: pytest.CaptureFixture[str]) -> None:
    qemu_experiment.create(["P", "E", ns, "4"])
    assert made().placing == EmbeddingOptions(packing=4, force_partition=True, default_container="qemu")
    said = capsys.readouterr()
    assert said.out.splitlines() == [
        "Created P/E (nodes: 2, links and LANs: 1).",
        "See it at http://127.0.0.1:8080/experiments/P/E (while `benito serve` runs).",
        "Status: swapped",
    ]
    assert said.err == "swap it in with: benito swapin P/E\n"


def test_an_experiment_that_exists_is_refused(ns: str) -> None:
    qemu_experiment.create(["P", "E", ns, "4"])
    with pytest.raises(StateError, match="experiment p/e exists already"):
        qemu_experiment.create(["p", "e", ns, "4"])


@pytest.mark.parametrize("packing", ["0", "-1", "many"])
def test_a_packing_is_a_number(ns: str, packing: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        qemu_experiment.create(["P", "E", ns, packing])
    assert ended.value.code == 2


def test_in_a_mixed_experiment_nodes_without_partition_are_physical(xml: str) -> None:
    mixed_experiment.create(["P", "E", xml])
    bed = testbed.Testbed()
    topology, assignment = bed.placed(bed.place(ExperimentId("P", "E")), made())
    assert {node.name: node.kind for node in topology.nodes} == {"a": "qemu", "b": "physical"}
    assert len(assignment.pnodes) == 2


def test_without_any_partition_all_of_a_mixed_experiment_is_physical(tmp_path: Path) -> None:
    file = tmp_path / "all.xml"
    file.write_text(TOPDL.replace("partition", "color"))
    mixed_experiment.create(["P", "E", str(file)])
    bed = testbed.Testbed()
    topology, _ = bed.placed(bed.place(ExperimentId("P", "E")), made())
    assert [node.kind for node in topology.nodes] == ["physical", "physical"]


def test_a_mixed_experiment_is_topdl(ns: str) -> None:
    with pytest.raises(InputError, match="a mixed experiment is written in TopDL"):
        mixed_experiment.create(["P", "E", ns])


@pytest.mark.parametrize("words", [["--packing=12"], ["--pack", "12"], ["--pac=12"]])
def test_containerize_takes_abbreviated_options(ns: str, words: list[str]) -> None:
    containerize.create(["P", "E", *words, ns])
    assert made().placing == EmbeddingOptions(packing=12, default_container="openvz")


def test_containerize_places_as_it_is_told(ns: str) -> None:
    containerize.create(["--size", "3", "--nodes-only", "--force", "--default", "qemu", "P", "E", ns, *PASSES])
    assert made().placing == EmbeddingOptions(
        size=3,
        nodes_only=True,
        force_partition=True,
        default_container="qemu",
        pass_packing={0: 4, 1: 5},
        pass_size={1: 2},
        pass_nodes_only=frozenset({1}),
    )


def test_options_without_effect_get_one_notice_each(ns: str, capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--pnode-type", "bpc2133", "--vde", "--image", "--keep-tmp", "--openvz-diskspace", "10G"]
    containerize.create([*options, "P/group", "E", ns])
    notes = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    names = [line.split()[1] for line in notes]
    assert names[:-1] == ["--pnode-types", "--vde-switch-shaping", "--openvz-diskspace", "--image", "--keep-tmp"]
    assert "no groups here, group is left out" in notes[-1]


@pytest.mark.parametrize(("option", "refusal"), [("--pass-pack=x", "not PASS:NUMBER"), ("--default=cow", "no kind")])
def test_wrong_values_are_refused(ns: str, option: str, refusal: str) -> None:
    with pytest.raises(InputError, match=refusal):
        containerize.create([option, "P", "E", ns])


def test_a_site_configuration_is_read(ns: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "site.conf"
    config.write_text("[containers]\nexec_root = /share/containers\nswitch_shaping: true\n")
    containerize.create(["--config", str(config), "P", "E", ns])
    assert "exec_root, switch_shaping have no effect" in capsys.readouterr().err
    config.write_text("exec_root\n")
    with pytest.raises(InputError, match=r"site\.conf can't be read"):
        containerize.create(["--config", str(config), "P", "F", ns])


def test_missing_software_is_refused_unless_told(ns: str, tmp_path: Path) -> None:
    Path(ns).write_text(NS + "tb-set-node-tarfiles $b /opt /nowhere/a.tgz\n$ns run\n")
    commands: list[Callable[[], None]] = [
        lambda: qemu_experiment.create(["P", "E", ns, "4"]),
        lambda: containerize.create(["P", "E", ns]),
    ]
    for command in commands:
        with pytest.raises(InputError, match=r"pair\.ns:5: /nowhere/a\.tgz, wanted on b, is not on this host"):
            command()
    qemu_experiment.create(["--ignore-missing", "P", "E", ns, "4"])
    assert made().ignore_missing_software
