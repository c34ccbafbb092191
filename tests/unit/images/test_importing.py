"""Imports: what is recognised, what is refused, and that nothing of a failed one stays."""

import bz2
import gzip
import io
import json
import lzma
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from benito.errors import BenitoError, HostError, InputError, NodeError
from benito.images import disk, errand
from benito.images.catalog import Catalog
from benito.images.errand import Errand
from benito.images.importing import Import, import_image

needs_qemu_img = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="needs qemu-img")


def quiet(_: str) -> None:
    pass


def tar_of(path: Path, texts: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data in texts.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755
            archive.addfile(member, io.BytesIO(data))
    return path


def booted(errand_: Errand) -> None:
    """Do what the first boot does to a good disk."""
    texts = {
        "status": b"done\n",
        "os-release": b'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
        "cmdline": b"BOOT_IMAGE=/boot/vmlinuz\nroot=UUID=abc\nro\nquiet\nconsole=tty0\nfilesystem=abc\n",
        "kernel": b"kernel",
        "initrd": b"initrd",
    }
    tar_of(errand_.result, texts)


def test_a_kernel_larger_than_its_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "kernel").touch()
    os.truncate(tmp_path / "kernel", 1 << 40)
    (tmp_path / "status").write_text("done\n")
    subprocess.run(["tar", "--sparse", "-cf", "result", "status", "kernel"], cwd=tmp_path, check=True)
    with pytest.raises(InputError, match="kernel has 1048576 MiB"):
        errand.gather(tmp_path / "result", tmp_path / "a", tmp_path / "b")


def never(_: Errand) -> None:
    raise AssertionError("nothing is to be booted")


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    """A disk of 4 MiB with a partition table, a boot loader, and nothing else."""
    file = tmp_path / "cloud.raw"
    sector = bytearray(512)
    sector[:4], sector[450], sector[510:] = b"boot", 0x83, b"\x55\xaa"
    file.write_bytes(bytes(sector) + bytes((4 << 20) - 512))
    return file


@pytest.fixture
def no_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benito.run.require", lambda *_: None)
    monkeypatch.setattr(errand, "seed", lambda folder, path: path)


@needs_qemu_img
@pytest.mark.usefixtures("no_seed")
def test_a_cloud_image_becomes_an_image_that_starts_by_its_own_kernel(tmp_path: Path, raw: Path) -> None:
    image = import_image(Import("vendor", str(raw)), tmp_path, booted, quiet)
    assert (image.kernel.read_bytes(), image.initrd.read_bytes()) == (b"kernel", b"initrd")
    info = image.info
    assert (info.boot, info.distribution, info.release, info.disk_mib, info.partitioned) == (
        "kernel",
        "debian",
        "12",
        4,
        True,
    )
    assert info.kernel_arguments.startswith("root=UUID=abc ro console=ttyS0 ")
    assert not info.for_containers


