"""`benito image`: the recipe that options of `build` ask for, and who may change images."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from planned import an_image

from benito.cli.image import build_image, command
from benito.errors import HostError, InputError
from benito.images.catalog import Image
from benito.images.recipe import Recipe


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Recipe]:
    """The recipes that would be built."""
    recipes: list[Recipe] = []

    def build(recipe: Recipe, *_: Any, **__: Any) -> Image:
        recipes.append(recipe)
        return replace(an_image(tmp_path), info=replace(an_image().info, name=recipe.name))

    monkeypatch.setenv("BENITO_HOME", str(tmp_path))
    monkeypatch.setattr("benito.images.build.build", build)
    monkeypatch.setattr("benito.cli.image._made", lambda *_: None)
    return recipes


@pytest.fixture(autouse=True)
def templates(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The images that a template would be made of."""
    names: list[str] = []
    monkeypatch.setattr("benito.testbed.templating.make_plain", lambda _, image, __: names.append(image.name))
    return names


def ask(*words: str) -> None:
    CliRunner().invoke(build_image, words, catch_exceptions=False)


@pytest.mark.parametrize(("size", "mib"), [("32G", 32768), ("3.5GiB", 3584), ("16384", 16384)])
def test_a_size_is_a_whole_number_of_mib(built: list[Recipe], size: str, mib: int) -> None:
    ask("big", "--suite", "bookworm", "--size", size, "--memory", "1024")
    # The file system is made with the number as it is written, and knows no fractions.
    assert (str(built[0].size_mib), built[0].memory_mib) == (str(mib), 1024)


def test_a_template_is_made_with_the_image_unless_told(built: list[Recipe], templates: list[str]) -> None:
    ask("debian-13")
    ask("debian-11", "--no-template")
    assert len(built) == 2
    assert templates == ["debian-13"]


@pytest.mark.parametrize("size", ["100M", "16X", "0", "99999999G"])
def test_a_size_that_no_system_has_is_refused_at_once(built: list[Recipe], size: str) -> None:
    with pytest.raises(InputError, match=f"--size {size}"):
        ask("debian-13", "--size", size)
    assert not built


def test_another_release_needs_another_name(built: list[Recipe]) -> None:
    for words in (["--suite", "trixie"], ["debian-12", "--suite", "trixie"]):
        with pytest.raises(InputError, match="debian-12 is the name of Debian 12") as told:
            ask(*words)
        assert "NAME of your own" in told.value.hint
    ask("debian-13", "--suite", "trixie")
    assert built[0].suite == "trixie"


@pytest.mark.parametrize("words", [("import", "mine", "disk"), ("rm", "mine"), ("create", "a.b.c", "mine")])
def test_root_is_asked_for_first_and_for_what_is_changed(
    monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(HostError, match=f"`benito image {words[0]}` changes this host's images and needs root"):
        CliRunner().invoke(command, words, catch_exceptions=False)
