"""Nodes of several releases in one experiment, their sizes, packages from inside, and an image made of one of them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from .conftest import HOME, Bed, changes, eventually, snapshot, write

pytestmark = pytest.mark.system

NAME = "TestImages/mix"
NODES = {"d11": "11.", "d12": "12.", "d13": "13."}
SMALL = (
    *("systemd", "systemd-sysv", "udev", "dbus", "busybox-static", "kmod", "e2fsprogs", "procps", "qemu-guest-agent"),
    *("openssh-server", "sudo", "netbase", "nfs-common", "iproute2", "iputils-ping"),
)
"""Enough for a node: what else the images have is the same for every release."""
TEXT = """
set lan {}
foreach {name os} {d11 small-11 d12 DEB12-STD d13 small-13} {
    set $name [$ns node]
    tb-set-node-os [set $name] $os
    tb-set-node-startcmd [set $name] "cat /etc/debian_version; exit 7"
    append lan "[set $name] "
}
tb-set-node-memory-size $d11 320
tb-add-node-attribute $d12 benito:cpus 2
tb-add-node-attribute $d12 benito:disk 12G
set lan0 [$ns make-lan $lan 100Mb 0ms]
"""


def build_small(release: str) -> None:
    from benito.images.build import build
    from benito.images.recipe import named

    recipe = replace(named(f"debian-{release}"), name=f"small-{release}", packages=SMALL)
    build(recipe, HOME, lambda text: print(f"image {recipe.name}: {text}", file=sys.stderr))


@pytest.fixture(scope="module")
def mix(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    with ThreadPoolExecutor() as pool:
        list(pool.map(build_small, ("11", "13")))
    before = snapshot()
    file = write(tmp_path_factory.mktemp("files"), "mix.ns", TEXT)
    bed.ok("up", file, "-p", "TestImages", "-e", "mix", "--cold", "--no-linktest")
    for node in NODES:
        await_login(bed, f"{node}.mix.testimages")
    yield bed
    bed.ok("terminate", NAME)
    assert changes(before) == {}


def await_login(bed: Bed, name: str) -> None:
    eventually(lambda: bed.inside(name, "true").returncode == 0, 60, f"{name} takes a login")


def said(bed: Bed, command: str) -> dict[str, str]:
    """Run a command on all nodes at once and return what each printed; all must succeed."""

    def one(node: str) -> str:
        done = bed.inside(f"{node}.mix.testimages", command)
        assert done.returncode == 0, f"{node}: {done.stdout}{done.stderr}"
        return done.stdout

    with ThreadPoolExecutor() as pool:
        return dict(zip(NODES, pool.map(one, NODES), strict=True))


def test_each_release_boots_and_runs_its_start_command(mix: Bed) -> None:
    eventually(lambda: set(mix.nodes(NAME).values()) == {("booted", 7)}, 60, "all start commands have ended")
    for node, text in said(mix, "cat /var/benito/log/start_command.out").items():
        assert text.startswith(NODES[node])
    assert set(said(mix, "systemctl --failed --no-legend --plain").values()) == {""}


def test_they_reach_each_other_by_name(mix: Bed) -> None:
    said(mix, f"for n in {' '.join(NODES)}; do ping -q -c 1 -W 10 $n > /dev/null || exit 1; done")


def test_no_two_have_anything_of_their_identity_in_common(mix: Bed) -> None:
    command = "cat /etc/machine-id /proc/sys/kernel/random/boot_id /etc/ssh/ssh_host_ed25519_key.pub"
    lines = [line for text in said(mix, command).values() for line in text.splitlines()]
    assert len(set(lines)) == len(lines) == 9


def test_sizes_are_as_asked_and_told(mix: Bed) -> None:
    told = {node["node"]: node for node in json.loads(mix.ok("nodes", NAME, "--json"))}
    assert [told[node]["memory_mib"] for node in NODES] == [320, 256, 256]
    assert (told["d12"]["cpus"], told["d12"]["disk_mib"]) == (2, 12288)
    seen = said(mix, "nproc; df --output=size -B1G / | tail -1; awk '/MemTotal/ {print $2}' /proc/meminfo")
    sizes = {node: [int(word) for word in text.split()] for node, text in seen.items()}
    assert [sizes[node][0] for node in NODES] == [1, 2, 1]
    assert sizes["d12"][1] > 11
    assert sizes["d13"][1] <= 8
    assert sizes["d11"][2] > sizes["d13"][2]


def test_packages_can_be_installed_inside(mix: Bed) -> None:
    said(mix, "sudo apt-get -qq update && sudo apt-get -qq -y install hello && hello")


def test_a_node_becomes_an_image_and_runs_on(mix: Bed, tmp_path: Path) -> None:
    said(mix, "echo mine > /opt/mine; echo hi > /tmp/fleeting")
    before = said(mix, "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; cut -d' ' -f22 /proc/1/stat")
    mix.ok("image", "create", "d12.mix.testimages", "made")
    assert said(mix, "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub; cut -d' ' -f22 /proc/1/stat") == before
    try:
        file = write(tmp_path, "copy.ns", "set n [$ns node]")
        words = ("-p", "TestImages", "-e", "copy", "--default-os", "made", "--cold", "--no-linktest")
        mix.ok("up", file, *words)
        name = "n.copy.testimages"
        await_login(mix, name)
        done = mix.inside(name, "cat /opt/mine; hello; ls /tmp/fleeting /var/benito/log; hostname; cat /etc/machine-id")
        assert done.stdout.startswith("mine\nHello, world!\n/var/benito/log:\nn\n"), done.stdout + done.stderr
        assert done.stdout.split()[-1] not in before["d12"]
        listed = {image["name"]: image for image in json.loads(mix.ok("image", "list", "--json"))}
        assert listed["made"]["users"] == ["TestImages/copy"]
        mix.ok("image", "rm", "made")
        assert mix.inside(name, "sync; cat /opt/mine").stdout == "mine\n"
    finally:
        mix.run("terminate", "TestImages/copy")
        mix.run("image", "rm", "made")
