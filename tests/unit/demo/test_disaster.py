"""The figures of a failover, from small timelines made by hand."""

import pytest

from demo.commits import Accusation, Commit, Door
from demo.disaster import Loss, Rescue, rescue
from demo.timeline import AgentEvent, Call
from tandem.domain.records import FailoverRecord

GROUP = "callcenter/hotel-north-sales"
LOSS = Loss("east", frozenset({"a1", "a2"}), killed_at=100.0, until=110.0)


def event(account: str, at: float, what: str, site: str) -> AgentEvent:
    return AgentEvent(at=at, mono=at + 7, account=account, group=GROUP, event=what, site=site)


def before() -> list[AgentEvent]:
    """Everybody is signed in, with phones in both cities."""
    found = []
    for account, home in (("a1", "east"), ("a2", "east"), ("c1", "west")):
        found += [event(account, 1, "registered", site) for site in ("east", "west")]
        found.append(event(account, 2, "signed-in", home))
    return found


def back() -> list[AgentEvent]:
    return [
        event("a1", 102, "lost", "east"),
        event("a1", 103.2, "signed-in", "west"),
        event("a2", 102, "lost", "east"),
        event("a2", 103.8, "signed-in", "west"),
    ]


def figures(events: list[AgentEvent], calls: tuple[Call, ...] = ()) -> Rescue:
    return rescue(
        LOSS,
        events,
        calls,
        account_of={"610001": "a1", "a1": "a1"},
        control=frozenset({"c1"}),
        accusations=[Accusation("west", site, at) for site, at in (("west", 100.2), ("east", 100.8), ("east", 99.0))],
        failovers=[("east", FailoverRecord(number=1, state="Active", started_at=103.0))],
        commits=[
            Commit(GROUP, 7, 101.0, frozenset(), frozenset({"west"}), "Shift/x"),
            Commit(GROUP, 8, 103.05, frozenset(), frozenset({"west"}), "Failover/east-1"),
        ],
        doors=[Door("west", GROUP, 7, 101.1), Door("west", GROUP, 8, 103.1), Door("west", GROUP, 8, 104.0)],
    )


def test_every_phase_counts_from_the_power_off() -> None:
    calls = (
        Call("1", "800", "answered", 90, 91, 101, "610001"),
        Call("2", "800", "answered", 103, 103.9, 108, "610001"),
        Call("3", "800", "answered", 103, 103.5, 108, "610009"),
    )
    found = figures([*before(), *back()], calls)
    phases = found.phases
    assert found.complete
    assert (phases.detected, phases.confirmed, phases.committed) == pytest.approx((0.8, 3.0, 3.05))
    assert phases.door_open == pytest.approx(3.1)
    assert (phases.first_sign_in, phases.last_sign_in, phases.first_call) == pytest.approx((3.2, 3.8, 3.9))
    assert found.time_to[63.5] == found.time_to[100.0] == pytest.approx(3.8)


def test_who_does_not_come_back_is_missing_and_the_last_time_is_never() -> None:
    found = figures([*before(), *back()[:2]])
    assert found.missing == ("a2",)
    assert (found.time_to[63.5], found.time_to[100.0]) == (None, None)
    assert not found.complete


def test_without_a_phone_there_nobody_works() -> None:
    phoneless = [one for one in before() if (one.account, one.event, one.site) != ("a2", "registered", "west")]
    assert figures([*phoneless, *back()]).missing == ("a2",)


def test_one_who_is_in_both_cities_is_named() -> None:
    found = figures([*before(), *[one for one in back() if one.event != "lost"]])
    assert found.in_two_places == ("a1", "a2")
    assert not found.complete


@pytest.mark.parametrize("what", ["lost", "released", "out", "guest", "signed-in"])
def test_a_control_agent_who_notices_is_named(what: str) -> None:
    found = figures([*before(), *back(), event("c1", 104, what, "west")])
    assert found.control_noticed == ("c1",)
    assert not found.complete
