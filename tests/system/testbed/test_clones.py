"""Nodes that are clones of one template: each a machine of its own, through its whole life."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from benito.errors import HostError
from benito.network import namespaces

from .conftest import Bed, eventually, write

pytestmark = pytest.mark.system

NAME = "TestClones/pair"
ETH_P_ALL = 3
FILE = """
set a [$ns node]
set b [$ns node]
set l [$ns duplex-link $a $b 10Mb 5ms DropTail]
tb-set-node-startcmd $a {echo up >> /root/boots; exit 3}
"""
IDENTITY = """
cat /etc/machine-id
cat /proc/sys/kernel/random/boot_id
cat /proc/sys/kernel/random/uuid
head -c 32 /dev/urandom | od -An -tx1 -v | tr -d ' \\n'; echo
python3 -c 'import uuid; print(uuid.uuid4())'
cut -d' ' -f2 /etc/ssh/ssh_host_ed25519_key.pub
ip -o link show eth0 | sed 's,.*ether ,,; s, .*,,'
ip -o link show eth1 | sed 's,.*ether ,,; s, .*,,'
ip -o -4 addr show eth1 | awk '{ print $4 }'
until journalctl -q -n 1 | grep -q .; do sleep 0.5; done
journalctl -o json -n 1 | python3 -c 'import json, sys; print(json.loads(sys.stdin.read())["_BOOT_ID"])'
"""

RESTART_KILLED = """
kill -9 "$(systemctl show -P MainPID systemd-journald)"
sleep 0.5
systemctl restart systemd-journald && journalctl --sync && systemctl is-active systemd-journald
"""


@pytest.fixture(scope="module")
def pair(bed: Bed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bed]:
    file = write(tmp_path_factory.mktemp("clones"), "pair.ns", FILE)
    bed.ok("up", file, "-p", "TestClones", "-e", "pair", "--no-linktest")
    yield bed
    bed.run("terminate", NAME)


def inside(bed: Bed, node: str, command: str) -> str:
    done = bed.inside(f"{node}.pair.testclones", command)
    assert done.returncode == 0, done.stderr
    return done.stdout


def identity(bed: Bed, node: str) -> list[str]:
    """Return all that no two machines may have alike."""
    return inside(bed, node, IDENTITY).splitlines()


def disks(bed: Bed) -> dict[str, str]:
    """Return what each node's disk lies on."""
    folder = bed.home / "experiments" / "testclones" / "pair" / "nodes"
    argv = ["qemu-img", "info", "--force-share", "--output=json"]
    return {
        disk.parent.name: json.loads(subprocess.run([*argv, str(disk)], capture_output=True, check=True).stdout)[
            "backing-filename"
        ]
        for disk in folder.glob("*/disk.qcow2")
    }


@pytest.fixture(scope="module")
def identities(pair: Bed) -> dict[str, list[str]]:
    return {node: identity(pair, node) for node in ("a", "b")}


def test_both_are_clones_of_one_template(pair: Bed) -> None:
    (template,) = set(disks(pair).values())
    assert Path(template).parts[:4] == ("/", "run", "benito", "templates")
    listed = json.loads(pair.ok("image", "templates", "--json"))
    used = next(each for each in listed if each["record"]["digest"] == Path(template).parent.name)
    assert used["nodes"] >= 2
    assert used["record"]["interfaces"] == 2


def test_no_two_share_anything_that_makes_a_machine_itself(identities: dict[str, list[str]]) -> None:
    a, b = identities["a"], identities["b"]
    assert len(a) == len(b) == 10
    assert not set(a) & set(b)
    assert a[1].replace("-", "") == a[-1]


def cookie(node: str) -> bytes:
    """Return the random bytes that begin sshd's first message (RFC 4253, 7.1)."""
    with socket.create_connection((f"{node}.pair.testclones", 22), timeout=30) as connection:
        stream = connection.makefile("rb")
        assert stream.readline().startswith(b"SSH-2.0-")
        connection.sendall(b"SSH-2.0-test\r\n")
        header = stream.read(6)
        assert header[5] == 20
        return stream.read(16)


