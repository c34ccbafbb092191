"""Logs stay within their bound whatever a node writes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from benito.agent import logs
from benito.agent.logs import KEPT, MOST, NOTE, bound, keep_bounded


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


def test_every_log_that_matches_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "EVERY_S", 0.01)
    long = {name: tmp_path / name for name in ("events.jsonl", "a/qemu.log", "a/container.log", "a/disk")}
    for log in long.values():
        log.parent.mkdir(exist_ok=True)
        log.write_bytes(b"line\n" * (MOST // 5 + 1))

    async def steps() -> None:
        task = asyncio.create_task(keep_bounded(tmp_path, "events.jsonl", "*/*.log"))
        while sum(log.stat().st_size > MOST for log in long.values()) > 1:
            await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(asyncio.wait_for(steps(), 10))
    assert long["a/disk"].stat().st_size > MOST
