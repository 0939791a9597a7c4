"""Windows: whether a Drill may run from now until it is over."""

from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from tandem.api.drill import WEEKDAYS, Window, Windows
from tandem.domain.reasons import Reason, Refusal

_DAY = timedelta(days=1)
_MINUTE_S = 60


def covers(window: Window, local: datetime) -> bool:
    """Whether a window holds this moment of its time zone. `local`: without zone, as the clock on the wall shows it."""
    for begin in (local.date(), local.date() - _DAY):  # the one that began yesterday may reach into today
        if window.days and WEEKDAYS[begin.weekday()] not in window.days:
            continue
        day = begin.isoformat()
        if (window.first_date and day < window.first_date) or (window.last_date and day > window.last_date):
            continue
        start = datetime.combine(begin, time.fromisoformat(window.from_))
        whole_day = window.until == "24:00"
        end = datetime.combine(begin, time() if whole_day else time.fromisoformat(window.until))
        if whole_day or end <= start:
            end += _DAY
        if start <= local < end:
            return True
    return False


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
