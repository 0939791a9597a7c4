"""Routes of a Trunk."""

from typing import Any

import pytest

from tandem.api.trunk import TrunkSpec
from tandem.constants import ROUTE_BACK_S, ROUTES_INTERVAL_S
from tandem.domain import keys
from tandem.domain.digest import trunk_digest
from tandem.domain.reasons import Reason
from tandem.domain.records import GroupReport
from tests.unit.domain.world import GROUP, World

TRUNK = "callcenter/hotel"
ROUTES = [
    {"name": "east", "site": "east", "weight": 70},
    {"name": "west", "site": "west", "weight": 30},
    {"name": "overflow", "site": "west", "weight": 0, "callers": ["0049"]},
]


def trunk_spec(**changes: Any) -> dict[str, Any]:
    return {
        "carrier": {"url": "http://198.18.0.31:8080"},
        "system": "hotel",
        "numbers": [{"number": "8001001", "group": "hotel-north-sales"}],
        "routes": ROUTES,
        "capacity": {"channels": 100, "callsPerSecond": 10},
        **changes,
    }


def a_world(**changes: Any) -> World:
    world = World()
    world.group({"east": 100})
    world.publish(keys.TRUNK, TRUNK, trunk_spec(**changes))
    world.settle()
    return world


def weights(world: World) -> dict[str, object]:
    return {str(route["name"]): route["weight"] for route in world.snapshot.routes[TRUNK].record.routes}


def signed_in(world: World, east: int, west: int) -> None:
    """That many agents of the trunk's group, and many of another group that it does not reach."""
    for site, count in (("east", east), ("west", west)):
        groups = {GROUP: GroupReport(signed_in=count), "callcenter/other": GroupReport(signed_in=500)}
        world.report(site, "hotel", groups)
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()


def test_without_agents_the_weights_are_the_configured_ones() -> None:
    assert weights(a_world()) == {"east": 70, "west": 30, "overflow": 0}


@pytest.mark.parametrize(
    ("east", "west", "expected"),
    [
        (10, 0, {"east": 100, "west": 0, "overflow": 0}),
        (0, 10, {"east": 0, "west": 100, "overflow": 0}),
        (30, 10, {"east": 75, "west": 25, "overflow": 0}),
        (1, 2, {"east": 33, "west": 67, "overflow": 0}),
    ],
)
def test_weights_follow_the_agents_that_are_signed_in(east: int, west: int, expected: dict[str, int]) -> None:
    world = a_world()
    signed_in(world, east, west)
    assert weights(world) == expected


def test_a_city_that_does_not_report_keeps_its_share_of_the_calls() -> None:
    world = a_world()
    signed_in(world, 30, 10)
    world.delete(keys.report("east", "hotel"))
    world.report("west", "hotel", {GROUP: GroupReport(signed_in=20)})
    world.advance(ROUTES_INTERVAL_S + 0.1)
    assert world.settle() == []
    assert weights(world) == {"east": 75, "west": 25, "overflow": 0}


def test_a_city_whose_softswitch_fails_loses_its_calls_whether_it_reports_or_not() -> None:
    world = a_world()
    signed_in(world, 30, 10)
    world.delete(keys.report("east", "hotel"))
    for observer in ("west", "witness"):
        world.observe(observer, "east", "hotel", "softswitch", passes=False)
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()
    assert weights(world) == {"west": 100, "overflow": 0}


def test_calls_follow_the_agents_of_a_city_that_is_given_up_although_its_softswitch_answers() -> None:
    """Its CTI is dead, and its engine with it or not: nobody says any more how many are signed in there."""
    world = a_world()
    signed_in(world, 30, 10)
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "cti", passes=False)
    world.delete(keys.report("east", "hotel"))
    world.advance(60.0)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    world.report("west", "hotel", {GROUP: GroupReport(signed_in=40)})
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()
    assert weights(world) == {"east": 0, "west": 100, "overflow": 0}


def test_a_trunk_that_does_not_follow_keeps_its_weights() -> None:
    world = a_world(followAgents=False)
    signed_in(world, 0, 10)
    assert weights(world) == {"east": 70, "west": 30, "overflow": 0}


