"""Lease, pace and ping ring: the small arithmetic that the protocol rests on."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.session.lease import DRIFT, Timing, gone_by, valid_until
from callcenter.session.pacing import TokenBucket
from callcenter.session.pings import PingRing


@pytest.mark.parametrize(
    ("sent", "answered", "lease"),
    [
        pytest.param(10.0, 10.0, 1.5, id="answered-at-once"),
        pytest.param(10.0, 10.4, 1.5, id="ping-was-slow"),
        pytest.param(10.0, 11.4, 1.5, id="ping-was-very-slow"),
        pytest.param(10.0, 10.0, 6.0, id="long-lease"),
    ],
)
def test_the_client_is_out_no_earlier_than_the_city_stops_counting(sent: float, answered: float, lease: float) -> None:
    assert gone_by(answered, lease) >= valid_until(sent, lease)


@given(
    lease=st.floats(0.5, 10),
    delay=st.floats(0, 5),
    client_rate=st.floats(1 - DRIFT / 2.03, 1 + DRIFT / 2.03),
    city_rate=st.floats(1 - DRIFT / 2.03, 1 + DRIFT / 2.03),
)
def test_no_two_clocks_within_the_drift_make_leases_overlap(
    lease: float, delay: float, client_rate: float, city_rate: float
) -> None:
    """In true time: the city stops counting before the client may sign in elsewhere."""
    city_stops = lease / city_rate
    client_goes = delay + (gone_by(0.0, lease)) / client_rate
    assert client_goes >= city_stops


@pytest.mark.parametrize(("lease", "ping"), [(1.5, 1.5), (1.5, 2.0), (1.5, 0.0), (0.0, 0.0)])
def test_a_lease_must_be_longer_than_the_time_between_pings(lease: float, ping: float) -> None:
    with pytest.raises(ValueError, match="must be more than 0 and less than the lease"):
        Timing(lease, ping)


@pytest.mark.parametrize("rate", [0.7, 20.0, 49.0, 333.0])
@pytest.mark.parametrize("step", [0.001, 0.02, 0.033])
def test_a_bucket_keeps_its_rate_over_time(rate: float, step: float) -> None:
    bucket = TokenBucket(rate)
    let_through = 0
    for n in range(int(30 / step)):
        while bucket.take(n * step):
            let_through += 1
    assert rate * 30 * 0.98 - 1 <= let_through <= rate * 30 * 1.01 + 20


def test_a_quiet_moment_is_worth_a_small_burst_only() -> None:
    bucket = TokenBucket(1000.0)
    bucket.take(0.0)
    assert sum(bucket.take(60.0) for _ in range(1000)) == 51


@pytest.mark.parametrize("step", [0.02, 0.2, 0.45])
def test_while_somebody_waits_a_late_look_makes_up_for_what_was_missed(step: float) -> None:
    bucket = TokenBucket(1000.0)
    bucket.take(0.0)
    let_through = 0
    for n in range(1, int(10 / step)):
        while bucket.take(n * step, waiting=True):
            let_through += 1
    assert 1000.0 * (10 - 2 * step) <= let_through <= 1000.0 * 10 + 51


def test_a_long_standstill_is_not_made_up_for_at_once() -> None:
    bucket = TokenBucket(1000.0)
    bucket.take(0.0)
    assert sum(bucket.take(60.0, waiting=True) for _ in range(2000)) == 501


@pytest.mark.parametrize("step", [0.02, 0.2, 0.45])
def test_a_bucket_knows_by_itself_that_somebody_was_turned_away(step: float) -> None:
    bucket = TokenBucket(100.0)
    while bucket.take(0.0):
        pass
    let_through = 0
    for n in range(1, int(10 / step)):
        while bucket.take(n * step, waiting=bucket.waited_for(n * step)):
            let_through += 1
    assert 100.0 * (10 - 2 * step) <= let_through <= 100.0 * 10 + 6


def test_who_was_turned_away_long_ago_is_not_waiting_any_more() -> None:
    bucket = TokenBucket(100.0)
    while bucket.take(0.0):
        pass
    assert bucket.waited_for(0.5)
    assert not bucket.waited_for(0.6)


def test_looking_uses_nothing_up() -> None:
    bucket = TokenBucket(1.0)
    assert all(bucket.ready(0.0) for _ in range(3))
    assert bucket.take(0.0)
    assert not bucket.ready(0.5)
    assert bucket.ready(1.01)


def test_without_a_limit_everybody_passes() -> None:
    bucket = TokenBucket(inf)
    assert all(bucket.take(0.0) for _ in range(10_000))


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="must be more than 0"):
        TokenBucket(0.0)


def test_each_member_is_due_once_an_interval_and_they_are_spread_over_it() -> None:
    ring: PingRing[int] = PingRing(0.5)
    for member in range(1000):
        ring.add(member)
    list(ring.due(100.0))
    counts = dict.fromkeys(range(1000), 0)
    busiest = 0
    for step in range(1, 251):  # five seconds in steps of 20 ms
        due = list(ring.due(100.0 + step * 0.02 + 1e-6))
        busiest = max(busiest, len(due))
        for member in due:
            counts[member] += 1
    assert set(counts.values()) <= {9, 10, 11}
    assert busiest <= 80


def test_after_a_long_pause_nobody_is_due_twice() -> None:
    ring: PingRing[str] = PingRing(0.5)
    ring.add("a")
    list(ring.due(1.0))
    assert list(ring.due(60.0)) == ["a"]


def test_who_was_removed_is_not_due() -> None:
    ring: PingRing[str] = PingRing(0.5)
    ring.add("a")
    ring.remove("a")
    ring.remove("a")
    assert len(ring) == 0
    assert list(ring.due(1.0)) == []
    assert list(ring.due(2.0)) == []
