"""Never more than a target can carry: signed in, committed and reserved."""

import pytest

from tandem.constants import FINISH_INTERVAL_S
from tandem.domain import keys
from tandem.domain.capacity import Ledger, agents_in
from tandem.domain.placement import BucketMap
from tests.unit.domain.world import GROUP, World, site_spec


@pytest.mark.parametrize(("buckets", "agents", "expected"), [(100, 150, 150), (1, 150, 2), (0, 150, 0), (33, 10, 4)])
def test_agents_in_buckets_are_rounded_up(buckets: int, agents: int, expected: int) -> None:
    assert agents_in(buckets, agents) == expected


def test_load_is_the_larger_of_signed_in_and_committed() -> None:
    world = World()
    world.group({"east": 60, "west": 40}, agents=100)
    world.settle()
    assert (Ledger(world.snapshot).load("east", "hotel"), Ledger(world.snapshot).load("west", "hotel")) == (60, 40)
    world.sessions("west", GROUP, {70: 55})
    assert Ledger(world.snapshot).load("west", "hotel") == 55


def test_a_shift_under_way_reserves_both_ends_so_that_an_abort_has_room() -> None:
    world = World()
    world.group({"east": 100}, agents=100)
    world.settle()
    world.sessions("east", GROUP, {1: 1, 99: 1})
    world.sessions("west", GROUP, {})
    world.group({"west": 100}, agents=100)
    world.settle()
    world.sessions("east", GROUP, {99: 1})
    world.sessions("west", GROUP, {})
    world.advance(FINISH_INTERVAL_S)
    world.settle()
    assert world.placement() == {"west": "0-98", "east>west": "99"}
    ledger = Ledger(world.snapshot)
    assert (ledger.load("east", "hotel"), ledger.load("west", "hotel")) == (100, 100)


def test_needs_count_only_what_is_not_reserved_yet() -> None:
    world = World(capacity=120)
    world.group({"east": 60, "west": 40}, agents=100)
    world.settle()
    (need,) = Ledger(world.snapshot).needs(GROUP, "hotel", 100, BucketMap.parse({"west": "0-99"}))
    assert (need.site, need.needs, need.has) == ("west", 60, 80)
    assert need.fits


def test_who_comes_in_addition_comes_on_top_of_more_agents_than_the_buckets_promise() -> None:
    world = World(capacity=60)
    world.group({"east": 50, "west": 50}, agents=100)
    world.settle()
    world.sessions("east", GROUP, {1: 60})  # ten more than half of the group: buckets are never quite even
    (need,) = Ledger(world.snapshot).needs(GROUP, "hotel", 100, BucketMap.parse({"east": "0-59", "west": "60-99"}))
    assert (need.site, need.needs, need.has) == ("east", 10, 0)
    assert not need.fits
    (whole,) = Ledger(world.snapshot).needs(GROUP, "hotel", 100, BucketMap.parse({"east": "0-99"}))
    assert whole.needs == 40  # all of the group are no more than it has


def test_guests_beyond_what_a_city_carries_are_not_moved_there_for_good() -> None:
    """Found by the simulation: they are there already, so moving them seemed to add nobody."""
    world = World(capacity=100)
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=1, guestCapacity=100))
    world.group({"east": 100}, agents=10)
    world.settle()
    world.sessions("west", GROUP, {1: 5, 2: 5})
    world.shift(selector={"system": "hotel"}, to="west", percent=100)
    world.settle()
    assert world.placement() == {"east": "0-99"}
    assert world.shift_record().reason == "CapacityExceeded"
    assert "for 9 more than it carries are there already" in world.shift_record().message


def test_guests_whom_a_city_carries_are_moved_there_and_counted_once() -> None:
    world = World(capacity=10)
    world.group({"east": 100}, agents=10)
    world.settle()
    world.sessions("west", GROUP, {1: 5, 2: 5})
    world.shift(selector={"system": "hotel"}, to="west", percent=100)
    world.settle()
    assert world.placement() == {"east>west": "0-99"}


def test_what_is_reserved_in_a_decision_is_gone_for_the_next_plan() -> None:
    world = World(capacity=120)
    world.group({"east": 100}, agents=100)
    world.settle()
    ledger = Ledger(world.snapshot)
    whole = BucketMap.parse({"west": "0-99"})
    ledger.reserve("callcenter/other", "hotel", 30, whole)
    (need,) = ledger.needs(GROUP, "hotel", 100, whole)
    assert (need.needs, need.has, need.fits) == (100, 90, False)
