"""Shares by site, and the evacuation of a site: where everybody goes, in which order, and who has no room."""

from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.placement import Slot
from tandem.domain.reasons import Reason
from tests.unit.domain.test_failover import three_cities
from tests.unit.domain.world import GROUP, World, group_spec, site_spec

LATER = "callcenter/hotel-south-support"
ELSEWHERE = "callcenter/hotel-west-sales"
CITIES = ["east", "west", "north"]


def a_city_to_leave(west: int = 1500, north: int = 1500) -> World:
    """A hundred important agents and a hundred others at east, fifty at west."""
    world = three_cities(west=west, north=north)
    world.group({"east": 100}, sites=CITIES, priority=900)
    world.group({"east": 100}, name=LATER, sites=CITIES, priority=100)
    world.group({"west": 100}, name=ELSEWHERE, sites=CITIES, agents=50)
    world.settle()
    for group in (GROUP, LATER):
        world.sessions("east", group, dict.fromkeys(range(100), 1))
    return world


# -- shares by site


def test_shares_by_site_are_each_groups_map_afterwards() -> None:
    world = a_city_to_leave()
    shares = [{"site": "east", "percent": 50}, {"site": "west", "percent": 30}, {"site": "north", "percent": 20}]
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, placement=shares)
    world.settle()
    assert dict(world.map().end_shares) == {"east": 50, "west": 30, "north": 20}
    assert world.shift_record().plan[0].targets == ("north", "west")
    assert world.shift_record().spec.goal == "east 50 %, west 30 %, north 20 %"
    for city in ("west", "north"):
        world.sessions(city, GROUP, {})
    world.sessions("east", GROUP, dict.fromkeys((b for b in range(100) if world.map().slots[b] == Slot("east")), 1))
    world.arrived("west", "callcenter/s1", 30)
    world.arrived("north", "callcenter/s1", 20)
    world.settle()
    assert (world.shift_record().phase, world.shift_record().message) == (
        "Completed",
        "50 agents arrived at north and west",
    )


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        pytest.param(
            {"placement": [{"site": "south", "percent": 100}]},
            Reason.UNKNOWN_SITE,
            "spec.placement is 'south': there is no such Site",
            id="share-of-an-unknown-site",
        ),
        pytest.param(
            {"placement": [{"site": "witness", "percent": 100}]}, Reason.NOT_ACTIVE, "spec.placement", id="of-a-witness"
        ),
        pytest.param({"evacuate": "south"}, Reason.UNKNOWN_SITE, "spec.evacuate is 'south'", id="of-an-unknown-site"),
        pytest.param(
            {"evacuate": "north"},
            Reason.NO_GROUPS,
            "spec.evacuate is 'north': no placed AgentGroup of namespace callcenter is there",
            id="of-nobody",
        ),
    ],
)
def test_a_wrong_goal_is_named_with_its_field(spec: dict[str, Any], reason: Reason, words: str) -> None:
    world = a_city_to_leave()
    selector: dict[str, Any] = {} if "evacuate" in spec else {"selector": {"system": "hotel"}}
    world.shift(**selector, **spec)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Failed", reason)
    assert words in record.message


def test_a_share_where_the_group_may_not_be_is_refused() -> None:
    world = a_city_to_leave()
    world.group({"east": 100}, sites=["east", "west"])
    world.settle()
    world.shift(selector={"system": "hotel"}, placement=[{"site": "north", "percent": 100}])
    world.settle()
    assert world.shift_record().reason == Reason.SITE_NOT_LISTED
    assert "spec.placement is 'north', but" in world.shift_record().message


# -- evacuation


def test_everybody_leaves_and_is_spread_by_room_and_nobody_elsewhere_is_touched() -> None:
    world = a_city_to_leave(west=250, north=600)  # room for 200 and for 600
    before = world.snapshot.placements[ELSEWHERE].revision
    world.shift(evacuate="east")
    world.settle()
    for group in (GROUP, LATER):
        assert "east" not in world.map(group).end_shares
    assert dict(world.map(GROUP).end_shares) == {"west": 25, "north": 75}
    assert world.snapshot.placements[ELSEWHERE].revision == before
    assert world.shift_record().spec.goal == "away from east"


