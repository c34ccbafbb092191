"""Console logs stay within their bound whatever a node writes."""

from __future__ import annotations

from pathlib import Path

from benito.agent.consoles import KEPT, MOST, NOTE, bound


def test_a_short_log_is_left_alone(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    log.write_bytes(b"line\n")
    bound(log)
    assert log.read_bytes() == b"line\n"


def test_a_long_log_keeps_its_end_and_its_writer_goes_on(tmp_path: Path) -> None:
    log = tmp_path / "console.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"0123456789abcde\n" * (MOST // 16 + 1))
        bound(log)
        writer.write(b"and on\n")
    kept = log.read_bytes()
    assert kept.startswith(NOTE + b"0123456789abcde\n")
    assert kept.endswith(b"0123456789abcde\nand on\n")
    assert KEPT - 16 < len(kept) - len(NOTE) <= KEPT + 7


def test_a_link_to_somebody_elses_file_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"x" * (MOST + 1))
    log = tmp_path / "console.log"
    log.symlink_to(secret)
    bound(log)
    log.unlink()
    log.hardlink_to(secret)
    bound(log)
    assert secret.stat().st_size == MOST + 1
