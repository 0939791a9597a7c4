"""When a Drill is due, days of clock change included."""

from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest

from tandem.domain.schedule import latest_due, next_after

BERLIN = "Europe/Berlin"


def at(text: str) -> float:
    """Seconds since the epoch of a time with its offset from UTC."""
    return datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "wanted"),
    [
        pytest.param("0 3 * * SUN", "UTC", "2026-11-28T08:00+00:00", "2026-11-29T03:00+00:00", id="on-sunday"),
        pytest.param("0 3 1 * *", BERLIN, "2026-11-28T08:00+01:00", "2026-12-01T03:00+01:00", id="once-a-month"),
        pytest.param("0 3 * * *", BERLIN, "2026-06-01T00:00+02:00", "2026-06-01T03:00+02:00", id="summer-time"),
        pytest.param("0 3 * * *", "UTC", "2026-06-01T03:00+00:00", "2026-06-02T03:00+00:00", id="never-the-same-again"),
        # 29 March 2026: 02:00 +01:00 is 03:00 +02:00. 25 October 2026: 03:00 +02:00 is 02:00 +01:00.
        pytest.param("30 2 * * *", BERLIN, "2026-03-29T00:00+01:00", "2026-03-29T03:00+02:00", id="skipped-runs-after"),
        pytest.param(
            "30 2 * * *", BERLIN, "2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00", id="skipped-runs-after-and-once"
        ),
        pytest.param(
            "30 2 * * *", BERLIN, "2026-10-25T00:00+02:00", "2026-10-25T02:30+02:00", id="twice-runs-the-first-time"
        ),
        pytest.param(
            "30 2 * * *", BERLIN, "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00", id="and-not-the-second-time"
        ),
        pytest.param(
            "30 2 * * *", BERLIN, "2026-10-25T02:15+01:00", "2026-10-26T02:30+01:00", id="asked-within-the-second-time"
        ),
        pytest.param(
            "*/30 * * * *", BERLIN, "2026-10-25T02:30+02:00", "2026-10-25T02:00+01:00", id="every-half-hour-goes-on"
        ),
        pytest.param("0 0 29 2 *", "UTC", "2026-11-28T00:00+00:00", "2028-02-29T00:00+00:00", id="leap-day"),
    ],
)
def test_the_next_time(schedule: str, zone: str, after: str, wanted: str) -> None:
    assert next_after(schedule, zone, at(after)) == at(wanted)


@pytest.mark.parametrize(
    ("after", "now", "wanted"),
    [
        pytest.param("2026-10-24T12:00+02:00", "2026-10-25T02:29+02:00", None, id="not-yet"),
        pytest.param("2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00", "2026-10-25T02:30+02:00", id="on-the-minute"),
        pytest.param(
            "2026-10-24T12:00+02:00", "2026-10-25T02:20+01:00", "2026-10-25T02:30+02:00", id="within-the-hour-again"
        ),
        pytest.param(
            "2026-10-22T12:00+02:00", "2026-10-25T02:20+01:00", "2026-10-25T02:30+02:00", id="the-last-of-several-then"
        ),
        pytest.param("2026-10-25T02:30+02:00", "2026-10-25T02:45+01:00", None, id="once-on-the-day-of-change"),
        pytest.param(
            "2026-10-20T12:00+02:00", "2026-10-23T12:00+02:00", "2026-10-23T02:30+02:00", id="only-the-last-of-several"
        ),
        pytest.param(
            "2026-03-28T12:00+01:00", "2026-03-29T03:01+02:00", "2026-03-29T03:00+02:00", id="the-moment-after-the-gap"
        ),
    ],
)
def test_what_is_due(after: str, now: str, wanted: str | None) -> None:
    assert latest_due("30 2 * * *", BERLIN, at(after), at(now)) == (at(wanted) if wanted else None)


def test_a_year_of_nights_has_one_run_each() -> None:
    """Whatever the clocks do: one run a day, each within a local day of its own."""
    moment = at("2026-01-01T00:00+01:00")
    days: list[date] = []
    while len(days) < 365:
        following = next_after("30 2 * * *", BERLIN, moment)
        assert following is not None
        moment = following
        days.append(datetime.fromtimestamp(moment, ZoneInfo(BERLIN)).date())
    assert len(set(days)) == 365
    assert str(days[-1]) == "2026-12-31"


def test_a_schedule_that_never_comes_is_never_due() -> None:
    assert next_after("0 0 */31 * MON#5", "UTC", at("2026-01-01T00:00+00:00")) is None
