"""When a Drill may run."""

from datetime import datetime
from typing import Any

import pytest

from tandem.api.drill import Window, Windows
from tandem.domain.windows import covers, windows_refusal

NIGHT = {"days": ["Sat"], "from": "22:00", "until": "04:00"}
HOLIDAYS = {"firstDate": "2026-12-20", "lastDate": "2027-01-06", "reason": "holidays"}


@pytest.mark.parametrize(
    ("window", "local", "inside"),
    [
        # 28 November 2026 is a Saturday.
        pytest.param({}, "2026-11-28T08:00", True, id="always"),
        pytest.param(NIGHT, "2026-11-28T21:59", False, id="before-it"),
        pytest.param(NIGHT, "2026-11-28T22:00", True, id="its-first-minute"),
        pytest.param(NIGHT, "2026-11-29T03:59", True, id="over-midnight-it-is-saturdays"),
        pytest.param(NIGHT, "2026-11-29T04:00", False, id="its-end-is-outside"),
        pytest.param(NIGHT, "2026-11-28T02:00", False, id="fridays-night-is-none"),
        pytest.param(HOLIDAYS, "2026-12-19T23:59", False, id="the-day-before"),
        pytest.param(HOLIDAYS, "2026-12-20T00:00", True, id="the-first-day"),
        pytest.param(HOLIDAYS, "2027-01-06T23:59", True, id="the-last-day-is-whole"),
        pytest.param(HOLIDAYS, "2027-01-07T00:00", False, id="the-day-after"),
        pytest.param({**NIGHT, **HOLIDAYS}, "2026-12-26T23:00", True, id="date-and-weekday"),
        pytest.param({**NIGHT, **HOLIDAYS}, "2026-12-27T23:00", False, id="date-and-another-weekday"),
        pytest.param({"from": "02:00", "until": "05:00"}, "2026-11-28T05:00", False, id="until-on-the-same-day"),
    ],
)
def test_what_a_window_holds(window: dict[str, Any], local: str, inside: bool) -> None:
    assert covers(Window.model_validate(window), datetime.fromisoformat(local)) is inside


@pytest.mark.parametrize(
    ("windows", "start", "hold_s", "words"),
    [
        pytest.param({}, "2026-11-28T08:00+00:00", 3600, None, id="no-windows"),
        pytest.param({"allowed": [NIGHT]}, "2026-11-28T21:30+00:00", 0, None, id="in-local-time"),
        pytest.param(
            {"allowed": [NIGHT]}, "2026-11-28T20:30+00:00", 0, "no window of spec.windows.allowed", id="early"
        ),
        pytest.param({"allowed": [NIGHT]}, "2026-11-29T02:30+00:00", 1740, None, id="the-hold-ends-within"),
        pytest.param(
            {"allowed": [NIGHT]}, "2026-11-29T02:30+00:00", 1860, "hold time included", id="the-hold-does-not"
        ),
        pytest.param({"blocked": [HOLIDAYS]}, "2026-12-19T22:00+00:00", 0, None, id="before-a-blocked-one"),
        pytest.param(
            {"blocked": [HOLIDAYS]}, "2026-12-19T22:59+00:00", 120, "blocked[0] (holidays)", id="would-run-into-it"
        ),
        pytest.param(
            {"allowed": [{}], "blocked": [HOLIDAYS]}, "2026-12-24T12:00+00:00", 0, "blocked[0]", id="blocked-wins"
        ),
    ],
)
def test_when_a_run_may_go(windows: dict[str, Any], start: str, hold_s: float, words: str | None) -> None:
    moment = datetime.fromisoformat(start).timestamp()
    found = windows_refusal(Windows.model_validate(windows), "Europe/Berlin", moment, hold_s, "hold time included")
    assert (found is None) if words is None else (found is not None and words in found.message)
