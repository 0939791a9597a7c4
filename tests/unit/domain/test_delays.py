"""Why an agent was slow, and distributions that stay small."""

import random

import pytest

from tandem.domain.arrivals import NAMED, ArrivalTally, together
from tandem.domain.delays import Why, sentence, why_late, why_out
from tandem.domain.distribution import bin_of, merged, rank, reached, share_reached
from tandem.domain.records import ArrivalRecord, DelayRecord, KeptRecord


def delay(
    call: float = 0.0, wrapup: float = 0.0, turn: float = 0.0, door: float = 0.0, standby: bool = True
) -> DelayRecord:
    kept = KeptRecord(call=call, wrapup=wrapup, turn=turn)
    return DelayRecord(kept=kept, door_seconds=door, door_reason="Paced" if door else "", standby=standby)


@pytest.mark.parametrize(
    ("found", "late", "out"),
    [
        pytest.param(delay(call=12, wrapup=3, turn=1), Why.CALL, Why.ON_THE_WAY, id="a-call"),
        pytest.param(delay(call=1, wrapup=6), Why.WRAPUP, Why.ON_THE_WAY, id="wrap-up"),
        pytest.param(delay(turn=2), Why.TURN, Why.ON_THE_WAY, id="others-were-ahead"),
        pytest.param(delay(turn=0.09), Why.ON_THE_WAY, Why.ON_THE_WAY, id="nothing-worth-a-name"),
        pytest.param(delay(turn=0.15, standby=False), Why.NO_STANDBY, Why.NO_STANDBY, id="longer-out-than-kept"),
        pytest.param(delay(door=0.12), Why.DOOR, Why.DOOR, id="the-door-had-half-of-the-gap"),
        pytest.param(delay(door=0.05), Why.ON_THE_WAY, Why.ON_THE_WAY, id="the-door-had-less"),
        pytest.param(None, Why.NOT_SAID, Why.NOT_SAID, id="a-cti-that-does-not-say"),
        pytest.param(
            DelayRecord(kept=None, door_seconds=0, standby=True),
            Why.ON_THE_WAY,
            Why.ON_THE_WAY,
            id="old-city-is-silent",
        ),
    ],
)
def test_what_most_of_the_way_was_spent_on(found: DelayRecord | None, late: Why, out: Why) -> None:
    assert (why_late(0.2, found), why_out(0.2, found)) == (late, out)


def test_a_reason_has_its_figures() -> None:
    found = delay(call=12.34, wrapup=3, door=0.5, standby=False)
    said = sentence(Why.CALL, found, late=True)
    assert said == (
        "finished a call first: 12.3 s in a call, 3.0 s in wrap-up, 0.5 s at the door (Paced), "
        "no open connection to the new city"
    )
    assert "in a call" not in sentence(Why.DOOR, found, late=False)
    assert sentence(Why.NOT_SAID, None, late=True) == "the CTI does not say"


@pytest.mark.parametrize(
    ("seconds", "ms"),
    [(0.0, 0), (-1.0, 0), (0.0124, 12), (0.9996, 1000), (1.2345, 1230), (83.71, 83700), (1234.5, 1230000)],
)
def test_three_digits_are_kept(seconds: float, ms: int) -> None:
    assert bin_of(seconds) == ms


def test_ten_thousand_times_are_a_few_hundred_numbers_and_no_more_than_half_a_percent_off() -> None:
    chance = random.Random(1)
    times = [chance.lognormvariate(0, 2) for _ in range(10_000)]
    bins = merged([{bin_of(time): 1} for time in times])
    assert len(bins) < 2_500
    times.sort()
    for percent in (50, 63.5, 93.1, 95, 100):
        exact = times[max(1, -(-round(len(times) * percent * 10) // 1000)) - 1]
        assert rank(bins, percent) == pytest.approx(exact, rel=0.006, abs=0.0006)


def test_a_share_that_was_never_reached_is_none() -> None:
    bins = {100: 9}
    assert (share_reached(bins, 90, 10), share_reached(bins, 100, 10), reached(bins, 10)) == (0.1, None, None)
    assert (share_reached({}, 50, 0), rank({}, 50)) == (None, None)


def test_931_of_1000_are_931() -> None:
    bins = dict.fromkeys(range(1, 1001), 1)
    assert share_reached(bins, 93.1, 1000) == pytest.approx(0.931)


def arrival(number: int, gap: float, at: float) -> ArrivalRecord:
    return ArrivalRecord(
        account=f"a{number}",
        group="g",
        bucket=1,
        came_from="east",
        to="west",
        gap=gap,
        at=at,
        delay=delay(turn=at - 1000),
    )


def test_those_who_are_named_are_the_slowest_of_all_ctis_together() -> None:
    one, other = ArrivalTally(1000.0), ArrivalTally(1000.0)
    for number in range(60):
        (one if number % 2 else other).add(arrival(number, gap=number / 1000, at=1000 + number))
    found = together([one.record(), other.record()])
    assert found.agents == 60
    assert [record.account for record in found.slowest] == [f"a{number}" for number in range(59, 59 - NAMED, -1)]
    assert [record.account for record in found.latest] == [f"a{number}" for number in range(59, 59 - NAMED, -1)]
    assert found.times[59_000] == 1
    assert sum(found.whys.values()) == 60
