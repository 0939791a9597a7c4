"""The failover bench's summary: median and worst of each kind, and no median that hides who never came back."""

from dataclasses import replace

import pytest

from demo.disaster import Phases, Rescue
from tests.bench.failover import picture, summary, table


def a_death(last: float | None) -> Rescue:
    phases = Phases(0.6, 2.7, 2.8, 2.85, 2.9, last, None)
    arrived = (2.9,) if last is None else (2.9, last)
    missing = ("a2",) if last is None else ()
    return Rescue(2, phases, {63.5: last, 93.1: last, 100.0: last}, arrived, missing, (), 200, ())


def test_each_phase_has_its_median_and_its_worst() -> None:
    document = summary({"neither": [a_death(3.5), a_death(3.7), a_death(3.6)], "both": [a_death(4.5)]})

    assert document["kinds"]["neither"]["phases"]["last_sign_in"] == {"median": 3.6, "worst": 3.7}
    assert document["kinds"]["both"]["phases"]["last_sign_in"] == {"median": 4.5, "worst": 4.5}
    assert document["kinds"]["neither"]["incomplete"] == 0
    assert "it held coordinator and leader: 2 agents, 1 times, 0 incomplete; goal 5 s" in table(document)
    assert "3.60 s" in table(document)


def test_a_death_after_which_somebody_is_missing_has_no_median() -> None:
    document = summary({"leader": [a_death(3.5), a_death(None)]})

    assert document["kinds"]["leader"]["phases"]["last_sign_in"] == {"median": None, "worst": None}
    assert document["kinds"]["leader"]["incomplete"] == 1
    assert "never" in table(document)


@pytest.mark.parametrize(
    ("agents", "lasts", "kept"),
    [
        (1000, [3.5, 3.9, 3.6], True),
        (1000, [3.5, 4.2, 3.9], True),  # one later than the goal, and not by much
        (1000, [4.1, 4.2, 3.9], False),
        (1000, [2.0, 2.1, 3.7], False),  # within the goal, and 1.6 s later than the others
        (1000, [3.5, None, 3.6], False),
        (10_000, [5.0, 9.9, 6.0], True),
        (10_000, [9.8, 9.9, 10.1], False),
    ],
)
def test_goals_are_kept_by_the_median_and_nearly_by_the_worst_and_by_all_of_many_agents(
    agents: int, lasts: list[float | None], kept: bool
) -> None:
    document = summary({"neither": [replace(a_death(last), agents=agents) for last in lasts]})
    assert document["kinds"]["neither"]["kept"] is kept


def test_what_is_only_compared_with_has_no_goal() -> None:
    document = summary({"baseline": [a_death(20.4), a_death(59.2)]})
    assert document["kinds"]["baseline"]["kept"] is True
    assert "2 times, 0 incomplete; no goal" in table(document)
    assert summary({"baseline": [a_death(20.4), a_death(None)]})["kinds"]["baseline"]["kept"] is False


def test_the_picture_is_a_png() -> None:
    assert picture({"neither": [a_death(3.5)], "both": [], "baseline": [a_death(30.0)]}).startswith(b"\x89PNG")
