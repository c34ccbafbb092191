"""What a container's files lose when they become an image."""

from pathlib import Path

from benito.images.merging import forget


def put(root: Path, name: str, text: str) -> None:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def test_identity_goes_and_work_stays(tmp_path: Path) -> None:
    put(tmp_path, "etc/passwd", "root:x:0:0::/root:/bin/sh\nalice:x:20001:20001::/home/alice:/bin/sh\n")
    put(tmp_path, "etc/shadow", "root:*:1::::::\nalice:*:19000::::::\n")
    put(tmp_path, "etc/group", "root:x:0:\nalice:x:20001:\n")
    put(tmp_path, "etc/ssh/ssh_host_ed25519_key", "secret")
    put(tmp_path, "etc/machine-id", "1234\n")
    put(tmp_path, "home/alice/.ssh/authorized_keys", "key")
    put(tmp_path, "home/alice/work", "work")
    put(tmp_path, "var/lib/benito/facts", "facts")
    put(tmp_path, "opt/tool", "tool")
    forget(tmp_path)
    assert (tmp_path / "etc/passwd").read_text() == "root:x:0:0::/root:/bin/sh\n"
    assert "alice" not in (tmp_path / "etc/shadow").read_text() + (tmp_path / "etc/group").read_text()
    assert (tmp_path / "etc/machine-id").read_text() == ""
    assert not list((tmp_path / "etc/ssh").iterdir())
    assert not (tmp_path / "home/alice/.ssh/authorized_keys").exists()
    assert not (tmp_path / "var/lib/benito/facts").exists()
    assert (tmp_path / "home/alice/work").read_text() == "work"
    assert (tmp_path / "opt/tool").read_text() == "tool"


def test_links_that_a_node_made_lead_nowhere(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    put(outside, "hosts", "the host's own")
    put(outside, "benito/keep", "kept")
    root.mkdir()
    (root / "etc").symlink_to(outside)
    (root / "var").mkdir()
    (root / "var/lib").mkdir()
    (root / "var/benito").symlink_to(outside / "benito")
    forget(root)
    assert (outside / "hosts").read_text() == "the host's own"
    assert (outside / "benito/keep").read_text() == "kept"
