"""When a probe overlapped a stall of our own loop."""

import pytest

from tandem.probes.stall import LATE_S, REMEMBERED_S, TICK_S, Stalls


def ticking(until: float, stall: tuple[float, float]) -> Stalls:
    """Ticks from 0 to `until`, none during the stall."""
    stalls = Stalls(0.0)
    now = 0.0
    while now <= until:
        if not stall[0] < now < stall[1]:
            stalls.tick(now)
        now = round(now + TICK_S, 6)
    return stalls


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        pytest.param(1.0, 1.5, False, id="before"),
        pytest.param(1.8, 2.3, True, id="into-it"),
        pytest.param(2.1, 2.3, True, id="within-it"),
        pytest.param(1.8, 3.0, True, id="around-it"),
        pytest.param(2.3, 2.8, True, id="out-of-it"),
        pytest.param(2.6, 3.0, False, id="after-it"),
    ],
)
def test_a_probe_that_overlapped_a_stall(start: float, end: float, expected: bool) -> None:
    assert ticking(until=end, stall=(2.0, 2.5)).overlapped(start, end) is expected


def test_ticks_that_are_a_little_late_are_no_stall() -> None:
    stalls = Stalls(0.0)
    stalls.tick(TICK_S + LATE_S)
    assert not stalls.overlapped(0.0, TICK_S + LATE_S)


def test_a_stall_that_ends_this_moment_counts_before_the_next_tick_has_come() -> None:
    stalls = Stalls(0.0)
    stalls.tick(TICK_S)
    assert stalls.overlapped(0.0, TICK_S + 0.5)


def test_old_stalls_are_forgotten() -> None:
    stalls = Stalls(0.0)
    stalls.tick(1.0)
    assert stalls.overlapped(0.5, 1.0)
    now = 1.0
    while now < 1.0 + REMEMBERED_S + 1.0:
        now += TICK_S
        stalls.tick(now)
    assert not stalls.overlapped(0.5, now)
