"""`decide` as a whole: pure, guarded, quick, and quiet when there is nothing to do."""

import time

import pytest

from tandem.constants import FORGET_AFTER_S, ORDER_SHIFTS_KEPT
from tandem.domain import keys
from tandem.domain.decide import decide
from tandem.domain.decision import Decision, Premise
from tandem.domain.records import OrderRecord, PlacementRecord
from tandem.domain.snapshot import Instant
from tests.unit.domain.world import GROUP, World


def moving() -> World:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.group({"west": 100})
    world.settle()
    return world


def test_without_a_coordinator_nothing_is_decided() -> None:
    world = World()
    world.group({"east": 100})
    world.delete(keys.COORDINATOR)
    assert world.decide() == Decision()


def test_the_same_snapshot_gives_the_same_decision() -> None:
    world = World()
    for number in range(20):
        world.group({"east": 50, "west": 50}, name=f"callcenter/g{number}")
    assert decide(world.snapshot, world.now) == decide(world.snapshot, world.now)


def test_every_commit_names_the_reign_it_was_decided_in() -> None:
    world = World()
    world.group({"east": 100})
    commits = world.decide().commits
    epoch = world.store[keys.COORDINATOR][1]
    assert commits
    assert all(Premise(keys.COORDINATOR, create_revision=epoch) in commit.premises for commit in commits)


@pytest.mark.parametrize("what", ["first-placement", "order", "wave", "finish", "consume"])
def test_no_commit_of_a_reign_that_has_ended_is_applied(what: str) -> None:
    world = World() if what == "first-placement" else moving() if what == "finish" else World()
    if what == "first-placement":
        world.group({"east": 100})
    elif what == "finish":
        world.sessions("east", GROUP, {})
        world.sessions("west", GROUP, {})
    else:
        world.group({"east": 100})
        world.settle()
        if what == "order":
            world.group({"west": 100})
        elif what == "wave":
            world.shift(selector={"system": "hotel"}, to="west")
        else:
            world.group({"west": 100}, agents=9000)
    (commit,) = world.decide().commits
    world.put(keys.COORDINATOR, world.gatherer.snapshot().coordinator.record)  # type: ignore[union-attr]
    assert world.decide().commits == (commit,)  # rewritten, the same reign
    world.delete(keys.COORDINATOR)
    world.put(keys.COORDINATOR, world.record_of_another_coordinator())
    assert not world.commit(commit)


@pytest.mark.parametrize("what", ["first-placement", "order", "wave"])
def test_a_hold_that_comes_in_between_stops_what_was_decided(what: str) -> None:
    world = World()
    world.group({"east": 100})
    if what != "first-placement":
        world.settle()
    if what == "order":
        world.group({"west": 100})
    if what == "wave":
        world.shift(selector={"system": "hotel"}, to="west")
    (commit,) = world.decide().commits
    world.hold()
    assert not world.commit(commit)


@pytest.mark.parametrize("what", ["first-placement", "order", "wave"])
def test_a_placement_that_changed_in_between_is_not_overwritten(what: str) -> None:
    world = World()
    world.group({"east": 100})
    if what != "first-placement":
        world.settle()
    if what == "order":
        world.group({"west": 100})
    if what == "wave":
        world.shift(selector={"system": "hotel"}, to="west")
    (commit,) = world.decide().commits
    world.put(keys.placement(GROUP), PlacementRecord(system="hotel", map={"west": "0-99"}, cause="Failover/1"))
    assert not world.commit(commit)


@pytest.mark.parametrize("what", ["accepted", "refused"])
def test_an_order_is_consumed_once(what: str) -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.group({"west": 100}, agents=100 if what == "accepted" else 9000)
    (commit,) = world.decide().commits
    world.put(keys.order(GROUP), OrderRecord(digest="x", outcome="Refused"))
    assert not world.commit(commit)


def test_an_abort_that_comes_in_between_stops_the_wave() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.shift(selector={"system": "hotel"}, to="west")
    (commit,) = world.decide().commits
    world.change_shift(abort=True)
    assert not world.commit(commit)


def test_a_group_that_nobody_publishes_is_forgotten_after_a_minute_when_nobody_is_signed_in() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.sessions("west", GROUP, {3: 1})
    for site in world.cities:
        world.delete(keys.spec(site, keys.AGENT_GROUP, GROUP))
    assert world.decide().wake_at == pytest.approx(world.mono + FORGET_AFTER_S, abs=0.01)
    world.advance(FORGET_AFTER_S + 1)
    assert world.settle() == []
    world.sessions("west", GROUP, {})
    world.delete(keys.report("east", "hotel"))
    assert world.settle() == []
    world.report("east", "hotel", {})
    world.settle()
    assert GROUP not in world.snapshot.placements
    assert GROUP not in world.snapshot.orders


def test_a_group_absent_from_one_list_only_is_not_forgotten() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.delete(keys.spec("west", keys.AGENT_GROUP, GROUP))
    world.advance(10 * FORGET_AFTER_S)
    assert world.settle() == []


def test_old_shifts_made_from_orders_are_tidied_away_and_those_of_people_stay() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.shift(selector={"system": "hotel"}, to="east")
    world.settle()
    for number in range(ORDER_SHIFTS_KEPT + 3):
        world.advance(100)
        world.group({"west": 100} if number % 2 == 0 else {"east": 100})
        world.settle()
        for site in world.cities:
            world.sessions(site, GROUP, {})
        world.settle()
    names = set(world.snapshot.shifts)
    assert "callcenter/s1" in names
    assert len(names) == ORDER_SHIFTS_KEPT + 1


def test_two_hundred_groups_are_decided_well_under_fifty_milliseconds() -> None:
    world = World(capacity=100_000)
    names = [f"callcenter/g{number:03d}" for number in range(200)]
    for name in names:
        world.group({"east": 100}, name=name, agents=50)
    world.settle()
    world.shift(selector={"system": "hotel"}, to="west", waves=[10, 50, 100])
    world.settle()
    for name in names[:60]:
        world.sessions("east", name, dict.fromkeys(range(90), 1))
        world.sessions("west", name, {})
    snapshot, now = world.snapshot, Instant(world.mono, world.mono)
    seconds = []
    for _ in range(10):
        started = time.process_time()
        assert decide(snapshot, now).commits
        seconds.append(time.process_time() - started)
    assert sorted(seconds)[len(seconds) // 2] < 0.05, seconds
