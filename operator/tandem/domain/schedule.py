"""When a Drill is due: cron in a time zone. Times are seconds since the epoch.

On days of clock change as in Debian's cron: a time that the clock skips runs at the moment after the gap, and one that
comes twice runs the first time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim

_BEYOND_A_CHANGE_S: Final = 3 * 3600
"""Where to begin counting: no clock is changed by more, and a moment within an hour that comes twice is ambiguous."""


def _times(schedule: str, zone: str, start: float, *, reverse: bool = False) -> Iterator[float]:
    local = datetime.fromtimestamp(int(start), UTC).astimezone(ZoneInfo(zone))
    for moment in CronSim(schedule, local, reverse=reverse):
        yield moment.timestamp()


@lru_cache(maxsize=1024)
def next_after(schedule: str, zone: str, after: float) -> float | None:
    """The first scheduled time after `after`; None when there is none within fifty years."""
    times = _times(schedule, zone, after - _BEYOND_A_CHANGE_S)
    return next((time for time in times if time > after), None)


def latest_due(schedule: str, zone: str, after: float, now: float) -> float | None:
    """The last scheduled time that is later than `after` and not later than `now`, if there is one."""
    first = next_after(schedule, zone, after)
    if first is None or first > now:
        return None
    times = _times(schedule, zone, now + _BEYOND_A_CHANGE_S, reverse=True)
    return max(first, next(time for time in times if time <= now))
