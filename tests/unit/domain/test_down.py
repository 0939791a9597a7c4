"""A system that is broken while its city still writes: its CTI releases everybody, and is not waited for long."""

from collections.abc import Callable

import pytest

from tandem.constants import DOWN_ACK_S, DOWN_EXTRA_S
from tandem.domain import keys
from tandem.domain.reasons import Reason
from tandem.domain.records import SystemReport
from tandem.domain.selection import FORCED
from tandem.domain.verdicts import State, site_verdict
from tests.unit.domain.world import GROUP, World, site_spec

OTHER = "callcenter/hotel-south-support"
CONFIRMED_S = 2.0 + DOWN_EXTRA_S
EVERYBODY = ("east", "west", "witness")


def a_world() -> World:
    """A hundred agents at east, fifty at west."""
    world = World()
    world.group({"east": 100})
    world.group({"west": 100}, name=OTHER, agents=50)
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    return world


def breaks(world: World, component: str = "cti", by: tuple[str, ...] = EVERYBODY, *, passes: bool = False) -> None:
    for observer in by:
        world.observe(observer, "east", "hotel", component, passes=passes)


def confirmed(world: World, component: str = "softswitch") -> World:
    breaks(world, component)
    world.advance(CONFIRMED_S + 0.01)
    return world


def stops_reporting(world: World) -> None:
    """Its CTI does not answer its own engine: the city's report says nothing of any group."""
    world.delete(keys.report("east", "hotel"))


def says(world: World, buckets: dict[int, int]) -> None:
    """Both cities hold the newest map, and east has these sessions left."""
    world.sessions("west", GROUP, {})
    world.sessions("east", GROUP, buckets)


def move_westwards(world: World) -> None:
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", percent=40)
    world.settle()
    assert world.placement() == {"east": "0-59", "east>west": "60-99"}


@pytest.mark.parametrize("component", ["softswitch", "sign-in", "call"])
def test_its_agents_are_released_and_nobody_is_waited_for(component: str) -> None:
    world = a_world()
    others = world.snapshot.placements[OTHER].revision
    confirmed(world, component)
    assert site_verdict(world.snapshot, "east", world.now).state is State.DOWN
    world.settle()
    assert world.placement() == {"east>west": "0-99"}
    assert (world.record().cause, world.record().drain) == ("Failover/east-1", FORCED)
    assert world.snapshot.placements[OTHER].revision == others


def test_the_pace_of_an_old_move_is_none_of_the_emergencys() -> None:
    world = a_world()
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", percent=40, pace=2, waves=[100])
    world.settle()
    assert (world.record().together, world.record().together_pace) == ("callcenter/s1", 2.0)
    confirmed(world).settle()
    assert world.placement() == {"east>west": "0-99"}
    assert (world.record().pace, world.record().together, world.record().together_pace) == (0.0, "", 0.0)


def test_it_is_suspect_until_that_is_confirmed() -> None:
    world = a_world()
    breaks(world, "softswitch")
    world.advance(CONFIRMED_S - 0.01)
    assert world.settle() == []
    verdict = site_verdict(world.snapshot, "east", world.now)
    assert (verdict.state, verdict.reason) == (State.SUSPECT, "OwnWordToo")
    world.advance(0.02)
    assert site_verdict(world.snapshot, "east", world.now).state is State.DOWN


def test_a_cti_that_does_not_answer_its_own_engine_cannot_be_asked() -> None:
    world = confirmed(a_world(), "cti")
    assert site_verdict(world.snapshot, "east", world.now).state is State.DOWN
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.record().cause == "Failover/east-1"


def test_announced_work_is_no_breakdown() -> None:
    world = a_world()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", maintenance=True))
    confirmed(world)
    world.advance(60)
    assert world.settle() == []
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert world.placement() == {"west": "0-99"}, "a city that dies in the middle of it is lost all the same"


def test_its_own_word_and_its_clients_are_two_sources() -> None:
    world = a_world()
    breaks(world, by=("east", "clients@west"))
    for observer in ("west", "witness"):
        world.delete(keys.observation(observer, "east", "hotel", "cti"))
    world.advance(CONFIRMED_S + 0.01)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_cti_that_takes_the_order_is_waited_for_until_it_is_empty() -> None:
    world = confirmed(a_world())
    world.settle()
    says(world, dict.fromkeys(range(50), 1))
    world.advance(60)
    world.settle()
    assert world.placement() == {"east>west": "0-49", "west": "50-99"}
    says(world, {})
    world.advance(60)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.snapshot.failovers["east"].record.number == 1


def reports_a_map_of_another_store(world: World) -> None:
    report = world.snapshot.report("east", "hotel")
    assert report is not None
    groups = {GROUP: report.groups[GROUP].model_copy(update={"revision": 10**6})}
    world.put(keys.report("east", "hotel"), report.model_copy(update={"groups": groups}))


