"""FailoverReady promises what an emergency keeps: the same rules, the same order, room given out once."""

from typing import Any
from unittest.mock import patch

import pytest

from tandem.constants import DOWN_EXTRA_S
from tandem.domain import forecast, keys
from tandem.domain.capacity import Ledger
from tandem.domain.forecast import Forecast
from tandem.domain.readiness import Readiness, failover_readiness
from tandem.domain.records import ReplicasRecord
from tandem.domain.rescue import rescue
from tests.unit.domain.test_failover import after_confirmation, three_cities
from tests.unit.domain.test_replicas import SCALE
from tests.unit.domain.world import GROUP, World, site_spec

NAMES = [f"callcenter/g{number}" for number in (1, 2, 3)]


def said(world: World) -> dict[str, Readiness]:
    """Of every group, by one forecast."""
    snapshot = world.snapshot
    shared = Forecast(snapshot, Ledger(snapshot))
    found = {}
    for name, placed in snapshot.placements.items():
        spec = snapshot.group(name)
        assert spec is not None
        found[name] = failover_readiness(snapshot, name, spec, placed, shared)
    return found


def three_groups(**changes: dict[str, Any]) -> World:
    """Three groups of fifty at east; west has room for sixty more."""
    world = World()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=60))
    for name in NAMES:
        world.group({"east": 100}, name=name, agents=50, **changes.get(name.rpartition("/")[2], {}))
    world.settle()
    return world


def ready_of(world: World) -> list[bool]:
    found = said(world)
    return [found[name].ready for name in NAMES]


def test_a_city_without_an_engine_would_be_failed_over_as_a_whole_only_and_that_is_said_before() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    assert said(world)[GROUP].ready
    world.delete(keys.heartbeat("east"))  # its engine alone is gone, and all that it has said
    for component in ("cti", "softswitch"):
        world.delete(keys.observation("east", "east", "hotel", component))
    world.advance(60.0)
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "NoHeartbeat")
    assert "only the loss of all of east would be failed over" in found.message
    # So it is: that its CTI is lost moves nobody, and that all of it is lost does.
    for observer in ("west", "witness"):
        world.observe(observer, "east", "hotel", "cti", passes=False)
    after_confirmation(world).settle()
    assert dict(world.map(GROUP).end_shares) == {"east": 100}
    assert said(world)[GROUP].reason == "NotGivenUp"
    world.die("east")
    assert said(world)[GROUP].ready
    after_confirmation(world).settle()
    assert dict(world.map(GROUP).end_shares) == {"west": 100}


def test_the_lost_city_is_no_voice_for_whoever_would_take_its_agents() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.observe("witness", "west", "hotel", "softswitch", passes=False)  # its probes do not get through
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "OtherSiteNotUsable")
    assert found.message == "without east, no other location reaches the softswitch of hotel at west"
    # So it is: nobody would vouch for west any more.
    world.die("east")
    after_confirmation(world).settle()
    assert dict(world.map(GROUP).end_shares) == {"east": 100}
    world.observe("witness", "west", "hotel", "softswitch")
    assert said(world)[GROUP].ready
    world.settle()
    assert dict(world.map(GROUP).end_shares) == {"west": 100}


def test_a_third_city_vouches_for_the_second() -> None:
    world = three_cities()
    world.group({"east": 100}, sites=["east", "west"])
    world.settle()
    for component in ("cti", "softswitch"):
        world.observe("witness", "west", "hotel", component, passes=False)
        world.observe("north", "west", "hotel", component)
    assert said(world)[GROUP].ready
    world.die("east")
    after_confirmation(world).settle()
    assert dict(world.map(GROUP).end_shares) == {"west": 100}


def test_in_maintenance_only_the_whole_city_is_given_up_and_that_is_said_before() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", maintenance=True))
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "Maintenance")
    assert found.message.startswith("the spec.maintenance of Site east keeps what breaks there from being given up: ")
    # So it is.
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "cti", passes=False)
    world.advance(60.0)
    world.settle()
    assert dict(world.map(GROUP).end_shares) == {"east": 100}
    assert said(world)[GROUP].message.startswith(
        "two independent sources say that the cti of hotel at east fails, and "
    )
    world.die("east")
    assert said(world)[GROUP].ready
    after_confirmation(world).settle()
    assert dict(world.map(GROUP).end_shares) == {"west": 100}


