"""Switch times: whose they are, and their distribution."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.domain.records import GroupPlan, ShiftRecord
from tandem.domain.snapshot import ShiftEntry
from tandem.domain.switch_times import RECENT, SwitchTimes, goes_back, shift_of, wave_of


def a_shift(name: str, started_at: float, moves: dict[str, str], group: str = "g", phase: str = "Moving") -> ShiftEntry:
    plan = GroupPlan(group=group, system="hotel", agents=1, to="west", moves=moves, waves=(moves,), before={}, after={})
    record = ShiftRecord.model_validate(
        {"spec": {"selector": {"system": "hotel"}, "to": "west"}, "created_at": 0, "created_in": "east"}
    )
    record = record.model_copy(update={"plan": (plan,), "started_at": started_at, "phase": phase})
    return ShiftEntry(name, record, 1, 0.0, 0.0)


SHIFTS = [
    a_shift("first", 100, {"east>west": "0-99"}),
    a_shift("second", 200, {"east>west": "0-49"}),
    a_shift("elsewhere", 300, {"north>west": "0-49"}),
    a_shift("other-group", 300, {"east>west": "0-49"}, group="h"),
    a_shift("aborted", 400, {"west>south": "0-49"}, phase="RolledBack"),
    a_shift("not-started", 0, {"east>west": "0-49"}),
]


@pytest.mark.parametrize(
    ("came_from", "here", "at", "expected"),
    [
        pytest.param("east", "west", 150, "first", id="the-only-one-then"),
        pytest.param("east", "west", 250, "second", id="the-newest"),
        pytest.param("west", "east", 250, "", id="the-other-way-is-another-move"),
        pytest.param("south", "west", 450, "aborted", id="back-again-after-an-abort"),
        pytest.param("east", "west", 199, "second", id="clocks-differ-a-little"),
        pytest.param("east", "west", 90, "", id="before-any"),
        pytest.param("south", "north", 250, "", id="no-shift-from-there"),
    ],
)
def test_an_arrival_belongs_to_the_newest_shift_between_the_two_sites(
    came_from: str, here: str, at: float, expected: str
) -> None:
    assert shift_of("g", came_from, here, at, SHIFTS) == expected


def test_who_loses_his_city_after_a_shift_was_over_is_none_of_its_agents() -> None:
    for phase, until in (("Completed", 202.0), ("Interrupted", 200.0)):
        entry = a_shift("first", 100, {"east>west": "0-99"}, phase=phase)
        over = replace(entry, record=entry.record.model_copy(update={"finished_at": 200.0}))
        assert shift_of("g", "east", "west", until - 0.1, [over], failed_over=True) == "first", "a rehearsed failover's"
        assert shift_of("g", "east", "west", until, [over], failed_over=True) == ""
        assert shift_of("g", "east", "west", 900, [over]) == "first", "stayed for a long call"


def test_percentiles_are_by_nearest_rank() -> None:
    times = SwitchTimes()
    for number in range(1, 101):
        times.add(number / 100, at=number)
    found = times.summary()
    assert (found.agents, found.p50, found.p95, found.max, found.last_at) == (100, 0.5, 0.95, 1.0, 100)


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=1))
def test_percentiles_are_gaps_that_somebody_had(gaps: list[float]) -> None:
    times = SwitchTimes()
    for gap in gaps:
        times.add(gap, 0)
    found = times.summary()
    assert {found.p50, found.p95, found.max} <= set(gaps)
    assert found.p50 <= found.p95 <= found.max == max(gaps)


@pytest.mark.parametrize(
    ("group", "bucket", "came_from", "here", "wave"),
    [
        pytest.param("g", 3, "east", "west", 1, id="the-first"),
        pytest.param("g", 30, "east", "west", 2, id="the-second"),
        pytest.param("g", 30, "west", "east", 0, id="the-way-back"),
        pytest.param("g", 80, "east", "west", 0, id="not-of-this-shift"),
        pytest.param("h", 3, "east", "west", 0, id="another-group"),
    ],
)
def test_which_wave_an_agent_went_with(group: str, bucket: int, came_from: str, here: str, wave: int) -> None:
    shift = a_shift("s", 100, {"east>west": "0-49"})
    plan = shift.record.plan[0].model_copy(update={"waves": ({"east>west": "0-9"}, {"east>west": "10-49"})})
    record = shift.record.model_copy(update={"plan": (plan,)})
    assert wave_of(record, group, bucket, came_from, here) == wave


def test_each_wave_has_its_own_percentile_and_the_last_ones_say_how_it_goes_now() -> None:
    times = SwitchTimes()
    for gap in (0.1, 0.2):
        times.add(gap, 1.0, wave=1)
    for _ in range(RECENT):
        times.add(3.0, 2.0, wave=2)
    for _ in range(RECENT):
        times.add(0.5, 3.0)
    found = times.summary()
    assert {wave: (moves.agents, moves.p95) for wave, moves in found.waves.items()} == {
        "1": (2, 0.2),
        "2": (RECENT, 3.0),
    }
    assert (found.p95, found.recent_p95) == (3.0, 0.5)


def test_those_who_come_back_are_counted_apart() -> None:
    times = SwitchTimes()
    times.add(0.1, 1.0, wave=1)
    times.add(0.2, 2.0, back=True)
    found = times.summary()
    assert (found.agents, found.moved, found.back) == (2, 1, 1)
    record = a_shift("s", 100, {"east>west": "0-49"}, phase="Aborting").record
    assert not goes_back(record, "g", "east", "west")
    assert goes_back(record, "g", "west", "east")