@pytest.mark.parametrize(
    "silent",
    [stops_reporting, lambda world: None, reports_a_map_of_another_store],
    ids=["no-report", "an-older-report", "a-newer-map"],
)
def test_a_cti_that_does_not_take_it_in_time_is_not_waited_for(silent: Callable[[World], None]) -> None:
    world = a_world()
    silent(world)
    confirmed(world).settle()
    assert world.placement() == {"east>west": "0-99"}
    world.advance(DOWN_ACK_S - 0.01)
    assert world.settle() == []
    assert world.decide().wake_at == pytest.approx(world.mono + 0.011, abs=0.01)
    world.advance(0.02)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_under_hold_what_an_emergency_has_sent_on_its_way_arrives_although_nobody_answers() -> None:
    world = a_world()
    stops_reporting(world)
    confirmed(world).settle()
    assert world.placement() == {"east>west": "0-99"}
    world.hold()
    late = "callcenter/hotel-late"
    world.put(keys.placement(late), world.record().model_copy(update={"map": {"east": "0-99"}, "cause": "Order"}))
    world.advance(DOWN_ACK_S + 0.1)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.placement(late) == {"east": "0-99"}, "that would be new"


def test_under_hold_a_planned_move_from_a_city_that_is_gone_stays_on_its_way() -> None:
    """Its CTI may never have heard of the move: its doors may be open, and no failover has given them away."""
    world = a_world()
    move_westwards(world)
    world.hold()
    world.die("east")
    world.advance(60)
    world.settle()
    assert world.placement() == {"east": "0-59", "east>west": "60-99"}
    assert "east" not in world.snapshot.failovers
    world.delete(keys.HOLD)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def too_soon(world: World) -> None:
    breaks(world)
    world.advance(CONFIRMED_S - 60.01)


def one_gets_through(world: World) -> None:
    breaks(world, by=("east", "west"))


def its_own_word_is_that_it_works(world: World) -> None:
    breaks(world, by=("west", "witness"))


def its_own_word_is_missing(world: World) -> None:
    breaks(world, by=("west", "witness"))
    world.delete(keys.observation("east", "east", "hotel", "cti"))


def its_own_word_is_stale(world: World) -> None:
    breaks(world, by=("west", "witness"))
    world.observe("east", "east", "hotel", "cti", stale=True)


def only_itself(world: World) -> None:
    breaks(world, by=("east",))
    for observer in ("west", "witness"):
        world.delete(keys.observation(observer, "east", "hotel", "cti"))


def different_parts(world: World) -> None:
    breaks(world, "cti", by=("east",))
    breaks(world, "softswitch", by=("witness",))


def a_single_failure_of_its_own(world: World) -> None:
    breaks(world, by=("west", "witness"))
    world.observe("east", "east", "hotel", "cti", passes=False, firm=False)


@pytest.mark.parametrize(
    "change",
    [
        too_soon,
        one_gets_through,
        its_own_word_is_that_it_works,
        its_own_word_is_missing,
        its_own_word_is_stale,
        only_itself,
        different_parts,
        a_single_failure_of_its_own,
        World.hold,
    ],
)
def test_nobody_is_moved_unless_it_says_so_itself_and_nobody_gets_through(change: Callable[[World], None]) -> None:
    world = a_world()
    if change is World.hold:
        breaks(world)
    change(world)
    world.advance(60)
    assert world.settle() == []
    assert world.placement() == {"east": "0-99"}


def test_the_end_of_a_veto_does_not_act_at_once() -> None:
    world = a_world()
    breaks(world, "cti", by=("east", "west"))
    world.advance(600)
    assert world.settle() == []
    world.observe("witness", "east", "hotel", "cti", passes=False)
    world.advance(CONFIRMED_S - 0.01)
    assert world.settle() == []
    world.advance(0.02)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_whose_word_keeps_a_system_from_being_down_is_said() -> None:
    world = a_world()
    breaks(world, "cti", by=("east", "west"))
    [note] = [note for note in world.decide().notes if note.reason is Reason.NOT_GIVEN_UP]
    assert "not given up: witness reaches the cti of hotel since" in note.sentence
    world.publish(keys.SITE, "east", site_spec("east", "hotel", maintenance=True))
    assert Reason.NOT_GIVEN_UP not in world.reasons()


