"""Templates: what names them, their command lines, who may remove them and when."""

import multiprocessing
import subprocess
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from uuid import UUID

import pytest
from planned import a_machine, an_image

from benito.errors import BusyError, HostError
from benito.images.catalog import Image
from benito.machines import qemu, template
from benito.machines.overlay import create_overlay
from benito.machines.shelf import Shelf
from benito.machines.template import DISK, MEMORY, STATE, Record, Template

BODY = qemu.Body(256, 1, 2, "tcg")
PATHS = qemu.Paths(Path("/home/x"), Path("/run/x"))


@pytest.fixture(autouse=True)
def _emulator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(template, "emulator", lambda: ("QEMU 7.2", "1", "2"))
    monkeypatch.setattr(template, "qemu_version", lambda: "QEMU 7.2")
    monkeypatch.setattr(template, "processor", lambda: "a processor")


def values(command: list[str], option: str) -> list[str]:
    return [value for name, value in pairwise(command) if name == option]


def test_a_digest_is_the_same_wherever_the_image_lies() -> None:
    assert template.digest(BODY, an_image()) == template.digest(BODY, an_image(Path("/elsewhere")))


@pytest.mark.parametrize(
    "body",
    [
        replace(BODY, memory_mib=512),
        replace(BODY, cpus=2),
        replace(BODY, interfaces=3),
        replace(BODY, accelerator="kvm"),
    ],
)
def test_another_body_is_another_template(body: qemu.Body) -> None:
    assert template.digest(body, an_image()) != template.digest(BODY, an_image())


def test_another_image_emulator_or_processor_is_another_template(monkeypatch: pytest.MonkeyPatch) -> None:
    before = template.digest(BODY, an_image())
    other = an_image()
    assert template.digest(BODY, Image(other.folder, replace(other.info, digest="1" * 64))) != before
    by_processor = template.digest(replace(BODY, accelerator="kvm"), an_image())
    monkeypatch.setattr(template, "processor", lambda: "another one")
    assert template.digest(BODY, an_image()) == before
    assert template.digest(replace(BODY, accelerator="kvm"), an_image()) != by_processor
    monkeypatch.setattr(template, "emulator", lambda: ("QEMU 7.2", "1", "3"))
    assert template.digest(BODY, an_image()) != before


def test_a_clone_has_its_templates_devices_in_the_same_places() -> None:
    made = qemu.template_command(BODY, an_image(), PATHS, Path("/t/memory"))
    clone = qemu.command(a_machine(1), an_image(), PATHS, "tcg", uuid=_uuid(), memory=Path("/copy"))

    def places(command: list[str]) -> list[tuple[str, ...]]:
        kept = ("virt", "vmgenid")
        words = [value.split(",") for value in values(command, "-device") if value.startswith(kept)]
        return [
            tuple(word for word in each if not word.startswith(("mac=", "netdev=", "host_", "guest_", "guid=")))
            for each in words
        ]

    assert places(made) == places(clone)
    for option in ("-machine", "-cpu", "-smp", "-m"):
        assert values(made, option) == values(clone, option)


def test_the_first_card_is_alike_in_all_templates_of_which_others_are_made() -> None:
    cards = [
        [value for value in values(command, "-device") if value.startswith("virtio-net")]
        for command in (
            qemu.template_command(replace(BODY, interfaces=count), an_image(), PATHS, Path("/t/memory"), waits=True)
            for count in (1, 2, 61)
        )
    ]
    assert cards[0] == cards[1][:1]
    # What isn't part of a machine's state may differ.
    assert cards[2][0].replace("ioeventfd=off,", "") == cards[0][0]
    assert [len(each) for each in cards] == [1, 2, 61]


def test_a_clone_waits_for_its_state_and_keeps_its_memory_to_itself() -> None:
    clone = qemu.command(a_machine(1), an_image(), PATHS, "tcg", uuid=_uuid(), memory=Path("/copy"))
    assert values(clone, "-incoming") == ["defer"]
    assert "memory-backend-file,id=ram,size=256M,mem-path=/copy,share=off" in values(clone, "-object")
    made = qemu.template_command(BODY, an_image(), PATHS, Path("/t/memory"))
    assert "memory-backend-file,id=ram,size=256M,mem-path=/t/memory,share=on" in values(made, "-object")
    assert "-incoming" not in made


def test_a_template_is_nobodys_machine() -> None:
    made = qemu.template_command(BODY, an_image(), PATHS, Path("/t/memory"))
    assert "machine_id" not in values(made, "-append")[0]
    assert not any("mac=" in value or "netdev" in value for value in values(made, "-device"))


