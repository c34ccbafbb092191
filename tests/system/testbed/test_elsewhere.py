"""Systems from elsewhere become nodes: a vendor's cloud image, another distribution's archive.

Both take minutes, for they first make what is elsewhere; asked for with BENITO_TEST_ELSEWHERE=1.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from . import cloud, mirror
from .conftest import Bed, eventually, write
from .test_images import SMALL

pytestmark = [
    pytest.mark.system,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not os.environ.get("BENITO_TEST_ELSEWHERE"), reason="takes minutes: BENITO_TEST_ELSEWHERE=1"),
]


def up(bed: Bed, folder: Path, image: str) -> str:
    """Bring a node of the image up and return its name."""
    file = write(folder, "one.ns", "set n [$ns node]")
    bed.ok("up", file, "-p", "TestElsewhere", "-e", "one", "--cold", "--no-linktest", "--image", image, within=900)
    name = "n.one.testelsewhere"
    eventually(lambda: bed.inside(name, "true").returncode == 0, 120, f"{name} takes a login")
    return name


def test_a_cloud_image_becomes_a_node_without_a_hand(bed: Bed, tmp_path: Path) -> None:
    disk = tmp_path / "cloud.qcow2"
    (tmp_path / "work").mkdir()
    cloud.make(tmp_path / "work", disk)
    bed.ok("image", "import", "vendor", disk, within=1000)
    try:
        name = up(bed, tmp_path, "vendor")
        done = bed.inside(name, "cat /etc/vendor-was-here; sudo -n id -u; hostname; ls /etc/cloud/cloud-init.disabled")
        assert done.stdout.splitlines() == ["vendor", "0", "n", "/etc/cloud/cloud-init.disabled"]
    finally:
        bed.run("terminate", "TestElsewhere/one")
        bed.run("image", "rm", "vendor")


def test_an_archive_of_another_distribution_is_built_from(bed: Bed, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    key = mirror.make(tmp_path / "archive/ubuntu", tmp_path / "work", SMALL)
    with mirror.served(tmp_path / "archive") as address:
        words = ("--suite", "noble", "--mirror", f"{address}/ubuntu", "--keyring", key)
        bed.ok("image", "build", "stand-in", *words, within=900)
    try:
        name = up(bed, tmp_path, "stand-in")
        done = bed.inside(name, "cat /etc/apt/sources.list; dpkg-query -W -f '${Version}' linux-image-virtual")
        assert done.stdout == f"deb {address}/ubuntu noble main universe\n1"
    finally:
        bed.run("terminate", "TestElsewhere/one")
        bed.run("image", "rm", "stand-in")
