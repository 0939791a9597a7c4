"""Schedules for the Drills of stories, each with the moment at which it is due, worked out by hand."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final


@dataclass(frozen=True)
class Timetable:
    """A schedule, and the moment that a story comes by. Moments are seconds since the epoch."""

    schedule: str
    zone: str
    due: float
    """The one time of its schedule at which a run may be due around the story."""
    comes_by: float
    """Where the clocks are when a Drill of the story would start: at `due`, or when they show that time once more."""


def _timetable(schedule: str, zone: str, due: str, comes_by: str = "") -> Timetable:
    at = datetime.fromisoformat(due).replace(tzinfo=UTC).timestamp()
    again = datetime.fromisoformat(comes_by).replace(tzinfo=UTC).timestamp() if comes_by else at
    return Timetable(schedule, zone, at, again)


TIMETABLES: Final = (
    _timetable("30 3 * * *", "UTC", "2026-06-10 03:30"),
    # A Wednesday there, and still Tuesday in UTC.
    _timetable("30 3 * * WED", "Asia/Kolkata", "2026-06-09 22:00"),
    _timetable("0 2 * * SUN#1", "Europe/Berlin", "2026-06-07 00:00"),
    _timetable("15 20 31 12 *", "America/New_York", "2027-01-01 01:15"),
    # That night has no 02:30: it is due right after the gap.
    _timetable("30 2 * * *", "Europe/Berlin", "2026-03-29 01:00"),
    # That night has it twice, and the first one counts.
    _timetable("30 2 * * *", "Europe/Berlin", "2026-10-25 00:30"),
    _timetable("30 2 * * *", "Europe/Berlin", "2026-10-25 00:30", "2026-10-25 01:30"),
)
