"""The API server's clock, learned from the dates of its answers."""

from email.utils import formatdate

from tandem.operator.cluster import _clock_of
from tandem.operator.settings import REQUEST_TIMEOUT_S

BOOTED_AT = 1_800_000_000.0
"""When our monotonic time was 0, by its clock."""


def ahead(*answers: tuple[float, float], known: float | None = None, stepped_s: float = 0.0) -> float:
    """What is known after answers that were dated at `sent` and came at `received`, in monotonic time."""
    for sent, received in answers:
        date = formatdate(int(BOOTED_AT + stepped_s + sent), usegmt=True)
        known = _clock_of(date, received, known)
    assert known is not None
    return known


def test_it_comes_near_to_the_truth_and_is_never_ahead_of_it() -> None:
    assert -1.1 <= ahead((5.9, 6.0)) - BOOTED_AT <= 0.0
    found = ahead(*((5.0 + number * 0.37, 5.01 + number * 0.37) for number in range(100)))
    assert -0.05 <= found - BOOTED_AT <= 0.0


def test_a_slow_answer_does_not_take_it_back() -> None:
    known = ahead((6.0, 6.01))
    assert ahead((10.9, 10.9 + REQUEST_TIMEOUT_S), known=known) == known


def test_a_clock_that_is_set_is_followed() -> None:
    known = ahead((6.0, 6.01))
    for stepped_s in (3600.0, -3600.0):
        assert abs(ahead((20.0, 20.01), known=known, stepped_s=stepped_s) - BOOTED_AT - stepped_s) < 1.1


def test_an_answer_without_a_date_says_nothing() -> None:
    assert _clock_of(None, 5.0, 7.0) == 7.0
    assert _clock_of("yesterday", 5.0, 7.0) == 7.0
    assert _clock_of(None, 5.0, None) is None