@pytest.mark.parametrize("stale", [False, True], ids=["no-word", "stale"])
def test_what_a_citys_own_engine_does_not_speak_of_would_not_be_called_down(stale: bool) -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    if stale:
        world.observe("east", "east", "hotel", "cti", stale=True)
    else:
        world.delete(keys.observation("east", "east", "hotel", "cti"))
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "NoOwnWord")
    assert "east's own engine says nothing of the cti of hotel" in found.message
    # So it is.
    for observer in ("west", "witness"):
        world.observe(observer, "east", "hotel", "cti", passes=False)
    world.advance(60.0)
    world.settle()
    assert dict(world.map(GROUP).end_shares) == {"east": 100}
    assert not said(world)[GROUP].ready
    world.observe("east", "east", "hotel", "cti", passes=False)
    world.advance(DOWN_EXTRA_S)
    after_confirmation(world).settle()
    assert dict(world.map(GROUP).end_shares) == {"west": 100}


def test_what_fails_for_its_own_city_and_is_reached_from_another_is_not_given_up_and_that_is_said() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    for observer in ("east", "west"):
        world.observe(observer, "east", "hotel", "cti", passes=False)
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "NotGivenUp")
    assert "witness reaches the cti of hotel" in found.message
    world.advance(60.0)
    world.settle()
    assert dict(world.map(GROUP).end_shares) == {"east": 100}


def test_room_is_promised_once_and_what_is_promised_is_kept() -> None:
    world = three_groups(g2={"priority": 500})
    found = said(world)
    assert [found[name].reason for name in NAMES] == ["CapacityExceeded", "RoomElsewhere", "CapacityExceeded"]
    assert "hotel at west has room for 10 of the 50 agents now at east: 40 agents" in found[NAMES[0]].message
    assert "50 agents at east would go to west" in found[NAMES[1]].message
    assert "has room for 0 of the 50 agents now at east: 50 agents would find no room" in found[NAMES[2]].message
    world.die("east")
    after_confirmation(world).settle()
    assert [dict(world.map(name).end_shares).get("west", 0) for name in NAMES] == [20, 100, 0]


def test_of_a_manual_group_a_person_decides_when_the_others_have_gone() -> None:
    world = three_groups(g1={"failover": "Manual", "priority": 900})
    assert ready_of(world) == [False, True, False]
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=150))
    assert ready_of(world) == [True, True, True]
    assert said(world)[NAMES[0]].message.endswith("a person decides")


def test_it_is_gone_through_once_for_all_groups() -> None:
    world = three_groups()
    with patch.object(forecast, "rescue", wraps=rescue) as asked:
        said(world)
    assert asked.call_count == len(NAMES)


def test_a_forecast_changes_nothing() -> None:
    world = three_groups()
    ledger = Ledger(world.snapshot)
    Forecast(world.snapshot, ledger).of("east", "hotel", NAMES[0])
    assert (ledger.load("east", "hotel"), ledger.load("west", "hotel")) == (150, 0)


def test_each_city_that_has_some_of_it_is_asked_about() -> None:
    world = World()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", capacity=80))
    world.group({"east": 60, "west": 40})
    world.settle()
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "CapacityExceeded")
    assert "hotel at east has room for 20 of the 40 agents now at west: 20 agents" in found.message
    world.publish(keys.SITE, "east", site_spec("east", "hotel", capacity=100))
    found = said(world)[GROUP]
    assert found.ready
    assert "60 agents at east would go to west; 40 agents at west would go to east" in found.message


def test_several_cities_hold_together_what_none_holds_alone() -> None:
    world = three_cities(west=60, north=40)
    found = said(world)[GROUP]
    assert found.ready, found.message
    assert "60 agents at east would go to west; 40 agents at east would go to north" in found.message
    world = three_cities(west=60, north=39)
    assert said(world)[GROUP].reason == "CapacityExceeded"