def test_a_route_has_the_softswitchs_address_and_its_callers() -> None:
    routes = a_world().snapshot.routes[TRUNK].record.routes
    assert [route["target"] for route in routes] == ["east:30560", "west:30560", "west:30560"]
    assert [route["callers"] for route in routes] == [[], [], ["0049"]]


@pytest.mark.parametrize("accusers", [("east",), ("west", "witness"), ("east", "west", "witness")])
def test_no_route_leads_to_a_softswitch_that_fails(accusers: tuple[str, ...]) -> None:
    world = a_world()
    for observer in ("east", "west", "witness"):
        if accusers == ("east",):
            world.delete(keys.observation(observer, "east", "hotel", "softswitch"))
    for observer in accusers:
        world.observe(observer, "east", "hotel", "softswitch", passes=False)
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()
    assert weights(world) == {"west": 100, "overflow": 0}


def test_no_route_leads_to_a_softswitch_that_refuses_calls_and_answers_options() -> None:
    world = a_world()
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "call", passes=False)
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()
    assert weights(world) == {"west": 100, "overflow": 0}


def test_a_softswitch_of_which_nobody_says_anything_keeps_its_routes() -> None:
    world = a_world()
    for observer in ("east", "west", "witness"):
        world.delete(keys.observation(observer, "east", "hotel", "softswitch"))
    world.advance(ROUTES_INTERVAL_S + 0.1)
    assert world.settle() == []
    assert weights(world) == {"east": 70, "west": 30, "overflow": 0}


def test_without_any_softswitch_the_routes_in_force_stay() -> None:
    world = a_world()
    for site in ("east", "west"):
        for observer in ("west", "witness"):
            world.observe(observer, site, "hotel", "softswitch", passes=False)
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()
    assert weights(world) == {"east": 70, "west": 30, "overflow": 0}
    assert "routes in force stay" in world.snapshot.routes[TRUNK].record.message
    assert set(world.reasons()) == {Reason.NO_USABLE_ROUTE, Reason.NOT_GIVEN_UP}  # their CTIs are reached


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"routes": [*ROUTES[:2], {"name": "x", "site": "north", "weight": 1}]}, ["spec.routes[2].site", "'north'"]),
        (
            {"routes": [*ROUTES[:2], {"name": "x", "site": "witness", "weight": 1}]},
            ["spec.routes[2].site", "'witness'"],
        ),
        ({"numbers": [{"number": "8001001", "group": "nobody"}]}, ["spec.numbers[0].group", "'nobody'"]),
        ({"numbers": [{"number": "8001001", "group": "flight"}]}, ["spec.numbers[0].group", "'flight'"]),
    ],
)
def test_a_route_to_nowhere_is_refused_and_the_routes_in_force_stay(changes: dict[str, Any], words: list[str]) -> None:
    world = a_world()
    world.group({"east": 100}, name="callcenter/flight", system="flight")
    world.settle()
    world.publish(keys.TRUNK, TRUNK, trunk_spec(**changes))
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()
    assert weights(world) == {"east": 70, "west": 30, "overflow": 0}
    record = world.snapshot.routes[TRUNK].record
    assert record.reason in (Reason.ROUTE_TO_NOWHERE, Reason.UNKNOWN_GROUP, Reason.UNKNOWN_SYSTEM)
    message = record.message
    assert all(word in message for word in ["nowhere" if "routes" in changes else "group", *words]), message


def test_routes_say_which_declaration_they_were_decided_from_also_when_they_stay_the_same() -> None:
    world = a_world()
    for channels in (100, 200):
        spec = trunk_spec(capacity={"channels": channels, "callsPerSecond": 10})
        world.publish(keys.TRUNK, TRUNK, spec)
        world.advance(ROUTES_INTERVAL_S + 0.1)
        world.settle()
        assert world.snapshot.routes[TRUNK].record.decided_from == trunk_digest(TrunkSpec.model_validate(spec))


def test_a_trunk_with_fewer_than_three_routes_is_refused() -> None:
    world = a_world(routes=ROUTES[:2])
    assert world.snapshot.routes[TRUNK].record.routes == ()
    assert world.reasons() == [Reason.TOO_FEW_ROUTES]