def test_no_two_sessions_of_a_listener_that_all_have_share_random_numbers(pair: Bed) -> None:
    assert "[listener]" in inside(pair, "a", "systemctl show -P MainPID ssh | xargs ps -o args= -p")
    assert len({cookie(node) for node in ("a", "b") for _ in range(3)}) == 6


def test_sshd_is_restarted_as_any(pair: Bed) -> None:
    inside(
        pair, "b", "systemctl reload ssh && systemctl is-active ssh && systemctl restart ssh && systemctl is-active ssh"
    )
    assert inside(pair, "b", "hostname") == "b\n"


def test_the_journal_is_restarted_as_any(pair: Bed, identities: dict[str, list[str]]) -> None:
    # Theirs have begun: their boots' ids are among them.
    assert identities
    assert "active" in inside(
        pair, "b", "systemctl restart systemd-journald && journalctl --sync && systemctl is-active systemd-journald"
    )


def test_nothing_of_the_template_shows(pair: Bed) -> None:
    assert inside(pair, "a", "hostname; ls /sys/class/net | tr '\\n' ' '") == "a\neth0 eth1 lo "
    assert "permaddr" not in inside(pair, "a", "ip link")
    assert inside(pair, "a", "ls /run/log/journal").split() == [inside(pair, "a", "cat /etc/machine-id").strip()]
    assert inside(pair, "a", "systemctl --failed --no-legend --plain") == ""
    skew = "import time, sys; print(abs(time.time() - float(sys.argv[1])))"
    assert float(inside(pair, "a", f"python3 -c '{skew}' {time.time()}")) < 60


def test_frames_are_as_large_as_the_plan_says(pair: Bed) -> None:
    # Bit 11 of the features that driver and device agreed on: the host takes large segments (VIRTIO_NET_F_HOST_TSO4).
    features = inside(pair, "a", "for i in eth0 eth1; do cut -c12 /sys/class/net/$i/device/features; done")
    assert features.split() == ["1", "0"]


def test_a_hot_plugged_device_still_wakes_udev(pair: Bed) -> None:
    inside(pair, "a", "udevadm trigger --settle /sys/class/net/eth1")
    assert "ID_NET_DRIVER=virtio_net" in inside(pair, "a", "udevadm info /sys/class/net/eth1")


def hubs() -> set[str]:
    return {name for name in namespaces.names() if name.startswith("benito-")}


def overhear(others: set[str], heard: list[bytes], ended: threading.Event) -> None:
    """Note the head of each frame on the control network of the next experiment's hub."""
    while not ended.is_set():
        with (
            contextlib.suppress(KeyError, OSError, HostError),
            namespaces.entered((hubs() - others).pop()),
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as ear,
        ):
            ear.bind(("control", ETH_P_ALL))
            ear.settimeout(0.2)
            while not ended.is_set():
                with contextlib.suppress(TimeoutError):
                    heard.append(ear.recv(64)[:22])
        time.sleep(0.01)


def test_a_clone_that_wakes_wakes_nobody_else(pair: Bed) -> None:
    pair.ok("swapout", NAME)
    heard: list[bytes] = []
    ended = threading.Event()
    listening = threading.Thread(target=overhear, args=(hubs(), heard, ended))
    listening.start()
    try:
        pair.ok("swapin", NAME)
        # systemd looks at jobs that wait, for the journal's time for instance, twice a second.
        assert inside(pair, "a", "systemctl list-jobs --no-legend") == ""
        # The journal needn't wait for its time when somebody restarts it, or has to.
        assert "active" in inside(pair, "b", RESTART_KILLED)
    finally:
        ended.set()
        listening.join()
    assert heard, "the session above isn't heard"
    to_many = [frame for frame in heard if frame[0] & 1]
    # An ARP request can happen; what cards and IPv6 announce doesn't.
    assert {frame[12:14] for frame in to_many} <= {b"\x08\x06"}
    assert len(to_many) <= 2, to_many