def test_a_machine_that_boots_knows_nothing_of_templates() -> None:
    cold = qemu.command(a_machine(1), an_image(), PATHS, "tcg", uuid=_uuid())
    assert "-incoming" not in cold
    assert not any("memory-backend" in word for word in cold)


def _uuid() -> UUID:

    return UUID("12345678-1234-5678-1234-567812345678")


def put(shelf: Shelf, digest: str) -> Template:
    """Make a template of nothing."""
    with shelf.alone(digest):
        made = shelf.making(digest)
        for name in (MEMORY, STATE):
            (made / name).write_bytes(b"x")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(made / DISK), "1M"], check=True)
        Template(made).write(Record.of(digest, BODY, an_image(), 2.0))
        return shelf.put(digest, made)


@pytest.fixture
def shelf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shelf:
    monkeypatch.setattr("os.chown", lambda *_, **__: None)
    return Shelf(tmp_path / "templates")


def lie_on(template: Template, shelf: Shelf, nodes: Path) -> Path:
    """Have a node's disk lie on a template."""
    (nodes / "n").mkdir(parents=True)
    create_overlay(nodes / "n" / DISK, template.disk)
    shelf.use(template.digest, "1234567890", nodes)
    return nodes / "n" / DISK


def test_a_template_is_found_when_it_is_whole(shelf: Shelf) -> None:
    made = put(shelf, "aa")
    assert shelf.find("aa") == made
    assert made.record.body == BODY
    assert [path.stat().st_mode & 0o222 for path in (made.memory, made.state, made.disk)] == [0, 0, 0]
    made.state.unlink()
    assert shelf.find("aa") is None
    assert shelf.find("bb") is None


def test_what_an_interrupted_maker_left_is_no_template_and_is_cleared(shelf: Shelf) -> None:
    with shelf.alone("aa"):
        (shelf.making("aa") / MEMORY).write_bytes(b"half")
        assert shelf.leftovers() == []
    assert shelf.all() == []
    assert [path.name for path in shelf.leftovers()] == [".making-aa"]
    shelf.clear()
    assert shelf.leftovers() == []


def test_a_template_under_a_disk_is_never_removed(shelf: Shelf, tmp_path: Path) -> None:
    disk = lie_on(put(shelf, "aa"), shelf, tmp_path / "nodes")
    with pytest.raises(BusyError, match="the disks of 1 nodes lie on the template aa"):
        shelf.remove("aa")
    assert shelf.trim(0, lambda _: True) == []
    disk.unlink()
    assert shelf.users("aa") == []
    shelf.remove("aa")
    assert shelf.all() == []
    with pytest.raises(HostError, match="there is no template aa"):
        shelf.remove("aa")


def test_a_disk_on_another_template_is_no_user(shelf: Shelf, tmp_path: Path) -> None:
    put(shelf, "aa")
    lie_on(put(shelf, "bb"), shelf, tmp_path / "nodes")
    shelf.use("aa", "1234567890", tmp_path / "nodes")
    assert shelf.users("aa") == []
    assert len(shelf.users("bb")) == 1


def test_a_template_that_is_about_to_be_used_is_not_removed(shelf: Shelf) -> None:
    put(shelf, "aa")
    with shelf.held("aa"), shelf.held("aa"), pytest.raises(BusyError, match="is being made, used or removed"):
        shelf.remove("aa")
    shelf.remove("aa")


def test_the_ones_used_longest_ago_go_first_and_stale_ones_always(shelf: Shelf) -> None:
    import os

    for age, digest in enumerate(("aa", "bb", "cc", "dd")):
        put(shelf, digest).touch()
        os.utime(shelf.folder / digest / "used", (1000 - age, 1000 - age))
    assert shelf.trim(3, lambda template: template.digest == "bb") == ["bb", "dd"]
    assert [template.digest for template in shelf.all()] == ["aa", "cc"]


def _hold_and_die(folder: Path) -> None:
    import os

    with Shelf(folder).alone("aa"):
        os._exit(1)


def test_a_makers_lock_dies_with_it(shelf: Shelf) -> None:
    maker = multiprocessing.get_context("spawn").Process(target=_hold_and_die, args=(shelf.folder,))
    maker.start()
    maker.join(30)
    assert put(shelf, "aa").whole()


def test_a_refusal_is_remembered(shelf: Shelf) -> None:
    shelf.folder.mkdir()
    assert shelf.refusal("aa") is None
    shelf.refuse("aa", "it has no perl")
    assert shelf.refusal("aa") == "it has no perl"
