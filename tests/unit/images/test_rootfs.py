"""Systems in archives: what they are cleared of lies in them, and nowhere else."""

from pathlib import Path

import pytest

from benito.images import rootfs


def system(root: Path) -> Path:
    for name in ("bin/sh", "sbin/ip", "usr/lib/os-release"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("ID=tiny\n")
    return root


def packed(root: Path, work: Path) -> dict[str, str]:
    (work / "image").mkdir(parents=True)
    archive = work / "system.tar"
    rootfs._tar("-C", str(root), "-cf", str(archive), ".")
    return rootfs.make(archive, work, work / "image", lambda _: None)


@pytest.mark.parametrize("folder", ["tmp", "run", "etc/ssh", "etc"])
def test_a_link_to_a_folder_of_the_host_is_left_alone(tmp_path: Path, folder: str) -> None:
    host = tmp_path / "host"
    for name in ("ssh_host_rsa_key", "ssh/ssh_host_rsa_key", "kept/file"):
        (host / name).parent.mkdir(parents=True, exist_ok=True)
        (host / name).write_text("the host's own")
    host.chmod(0o700)
    root = system(tmp_path / "made")
    (root / folder).parent.mkdir(exist_ok=True)
    (root / folder).symlink_to(host)
    assert packed(root, tmp_path / "work") == {"ID": "tiny"}
    assert sorted(path.name for path in host.rglob("*")) == ["file", "kept", "ssh", *2 * ["ssh_host_rsa_key"]]
    assert host.stat().st_mode & 0o777 == 0o700


def test_what_two_nodes_may_not_share_is_cleared(tmp_path: Path) -> None:
    root = system(tmp_path / "made")
    for name in ("etc/ssh/ssh_host_rsa_key", "run/lock/x", "tmp/x", "etc/ssh/sshd_config"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x")
    (root / "run/link").symlink_to("/nowhere")
    packed(root, tmp_path / "work")
    made = tmp_path / "work/root"
    assert not [*(made / "run").iterdir(), *(made / "tmp").iterdir()]
    assert [file.name for file in (made / "etc/ssh").iterdir()] == ["sshd_config"]
