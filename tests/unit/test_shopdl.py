"""shopdl.py changes just what it is told to, keeps the old file, and changes nothing after an error."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benito.cli.shopdl import main
from benito.topology import topdl
from benito.topology.model import LanKind, Shape

MIXED = """<experiment><version>1.0</version>
<substrates><name>core</name><capacity><rate>100000</rate><kind>max</kind></capacity></substrates>
<substrates><name>edge</name></substrates>
<elements><computer><name>gw</name><cpu><type>x86</type></cpu>
  <interface><substrate>core</substrate><name>eth0</name></interface>
  <interface><substrate>edge</substrate><name>eth1</name></interface></computer></elements>
<elements><computer><name>web-1</name><interface><substrate>core</substrate></interface>
  <attribute><attribute>startup</attribute><value>httpd</value></attribute></computer></elements>
<elements><computer><name>web-2</name><interface><substrate>edge</substrate></interface>
  <attribute><attribute>role</attribute><value>web</value></attribute></computer></elements>
<elements><computer><name>db</name><interface><substrate>edge</substrate></interface></computer></elements>
</experiment>
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("mixed.xml")
    path.write_text(MIXED)
    return path


class Ran:
    """What a command said, and its exit status."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        with pytest.raises(SystemExit) as ended:
            main(list(words))
        self.out, self.err = capsys.readouterr()
        self.status = ended.value.code


def test_partition_by_hand_makes_the_rest_physical_and_says_so(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "partition", "mixed.xml", "7", "--node", "web-*", "--node", "db")

    assert ran.status == 0
    assert ran.err == "now physical, as they say neither kind nor partition: gw\n"
    assert [(node.kind, node.partition) for node in topdl.read(file).nodes] == [
        ("physical", None),
        ("qemu", 7),
        ("qemu", 7),
        ("qemu", 7),
    ]
    assert Path("mixed.xml~").read_text() == MIXED


def test_partition_by_packing_shows_the_cut(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "partition", "mixed.xml", "--packing", "2")

    assert ran.err == "4 nodes in 2 partitions of at most 2; 1 link or LAN crosses between them\n"
    partitions = [node.partition for node in topdl.read(file).nodes]
    assert sorted(partitions) == [0, 0, 1, 1]


def test_partition_by_packing_goes_on_from_the_others(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "partition", "mixed.xml", "4", "--node", "gw")
    Ran(capsys, "partition", "mixed.xml", "--packing", "1", "--node", "web-1", "--kind", "physical")

    assert {node.name: node.partition for node in topdl.read(file).nodes}["gw"] == 4

    Ran(capsys, "kind", "mixed.xml", "qemu")
    Ran(capsys, "partition", "mixed.xml", "--packing", "1", "--regex", "web-.")
    assert [node.partition for node in topdl.read(file).nodes] == [4, 5, 6, None]


def test_partitions_are_taken_away(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "partition", "mixed.xml", "0")
    Ran(capsys, "partition", "mixed.xml", "--clear")

    assert {(node.kind, node.partition) for node in topdl.read(file).nodes} == {("qemu", None)}


def test_set_get_and_unset(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "set", "mixed.xml", "role=front end", "x=1", "--where", "startup=http*")

    assert Ran(capsys, "get", "mixed.xml", "role").out == "web-1\tfront end\nweb-2\tweb\n"
    assert Ran(capsys, "get", "mixed.xml", "role", "--node", "db").status == 1

    Ran(capsys, "unset", "mixed.xml", "role", "x")
    assert Ran(capsys, "get", "mixed.xml", "role").out == ""


def test_only_what_is_told_changes(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = topdl.write(topdl.read(file))

    Ran(capsys, "startcmd", "mixed.xml", "nginx", "--node", "web-1")

    assert file.read_text() == before.replace("<value>httpd</value>", "<value>nginx</value>")


def test_start_commands_and_images_are_taken_away(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "os", "mixed.xml", "FC6-STD")
    assert {node.os for node in topdl.read(file).nodes} == {"FC6-STD"}

    Ran(capsys, "os", "mixed.xml", "--clear", "--node", "gw")
    Ran(capsys, "startcmd", "mixed.xml", "--clear")
    found = topdl.read(file)
    assert found.node("gw").os is None
    assert found.node("web-1").start_command is None


def test_kinds_in_anybody_s_words(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "kind", "mixed.xml", "embedded_pnode", "--node", "gw")
    Ran(capsys, "kind", "mixed.xml", "container", "--kind", "qemu")

    assert [node.kind for node in topdl.read(file).nodes] == ["physical", "container", "container", "container"]


def test_nodes_and_links_are_added(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "add-node", "mixed.xml", "log", "mon", "--kind", "openvz", "--os", "X", "--set", "a=b=c")
    Ran(
        capsys, "add-link", "mixed.xml", "wire", "log", "gw", "--bandwidth", "10Mb", "--delay", "20ms", "--loss", "0.19"
    )
    Ran(capsys, "add-lan", "mixed.xml", "all", "gw", "log", "mon", "db")

    found = topdl.read(file)
    log = found.node("log")
    assert (log.kind, log.os, log.attributes["a"]) == ("container", "X", "b=c")
    wire = found.lans[2]
    assert (wire.name, wire.kind, [member.node for member in wire.members]) == ("wire", LanKind.LINK, ["log", "gw"])
    assert log.interfaces[0].outward == Shape(10.0, 10_000, pytest.approx(0.1))
    assert [(each.lan, each.name) for each in found.node("gw").interfaces][2:] == [
        ("wire", "inf000"),
        ("all", "inf001"),
    ]


def test_nodes_and_links_are_removed(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "remove-node", "mixed.xml", "--node", "web-1")
    assert "`core` joins nothing now" in ran.err
    Ran(capsys, "remove-link", "mixed.xml", "core")

    found = topdl.read(file)
    assert [node.name for node in found.nodes] == ["gw", "web-2", "db"]
    assert [(lan.name, [(m.node, m.port) for m in lan.members]) for lan in found.lans] == [
        ("edge", [("gw", 0), ("web-2", 0), ("db", 0)])
    ]
    assert Ran(capsys, "remove-node", "mixed.xml").status == 2


def test_renaming(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "rename", "mixed.xml", "gw", "router")
    Ran(capsys, "rename", "mixed.xml", "--link", "core", "backbone")

    found = topdl.read(file)
    assert found.nodes[0].name == "router"
    assert [each.lan for each in found.nodes[0].interfaces] == ["backbone", "edge"]
    assert "<cpu><type>x86</type></cpu>" in file.read_text()


def test_listing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Ran(capsys, "list", "mixed.xml", "-a", "role", "--node", "web-*").out == (
        "node   kind  partition  os  links  start command  role\n"
        "web-1  qemu  -          -   core   httpd          -\n"
        "web-2  qemu  -          -   edge   -              web\n"
    )
    listed = json.loads(Ran(capsys, "list", "mixed.xml", "--json").out)
    assert [node["name"] for node in listed] == ["gw", "web-1", "web-2", "db"]
    assert listed[0]["links"] == ["core", "edge"]


def test_showing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Ran(capsys, "show", "mixed.xml", "--node", "web-1").out == (
        "web-1\n  kind: qemu\n  start command: httpd\n  attribute startup: httpd\n  interface - on core\n"
    )


def test_a_dry_run_shows_the_difference_and_writes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, "set", "mixed.xml", "role=db", "--node", "db", "-n")

    added = [line for line in ran.out.splitlines() if line.startswith("+ ")]
    assert added == ["+      <attribute><attribute>role</attribute><value>db</value></attribute>"]
    assert file.read_text() == MIXED
    assert not Path("mixed.xml~").exists()


def test_another_file_can_be_written(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Ran(capsys, "kind", "mixed.xml", "qemu", "-o", "new.xml").status == 0
    assert Ran(capsys, "kind", "mixed.xml", "qemu", "-o", "new.xml").status == 2
    assert Ran(capsys, "kind", "mixed.xml", "qemu", "-o", "new.xml", "--force").status == 0
    assert file.read_text() == MIXED
    assert not list(Path().glob("*~"))


def test_a_backup_s_suffix_can_be_chosen(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Ran(capsys, "kind", "mixed.xml", "qemu", "--backup", ".orig")
    assert Path("mixed.xml.orig").read_text() == MIXED


def test_permissions_stay(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.chmod(0o640)
    Ran(capsys, "kind", "mixed.xml", "qemu")
    assert file.stat().st_mode & 0o777 == 0o640


def test_an_ns_file_becomes_topdl(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = tmp_path / "a.ns"
    source.write_text("set ns [new Simulator]\nset a [$ns node]\n$ns run\n")

    assert "name a TopDL file to write with -o" in Ran(capsys, "kind", str(source), "qemu").err
    assert Ran(capsys, "kind", str(source), "physical", "-o", str(tmp_path / "a.xml")).status == 0
    assert topdl.read(tmp_path / "a.xml").node("a").kind == "physical"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["kind", "mixed.xml", "balloon"], "`balloon` is not a kind of node"),
        (["kind", "mixed.xml", "qemu", "--node", "web-3"], "there is no node `web-3` (did you mean `web-2`?)"),
        (["kind", "mixed.xml", "qemu", "--regex", "("], "is not a regular expression"),
        (["kind", "mixed.xml", "qemu", "--kind", "container"], "no node is chosen"),
        (["set", "mixed.xml", "role"], "`role` has no value (write NAME=VALUE)"),
        (["set", "mixed.xml", "partition=left"], "`gw` has the partition `left`"),
        (["set", "mixed.xml", "failureaction=explode"], "`explode` is not a failure action"),
        (["startcmd", "mixed.xml", "a\x1bb"], "a character that XML can't hold"),
        (["add-node", "mixed.xml", "web 3"], "is not a valid host name"),
        (["add-node", "mixed.xml", "DB"], "there is a `DB` already"),
        (["add-link", "mixed.xml", "core", "gw", "db"], "there is a `core` already"),
        (["add-link", "mixed.xml", "x", "gw", "gw"], "`x` needs two nodes at least"),
        (["add-link", "mixed.xml", "x", "gw", "dbb"], "there is no node `dbb`"),
        (["add-link", "mixed.xml", "x", "gw", "db", "--bandwidth", "fast"], "the bandwidth `fast`"),
        (["remove-link", "mixed.xml", "x"], "there is no link or LAN `x`"),
        (["rename", "mixed.xml", "x", "y"], "there is no node `x`"),
        (["rename", "mixed.xml", "gw", "db"], "there is a `db` already"),
        (["partition", "mixed.xml"], "give a NUMBER, --packing or --clear"),
        (["os", "mixed.xml"], "give either an image or --clear"),
        (["kind", "none.xml", "qemu"], "there is no such file"),
        (["kind", "mixed.xml", "qemu", "-o", "no/where.xml"], "the file can't be written: No such file or directory"),
    ],
)
def test_an_error_changes_nothing(words: list[str], error: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = Ran(capsys, *words)

    assert ran.status == 2
    assert error in ran.err
    assert file.read_text() == MIXED
    assert [path.name for path in Path().iterdir()] == ["mixed.xml"]


def test_checking(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Ran(capsys, "check", "mixed.xml").out == "mixed.xml: good (4 nodes, 2 links and LANs)\n"
    file.write_text("<experiment><elements/></experiment>")
    assert "warning: mixed.xml:1: an `elements` holds nothing" in Ran(capsys, "check", "mixed.xml").out
    file.write_text("<experiment>")
    assert Ran(capsys, "check", "mixed.xml").status == 2
