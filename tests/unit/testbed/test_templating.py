"""Templates for an experiment: one boots for each image and size, those with more interfaces are made of it."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from planned import an_image

from benito.errors import HostError
from benito.images.catalog import Image
from benito.machines import casting, qemu, template
from benito.machines.guest import UnfitError
from benito.machines.overlay import create_overlay
from benito.machines.shelf import Shelf
from benito.machines.template import DISK, MEMORY, STATE, Record, Template
from benito.testbed import templating
from benito.testbed.home import Home
from benito.testbed.testbed import Testbed

PLAIN = qemu.Body(256, 1, 1, "tcg")


class Said:
    """Remembers what a long operation told."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.notices: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)

    def node(self, node: str, phase: str) -> None: ...

    def notice(self, text: str) -> None:
        self.notices.append(text)


class Foundry:
    """Makes templates of nothing, and remembers which and how."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.made: list[tuple[str, int, int]] = []
        self.fault: Exception | None = None

    async def cast(self, body: qemu.Body, image: Image, digest: str, folder: Path, _: Path) -> None:
        self.made.append(("cast", body.memory_mib, body.interfaces))
        if self.fault:
            raise self.fault
        self._fill(body, image, digest, folder)

    async def extend(self, plain: Template, body: qemu.Body, image: Image, digest: str, folder: Path, _: Path) -> None:
        assert plain.record.body == replace(body, interfaces=1)
        self.made.append(("extend", body.memory_mib, body.interfaces))
        self._fill(body, image, digest, folder)

    def _fill(self, body: qemu.Body, image: Image, digest: str, folder: Path) -> None:
        for name in (MEMORY, STATE):
            (folder / name).write_bytes(b"x")
        create_overlay(folder / DISK, self.base)
        Template(folder).write(Record.of(digest, body, image, 2.0))


@pytest.fixture
def foundry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Foundry:
    base = tmp_path / "base.qcow2"
    base.write_bytes(b"QFI\xfb" + bytes(20) + (1 << 30).to_bytes(8, "big"))
    made = Foundry(base)
    monkeypatch.setattr(casting, "cast", made.cast)
    monkeypatch.setattr(casting, "extend", made.extend)
    monkeypatch.setattr(template, "emulator", lambda: ("QEMU 7.2", "1", "2"))
    monkeypatch.setattr(template, "qemu_version", lambda: "QEMU 7.2")
    monkeypatch.setattr("os.chown", lambda *_, **__: None)
    monkeypatch.setattr(shutil, "which", lambda name, **_: f"/usr/bin/{name}")
    return made


@pytest.fixture
def held() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def have(shelf: Shelf, said: Said, held: ExitStack, *bodies: qemu.Body) -> list[int]:
    """Return the numbers of interfaces of the templates that are there for these bodies, made if need be."""
    wanted = {template.digest(body, an_image()): (body, an_image()) for body in bodies}
    found = asyncio.run(templating.Maker(shelf, said, held).have(wanted))
    return [wanted[name][0].interfaces for name in found]


def test_one_boots_and_the_others_are_made_of_it(tmp_path: Path, foundry: Foundry, held: ExitStack) -> None:
    shelf, said = Shelf(tmp_path / "templates"), Said()
    bodies = [replace(PLAIN, interfaces=count) for count in (5, 2)]
    assert have(shelf, said, held, *bodies) == [5, 2]
    assert foundry.made[0] == ("cast", 256, 1)
    assert sorted(foundry.made[1:]) == [("extend", 256, 2), ("extend", 256, 5)]
    assert said.steps == [
        "making 2 templates of debian-12 with 5 interfaces, debian-12 with 2 interfaces; later swap-ins find them"
    ]
    # What is there isn't made again, and is what another number of interfaces needs.
    assert have(shelf, said, held, *bodies, PLAIN, replace(PLAIN, interfaces=3)) == [5, 2, 1, 3]
    assert foundry.made[3:] == [("extend", 256, 3)]
    # Other machines are made of others.
    assert have(shelf, said, held, replace(PLAIN, interfaces=2, memory_mib=512)) == [2]
    assert foundry.made[4:] == [("cast", 512, 1), ("extend", 512, 2)]
    assert said.notices == []
    assert shelf.leftovers() == []


def test_the_one_that_others_were_made_of_may_go(tmp_path: Path, foundry: Foundry, held: ExitStack) -> None:
    shelf = Shelf(tmp_path / "templates")
    two = replace(PLAIN, interfaces=2)
    have(shelf, Said(), held, two)
    shelf.remove(template.digest(PLAIN, an_image()))
    assert have(shelf, Said(), held, two) == [2]
    assert len(foundry.made) == 2


def test_an_image_that_cannot_be_one_is_tried_once(tmp_path: Path, foundry: Foundry, held: ExitStack) -> None:
    shelf, said = Shelf(tmp_path / "templates"), Said()
    foundry.fault = UnfitError("it has no perl")
    bodies = [replace(PLAIN, interfaces=count) for count in (5, 2)]
    for _ in range(2):
        assert have(shelf, said, held, *bodies) == []
    assert foundry.made == [("cast", 256, 1)]
    assert len(said.steps) == 1
    assert said.notices == ["machines of debian-12 boot, which takes longer: it has no perl"] * 2


def test_what_failed_once_is_tried_again(tmp_path: Path, foundry: Foundry, held: ExitStack) -> None:
    shelf, said = Shelf(tmp_path / "templates"), Said()
    foundry.fault = HostError("the machine ended")
    bodies = [PLAIN, replace(PLAIN, interfaces=2)]
    assert have(shelf, said, held, *bodies) == []
    assert said.notices == ["machines of debian-12 boot, which takes longer: the machine ended"]
    foundry.fault = None
    assert have(shelf, said, held, *bodies) == [1, 2]


def test_an_image_is_made_also_where_no_machine_runs(
    tmp_path: Path, foundry: Foundry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing() -> tuple[str, ...]:
        raise HostError("qemu-system-x86_64 is missing on this host")

    monkeypatch.setattr(templating, "decide", lambda *_: "tcg")
    bed, said = Testbed(Home(tmp_path)), Said()
    templating.make_plain(bed, an_image(), said)
    assert foundry.made == [("cast", 256, 1)]
    monkeypatch.setattr(template, "emulator", missing)
    templating.make_plain(bed, an_image(), said)
    assert said.notices == ["no template of debian-12: qemu-system-x86_64 is missing on this host"]
    assert len(foundry.made) == 1
