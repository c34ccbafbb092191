"""Bandwidth, delay, loss and sizes as people write them."""

from __future__ import annotations

import contextlib
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benito import units
from benito.errors import InputError


@pytest.mark.parametrize(
    ("text", "kbps"),
    [
        ("100Mb", 100_000),
        ("100Mbps", 100_000),
        ("1.5M", 1500),
        ("64kb", 64),
        ("64Kbps", 64),
        ("1Gb", 1_000_000),
        ("10G", 10_000_000),
        ("500000", 500),
        ("500000bps", 500),
        ("10.9kb", 10),
        ("10 Mb", 10_000),
        ("0.3Mb", 300),
        ("*", 0),
        ("~", 0),
    ],
)
def test_bandwidths(text: str, kbps: int) -> None:
    assert units.bandwidth_kbps(text) == kbps


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("10mb", "write 10Mb"),
        ("10mbps", "write 10Mb"),
        ("1gb", "write 1Gb"),
        ("10Mbit/s", "write 10Mb"),
        ("10MB", "bandwidth is in bits: write 80Mb for that many bytes"),
        ("10", "without a unit it is bits a second: write 10Mb for ten megabits"),
    ],
)
def test_a_wrong_bandwidth_says_how_to_write_it(text: str, hint: str) -> None:
    with pytest.raises(InputError) as raised:
        units.bandwidth_kbps(text)

    assert raised.value.hint == hint


@pytest.mark.parametrize(
    "text", ["", "Mb", "ten", "-10Mb", "9kb", "11Gb", "1e400Mb", "1Mb 2Mb", "0x10Mb", "٣Mb", "9" * 99]
)
def test_what_is_no_bandwidth(text: str) -> None:
    with pytest.raises(InputError):
        units.bandwidth_kbps(text)


@pytest.mark.parametrize(
    ("text", "milliseconds"),
    [("10ms", 10.0), ("0.5s", 500.0), ("2", 2000.0), ("0", 0.0), ("1.25ms", 1.25), (".5ms", 0.5), ("100 ms", 100.0)],
)
def test_delays(text: str, milliseconds: float) -> None:
    assert units.delay_ms(text) == milliseconds


@pytest.mark.parametrize("text", ["", "ms", "-1ms", "10us", "10MS", "nan", "inf", "2h", "9999s"])
def test_what_is_no_delay(text: str) -> None:
    with pytest.raises(InputError):
        units.delay_ms(text)


@pytest.mark.parametrize(
    ("text", "probability"), [("0", 0.0), ("0.05", 0.05), (".5", 0.5), ("1", 1.0), ("0.000005", 5e-6)]
)
def test_losses(text: str, probability: float) -> None:
    assert units.loss(text) == probability


@pytest.mark.parametrize("text", ["", "5%", "x%", "1.1", "-0.1", "1e-3", "0.000001", "1.", "nan"])
def test_what_is_no_loss(text: str) -> None:
    with pytest.raises(InputError):
        units.loss(text)


@pytest.mark.parametrize(("text", "mib"), [("1GiB", 1024.0), ("512MiB", 512.0), ("1048576", 1.0), ("1MB", 1e6 / 2**20)])
def test_sizes(text: str, mib: float) -> None:
    assert units.size_mib(text) == mib


@pytest.mark.parametrize(("text", "seconds"), [("20", 20.0), ("1h20m3s", 4803.0), ("2m", 120.0), (".5", 0.5)])
def test_times(text: str, seconds: float) -> None:
    assert units.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "3s2m", "1e5"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(InputError):
        units.seconds(text)


@given(st.integers(10, 10_000_000))
def test_a_printed_bandwidth_reads_back(kbps: int) -> None:
    assert units.bandwidth_kbps(units.bandwidth_text(kbps)) == kbps


@given(st.floats(0.000001, 3_600_000))
def test_a_printed_delay_reads_back(milliseconds: float) -> None:
    assert units.delay_ms(units.delay_text(milliseconds)) == milliseconds


@given(st.floats(0, 1))
def test_two_sides_together_lose_the_whole(probability: float) -> None:
    side = units.each_side(probability)

    assert math.isclose(1 - (1 - side) ** 2, probability, abs_tol=1e-9)


@given(st.text(max_size=80))
def test_no_text_breaks_the_readers(text: str) -> None:
    for reader in (units.bandwidth_kbps, units.delay_ms, units.loss, units.size_mib, units.seconds):
        with contextlib.suppress(InputError):
            assert reader(text) >= 0
