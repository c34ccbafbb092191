"""VLAN tags put back, and what a large frame weighs."""

from __future__ import annotations

import struct

import pytest

from benito.network.shaping.frames import VNET_HEADER, with_tag
from benito.network.shaping.ways import wire_of
from benito.plan.model import Direction, Red, Wire

PLAIN = struct.pack("=BBHHHH", 0, 0, 0, 0, 0, 0)
UNFINISHED = struct.pack("=BBHHHH", 1, 1, 54, 1448, 34, 16)
BODY = bytes(range(12)) + b"\x08\x00payload"


@pytest.mark.parametrize("header", [PLAIN, UNFINISHED], ids=["plain", "unfinished checksum"])
def test_a_tag_goes_behind_the_addresses(header: bytes) -> None:
    tagged = with_tag(header + BODY, 0x6005, 0x8100)
    assert tagged[VNET_HEADER:] == BODY[:12] + b"\x81\x00\x60\x05" + BODY[12:]


def test_offsets_of_an_unfinished_checksum_move_with_it() -> None:
    assert with_tag(UNFINISHED + BODY, 5, 0x8100)[:VNET_HEADER] == struct.pack("=BBHHHH", 1, 1, 58, 1448, 38, 16)
    assert with_tag(PLAIN + BODY, 5, 0x88A8)[:VNET_HEADER] == PLAIN


def test_a_wire_is_read_as_msgspec_writes_it() -> None:
    import msgspec

    wire = Wire("w", "a", "b", Direction(delay_ms=1.5, loss=0.1, red=Red(threshold=3)), Direction(), "lan0")
    assert wire_of(msgspec.to_builtins(wire)) == wire