@needs_qemu_img
@pytest.mark.usefixtures("no_seed")
@pytest.mark.parametrize("packer", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed_disks_and_other_formats_are_taken(
    tmp_path: Path, raw: Path, packer: Callable[[bytes], bytes]
) -> None:
    vdi = tmp_path / "cloud.vdi"
    subprocess.run(["qemu-img", "convert", "-O", "vdi", raw, vdi], check=True)
    packed = tmp_path / "cloud.vdi.packed"
    packed.write_bytes(packer(vdi.read_bytes()))
    assert import_image(Import("vendor", str(packed)), tmp_path, booted, quiet).info.origin["format"] == "vdi"


@needs_qemu_img
def test_a_disk_as_it_is_starts_by_its_own_loader(tmp_path: Path, raw: Path) -> None:
    image = import_image(Import("mine", raw.as_uri(), as_is=True), tmp_path, never, quiet)
    assert image.info.boot == "disk"
    assert set(image.info.files) == {"root.qcow2"}


@needs_qemu_img
def test_a_disk_that_leans_on_a_file_of_this_host_is_refused(tmp_path: Path) -> None:
    trap = tmp_path / "trap.qcow2"
    argv = ["qemu-img", "create", "-q", "-u", "-f", "qcow2", "-F", "raw", "-b", "/etc/shadow", str(trap), "1M"]
    subprocess.run(argv, check=True)
    with pytest.raises(InputError, match="leans on other files"):
        import_image(Import("trap", str(trap), as_is=True), tmp_path, never, quiet)


def fails(_: Errand) -> None:
    raise NodeError("it didn't come to its end")


def left_nothing(_: Errand) -> None:
    pass


def lacks(errand_: Errand) -> None:
    tar_of(errand_.result, {"status": b"failed: it lacks qemu-guest-agent: E: Unable to locate package\n"})


@needs_qemu_img
@pytest.mark.usefixtures("no_seed")
@pytest.mark.parametrize(
    ("boot", "kind", "said"),
    [
        (fails, NodeError, "didn't come to its end"),
        (left_nothing, HostError, "ended without a result"),
        (lacks, InputError, "can't be made a node: it lacks qemu-guest-agent: E: Unable"),
    ],
)
def test_nothing_stays_of_an_import_that_fails(
    tmp_path: Path, raw: Path, boot: errand.Boot, kind: type[BenitoError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        import_image(Import("vendor", str(raw)), tmp_path, boot, quiet)
    assert Catalog(tmp_path).images() == []
    assert not list((tmp_path / "images").glob(".making-*"))


def test_a_file_with_another_checksum_is_refused(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(InputError, match=f"{raw} isn't what was asked for: its sha256 is .*, not 0000"):
        import_image(Import("vendor", str(raw), checksum="sha256:" + "0" * 64), tmp_path, never, quiet)
    with pytest.raises(InputError, match="unknown kind"):
        import_image(Import("vendor", str(raw), checksum="md5:0"), tmp_path, never, quiet)


@pytest.mark.parametrize("checksum", ["sha256:" + "0" * 63, "sha256:" + "x" * 64, "0" * 40, "sha512:" + "0" * 64])
def test_a_checksum_that_no_file_has_is_refused_before_anything_is_fetched(tmp_path: Path, checksum: str) -> None:
    with pytest.raises(InputError, match="digits of 0-9 and a-f"):
        import_image(Import("vendor", "http://192.0.2.1/disk", checksum=checksum), tmp_path, never, quiet)


def test_an_address_of_another_kind_is_told_as_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"can't fetch ftp://m\.test/disk") as told:
        import_image(Import("vendor", "ftp://m.test/disk"), tmp_path, never, quiet)
    assert "http" in told.value.hint
    with pytest.raises(InputError, match="there is no file"):
        import_image(Import("vendor", "file:///nowhere/disk"), tmp_path, never, quiet)


def test_arguments_without_a_kernel_are_refused(tmp_path: Path, raw: Path) -> None:
    with pytest.raises(InputError, match="--append is for a --kernel"):
        import_image(Import("vendor", str(raw), arguments="quiet"), tmp_path, never, quiet)


@pytest.mark.skipif(shutil.which("zstd") is None, reason="needs zstd")
def test_an_archive_that_breaks_off_is_refused(tmp_path: Path) -> None:
    (tmp_path / "disk").write_bytes(os.urandom(1 << 20))
    subprocess.run(["zstd", "-q", "disk"], cwd=tmp_path, check=True)
    os.truncate(tmp_path / "disk.zst", 500_000)
    with pytest.raises(HostError, match=r"disk\.zst can't be decompressed: .*premature end"):
        import_image(Import("vendor", str(tmp_path / "disk.zst")), tmp_path, never, quiet)


def test_a_damaged_archive_is_refused(tmp_path: Path, raw: Path) -> None:
    packed = tmp_path / "cloud.raw.gz"
    packed.write_bytes(gzip.compress(raw.read_bytes())[:-20])
    with pytest.raises(InputError, match=r"cloud\.raw\.gz is damaged"):
        import_image(Import("vendor", str(packed)), tmp_path, never, quiet)


def test_what_is_no_disk_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").write_text("hello")
    with pytest.raises(InputError, match="no disk and no archive"):
        import_image(Import("notes", str(tmp_path / "notes")), tmp_path, never, quiet)
    with pytest.raises(InputError, match="there is no file"):
        import_image(Import("notes", str(tmp_path / "nothing")), tmp_path, never, quiet)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"QFI\xfb", "qcow2"),
        (b"KDMV", "vmdk"),
        (b"vhdxfile", "vhdx"),
        (bytes(0x40) + b"\x7f\x10\xda\xbe", "vdi"),
        (bytes(510) + b"\x55\xaa", "raw"),
        (b"hello", None),
    ],
)
def test_a_disk_is_known_by_its_beginning(tmp_path: Path, head: bytes, kind: str | None) -> None:
    (tmp_path / "disk").write_bytes(head + bytes(2048))
    assert disk.recognise(tmp_path / "disk") == kind


