"""Windows: whether a Drill may run from now until it is over."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise
from math import inf
from zoneinfo import ZoneInfo

from tandem.api.drill import WEEKDAYS, Window, Windows
from tandem.domain.reasons import Reason, Refusal

_DAY = timedelta(days=1)
_MINUTE_S = 60
_WEEK_S = 7 * 86_400
_DAYS_LOOKED_AT = 16  # two weeks and a bit: a piece may reach from one into the next


def covers(window: Window, local: datetime) -> bool:
    """Whether a window holds this moment of its time zone. `local`: without zone, as the clock on the wall shows it."""
    for begin in (local.date(), local.date() - _DAY):  # the one that began yesterday may reach into today
        if window.days and WEEKDAYS[begin.weekday()] not in window.days:
            continue
        day = begin.isoformat()
        if (window.first_date and day < window.first_date) or (window.last_date and day > window.last_date):
            continue
        start, end = _span(window, begin)
        if start <= local < end:
            return True
    return False


def _span(window: Window, begin: date) -> tuple[datetime, datetime]:
    """The window that begins on this day."""
    start = datetime.combine(begin, time.fromisoformat(window.from_))
    whole_day = window.until == "24:00"
    end = datetime.combine(begin, time() if whole_day else time.fromisoformat(window.until))
    return start, end + _DAY if whole_day or end <= start else end


@lru_cache(maxsize=256)
def longest_opening_s(windows: Windows) -> float:
    """Most seconds in one piece that the windows of any week leave, by the clock on the wall; inf: no end.

    Never too little: dates only take from what the days of the week leave, so those of `allowed` are not looked at,
    and what is blocked on some dates only is left out.
    """
    allowed = [window.model_copy(update={"first_date": None, "last_date": None}) for window in windows.allowed]
    blocked = [window for window in windows.blocked if not window.first_date and not window.last_date]
    days = [date(2024, 1, 1) + _DAY * day for day in range(_DAYS_LOOKED_AT)]  # begins on a Monday; any would do
    spans = [_span(window, day) for window in (*allowed, *blocked) for day in days]
    first_at, end_at = (datetime.combine(day, time()) for day in (days[1], days[-1]))  # the day before reaches into it
    edges = {first_at, end_at} | {edge for span in spans for edge in span if first_at < edge < end_at}
    longest = piece = 0.0
    for first, then in pairwise(sorted(edges)):
        is_open = not allowed or any(covers(window, first) for window in allowed)
        is_open = is_open and not any(covers(window, first) for window in blocked)
        piece = piece + (then - first).total_seconds() if is_open else 0.0
        longest = max(longest, piece)
    return inf if longest >= _WEEK_S else longest


def windows_refusal(windows: Windows, zone: str, start: float, lasts_s: float, what: str) -> Refusal | None:
    """Why a run may not go from `start` (seconds since the epoch) for `lasts_s` seconds; `what` says what they are."""
    first = int(start) // _MINUTE_S
    return _refusal(windows, zone, first, int(start + lasts_s) // _MINUTE_S, what)


@lru_cache(maxsize=256)
def _refusal(windows: Windows, zone: str, first: int, last: int, what: str) -> Refusal | None:
    """By the minute, which is as fine as windows are."""
    if not windows.allowed and not windows.blocked:
        return None
    for minute in range(first, last + 1):
        moment = datetime.fromtimestamp(minute * _MINUTE_S, UTC).astimezone(ZoneInfo(zone))
        local = moment.replace(tzinfo=None)
        for number, window in enumerate(windows.blocked):
            if covers(window, local):
                why = f" ({window.reason})" if window.reason else ""
                shown = f"{local:%a %Y-%m-%d %H:%M} {zone}"
                message = (
                    f"spec.windows.blocked[{number}]{why} holds {shown}, within the run ({what}); it waits for its end"
                )
                return Refusal(Reason.OUTSIDE_WINDOWS, message, temporary=True)
        if windows.allowed and not any(covers(window, local) for window in windows.allowed):
            shown = f"{local:%a %Y-%m-%d %H:%M} {zone}"
            message = f"no window of spec.windows.allowed holds {shown}, within the run ({what})"
            return Refusal(Reason.OUTSIDE_WINDOWS, message, temporary=True)
    return None
