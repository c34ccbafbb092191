"""Which image stands for which OS id, and what the user is told."""

import json
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from planned import an_image

from benito.errors import InputError
from benito.images import store
from benito.images.catalog import Catalog
from benito.images.osids import Resolution, by_address, resolve

OLD_IDS = [
    "UBUNTU12-64-STD",
    "UBUNTU22-64-STD",
    "UBUNTU1404-64-STD",
    "Ubuntu1604-STD",
    "FC6-STD",
    "FC4-UPDATE",
    "FEDORA10-STD",
    "RHL90-STD",
    "RHL-STD",
    "CentOS6-64-STD",
    "KALI1",
    "OPENVZ-STD",
    "emulab-ops/UBUNTU70-STD",
    "emulab-ops//UBUNTU70-STD",
]


def put_image(home: Path, name: str, distribution: str = "debian", release: str = "12") -> None:
    info = replace(an_image().info, name=name, distribution=distribution, release=release)
    folder = home / "images" / name
    folder.mkdir(parents=True)
    (folder / "image.json").write_text(json.dumps(asdict(info)))


def test_no_os_gives_the_default_image_without_a_notice(tmp_path: Path) -> None:
    resolution = resolve(Catalog(tmp_path), None)
    assert (resolution.name, resolution.notice) == ("debian-12", None)


@pytest.mark.parametrize("os", OLD_IDS)
def test_an_old_os_id_gives_the_default_image_with_a_notice(tmp_path: Path, os: str) -> None:
    resolution = resolve(Catalog(tmp_path), os)
    assert resolution.name == "debian-12"
    assert resolution.notice is not None
    assert os in resolution.notice


@pytest.mark.parametrize("os", ["FBSD-STD", "FBSD410-STD", "FBSD9-64-STD", "OBSD-STD", "WINXP-UPDATE", "WIN7-64-STD"])
def test_another_system_is_said_to_be_another(tmp_path: Path, os: str) -> None:
    notice = resolve(Catalog(tmp_path), os).notice
    assert notice is not None
    assert notice.endswith("will not run")


def test_the_notice_names_what_was_asked_and_what_is_given(tmp_path: Path) -> None:
    assert resolve(Catalog(tmp_path), "UBUNTU12-64-STD").notice == (
        "OS 'UBUNTU12-64-STD' (Ubuntu 12) is not at hand: image debian-12 is given instead"
    )


def test_an_exact_image_name_wins(tmp_path: Path) -> None:
    put_image(tmp_path, "fc6-std")
    resolution = resolve(Catalog(tmp_path), "fc6-std")
    assert (resolution.name, resolution.notice) == ("fc6-std", None)


def test_an_image_of_the_same_distribution_is_nearer(tmp_path: Path) -> None:
    put_image(tmp_path, "ubuntu-20", "ubuntu", "20.04")
    put_image(tmp_path, "ubuntu-22", "ubuntu", "22.04")
    catalog = Catalog(tmp_path)
    assert resolve(catalog, "UBUNTU22-64-STD").name == "ubuntu-22"
    assert resolve(catalog, "UBUNTU2204-64-STD").name == "ubuntu-22"
    assert resolve(catalog, "UBUNTU12-64-STD").name == "ubuntu-20"
    assert resolve(catalog, "FC6-STD").name == "debian-12"


def test_the_very_release_is_given_whether_built_or_not(tmp_path: Path) -> None:
    put_image(tmp_path, "debian-12")
    resolution = resolve(Catalog(tmp_path), "DEB12-64-STD", strict=True)
    assert (resolution.name, resolution.notice) == ("debian-12", "OS 'DEB12-64-STD' is given as image debian-12")


def test_a_default_stands_for_nodes_that_are_silent_and_systems_that_are_missing(tmp_path: Path) -> None:
    put_image(tmp_path, "mine")
    catalog = Catalog(tmp_path)
    assert resolve(catalog, None, default="mine").name == "mine"
    assert resolve(catalog, "FC6-STD", default="mine").name == "mine"
    assert resolve(catalog, "debian-12", default="mine").name == "debian-12"


def test_the_address_of_a_disk_stands_for_what_was_imported_from_it(tmp_path: Path) -> None:
    put_image(tmp_path, "lab")
    catalog, otherwise = Catalog(tmp_path), Resolution("debian-12")
    assert by_address(catalog, "http://old.test/images/Lab.qcow2.bz2", otherwise) == Resolution("lab")
    assert by_address(catalog, None, otherwise) == otherwise
    given = by_address(catalog, "http://old.test/images/other.qcow2", otherwise)
    assert given.name == "debian-12"
    assert given.notice is not None
    assert "was not imported: image debian-12 is given instead" in given.notice


def test_strict_refuses_another_os(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        resolve(Catalog(tmp_path), "UBUNTU12-64-STD", strict=True)
    assert (
        str(caught.value) == "OS 'UBUNTU12-64-STD' (Ubuntu 12) is not at hand (at hand: debian-12; or drop --strict-os)"
    )


@pytest.mark.parametrize("os", ["SDN-OVS-BUNDLE", "../../etc", "my image", "FCOS", "DEBUG"])
def test_an_unknown_os_lists_what_exists(tmp_path: Path, os: str) -> None:
    put_image(tmp_path, "router")
    with pytest.raises(InputError, match="at hand: debian-12, router"):
        resolve(Catalog(tmp_path), os)


def test_an_image_that_is_not_built_says_how_to_build_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="benito image build debian-12"):
        Catalog(tmp_path).get("debian-12")


def test_a_name_with_a_path_in_it_is_no_image(tmp_path: Path) -> None:
    put_image(tmp_path, "a")
    assert not Catalog(tmp_path).has("../images/a")
    with pytest.raises(InputError, match="cannot be the name of an image"):
        Catalog(tmp_path).get("../images/a")


def test_a_half_built_image_is_not_listed_and_a_damaged_one_says_so(tmp_path: Path) -> None:
    put_image(tmp_path, "good")
    put_image(tmp_path, ".building-debian-12-x")
    (tmp_path / "images/empty").mkdir()
    assert [image.name for image in Catalog(tmp_path).images()] == ["good"]
    (tmp_path / "images/good/image.json").write_text("{}")
    with pytest.raises(InputError, match="image good is damaged"):
        Catalog(tmp_path).get("good")


def test_a_removed_image_is_gone(tmp_path: Path) -> None:
    put_image(tmp_path, "old")
    store.remove(Catalog(tmp_path), "old")
    assert not list((tmp_path / "images").glob("[!.]*"))
