"""Two cities that are lost at once, and buckets on their way between them: everybody ends at the third."""

from collections.abc import Sequence

import pytest

from tandem.constants import DOWN_ACK_S, DOWN_EXTRA_S
from tandem.domain import keys
from tandem.domain.decision import Commit
from tandem.domain.placement import BucketMap
from tandem.domain.records import PlacementRecord, Record
from tandem.domain.selection import FORCED
from tests.unit.domain.test_failover import three_cities
from tests.unit.domain.world import GROUP, World, site_spec

CONFIRMED_S = 2.0 + DOWN_EXTRA_S
EAST = dict.fromkeys(range(80), 1)
NORTH = dict.fromkeys(range(80, 100), 1)
UNDER_WAY = {"east": "0-59", "east>north": "60-99"}


def a_world(west: int = 1500) -> World:
    """A planned move takes forty buckets from east to north; the agents of twenty are there."""
    world = three_cities(west=west)
    for component in ("softswitch", "cti"):
        world.observe("north", "east", "hotel", component)
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.shift(selector={"system": "hotel"}, to="north", percent=40)
    world.settle()
    assert world.placement() == UNDER_WAY
    says(world)
    return world


def says(world: World, east: dict[int, int] = EAST, north: dict[int, int] = NORTH) -> None:
    """All CTIs hold the newest map, and these have these agents."""
    world.sessions("west", GROUP, {})
    world.sessions("east", GROUP, east)
    world.sessions("north", GROUP, north)


def breaks(world: World, *cities: str, component: str = "softswitch", passes: bool = False) -> None:
    for city in cities:
        for observer in ("east", "west", "north", "witness"):
            world.observe(observer, city, "hotel", component, passes=passes)


def confirmed(world: World) -> list[Commit]:
    world.advance(CONFIRMED_S + 0.01)
    return world.settle()


def not_heard(world: World) -> list[Commit]:
    """Whoever has not taken the order in time is waited for no longer."""
    world.advance(DOWN_ACK_S + 0.01)
    return world.settle()


def maps(commits: Sequence[Commit]) -> list[dict[str, str]]:
    """The group's placements, in order."""
    records: list[Record | None] = [commit.writes.get(keys.placement(GROUP)) for commit in commits]
    return [record.map for record in records if isinstance(record, PlacementRecord)]


def test_who_can_leave_goes_to_the_third_city_at_once_and_who_is_at_the_other_one_by_that_ones_release() -> None:
    world = a_world()
    breaks(world, "east", "north")
    assert maps(confirmed(world)) == [{"east>west": "0-79", "east>north": "80-99"}]
    assert world.record().drain == FORCED
    says(world)  # of buckets 80-99 nobody is left at east
    assert maps(world.settle()) == [{"east>west": "0-79", "north>west": "80-99"}]
    says(world, {}, {})
    assert maps(world.settle()) == [{"west": "0-99"}]


def test_the_sentence_names_the_third_city_alone_as_where_they_go() -> None:
    world = a_world()
    breaks(world, "east", "north")
    [east, *_] = [commit for commit in confirmed(world) if keys.placement(GROUP) in commit.writes]
    assert east.sentence.endswith(
        "; 80 buckets of 1 groups go to west; 20 more are on their way to north, which is lost as well, and go on from "
        "there"
    )
    assert [entry.why for entry in world.log if GROUP in entry.placed][-1] == east.sentence
    says(world)
    assert world.settle()[-1].sentence.endswith("; 20 buckets of 1 groups go to west")


def test_where_all_are_on_their_way_to_another_lost_city_nobody_is_said_to_go_there() -> None:
    world = a_world()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east>north": "0-99"}}))
    says(world, EAST, dict.fromkeys(range(100), 1))
    breaks(world, "east", "north")
    [commit] = [commit for commit in confirmed(world) if keys.placement(GROUP) in commit.writes]
    assert commit.sentence.endswith(
        "; 100 buckets of 1 groups are on their way to north, which is lost as well, and go on from there"
    )


def test_what_was_turned_back_to_a_city_that_is_lost_then_goes_on_to_the_third() -> None:
    world = a_world()
    breaks(world, "north")
    assert maps(confirmed(world)) == [{"east": "0-59", "north>east": "60-99"}]
    says(world, EAST, dict.fromkeys(range(60, 100), 1))  # somebody is busy there
    breaks(world, "east")
    assert maps(confirmed(world)) == [
        {"east>west": "0-59", "north>east": "60-99"},
        {"east>west": "0-59", "north>east": "60-79", "north>west": "80-99"},
    ]
    says(world, EAST, {})
    assert maps(world.settle()) == [{"east>west": "0-79", "north>west": "80-99"}]
    says(world, {}, {})
    assert maps(world.settle()) == [{"west": "0-99"}]


