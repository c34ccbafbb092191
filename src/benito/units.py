"""Bandwidth, delay, loss and sizes as people write them: the only place that knows suffixes.

Inside Benito bandwidth is kb/s (1 kb = 1000 bits, 0 = unlimited), delay milliseconds, loss a probability, memory MiB.
What can't be read raises InputError with the way to write it; the caller adds the place.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

from benito.errors import InputError

NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*", re.ASCII)
LOSS = re.compile(r"\d+(?:\.\d+)?|\.\d+", re.ASCII)

UNLIMITED = ("*", "~")
"""`*` leaves the bandwidth open; `~` is a storage network's "best effort". Neither is shaped."""
MIN_BANDWIDTH_KBPS = 10
MAX_BANDWIDTH_KBPS = 10_000_000
MIN_LOSS = Decimal("0.000005")

BANDWIDTH = {
    **dict.fromkeys(("", "b", "bps"), Decimal("0.001")),
    **dict.fromkeys(("k", "kb", "kbps", "K", "Kb", "Kbps"), Decimal(1)),
    **dict.fromkeys(("M", "Mb", "Mbps"), Decimal(1000)),
    **dict.fromkeys(("G", "Gb", "Gbps"), Decimal(1_000_000)),
}
DELAY = {"": Decimal(1000), "s": Decimal(1000), "ms": Decimal(1), "ns": Decimal("0.000001")}
SIZE = {
    "": Decimal(1) / 2**20,
    "B": Decimal(1) / 2**20,
    "KB": Decimal(1000) / 2**20,
    "KiB": Decimal(1) / 1024,
    "MB": Decimal(10**6) / 2**20,
    "MiB": Decimal(1),
    "GB": Decimal(10**9) / 2**20,
    "GiB": Decimal(1024),
    "TB": Decimal(10**12) / 2**20,
    "TiB": Decimal(2**20),
    "M": Decimal(1),
    "G": Decimal(1024),
    "T": Decimal(2**20),
}
BANDWIDTH_HINT = "write a number and a unit, such as 100Mb, 1.5Mbps, 64kb or 1Gb"
DELAY_HINT = "write a number and a unit, such as 10ms or 0.5s"
SIZE_HINT = "write a number and a unit, such as 20GB or 512MiB"


def _split(text: str, what: str, hint: str) -> tuple[Decimal, str]:
    found = NUMBER.fullmatch(text) if len(text) <= 64 else None
    if found is None:
        raise InputError(f"the {what} `{_short(text)}` is not a number with a unit", hint=hint)
    number = Decimal(found[1])
    if not number.is_finite() or abs(number.adjusted()) > 30:
        raise InputError(f"the {what} `{_short(text)}` is out of range", hint=hint)
    return number, found[2]


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:37] + "..."


def _digits(number: Decimal) -> str:
    return f"{number.normalize():f}"


def bandwidth_kbps(text: str, *, minimum: int = MIN_BANDWIDTH_KBPS) -> int:
    """Read a bandwidth; without a unit it is bits a second, fractions of a kb/s are cut off (Emulab: parse_bw)."""
    if text.strip() in UNLIMITED:
        return 0
    number, unit = _split(text, "bandwidth", BANDWIDTH_HINT)
    if unit not in BANDWIDTH:
        raise InputError(
            f"the bandwidth `{_short(text)}` has an unknown unit `{_short(unit)}`", hint=_remedy(number, unit)
        )
    kbps = int(number * BANDWIDTH[unit])
    if kbps < minimum:
        raise InputError(
            f"the bandwidth `{_short(text)}` is under {minimum} kb/s",
            hint="without a unit it is bits a second: write 10Mb for ten megabits" if not unit else BANDWIDTH_HINT,
        )
    if kbps > MAX_BANDWIDTH_KBPS:
        raise InputError(f"the bandwidth `{_short(text)}` is over 10Gb", hint="write at most 10Gb, or * for no limit")
    return kbps