def test_a_clone_with_many_interfaces_has_them_all(bed: Bed, tmp_path: Path) -> None:
    lines = ["set a [$ns node]", "set b [$ns node]"]
    lines += [f"set l({i}) [$ns duplex-link $a $b 100Mb 0ms DropTail]" for i in range(17)]
    file = write(tmp_path, "wide.ns", "\n".join(lines))
    bed.ok("up", file, "-p", "TestClones", "-e", "wide", "--no-linktest")
    try:
        pings = "for i in $(seq 0 16); do ping -q -c 1 -W 5 b-l-$i > /dev/null || echo b-l-$i is silent; done"
        done = bed.inside("a.wide.testclones", f"cat /sys/class/net/eth17/address; {pings}; dmesg | tail -n 40")
        # They lie in the order of its cards.
        assert done.stdout.split()[0].endswith(":11")
        assert "is silent" not in done.stdout
        assert "nobody cared" not in done.stdout
    finally:
        bed.ok("terminate", "TestClones/wide")


def test_the_template_under_them_is_not_removed(pair: Bed) -> None:
    template = Path(disks(pair)["a"]).parent.name
    done = pair.run("image", "rm-template", template)
    assert done.returncode == 5
    assert f"lie on the template {template}" in done.stderr


def test_a_reboot_from_inside_is_a_boot(pair: Bed, identities: dict[str, list[str]]) -> None:
    eventually(lambda: pair.nodes(NAME)["a"] == ("booted", 3), 200, "a's start command ends")
    assert inside(pair, "a", "cat /root/boots") == "up\n"
    pair.inside("a.pair.testclones", "reboot")
    eventually(lambda: pair.nodes(NAME)["a"][0] == "running", 200, "a goes down")
    eventually(lambda: pair.nodes(NAME)["a"] == ("booted", 3), 400, "a comes up and runs its start command again")
    eventually(lambda: pair.inside("a.pair.testclones", "true").returncode == 0, 200, "a lets people in")
    after = identity(pair, "a")
    assert inside(pair, "a", "cat /root/boots") == "up\nup\n"
    # The machine is the same, the boot and the random numbers are others.
    assert [after[i] for i in (0, 5, 6, 7, 8)] == [identities["a"][i] for i in (0, 5, 6, 7, 8)]
    assert not {after[i] for i in (1, 2, 3, 4, 9)} & set(identities["a"])


def test_kept_disks_boot_and_fresh_ones_are_clones_again(pair: Bed, identities: dict[str, list[str]]) -> None:
    inside(pair, "b", "echo mine > /root/kept; sync")
    pair.ok("swapout", NAME, "--keep")
    kept = disks(pair)
    done = pair.run("image", "rm-template", Path(kept["b"]).parent.name)
    assert done.returncode == 5
    pair.ok("swapin", NAME)
    eventually(lambda: pair.inside("b.pair.testclones", "true").returncode == 0, 200, "b lets people in")
    assert inside(pair, "b", "cat /root/kept; cat /etc/machine-id").split() == ["mine", identities["b"][0]]
    assert disks(pair) == kept
    pair.ok("swapout", NAME)
    pair.ok("swapin", NAME)
    fresh = identity(pair, "b")
    assert inside(pair, "b", "ls /root").split() == []
    assert not {fresh[i] for i in (1, 2, 3, 4, 9)} & set(identities["b"])


def test_a_template_that_cannot_serve_is_said_and_machines_boot(pair: Bed) -> None:
    pair.ok("swapout", NAME)
    (template,) = {each["record"]["digest"] for each in json.loads(pair.ok("image", "templates", "--json"))} & {
        path.name for path in (pair.home / "templates").glob("*") if (path / "users").is_dir() and _used(path)
    }
    state = pair.home / "templates" / template / "state"
    whole = state.read_bytes()
    state.chmod(0o644)
    try:
        state.write_bytes(whole[: len(whole) // 2])
        done = pair.run("swapin", NAME)
        assert done.returncode == 0, done.stderr
        assert "boots instead" in done.stderr
    finally:
        state.write_bytes(whole)
    assert {boot for boot, _ in pair.nodes(NAME).values()} == {"booted"}
    assert all("/images/" in backing for backing in disks(pair).values())
    # A machine that boots is configured before everything in it listens.
    eventually(lambda: pair.inside("a.pair.testclones", "ping -q -c 1 -W 5 b").returncode == 0, 200, "a reaches b")


def _used(template: Path) -> bool:
    return any("testclones/pair/" in str(link.readlink()) for link in (template / "users").glob("*"))