def test_who_is_left_behind_is_told_why_and_not_what_ails_the_survivor() -> None:
    world = World()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=70))
    world.group({"east": 100})
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert dict(world.map().end_shares) == {"west": 70, "east": 30}
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "CapacityExceeded")
    assert "30 agents would find no room" in found.message
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=100))
    world.settle()
    # Nobody is left behind; now it is of interest what would become of the survivor.
    assert said(world)[GROUP].reason == "TooFewObservers"


def test_what_stands_ready_counts_and_not_what_could_be_raised() -> None:
    world = World()
    spec = site_spec("west", "hotel")
    spec["systems"][0]["softswitch"]["scaling"] = SCALE
    world.publish(keys.SITE, "west", spec)
    world.group({"east": 100})
    world.settle()
    assert said(world)[GROUP].ready, "where nobody counts them, it is what the Site declares"
    world.put(keys.replicas("west", "hotel"), ReplicasRecord(ready={"softswitch": 2}))
    found = said(world)[GROUP]
    assert found.reason == "CapacityExceeded"
    assert "has room for 80 of the 100 agents" in found.message
    assert "carry 80 of the 1500 agents" in found.message
    assert "scaling.min" in found.message
    world.put(keys.replicas("west", "hotel"), ReplicasRecord(ready={"softswitch": 3}))
    assert said(world)[GROUP].ready


def test_a_plan_that_has_not_begun_is_in_nobodys_way() -> None:
    world = World()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=100))
    world.group({"east": 100})
    world.group({"east": 100}, name=NAMES[0])
    world.settle()
    found = said(world)
    assert (found[NAMES[0]].ready, found[GROUP].ready) == (True, False), "g1 comes before hotel-north-sales"
    world.shift(selector={"names": ["g1"]}, to="west", approval="Manual")
    world.settle()
    assert world.shift_record().phase == "AwaitingApproval"
    found = said(world)
    assert (found[NAMES[0]].ready, found[GROUP].ready) == (True, False), "its plan has no claim to the room"
    world.group({"east": 100}, priority=500)
    found = said(world)
    assert (found[NAMES[0]].ready, found[GROUP].ready) == (False, True)


def test_whoever_waits_for_room_after_one_emergency_has_it_before_the_next() -> None:
    world = three_cities(west=70, north=50)
    world.group({"east": 100}, sites=["east", "west"])
    world.group({"north": 100}, name=NAMES[0], agents=20, sites=["north", "west"])
    world.settle()
    assert said(world)[NAMES[0]].ready
    world.die("east")
    after_confirmation(world).settle()
    assert dict(world.map().end_shares) == {"west": 70, "east": 30}
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=110))
    found = said(world)
    assert "hotel at west has room for 10 of the 20 agents now at north" in found[NAMES[0]].message
    world.settle()
    assert dict(world.map().end_shares) == {"west": 100}


def test_two_that_watch_one_part_each_are_too_few() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.delete(keys.observation("witness", "east", "hotel", "cti"))
    assert said(world)[GROUP].ready, "both watch the softswitch"
    world.delete(keys.observation("west", "east", "hotel", "softswitch"))
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "TooFewObservers")
    watched = "the softswitch of hotel is watched by witness only, and the cti of hotel is watched by west only"
    assert watched in found.message
    world.delete(keys.observation("west", "east", "hotel", "cti"))
    assert "the cti of hotel is watched by nobody" in said(world)[GROUP].message
    # It is as it says: the two that try one part each are no two accusers.
    world.die("east", seen_by=())
    world.observe("west", "east", "hotel", "cti", passes=False)
    world.observe("witness", "east", "hotel", "softswitch", passes=False)
    after_confirmation(world).settle()
    assert world.placement() == {"east": "0-99"}


def test_a_cti_that_does_not_follow_is_said_only_where_it_would_be_taken() -> None:
    world = three_cities()
    world.delete(keys.report("north", "hotel"))
    found = said(world)[GROUP]
    assert found.ready
    assert "100 agents at east would go to west" in found.message
    world = three_cities(west=70)
    world.delete(keys.report("north", "hotel"))
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "CTINotFollowing")
    assert "the engine of north" in found.message