@pytest.mark.parametrize(
    "spec", [{"evacuate": "east"}, {"selector": {"system": "hotel", "region": "north"}, "to": "west"}]
)
def test_a_group_whose_copies_have_always_differed_for_this_engine_is_waited_for(spec: dict[str, Any]) -> None:
    world = a_city_to_leave()
    world.group({"east": 100}, name=LATER, sites=CITIES, priority=100, agents=120, by=["west"])
    world.read_anew()
    assert world.snapshot.groups[LATER].spec is None
    world.shift(**spec)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Pending", Reason.SPEC_NOT_CONSISTENT)
    assert f"{LATER} differs between east and west" in record.message
    world.group({"east": 100}, name=LATER, sites=CITIES, priority=100, agents=120)
    world.settle()
    assert LATER in {plan.group for plan in world.shift_record().plan}


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        ({"selector": {"region": "north"}, "to": "west"}, Reason.WAVE_STARTED),
        ({"selector": {"names": [GROUP.rpartition("/")[2]]}, "to": "west"}, Reason.WAVE_STARTED),
        ({"evacuate": "east"}, Reason.INVALID_SPEC),
    ],
)
def test_an_invalid_group_of_which_nothing_is_known_stops_nobody_who_asks_for_a_region(
    spec: dict[str, Any], reason: Reason
) -> None:
    world = a_city_to_leave()
    wrong = group_spec({"east": 100}) | {"failover": "Assisted", "region": "south"}
    world.publish(keys.AGENT_GROUP, LATER, wrong)
    world.read_anew()
    assert world.snapshot.groups[LATER].spec is None
    world.shift(**spec)
    world.settle()
    record = world.shift_record()
    assert record.reason == reason
    assert record.phase == ("Pending" if reason is Reason.INVALID_SPEC else "Moving"), "mended, it goes on"


def test_a_group_of_another_system_or_elsewhere_whose_copies_differ_is_not_waited_for() -> None:
    world = a_city_to_leave()
    world.group({"west": 100}, name=ELSEWHERE, sites=CITIES, agents=60, by=["west"])
    world.read_anew()
    assert world.snapshot.groups[ELSEWHERE].spec is None
    world.shift(evacuate="east")
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.shift("callcenter/flights", selector={"system": "flight"}, to="west")
    world.settle()
    assert world.shift_record("callcenter/flights").reason == Reason.NO_GROUPS


def test_the_most_important_leave_in_the_first_waves() -> None:
    world = a_city_to_leave()
    world.shift(evacuate="east", waves=[25, 50, 100], dryRun=True)
    world.settle()
    plans = {plan.group: plan for plan in world.shift_record().plan}
    assert [bool(wave) for wave in plans[GROUP].waves] == [True, True]
    assert [bool(wave) for wave in plans[LATER].waves] == [False, False, True]
    assert [wave.agents for wave in world.shift_record().planned.waves] == [50, 50, 100]


def test_a_selector_evacuates_only_those() -> None:
    world = a_city_to_leave()
    world.shift(evacuate="east", selector={"names": [LATER.rpartition("/")[2]]})
    world.settle()
    assert world.map(GROUP).end_shares == {"east": 100}
    assert "east" not in world.map(LATER).end_shares


def test_who_has_no_room_beside_the_more_important_refuses_the_whole() -> None:
    world = a_city_to_leave(west=110, north=100)  # room for 60 and for 100
    world.shift(evacuate="east")
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Failed", Reason.CAPACITY_EXCEEDED)
    assert f"100 agents of {LATER} (priority 100) leave east" in record.message
    assert "room at west for 22 and north for 38" in record.message
    for group in (GROUP, LATER):
        assert world.placement(group) == {"east": "0-99"}


def test_agents_avoid_a_site_that_is_being_worked_on_or_not_usable() -> None:
    world = a_city_to_leave()
    world.publish(keys.SITE, "north", site_spec("north", "hotel", maintenance=True))
    world.shift(evacuate="east")
    world.settle()
    assert world.map(GROUP).end_shares == {"west": 100}


def test_nobody_who_can_take_them_is_waited_for() -> None:
    world = a_city_to_leave()
    for city in ("west", "north"):
        world.observe(city, city, "hotel", "cti", passes=False)
    world.shift(evacuate="east")
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Pending", Reason.TARGET_NOT_USABLE)
    assert "nobody can take them: west's own probe" in record.message


def test_a_group_that_may_be_nowhere_else_is_named() -> None:
    world = World()
    world.group({"east": 100}, sites=["east"])
    world.settle()
    world.shift(evacuate="east")
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Failed", Reason.TARGET_NOT_USABLE)
    assert "its spec.sites names no other site than east" in record.message


def test_an_evacuation_that_is_aborted_brings_everybody_back() -> None:
    world = a_city_to_leave()
    world.shift(evacuate="east", waves=[50, 100])
    world.settle()
    world.change_shift(abort=True)
    world.settle()
    for group in (GROUP, LATER):
        assert world.map(group).end_shares == {"east": 100}
