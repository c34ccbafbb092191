"""QEMU's command line."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from planned import a_machine, an_image

from benito.errors import CapacityError
from benito.machines import qemu
from benito.plan.model import Software

PATHS = qemu.Paths(Path("/home/x"), Path("/run/x"))
NODE_ID = UUID("12345678-1234-5678-1234-567812345678")


def words(**changes: object) -> list[str]:
    machine = changes.pop("machine", None) or a_machine()
    return qemu.command(machine, an_image(), PATHS, "tcg", uuid=NODE_ID, **changes)  # type: ignore[arg-type]


def values(command: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(command) if name == option]


def test_the_same_machine_gives_the_same_words() -> None:
    assert words() == words()


def test_nothing_but_what_is_asked_for_is_in_the_machine() -> None:
    command = words()
    assert "-nodefaults" in command
    assert "-no-user-config" in command
    assert values(command, "-sandbox") == [
        "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
    ]
    assert "-no-reboot" not in command


def test_the_disk_is_the_machines_own_overlay() -> None:
    disk = json.loads(values(words(), "-blockdev")[0])
    assert (disk["driver"], disk["file"]["filename"]) == ("qcow2", "/home/x/disk.qcow2")


def test_taps_are_opened_by_name_and_never_configured() -> None:
    assert values(words(), "-netdev")[1] == "tap,ifname=t0,script=no,downscript=no,vhost=off,id=net1"


def test_frames_stay_whole_unless_large_ones_are_allowed() -> None:
    cards = [value for value in values(words(), "-device") if value.startswith("virtio-net")]
    assert "host_tso4=off" not in cards[0]
    assert all("host_tso4=off" in card and "guest_tso6=off" in card for card in cards[1:])
    large = [value for value in values(words(machine=a_machine(large_frames=True)), "-device") if "virtio-net" in value]
    assert not any("host_tso4=off" in card for card in large)


def test_eight_interfaces_share_a_slot() -> None:
    cards = [value for value in values(words(machine=a_machine(60)), "-device") if value.startswith("virtio-net")]
    places = [next(part for part in card.split(",") if part.startswith("addr=")) for card in cards]
    assert len(set(places)) == 61
    assert (places[0], places[7], places[8], places[60]) == ("addr=06.0", "addr=06.7", "addr=07.0", "addr=0d.4")


def test_too_many_interfaces_are_refused() -> None:
    words(machine=a_machine(qemu.MAX_INTERFACES - 1))
    with pytest.raises(CapacityError, match="node-1 has 209 interfaces, a machine has room for 208"):
        words(machine=a_machine(qemu.MAX_INTERFACES))


def test_commas_in_names_and_paths_are_kept() -> None:
    command = qemu.command(
        a_machine(node="a,b"), an_image(), qemu.Paths(Path("/h"), Path("/run/a,b")), "kvm", uuid=NODE_ID
    )
    assert values(command, "-name") == ["a,,b,debug-threads=on"]
    assert any("path=/run/a,,b/monitor," in value for value in values(command, "-chardev"))


def test_the_accelerator_decides_the_processor() -> None:
    assert values(words(), "-cpu") == ["qemu64"]
    kvm = qemu.command(a_machine(), an_image(), PATHS, "kvm", uuid=NODE_ID)
    assert (values(kvm, "-cpu"), values(kvm, "-accel")) == (["host"], ["kvm"])


def test_the_machine_id_comes_with_the_first_boot() -> None:
    assert values(words(), "-append") == [f"root=/dev/vda rw systemd.machine_id={NODE_ID.hex}"]


def test_software_is_a_read_only_disk_that_says_what_it_is() -> None:
    command = words(machine=replace(a_machine(), software=Software("ab12")))
    (disk,) = [value for value in values(command, "-blockdev") if '"software"' in value]
    assert json.loads(disk)["file"] == {"driver": "file", "filename": "/software/ab12.tar", "read-only": True}
    assert json.loads(disk)["read-only"]
    assert [value for value in values(command, "-device") if "serial=benito-software" in value]
    assert "benito-software" not in str(words())
