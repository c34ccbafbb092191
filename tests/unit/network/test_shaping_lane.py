"""A lane's arithmetic: when frames are due, and which are dropped."""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benito.network.shaping.lane import Lane
from benito.plan.model import Direction, Red

MS = 1_000_000
NEVER = 1.0
"""A random number that is below no probability."""


def lane(direction: Direction, random: float = NEVER) -> Lane:
    return Lane(direction, lambda: random)


def admitted(which: Lane, arrival: int, size: int) -> int | None:
    """Admit a frame as the engine does; returns when it is due."""
    fate = which.admit(arrival, size)
    if fate is None:
        return None
    due, start = fate
    which.pending.append((due, b"", arrival, size, start))
    return due


def test_a_delay_is_added_to_the_arrival() -> None:
    assert admitted(lane(Direction(delay_ms=2.5)), 100, 1000) == 100 + 2_500_000


def test_a_rate_takes_the_sending_time_even_of_a_lone_frame() -> None:
    assert admitted(lane(Direction(rate_kbps=1000)), 0, 125) == 1 * MS


def test_frames_are_sent_one_after_the_other_and_then_delayed() -> None:
    slow = lane(Direction(rate_kbps=1000, delay_ms=10))
    assert [admitted(slow, 0, 125) for _ in range(3)] == [11 * MS, 12 * MS, 13 * MS]


def test_the_queue_holds_its_limit_besides_the_frame_being_sent() -> None:
    slow = lane(Direction(rate_kbps=1000, queue_limit=2))
    assert [admitted(slow, 0, 125) is not None for _ in range(5)] == [True, True, True, False, False]
    assert slow.dropped == 2
    # After one has gone, there is room for one.
    assert [admitted(slow, MS, 125) is not None for _ in range(2)] == [True, False]


def test_a_queue_in_bytes_counts_bytes() -> None:
    slow = lane(Direction(rate_kbps=1000, queue_limit=300, queue_in_bytes=True))
    assert [admitted(slow, 0, size) is not None for size in (125, 125, 125, 125, 50, 1)] == [
        *(True, True, True, False, True, False)
    ]


def test_without_a_rate_nothing_waits() -> None:
    fast = lane(Direction(delay_ms=1, queue_limit=1))
    assert all(admitted(fast, 0, 1500) for _ in range(100))


def test_a_lost_frame_has_taken_its_sending_time() -> None:
    fates = iter([0.0, 1.0])
    slow = Lane(Direction(rate_kbps=1000, loss=0.5), lambda: next(fates))
    assert admitted(slow, 0, 125) is None
    assert admitted(slow, 0, 125) == 2 * MS
    assert (slow.lost, slow.dropped) == (1, 0)


def test_a_shorter_delay_keeps_the_order() -> None:
    changing = lane(Direction(delay_ms=100))
    first = admitted(changing, 0, 100)
    changing.configure(Direction(delay_ms=1), 5)
    assert admitted(changing, 10, 100) == first


def test_what_waits_is_sent_at_the_new_rate() -> None:
    changing = lane(Direction(rate_kbps=1000, delay_ms=1))
    for _ in range(3):
        admitted(changing, 0, 125)
    changing.configure(Direction(rate_kbps=2000, delay_ms=1), MS // 2)
    # The first is sent to its end at the old rate; the others take half as long as they would have.
    assert [frame[0] for frame in changing.pending] == [2 * MS, 2 * MS + MS // 2, 3 * MS]


def test_taking_the_rate_away_frees_what_waits() -> None:
    changing = lane(Direction(rate_kbps=1000))
    for _ in range(3):
        admitted(changing, 0, 125)
    changing.configure(Direction(delay_ms=1), MS // 2)
    assert [frame[0] for frame in changing.pending] == [MS, 2 * MS, 2 * MS]


def test_setting_the_same_again_changes_nothing() -> None:
    same = lane(Direction(rate_kbps=1000))
    admitted(same, 0, 125)
    before = list(same.pending)
    same.configure(Direction(rate_kbps=1000), 10)
    assert list(same.pending) == before


def test_red_leaves_a_short_queue_alone_and_drops_everything_above_its_maximum() -> None:
    red = Red(threshold=2, max_threshold=4, weight=1.0)
    early = lane(Direction(rate_kbps=1000, queue_limit=100, red=red))
    fates = [admitted(early, 0, 125) is not None for _ in range(10)]
    assert fates[:5] == [True] * 5
    assert not any(fates[6:])


def test_red_drops_some_between_its_thresholds() -> None:
    red = Red(threshold=1, max_threshold=1000, weight=1.0, linterm=1.0)
    early = Lane(Direction(rate_kbps=1000, queue_limit=10_000, red=red), Random(1).random)
    kept = sum(admitted(early, 0, 125) is not None for _ in range(400))
    assert 100 < kept < 400


arrivals = st.lists(st.tuples(st.integers(0, 3 * MS), st.integers(60, 1514)), max_size=60)
directions = st.builds(
    Direction,
    delay_ms=st.floats(0, 20),
    rate_kbps=st.integers(0, 100_000),
    loss=st.sampled_from([0.0, 0.3]),
    queue_limit=st.integers(0, 30),
    queue_in_bytes=st.booleans(),
)


@given(directions, arrivals, st.integers(0, 2**32))
def test_no_frame_is_early_overtakes_or_vanishes_uncounted(
    direction: Direction, gaps: list[tuple[int, int]], seed: int
) -> None:
    any_lane = Lane(direction, Random(seed).random)
    now, last, through = 0, 0, 0
    for gap, size in gaps:
        now += gap
        due = admitted(any_lane, now, size)
        if due is None:
            continue
        through += 1
        sending = int(size * 8_000_000 / direction.rate_kbps) if direction.rate_kbps else 0
        assert due >= now + sending + round(direction.delay_ms * MS) - 1
        assert due >= last
        last = due
    assert through + any_lane.lost + any_lane.dropped == len(gaps)


@given(directions.filter(lambda direction: direction.rate_kbps > 0), arrivals, directions)
def test_a_change_keeps_every_frame_on_its_way_and_the_order(
    before: Direction, gaps: list[tuple[int, int]], after: Direction
) -> None:
    changing = Lane(before, Random(1).random)
    now = 0
    for gap, size in gaps:
        now += gap
        admitted(changing, now, size)
    count = len(changing.pending)
    changing.configure(after, now)
    dues = [frame[0] for frame in changing.pending]
    assert len(dues) == count
    assert dues == sorted(dues)


@pytest.mark.parametrize("size", [60, 1514])
def test_a_busy_lane_keeps_exactly_to_its_rate(size: int) -> None:
    busy = lane(Direction(rate_kbps=100_000, queue_limit=10_000))
    dues = [admitted(busy, 0, size) for _ in range(1000)]
    assert dues[-1] == pytest.approx(1000 * size * 8 * 10, rel=1e-4)