def test_small_changes_wait_and_changes_to_nothing_do_not() -> None:
    world = a_world()
    signed_in(world, 50, 50)
    signed_in(world, 52, 48)
    assert weights(world)["east"] == 50
    signed_in(world, 53, 47)
    assert weights(world)["east"] == 53
    signed_in(world, 99, 1)
    signed_in(world, 100, 0)
    assert weights(world) == {"east": 100, "west": 0, "overflow": 0}


def test_the_carrier_hears_at_most_once_a_second_and_the_last_word_counts() -> None:
    world = a_world()
    signed_in(world, 50, 50)
    revision = world.snapshot.routes[TRUNK].record.revision
    world.report("east", "hotel", {GROUP: GroupReport(signed_in=0)})
    decision = world.decide()
    assert decision.commits == ()
    assert decision.wake_at == pytest.approx(world.mono + ROUTES_INTERVAL_S, abs=0.01)
    world.advance(ROUTES_INTERVAL_S + 0.01)
    world.settle()
    assert weights(world) == {"east": 0, "west": 100, "overflow": 0}
    assert world.snapshot.routes[TRUNK].record.revision > revision


# -- a city that comes back


def a_dead_city() -> World:
    """East has died, everybody works at west, and no route leads to east."""
    world = a_world()
    signed_in(world, 0, 10)
    world.die("east")
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()
    world.advance(60.0)
    world.settle()
    assert weights(world) == {"west": 100, "overflow": 0}
    world.log.clear()
    return world


def coming_back(world: World, *facts: tuple[str, str, bool]) -> None:
    """Observer, part and whether it passes, one after the other, as slowly as routes may change."""
    for observer, part, passes in facts:
        world.observe(observer, "east", "hotel", part, passes)
        world.advance(ROUTES_INTERVAL_S + 0.1)
        world.settle()


def told(world: World) -> list[str]:
    return [entry.why for entry in world.log if entry.kind == "Trunk"]


COMING_BACK = (
    ("west", "softswitch", True),
    ("east", "softswitch", False),  # its own engine is up before its softswitch
    ("witness", "softswitch", True),
    ("east", "softswitch", True),
    ("east", "call", False),  # the phones have not registered yet
    ("west", "call", True),
    ("east", "call", True),
)


def test_a_city_that_comes_back_without_agents_has_its_route_back_once_and_when_it_is_settled() -> None:
    world = a_dead_city()
    world.report("east", "hotel", {})
    coming_back(world, *COMING_BACK)
    assert told(world) == []
    assert weights(world) == {"west": 100, "overflow": 0}
    woken = world.decide().wake_at
    assert woken is not None
    assert woken - world.mono <= ROUTE_BACK_S
    world.advance(ROUTE_BACK_S)
    world.settle()
    assert told(world) == [f"{TRUNK}: east 0 %, west 100 %, overflow 0 %"]


def test_a_city_that_comes_back_with_agents_has_its_calls_back_at_once() -> None:
    world = a_dead_city()
    coming_back(world, *COMING_BACK[:1])
    assert told(world) == []
    signed_in(world, 10, 10)
    assert weights(world) == {"east": 50, "west": 50, "overflow": 0}


def test_a_route_that_is_new_is_not_waited_for() -> None:
    later = {"name": "later", "site": "west", "weight": 0}
    world = a_world(routes=[*ROUTES[1:], later])
    signed_in(world, 0, 10)
    assert weights(world) == {"west": 100, "overflow": 0, "later": 0}
    world.publish(keys.TRUNK, TRUNK, trunk_spec())
    world.observe("west", "east", "hotel", "softswitch", False)
    world.observe("west", "east", "hotel", "softswitch")
    world.advance(ROUTES_INTERVAL_S + 0.1)
    world.settle()
    assert weights(world) == {"east": 0, "west": 100, "overflow": 0}


def test_while_anybody_speaks_against_it_a_city_without_agents_has_no_route() -> None:
    world = a_dead_city()
    world.report("east", "hotel", {})
    coming_back(world, ("west", "softswitch", True), ("east", "softswitch", True))
    world.advance(10 * ROUTE_BACK_S)
    world.settle()
    assert weights(world) == {"west": 100, "overflow": 0}  # the witness does not get through
    coming_back(world, ("witness", "softswitch", True))
    assert weights(world) == {"west": 100, "overflow": 0}
    world.advance(ROUTE_BACK_S)
    world.settle()
    assert weights(world) == {"east": 0, "west": 100, "overflow": 0}