def test_a_veto_that_nothing_renews_ends_and_does_not_act_at_once() -> None:
    world = a_world()
    breaks(world, "cti", by=("east", "west"))
    world.advance(600)
    world.observe("witness", "east", "hotel", "cti", stale=True)
    world.advance(CONFIRMED_S - 0.01)
    assert world.settle() == []
    world.advance(0.02)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_veto_that_vanishes_with_its_observer_does_not_act_at_once() -> None:
    world = a_world()
    breaks(world, "cti", by=("east", "west"))
    world.advance(600)
    world.die("witness", seen_by=())
    world.advance(CONFIRMED_S - 0.01)
    assert world.settle() == []
    assert world.decide().wake_at == pytest.approx(world.mono + 0.011, abs=0.01)
    world.advance(0.02)
    [commit] = world.decide().commits
    world.observe("witness", "east", "hotel", "cti")
    assert not world.commit(commit), "it is back"


def test_clients_that_accuse_no_more_prolong_nothing() -> None:
    world = a_world()
    breaks(world, "cti", by=EVERYBODY)
    world.advance(CONFIRMED_S - 0.01)
    breaks(world, "cti", by=("clients@west",))
    world.delete(keys.observation("clients@west", "east", "hotel", "cti"))
    world.advance(0.02)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def works_again_for_one(world: World) -> None:
    breaks(world, "softswitch", by=("witness",), passes=True)


def the_target_fails(world: World) -> None:
    world.observe("west", "west", "hotel", "cti", passes=False)


@pytest.mark.parametrize("change", [works_again_for_one, the_target_fails, World.hold])
@pytest.mark.parametrize("step", [1, 2])
def test_what_changes_between_decision_and_commit_stops_it(change: Callable[[World], None], step: int) -> None:
    world = confirmed(a_world())
    if step == 2:
        world.settle()
        stops_reporting(world)
        world.advance(DOWN_ACK_S + 0.01)
    before = world.placement()
    [commit] = [commit for commit in world.decide().commits if commit.reason is Reason.FAILED_OVER]
    change(world)
    assert not world.commit(commit)
    assert world.placement() == before


def test_a_system_that_works_again_in_the_middle_finishes_what_is_on_its_way() -> None:
    world = confirmed(a_world())
    world.settle()
    breaks(world, "softswitch", passes=True)
    world.advance(60)
    world.settle()
    assert world.placement() == {"east>west": "0-99"}  # east has not said yet that anybody left
    assert world.snapshot.failovers["east"].record.state == "Ended"
    says(world, {})
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_planned_move_from_it_goes_on_without_waiting() -> None:
    world = a_world()
    move_westwards(world)
    confirmed(world).settle()
    assert world.placement() == {"east>west": "0-99"}
    assert world.record().drain == FORCED
    assert world.shift_record().phase == "Interrupted"


def test_a_planned_move_to_it_turns_back() -> None:
    world = a_world()
    world.shift(selector={"names": [OTHER.rpartition("/")[2]]}, to="east", percent=40)
    world.settle()
    confirmed(world).settle()
    assert world.placement(OTHER) == {"east>west": "60-99", "west": "0-59"}
    assert world.shift_record().phase == "Interrupted"


def test_a_city_that_falls_silent_in_the_middle_is_absent_at_once() -> None:
    world = confirmed(a_world())
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.snapshot.failovers["east"].record.number == 1


def test_two_cities_that_are_down_do_not_throw_agents_at_each_other() -> None:
    world = confirmed(a_world())
    world.settle()
    says(world, dict.fromkeys(range(100), 1))  # its CTI has taken the order: they are on their way
    for observer in EVERYBODY:
        world.observe(observer, "west", "hotel", "softswitch", passes=False)
    world.advance(CONFIRMED_S + 0.01)
    world.settle()
    assert world.placement() == {"east>west": "0-99"}


def test_another_system_of_the_city_stays() -> None:
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100})
    world.group({"east": 100}, name="callcenter/flight", system="flight")
    world.settle()
    confirmed(world).settle()
    assert world.placement() == {"east>west": "0-99"}
    assert world.placement("callcenter/flight") == {"east": "0-99"}
    assert world.systems_lost("east") == ("hotel",)
    for observer in EVERYBODY:
        world.observe(observer, "east", "flight", "softswitch", passes=False)
    world.advance(CONFIRMED_S + 0.01)
    world.settle()
    assert world.placement("callcenter/flight") == {"east>west": "0-99"}
    assert world.systems_lost("east") == ("flight", "hotel")


def test_room_that_comes_later_is_used() -> None:
    world = World(capacity=150)
    world.group({"east": 100})
    world.group({"west": 100}, name=OTHER, agents=100)
    world.settle()
    confirmed(world).settle()
    assert dict(world.map().end_shares) == {"east": 50, "west": 50}
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=500))
    world.put(keys.report("east", "hotel"), SystemReport(boot="boot-east"))
    world.settle()
    assert world.placement() == {"east>west": "0-99"}
