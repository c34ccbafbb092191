"""Names, contents and their users: what stays, what goes, what never becomes an image."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from planned import an_image

from benito.errors import InputError, StateError
from benito.images import store
from benito.images.catalog import CONTENTS, Catalog, Image

INFO = replace(an_image().info, digest="", made_from="m")


def make(home: Path, name: str, text: str) -> Image:
    catalog = Catalog(home)
    with store.making(catalog) as work:
        (work / "image").mkdir()
        (work / "image/root.qcow2").write_text(text)
        return store.put(catalog, name, work / "image", store.describe(work / "image", replace(INFO, name=name)))


def contents(home: Path) -> set[str]:
    return {path.name for path in (home / "images" / CONTENTS).iterdir()}


def test_a_name_points_to_contents_under_their_digest(tmp_path: Path) -> None:
    image = make(tmp_path, "router", "one")
    assert (tmp_path / "images/router").readlink() == Path(CONTENTS, image.info.digest)
    assert image.info.lengths == {"root.qcow2": 3}
    assert store.verify(image) == []


def test_what_nobody_needs_goes_when_the_name_gets_other_contents(tmp_path: Path) -> None:
    make(tmp_path, "router", "one")
    second = make(tmp_path, "router", "two")
    assert contents(tmp_path) == {second.info.digest}
    assert Catalog(tmp_path).get("router").disk.read_text() == "two"


def test_what_an_experiment_lies_on_stays_until_it_lets_go(tmp_path: Path) -> None:
    catalog, user = Catalog(tmp_path), tmp_path / "experiment"
    user.mkdir()
    first = make(tmp_path, "router", "one")
    store.hold(catalog, {("router", first.info.digest)}, "abc", "Demo/star", user)
    second = make(tmp_path, "router", "two")
    assert contents(tmp_path) == {first.info.digest, second.info.digest}
    assert store.users(catalog, first.info.digest) == ["Demo/star"]
    found = catalog.exactly("router", first.info.digest)
    assert found is not None
    assert found.disk.read_text() == "one"
    store.drop(catalog, "abc")
    assert contents(tmp_path) == {second.info.digest}
    assert catalog.exactly("router", first.info.digest) is None


def test_a_user_whose_folder_is_gone_holds_nothing(tmp_path: Path) -> None:
    catalog, user = Catalog(tmp_path), tmp_path / "experiment"
    user.mkdir()
    image = make(tmp_path, "router", "one")
    store.hold(catalog, {("router", image.info.digest)}, "abc", "Demo/star", user)
    user.rmdir()
    assert store.remove(catalog, "router")
    assert contents(tmp_path) == set()


def test_removing_a_name_keeps_the_contents_that_are_in_use(tmp_path: Path) -> None:
    catalog, user = Catalog(tmp_path), tmp_path / "experiment"
    user.mkdir()
    image = make(tmp_path, "router", "one")
    store.hold(catalog, {("router", image.info.digest)}, "abc", "Demo/star", user)
    assert not store.remove(catalog, "router")
    assert not catalog.has("router")
    assert contents(tmp_path) == {image.info.digest}
    with pytest.raises(InputError, match="there is no image router"):
        store.remove(catalog, "router")


def test_holding_what_has_just_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StateError, match="router has just been removed"):
        store.hold(Catalog(tmp_path), {("router", "f" * 64)}, "abc", "Demo/star", tmp_path)


def test_a_new_set_of_contents_replaces_the_former(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    one, two = make(tmp_path, "one", "1"), make(tmp_path, "two", "2")
    store.hold(catalog, {("one", one.info.digest)}, "abc", "Demo/star", tmp_path)
    store.hold(catalog, {("two", two.info.digest)}, "abc", "Demo/star", tmp_path)
    assert store.users(catalog, one.info.digest) == []
    assert store.users(catalog, two.info.digest) == ["Demo/star"]


@pytest.mark.parametrize(
    ("harm", "what"),
    [
        (lambda disk: disk.write_text("onX"), "its contents have changed"),
        (lambda disk: disk.write_text("on"), "it has 2 bytes, and had 3"),
        (lambda disk: disk.unlink(), "it is missing"),
    ],
)
def test_verify_says_which_file_is_damaged_and_how(tmp_path: Path, harm: object, what: str) -> None:
    image = make(tmp_path, "router", "one")
    assert callable(harm)
    harm(image.disk)
    assert store.verify(image) == [store.Damage("root.qcow2", what)]


def test_a_failed_making_leaves_nothing(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)

    def fail() -> None:
        with store.making(catalog) as work:
            (work / "image").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert catalog.images() == []
    assert not list((tmp_path / "images").glob(f"{store.WORK}*"))


def test_a_killed_making_is_no_image_and_is_cleared_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / "images" / f"{store.WORK}dead"
    (left / "image").mkdir(parents=True)
    (left / "maker").touch()
    catalog = Catalog(tmp_path)
    assert catalog.images() == []
    assert store.leftovers(catalog) == [left]
    with store.making(catalog) as work:
        assert not left.exists()
        assert store.leftovers(catalog) == []
        assert os.path.isdir(work)  # noqa: PTH112 - plain


def test_makers_that_begin_together_leave_each_other_alone(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)

    def make(_: int) -> bool:
        with store.making(catalog) as work:
            (work / "a").touch()
            return (work / "a").exists() and work not in store.leftovers(catalog)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(make, range(800)))
    assert store.leftovers(catalog) == []


def test_what_was_left_in_its_first_moment_is_cleared_later(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path)
    left = tmp_path / "images/.beginning-dead"
    left.mkdir(parents=True)
    assert store.leftovers(catalog) == []
    os.utime(left, (0, 0))
    assert store.leftovers(catalog) == [left]
    with store.making(catalog):
        assert not left.exists()


def test_a_folder_of_former_times_gives_way_to_contents(tmp_path: Path) -> None:
    old = tmp_path / "images/router"
    old.mkdir(parents=True)
    (old / "image.json").write_text("{}")
    assert make(tmp_path, "router", "one").disk.read_text() == "one"
    assert (tmp_path / "images/router").is_symlink()