def test_nobody_waits_for_two_that_do_not_answer_and_nothing_comes_to_rest_in_a_lost_city() -> None:
    world = a_world()
    breaks(world, "east", "north")
    seen = maps(confirmed(world) + not_heard(world) + not_heard(world) + not_heard(world))
    assert seen[-1] == {"west": "0-99"}
    assert not any({"east", "north"} & one.keys() for one in seen)
    assert len(seen) == 4, "neither takes the other's order for none and gives it anew"


@pytest.mark.parametrize(
    ("broken", "seen"),
    [
        pytest.param("north", {"east>west": "0-99"}, id="whose-own-agents-are-cut-off"),
        pytest.param("east", {"west": "0-79", "east>north": "80-99"}, id="that-cannot-release-its-own"),
    ],
)
def test_a_cti_that_cannot_be_asked_is_no_reason_to_wait(broken: str, seen: dict[str, str]) -> None:
    world = a_world()
    breaks(world, *{"east", "north"} - {broken})
    breaks(world, broken, component="cti")
    assert maps(confirmed(world))[0] == seen, "whatever it has reported before"
    world.delete(keys.report(broken, "hotel"))
    not_heard(world)
    assert world.placement() == {"west": "0-99"}


def test_nobody_is_turned_back_to_a_city_that_is_lost() -> None:
    world = a_world()
    world.group({"west": 100}, sites=["east", "west", "north"])
    moving = {"west": "0-59", "west>north": "60-99"}
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": moving}))
    breaks(world, "west")
    breaks(world, "north", component="cti")
    assert maps(confirmed(world)) == [{"west>east": "0-99"}], "north's failover comes first, by its name"


def test_without_a_third_city_nothing_arrives_at_one_that_is_lost() -> None:
    world = a_world()
    for component in ("softswitch", "cti"):
        world.observe("west", "west", "hotel", component, passes=False, firm=False)
    breaks(world, "east", "north")
    confirmed(world)
    says(world, {}, dict.fromkeys(range(60, 100), 1))
    world.advance(60)
    world.settle()
    assert world.map().in_transit.keys() == set(range(60, 100))
    breaks(world, "north", passes=True)
    world.settle()
    assert dict(world.map().end_shares) == {"north": 100}


def test_what_finds_no_room_in_the_third_city_stays_on_its_way_and_follows() -> None:
    world = a_world(west=70)
    breaks(world, "east", "north")
    confirmed(world)
    assert dict(world.map().end_shares) == {"west": 70, "north": 30}
    world.publish(keys.SITE, "west", site_spec("west", "hotel"))
    world.settle()
    says(world)
    world.settle()
    assert world.placement() == {"east>west": "0-79", "north>west": "80-99"}


def test_a_moments_failure_of_the_target_turns_back_nobody_who_holds_a_ticket_for_it() -> None:
    world = three_cities()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east": "0-99"}}))
    breaks(world, "east")
    confirmed(world)
    before = world.placement()
    assert set(before) == {"east>west", "east>north"}
    says(world, dict.fromkeys(range(100), 1), {})
    world.observe("north", "north", "hotel", "cti", passes=False, firm=False)
    assert world.settle() == []
    assert BucketMap.parse(before) == world.map()


def test_those_who_have_entered_a_city_that_is_lost_a_moment_later_go_on_from_there() -> None:
    world = a_world()
    breaks(world, "north")  # Down takes two seconds longer to confirm than Absent
    world.die("east", seen_by=("west", "north", "witness"))
    world.advance(2.0 + 0.01)
    seen = maps(world.settle())
    assert seen == [{"west": "0-79", "north": "80-99"}], "nobody at the third city would ask for those"
    world.sessions("north", GROUP, NORTH)
    assert maps(confirmed(world)) == [{"west": "0-79", "north>west": "80-99"}]


def test_a_target_that_is_neither_usable_nor_lost_keeps_those_who_have_entered_when_the_lost_city_does_not_answer() -> (
    None
):
    world = a_world()
    world.observe("north", "north", "hotel", "cti", passes=False, firm=False)
    breaks(world, "east")
    assert maps(confirmed(world)) == [{"east>west": "0-79", "east>north": "80-99"}]
    assert maps(not_heard(world)) == [{"west": "0-79", "north": "80-99"}]