def test_a_disk_without_a_loader_in_its_first_sector_starts_by_uefi() -> None:
    gpt = bytearray(4096)
    gpt[450], gpt[510:520] = 0xEE, b"\x55\xaaEFI PART"
    assert disk.read_head(bytes(gpt), 1 << 20) == disk.Facts(1, True, False)


def test_a_root_file_system_becomes_an_image_for_containers(tmp_path: Path) -> None:
    system = {"bin/sh": b"#!", "sbin/ip": b"#!", "etc/os-release": b"ID=alpine\nVERSION_ID=3.20\n", "tmp/x": b"x"}
    said: list[str] = []
    source = tar_of(tmp_path / "alpine.tar", system)
    image = import_image(Import("alpine", str(source)), tmp_path, never, said.append)
    assert (image.info.boot, image.info.distribution, image.info.for_machines) == ("none", "alpine", False)
    with tarfile.open(image.archive) as archive:
        names = set(archive.getnames())
    assert "./bin/sh" in names
    assert "./tmp/x" not in names
    assert any("no sshd" in text for text in said)


@pytest.mark.skipif(not (shutil.which("umoci") and shutil.which("skopeo")), reason="needs umoci and skopeo")
@pytest.mark.parametrize("kind", ["folder", "oci-archive", "docker-archive"])
def test_what_container_tools_save_is_put_together(tmp_path: Path, kind: str) -> None:
    def run(*words: object) -> None:
        subprocess.run([str(word) for word in words], check=True, capture_output=True)

    for name in ("bin/sh", "sbin/ip", "etc/gone"):
        (tmp_path / "tiny" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tiny" / name).write_text("#!")
    layout = tmp_path / "layout"
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:one")
    run("umoci", "insert", "--image", f"{layout}:one", tmp_path / "tiny", "/")
    run("umoci", "insert", "--image", f"{layout}:one", "--whiteout", "/etc/gone")
    source = layout
    if kind != "folder":
        source = tmp_path / "saved.tar"
        run("skopeo", "copy", "--insecure-policy", f"oci:{layout}:one", f"{kind}:{source}:my/tiny:1")
    image = import_image(Import("tiny", str(source)), tmp_path, never, quiet)
    with tarfile.open(image.archive) as archive:
        names = set(archive.getnames())
    assert {"./bin/sh", "./sbin/ip"} <= names
    assert "./etc/gone" not in names


def test_a_system_without_ip_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="lacks the program ip"):
        import_image(Import("x", str(tar_of(tmp_path / "x.tar", {"bin/sh": b"#!"}))), tmp_path, never, quiet)


def test_the_seed_is_a_shell_script_that_a_shell_can_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benito.run.checked", lambda *_, **__: "")
    errand.seed(tmp_path / "seed", tmp_path / "seed.iso")
    script = tmp_path / "seed/user-data"
    assert script.read_text().startswith("#!/bin/sh\n")
    subprocess.run(["sh", "-n", script], check=True)
    subprocess.run(["sh", "-n", errand.seal_script(tmp_path / "seal")], check=True)
    assert json.loads(json.dumps(script.read_text()))
