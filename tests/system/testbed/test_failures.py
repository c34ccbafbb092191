"""What goes wrong, and that nothing of it stays: interrupted and failing swap-ins, hosts that lack something."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import BENITO, Bed, changes, snapshot, write

pytestmark = pytest.mark.system

PAIR = "set a [$ns node]\nset b [$ns node]\nset l [$ns duplex-link $a $b 10Mb 5ms DropTail]"
NAME = "TestFail/pair"


@pytest.fixture
def pair(bed: Bed, tmp_path: Path) -> Iterator[Path]:
    """A file of two nodes; whatever was made of it is removed."""
    yield write(tmp_path, "pair.ns", PAIR)
    for record in json.loads(bed.run("list", "--json").stdout):
        if record["experiment"].lower().startswith("testfail/"):
            bed.run("terminate", record["experiment"])


def wait_for(process: subprocess.Popen[str], words: str) -> None:
    """Read its progress until the words come."""
    assert process.stderr is not None
    for line in process.stderr:
        if words in line:
            return
    raise AssertionError(f"ended before it said {words!r}")


MOMENTS = ["reading and placing", "making", "starting 2 machines", "a: waking"]


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_gives_everything_back(bed: Bed, pair: Path, moment: str) -> None:
    before = snapshot()
    process = bed.start("up", pair, "-p", "TestFail", "-e", "pair", "--packing", "1")
    wait_for(process, moment)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode == 130
    status = bed.status(NAME)
    assert (status["state"], status["reason"]) == ("swapped", "interrupted")
    assert changes(before) == {}


@pytest.mark.parametrize(("moment", "cure"), list(zip(MOMENTS, ["down", "sweep", "down", "sweep"], strict=True)))
def test_sigkill_leaves_what_down_and_sweep_put_right(bed: Bed, pair: Path, moment: str, cure: str) -> None:
    before = snapshot()
    process = bed.start("up", pair, "-p", "TestFail", "-e", "pair", "--packing", "1")
    wait_for(process, moment)
    process.kill()
    process.communicate(timeout=60)
    bed.ok(*(["down", NAME] if cure == "down" else ["sweep"]))
    assert bed.status(NAME)["state"] == "swapped"
    assert changes(before) == {}


def test_up_itself_puts_a_killed_up_right(bed: Bed, pair: Path) -> None:
    process = bed.start("up", pair, "-p", "TestFail", "-e", "pair", "--packing", "1")
    wait_for(process, "starting 2 machines")
    process.kill()
    process.communicate(timeout=60)
    bed.ok("up", pair, "-p", "TestFail", "-e", "pair", "--packing", "1", "--no-linktest")
    assert {boot for boot, _ in bed.nodes(NAME).values()} == {"booted"}


def test_a_swap_in_that_fails_gives_everything_back_and_says_why(bed: Bed, pair: Path) -> None:
    before = snapshot()
    config = bed.home / "config.toml"
    config.write_text("boot_deadline_s = 0.05\n")
    try:
        done = bed.run("up", pair, "-p", "TestFail", "-e", "pair")
    finally:
        config.unlink()
    assert done.returncode == 7
    assert "a" in done.stderr.splitlines()[-1]
    status = bed.status(NAME)
    assert status["state"] == "swapped"
    assert status["reason"]
    assert changes(before) == {}


def test_two_experiments_at_once_keep_out_of_each_others_way(bed: Bed, tmp_path: Path) -> None:
    one = write(tmp_path, "one.ns", "set a [$ns node]")
    processes = [bed.start("up", one, "-p", "TestFail", "-e", eid, "--no-linktest") for eid in ("one", "two")]
    for process in processes:
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    try:
        addresses = {eid: bed.status(f"TestFail/{eid}")["nodes"][0]["control"] for eid in ("one", "two")}
        assert addresses["one"].rpartition(".")[0] != addresses["two"].rpartition(".")[0]
        assert bed.inside("a.one.testfail", f"ping -q -c 1 -W 3 {addresses['two']}").returncode == 1
        gateway = "$(ip route | sed -n 's/default via //p' | cut -d' ' -f1)"
        assert bed.inside("a.one.testfail", f"ping -q -c 1 -W 3 {gateway}").returncode == 0
        keys = [bed.inside(f"a.{eid}.testfail", "cat /etc/ssh/ssh_host_ed25519_key.pub").stdout for eid in addresses]
        assert keys[0] != keys[1]
    finally:
        for eid in ("one", "two"):
            bed.ok("terminate", f"TestFail/{eid}")


def refused(bed: Bed, *words: str | Path, status: int, says: str) -> None:
    """Expect a refusal with this status and message that changes nothing."""
    before, listed = snapshot(), bed.run("list", "--json").stdout
    done = bed.run(*words)
    assert done.returncode == status, done.stderr
    assert re.search(says, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert changes(before) == {}
    assert bed.run("list", "--json").stdout == listed


def test_an_experiment_too_large_for_the_host_is_refused_with_the_sums(bed: Bed, tmp_path: Path) -> None:
    many = write(tmp_path, "many.ns", "for {set i 0} {$i < 3000} {incr i} { set n($i) [$ns node] }")
    bed.ok("create", many, "-p", "TestFail", "-e", "many")
    try:
        done = bed.run("swapin", "TestFail/many")
        assert done.returncode == 3
        assert re.search(r"3000 nodes need 3000 × \(256 \+ 64\) MiB = 937\.5 GiB of memory", done.stderr)
        assert bed.status("TestFail/many")["state"] == "swapped"
    finally:
        bed.ok("terminate", "TestFail/many")


@pytest.mark.parametrize(
    ("words", "status", "says"),
    [
        (["-p", "Test/Fail", "-e", "x"], 2, "'Test/Fail' can't be PID"),
        (["-p", "com", "-e", "x"], 2, "top-level domain"),
        (["-p", "TestFail", "-e", "x", "--packing", "0"], 2, "packing"),
        (["-p", "TestFail", "-e", "x", "--image", "no-such-image"], 2, "no image"),
        (["-p", "TestFail", "-e", "x", "--memory", "1"], 2, "between 64 and [0-9]+ MiB"),
        (["-p", "TestFail", "-e", "x", "--member", "nobody-of-that-name"], 2, "no local user"),
    ],
)
def test_bad_options_are_refused(bed: Bed, pair: Path, words: list[str], status: int, says: str) -> None:
    refused(bed, "up", pair, *words, status=status, says=says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("set a [$ns node", r"bad\.ns:"),
        ("while 1 {}", r"bad\.ns"),
        ("exec rm -rf /tmp/x", r"bad\.ns:3.*exec"),
        ("set a [$ns node]\n$ns duplex-link $a $b 10Mb 1ms DropTail", r"bad\.ns:4"),
        ("set a [$ns node]\nset b [$ns node]\n$ns duplex-link $a $b 10mb 1ms DropTail", r"bad\.ns:5.*10mb"),
        ("set a [$ns node]\n$ns duplex-link $a $a 10Mb 1ms DropTail", r"bad\.ns:4"),
        ("set ops [$ns node]", r"bad\.ns:.*ops"),
        (f"set {'a' * 70} [$ns node]", r"63"),
    ],
)
def test_bad_files_are_refused_with_their_lines(bed: Bed, tmp_path: Path, text: str, says: str) -> None:
    refused(bed, "up", write(tmp_path, "bad.ns", text), "-p", "TestFail", "-e", "bad", status=2, says=says)


def test_names_differing_only_in_case_are_one(bed: Bed, pair: Path) -> None:
    bed.ok("create", pair, "-p", "TestFail", "-e", "Pair")
    refused(bed, "create", pair, "-p", "testfail", "-e", "PAIR", status=4, says="exists already")


def test_a_pool_that_the_host_uses_is_refused(bed: Bed, pair: Path) -> None:
    from benito.network.host import host_routes

    used = next(network for network in host_routes() if 8 <= network.prefixlen <= 24)
    config = bed.home / "config.toml"
    config.write_text(f'control_pools = ["{used}"]\n')
    try:
        bed.ok("create", pair, "-p", "TestFail", "-e", "pair")
        done = bed.run("swapin", NAME)
    finally:
        config.unlink()
    assert done.returncode == 3
    assert "control_pools" in done.stderr


def test_who_is_not_root_is_told_so(bed: Bed, pair: Path) -> None:
    argv = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *BENITO, "up", str(pair)]
    probe = subprocess.run([*argv[:4], "test", "-x", BENITO[0]], check=False, timeout=10)
    if probe.returncode:
        pytest.skip("another user can't run this Python here")
    done = subprocess.run(argv, env=bed.env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 6
    assert "needs root" in done.stderr


def test_a_host_without_qemu_is_told_what_to_install(bed: Bed, pair: Path, tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for folder in ("/usr/sbin", "/usr/bin", "/sbin", "/bin"):
        for program in Path(folder).iterdir():
            if not program.name.startswith("qemu") and not (programs / program.name).is_symlink():
                (programs / program.name).symlink_to(program)
    argv = [*BENITO, "up", str(pair), "-p", "TestFail", "-e", "pair"]
    env = bed.env | {"PATH": str(programs)}
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 6
    assert "apt-get install qemu-system-x86" in done.stderr


def test_a_full_disk_is_told_and_nothing_is_half_made(bed: Bed, pair: Path, tmp_path: Path) -> None:
    full = tmp_path / "full"
    full.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(full)], check=True, timeout=10)
    try:
        (full / "filler").write_bytes(b"x" * 60000)
        done = subprocess.run(
            [*BENITO, "up", str(pair), "-p", "TestFail", "-e", "pair"],
            env=bed.env | {"BENITO_HOME": str(full)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 6
        assert "Traceback" not in done.stderr
        assert not (full / "experiments" / "testfail" / "pair" / "submitted.ns").exists()
    finally:
        subprocess.run(["umount", str(full)], check=True, timeout=10)


def test_sweep_leaves_another_home_alone(bed: Bed, pair: Path, tmp_path: Path) -> None:
    other = Bed(tmp_path / "other")
    other.home.mkdir()
    (other.home / "images").symlink_to((bed.home / "images").resolve())
    process = bed.start("up", pair, "-p", "TestFail", "-e", "pair", "--no-linktest")
    wait_for(process, "starting 2 machines")
    other.ok("sweep")
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert {boot for boot, _ in bed.nodes(NAME).values()} == {"booted"}
