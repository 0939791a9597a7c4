"""How many are let in while the process comes late."""

from math import inf

from callcenter.session.admission import LEAST, Admission

RATE, LEASE, USUAL = 1000.0, 2.7, 0.1


def ticking(admission: Admission, since: float, seconds: float, step: float) -> float:
    """Tick evenly. Returns the time of the last one."""
    now = since
    for n in range(round(seconds / step) + 1):
        now = since + n * step
        admission.tick(now)
    return now


def test_who_ticks_in_time_lets_in_at_the_stated_rate() -> None:
    admission = Admission(RATE, LEASE, USUAL)
    ticking(admission, 0.0, 60.0, 0.1)
    assert admission.rate == RATE
    ticking(admission, 60.0, 60.0, 0.5)  # a little late, as on a busy machine: no session is in danger
    assert admission.rate == RATE


def test_each_tick_that_comes_late_halves_it_and_it_is_won_back_slowly() -> None:
    admission = Admission(RATE, LEASE, USUAL)
    admission.tick(0.0)
    admission.tick(1.0)
    assert admission.rate == RATE / 2
    admission.tick(2.0)
    assert admission.rate == RATE / 4
    now = ticking(admission, 2.0, 5.0, 0.1)
    assert RATE * 0.7 < admission.rate < RATE * 0.8
    ticking(admission, now, 60.0, 0.1)
    assert admission.rate == RATE


def test_nobody_waits_for_ever() -> None:
    admission = Admission(RATE, LEASE, USUAL)
    ticking(admission, 0.0, 100.0, 1.0)
    assert admission.rate == RATE * LEAST
    assert admission.take(100.5, waiting=True)


def test_without_a_stated_rate_everybody_is_let_in() -> None:
    admission = Admission(inf, LEASE, USUAL)
    ticking(admission, 0.0, 10.0, 1.0)
    assert admission.rate == inf
    assert all(admission.take(10.0) for _ in range(10_000))
