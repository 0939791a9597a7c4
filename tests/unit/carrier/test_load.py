import random
from typing import Any

import pytest

from callcenter.carrier.call_log import CallLog, CallRecord
from callcenter.carrier.errors import RouteError
from callcenter.carrier.fate import Fate, Outcome
from callcenter.carrier.limits import Limits
from callcenter.carrier.load import Load, next_caller, next_gap, parse_load


def test_poisson_gaps_have_the_rates_mean_and_even_ones_are_equal() -> None:
    rng = random.Random(2)
    poisson = Load(20.0)
    gaps = [next_gap(poisson, rng) for _ in range(20_000)]
    assert abs(sum(gaps) / len(gaps) - 0.05) < 0.001
    assert max(gaps) > 0.2
    even = Load(20.0, arrivals="even")
    assert {next_gap(even, rng) for _ in range(10)} == {0.05}


def test_callers_are_drawn_within_the_orders_bounds_and_alike_for_a_seed() -> None:
    load = Load(1.0, talk=(4.0, 11.0), numbers=("1", "2"), callers=("010", "021"), patience=7.0)

    def draw() -> list[Any]:
        rng = random.Random(3)
        return [next_caller(load, ["1", "2", "3"], rng) for _ in range(500)]

    drawn = draw()
    assert drawn == draw()
    assert {caller.number for caller in drawn} == {"1", "2"}
    assert all(4 <= caller.talk <= 11 and caller.patience == 7 for caller in drawn)
    assert {caller.caller[:3] for caller in drawn} == {"010", "021"}
    assert {len(caller.caller) for caller in drawn} == {11}
    assert next_caller(load, ["3"], random.Random(1)) is None


def test_an_order_is_parsed_with_its_defaults() -> None:
    assert parse_load({"calls_per_second": 30, "talk": [1, 2], "numbers": None, "seed": 4}) == Load(
        30.0, talk=(1.0, 2.0), seed=4
    )
    assert parse_load({"calls_per_second": 0}) == Load(0.0)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "JSON object"),
        ({}, "calls_per_second None"),
        ({"calls_per_second": -1}, "calls_per_second -1"),
        ({"calls_per_second": True}, "calls_per_second True"),
        ({"calls_per_second": 1, "talk": [5, 4]}, "talk"),
        ({"calls_per_second": 1, "talk": 5}, "talk 5"),
        ({"calls_per_second": 1, "patience": 0}, "patience 0"),
        ({"calls_per_second": 1, "seed": "x"}, "seed 'x'"),
        ({"calls_per_second": 1, "arrivals": "x"}, "arrivals 'x'"),
        ({"calls_per_second": 1, "numbers": "4008001"}, "numbers '4008001'"),
        ({"calls_per_second": 1, "callers": ["x"]}, "callers"),
    ],
)
def test_wrong_orders_are_refused_by_field_and_value(document: Any, named: str) -> None:
    with pytest.raises(RouteError, match=named):
        parse_load(document)


def test_channels_are_taken_and_given_back() -> None:
    limits = Limits(channels=2)
    assert [limits.admit(0.0) for _ in range(3)] == [True, True, False]
    limits.release()
    assert limits.admit(0.0)


def test_calls_per_second_allow_one_seconds_burst_and_then_the_rate() -> None:
    limits = Limits(calls_per_second=5.0)
    assert sum(limits.admit(0.0) for _ in range(20)) == 5
    assert sum(limits.admit(1.0 + step / 100) for step in range(200)) == 14
    slow = Limits(calls_per_second=0.5)
    assert [slow.admit(at) for at in (0.0, 1.0, 2.0, 3.0, 4.0)] == [True, False, True, False, True]


def test_a_call_refused_for_its_rate_takes_no_channel() -> None:
    limits = Limits(channels=10, calls_per_second=1.0)
    assert [limits.admit(0.0), limits.admit(0.0)] == [True, False]
    assert limits.in_use == 1


def a_record(name: str) -> CallRecord:
    return CallRecord(name, "4008001", "0101", placed_at=1.0, talk=5.0)


def ids(log: CallLog, seq: int) -> list[str]:
    return [record.id for record in log.after(seq)]


def test_the_log_gives_what_changed_since() -> None:
    log = CallLog()
    a, b = a_record("a"), a_record("b")
    log.changed(a)
    log.changed(b)
    assert ids(log, 0) == ["a", "b"]
    seen = log.seq
    log.ended(a, Outcome(Fate.ANSWERED, "carrier", 200), 9.0)
    assert ids(log, seen) == ["a"]
    assert ids(log, 0) == ["b", "a"]
    assert ids(log, log.seq) == []
    assert log.fates == {"answered": 1}


def test_clearing_keeps_calls_under_way_and_the_sequence() -> None:
    log = CallLog()
    a, b = a_record("a"), a_record("b")
    log.changed(a)
    log.ended(b, Outcome(Fate.REFUSED, "carrier", 404), 9.0)
    seq = log.seq
    log.clear()
    assert ids(log, 0) == ["a"]
    assert (log.seq, dict(log.fates)) == (seq, {})


def test_the_oldest_ended_calls_are_forgotten_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callcenter.carrier.call_log.KEPT", 2)
    log = CallLog()
    log.changed(a_record("active"))
    for name in ("a", "b", "c"):
        log.ended(a_record(name), Outcome(Fate.ANSWERED, "agent", 200), 9.0)
    assert ids(log, 0) == ["active", "b", "c"]