def _remedy(number: Decimal, unit: str) -> str:
    """Guess what was meant by a bandwidth with a wrong unit."""
    bare = unit.lower().replace("it", "").removesuffix("/s").removesuffix("ps").removesuffix("s")
    letter = bare[:1].upper()
    if unit.endswith(("B", "B/s", "Bps")) and letter in "KMG":
        prefix = "k" if letter == "K" else letter
        return f"bandwidth is in bits: write {_digits(number * 8)}{prefix}b for that many bytes"
    if bare in ("m", "mb", "g", "gb"):
        return f"write {_digits(number)}{letter}b"
    return BANDWIDTH_HINT


def delay_ms(text: str) -> float:
    """Read a delay; without a unit it is seconds."""
    number, unit = _split(text, "delay", DELAY_HINT)
    if unit not in DELAY:
        hint = f"write {_digits(number / 1000)}ms" if unit in ("us", "µs", "usec") else DELAY_HINT
        if unit.lower() in DELAY or unit in ("msec", "sec"):
            hint = f"write {_digits(number)}{unit.lower().removesuffix('ec')}"
        raise InputError(f"the delay `{_short(text)}` has an unknown unit `{_short(unit)}`", hint=hint)
    milliseconds = number * DELAY[unit]
    if milliseconds < 0:
        raise InputError(f"the delay `{_short(text)}` is negative", hint="write 0ms for no delay")
    if milliseconds > 3_600_000:
        raise InputError(
            f"the delay `{_short(text)}` is over an hour",
            hint=DELAY_HINT if unit else "without a unit it is seconds: write 10ms",
        )
    return float(milliseconds)


def loss(text: str) -> float:
    """Read a loss rate: 0, or a probability from 0.000005 to 1."""
    if text.strip().endswith("%"):
        share = text.strip().removesuffix("%").strip()
        hint = f"write {_digits(Decimal(share) / 100)}" if LOSS.fullmatch(share) and len(share) < 30 else ""
        raise InputError(f"the loss `{_short(text)}` is a percentage", hint=hint or "write a probability such as 0.05")
    if not LOSS.fullmatch(text) or len(text) > 64:
        raise InputError(
            f"the loss `{_short(text)}` is not a probability", hint="write a number from 0 to 1, such as 0.05"
        )
    value = Decimal(text)
    if value and not MIN_LOSS <= value <= 1:
        raise InputError(f"the loss `{_short(text)}` is out of range", hint="write 0, or a number from 0.000005 to 1")
    return float(value)


def size_mib(text: str) -> float:
    """Read a data size in MiB; without a unit it is bytes."""
    number, unit = _split(text, "size", SIZE_HINT)
    if unit not in SIZE or number < 0:
        raise InputError(f"the size `{_short(text)}` can't be read", hint=SIZE_HINT)
    return float(number * SIZE[unit])


def seconds(text: str) -> float:
    """Read a time after swap-in: a number of seconds, or hours, minutes and seconds such as 1h20m3s."""
    if LOSS.fullmatch(text):
        return float(text)
    found = re.fullmatch(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?", text, re.ASCII)
    if found is None or not text:
        raise InputError(f"the time `{_short(text)}` can't be read", hint="write seconds, such as 20, or 1h20m3s")
    hours, minutes, rest = (float(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


def each_side(probability: float) -> float:
    """Return the loss of each of the two sides that a packet passes, so that both together lose this probability."""
    return 1 - math.sqrt(1 - probability)


def bandwidth_text(kbps: int) -> str:
    """Write a bandwidth so that `bandwidth_kbps` reads it back."""
    if kbps == 0:
        return "*"
    for factor, unit in ((1_000_000, "Gb"), (1000, "Mb")):
        if kbps >= factor:
            return f"{_digits(Decimal(kbps) / factor)}{unit}"
    return f"{kbps}kb"


def delay_text(milliseconds: float) -> str:
    """Write a delay in milliseconds so that `delay_ms` reads it back."""
    return f"{_digits(Decimal(repr(milliseconds)))}ms"


def loss_text(probability: float) -> str:
    """Write a loss as a percentage, for people to read."""
    return f"{_digits(Decimal(repr(round(probability * 100, 6))))}%"
