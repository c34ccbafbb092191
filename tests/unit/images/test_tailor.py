"""What a fresh Debian folder becomes."""

from pathlib import Path

from benito.images.sources import Sources, Suite
from benito.images.tailor import tailor


def fresh(root: Path) -> Path:
    for name in ("etc/ssh/ssh_host_rsa_key", "etc/apt/apt.conf.d/99mmdebstrap", "boot/vmlinuz-6", "run/x/y"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text('Acquire::http::Proxy "http://user:secret@proxy.test";\n')
    (root / "etc/machine-id").write_text("1234\n")
    (root / "etc/resolv.conf").write_text("nameserver 192.0.2.1\n")
    return root


def test_nothing_of_the_host_and_no_identity_is_left(tmp_path: Path) -> None:
    root = fresh(tmp_path)
    tailor(root, Sources((Suite("http://m.test/debian", "bookworm"),)))
    texts = [path.read_text() for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert not any("secret" in text or "192.0.2.1" in text for text in texts)
    assert not list((root / "etc/ssh").glob("ssh_host_*"))
    assert (root / "etc/machine-id").read_text() == ""
    assert not list((root / "boot").iterdir())


def test_units_are_masked_and_enabled(tmp_path: Path) -> None:
    tailor(fresh(tmp_path), Sources((Suite("http://m.test/debian", "bookworm"),)))
    system = tmp_path / "etc/systemd/system"
    assert str((system / "systemd-udev-trigger.service").readlink()) == "/dev/null"
    assert str((system / "sysinit.target.wants/benito.service").readlink()) == "/etc/systemd/system/benito.service"
    assert str((system / "sockets.target.wants/ssh.socket").readlink()) == "/lib/systemd/system/ssh.socket"


def test_tailoring_twice_gives_the_same(tmp_path: Path) -> None:
    root = fresh(tmp_path)
    tailor(root, Sources((Suite("http://m.test/debian", "bookworm"),)))
    once = {path: path.is_symlink() or path.is_dir() or path.read_text() for path in root.rglob("*")}
    tailor(root, Sources((Suite("http://m.test/debian", "bookworm"),)))
    assert {path: path.is_symlink() or path.is_dir() or path.read_text() for path in root.rglob("*")} == once
