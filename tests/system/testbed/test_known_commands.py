"""An experiment as it was typed on DETER: made by containerize.py, with old paths, tools and software on its nodes."""

from __future__ import annotations

import shlex
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Bed, eventually, write

pytestmark = pytest.mark.system

NAME = "TestKnown/Known"
FILE = r"""
foreach i {0 1 2} { set n($i) [$ns node] }
set lan [$ns make-lan "$n(0) $n(1) $n(2)" 100Mb 0ms]
tb-set-sync-server $n(1)
tb-set-node-startcmd $n(0) {emulab-sync; cat /opt/app/share/said; greet "$VAR"; echo $PID/$EID}
tb-set-node-startcmd $n(1) {/usr/testbed/bin/emulab-sync -i 2 -e 4}
tb-set-node-startcmd $n(2) {(/usr/local/etc/emulab/emulab-sync ; /usr/local/etc/emulab/startcmddone $?)}
tb-set-node-startup $n(2) {date > /tmp/startup-ran}
tb-set-node-tarfiles $n(0) /opt/app FOLDER/app.tar.gz
tb-set-node-rpms $n(0) FOLDER/greet.deb
set opt(VAR) "it's me"
$ns rtproto Static
"""


def a_package(folder: Path) -> Path:
    """Build a Debian package with one program."""
    root = folder / "package"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "usr/bin").mkdir(parents=True)
    control = "Package: greet\nVersion: 1\nArchitecture: all\nMaintainer: me <me@example.org>\nDescription: greets\n"
    (root / "DEBIAN/control").write_text(control)
    (root / "usr/bin/greet").write_text('#!/bin/sh\necho "hello, $1"\n')
    (root / "usr/bin/greet").chmod(0o755)
    made = folder / "greet.deb"
    subprocess.run(["dpkg-deb", "--root-owner-group", "--build", root, made], check=True, capture_output=True)
    return made


@pytest.fixture(scope="module")
def known(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    """Three containers, created by the old command and swapped in."""
    folder = tmp_path_factory.mktemp("known")
    (folder / "said").write_text("from the archive\n")
    with tarfile.open(folder / "app.tar.gz", "w:gz") as tar:
        tar.add(folder / "said", "share/said")
    a_package(folder)
    file = write(folder, "known.ns", FILE.replace("FOLDER", str(folder)))
    command = Path(sys.executable).with_name("containerize.py")
    argv = [command, "--pack=3", "--vde-switch", *NAME.split("/"), file]
    done = subprocess.run(argv, env=bed.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Status: swapped"
    assert "--vde-switch-shaping has no effect" in done.stderr
    bed.ok("swapin", NAME)
    yield bed
    bed.run("terminate", NAME)


def said(bed: Bed, node: str, command: str) -> str:
    """Return what a command prints in a node."""
    return bed.ok("exec", "-p", "TestKnown", "-e", "Known", node, command)


def test_start_commands_meet_at_the_barrier_and_hear_of_its_error(known: Bed) -> None:
    eventually(lambda: all(code is not None for _, code in known.nodes(NAME).values()), 60, "start commands end")
    assert known.nodes(NAME) == {"n-0": ("booted", 0), "n-1": ("booted", 4), "n-2": ("booted", 4)}
    assert said(known, "n-1", "emulab-sync -m; echo $?") == "0\n"
    assert said(known, "n-0", "emulab-sync -m; echo $?") == "1\n"


def test_software_is_there_before_the_start_command(known: Bed) -> None:
    eventually(lambda: known.nodes(NAME)["n-0"][1] is not None, 60, "the start command ends")
    out = said(known, "n-0", "cat /var/benito/log/start_command.out")
    assert out == "from the archive\nhello, it's me\nTestKnown/Known\n"


def test_the_older_start_command_runs(known: Bed) -> None:
    eventually(lambda: "ran" in said(known, "n-2", "ls /tmp"), 30, "the startup command runs")


def test_tools_of_the_testbed_find_what_they_read(known: Bed) -> None:
    boot = "/var/emulab/boot"
    assert said(known, "n-2", f"cat {boot}/nickname {boot}/syncserver") == "n-2.Known.TestKnown\nn-1.Known.TestKnown\n"
    interface, address, mac = said(known, "n-2", f"cat {boot}/ifmap").split()
    assert address == "10.0.0.3"
    assert said(known, "n-2", f"/usr/local/etc/emulab/findif {mac.replace(':', '')}") == f"{interface}\n"
    control = said(known, "n-2", f"cat {boot}/controlif").strip()
    assert control != interface
    assert said(known, "n-2", f"/usr/local/etc/emulab/findif -i $(cat {boot}/myip)").strip() == control
    assert "n-0,lan:10.0.0.1" in said(known, "n-2", f"cat {boot}/topomap")
    assert said(known, "n-2", "cat /var/containers/config/pid_eid").split() == ["TestKnown", "Known"]
    assert "10.0.0.1 n-0-lan n-0-0 n-0" in said(known, "n-2", "cat /var/containers/config/hosts")


def test_topdl_on_the_node_is_one_line_of_all_nodes(known: Bed) -> None:
    script = (
        "import xml.etree.ElementTree as E; lines = open('/var/containers/config/topo.xml').readlines(); "
        "print(len(lines), [c.find('name').text for c in E.fromstring(lines[0]).findall('elements/computer')])"
    )
    assert said(known, "n-0", f"python3 -c {shlex.quote(script)}") == "1 ['n-0', 'n-1', 'n-2']\n"


def test_missing_software_is_refused_before_anything_starts(bed: Bed, tmp_path: Path) -> None:
    file = write(tmp_path, "lacks.ns", "set a [$ns node]\ntb-set-node-tarfiles $a /opt /nowhere/x.tar")
    done = bed.run("up", file, "-p", "TestKnown", "-e", "Lacks")
    assert done.returncode == 2
    assert "lacks.ns:4: /nowhere/x.tar, wanted on a, is not on this host" in done.stderr
    assert bed.run("status", "TestKnown/Lacks").returncode != 0
