"""Failover: everybody of a dead city gets another one, and nobody is moved by mistake."""

from collections.abc import Callable
from typing import Any

import pytest

from tandem.constants import QUARANTINE_FORGIVEN_S, QUARANTINE_S
from tandem.domain import failover as failover_rules
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.forecast import Forecast
from tandem.domain.reasons import Reason
from tandem.domain.records import FailoverRecord, HeartbeatRecord, ObservationRecord, ReplicasRecord
from tandem.domain.verdicts import State, site_verdict
from tests.unit.domain.test_replicas import SCALE
from tests.unit.domain.world import GROUP, WITNESS, World, site_spec

OTHER = "callcenter/hotel-south-support"
CONFIRM_AFTER_S = 2.0
HUNG_AFTER_S = 20.0
PROBE_S = 1.0  # interval and timeout


def a_world(**changes: Any) -> World:
    """A hundred agents at east, fifty at west."""
    world = World()
    world.group({"east": 100}, **changes)
    world.group({"west": 100}, name=OTHER, agents=50)
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    return world


def after_confirmation(world: World) -> World:
    world.advance(CONFIRM_AFTER_S + 0.01)
    return world


def failover(world: World, site: str = "east") -> FailoverRecord:
    return world.snapshot.failovers[site].record


def test_a_dead_citys_buckets_go_where_there_is_room_and_nobody_else_is_touched() -> None:
    world = a_world()
    others = world.snapshot.placements[OTHER].revision
    world.die("east")
    suspect = site_verdict(world.snapshot, "east", world.now)
    assert (suspect.state, suspect.reason) == (State.SUSPECT, "HeartbeatGone")
    assert "it counts as Absent once that has stood unbroken" in suspect.sentence
    after_confirmation(world)
    assert site_verdict(world.snapshot, "east", world.now).state is State.ABSENT
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.record().cause == "Failover/east-1"
    assert (failover(world).state, failover(world).number) == ("Active", 1)
    assert "west and witness cannot reach" in failover(world).message
    assert world.snapshot.placements[OTHER].revision == others
    assert world.settle() == []


def test_nothing_happens_before_the_accusation_has_stood_for_confirm_after() -> None:
    world = a_world()
    world.die("east")
    world.advance(CONFIRM_AFTER_S - 0.01)
    assert world.settle() == []
    assert world.decide().wake_at == pytest.approx(world.mono + 0.011, abs=0.01)
    # One of the two takes it back for a moment: it counts anew from there.
    for component in ("cti", "softswitch"):
        world.observe("witness", "east", "hotel", component)
    world.advance(0.5)
    for component in ("cti", "softswitch"):
        world.observe("witness", "east", "hotel", component, passes=False)
    world.advance(CONFIRM_AFTER_S - 0.01)
    assert world.settle() == []
    world.advance(0.02)
    assert site_verdict(world.snapshot, "east", world.now).state is State.ABSENT
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_word_that_becomes_firm_has_stood_since_its_first_failure() -> None:
    world = a_world()
    world.die("east", seen_by=())
    said_at = world.mono
    for firm in (False, True):
        for observer in ("west", "witness"):
            for component in ("cti", "softswitch"):
                key = keys.observation(observer, "east", "hotel", component)
                world.put(key, ObservationRecord(state="Fail", since=said_at, firm=firm, failure_domain=observer))
        world.advance(1.0)
    world.advance(0.01)
    world.settle()
    assert world.placement() == {"west": "0-99"}


# -- a city that is starved or hung takes connections, and answers nobody


def hangs(world: World, component: str = "cti", observer: str = "witness", *, connects: bool = True) -> None:
    """It is the same accusation all along; only whether connections come about changes."""
    system = "" if component == "engine" else "hotel"
    world.observe(observer, "east", system, component, passes=False, connects=connects, since=1.0)


@pytest.mark.parametrize("component", ["cti", "engine"])
@pytest.mark.parametrize("observer", ["west", "witness"])
def test_a_silent_city_that_takes_connections_is_waited_for_longer(component: str, observer: str) -> None:
    world = a_world()
    world.die("east")
    hangs(world, component, observer)
    world.advance(HUNG_AFTER_S - 0.01)
    assert world.settle() == []
    verdict = site_verdict(world.snapshot, "east", world.now)
    assert verdict.state is State.SUSPECT, "nobody is moved yet"
    assert f"still takes connections of {observer}: starved or hung" in verdict.sentence
    assert world.decide().wake_at == pytest.approx(world.mono + 0.011, abs=0.01)
    world.advance(0.02)
    assert site_verdict(world.snapshot, "east", world.now).state is State.ABSENT
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_what_answers_again_after_seconds_of_starvation_moves_nobody() -> None:
    world = a_world()
    world.die("east")
    hangs(world)
    world.advance(HUNG_AFTER_S - 1.0)
    assert world.settle() == []
    world.come_back("east")
    world.advance(60)
    assert world.settle() == []
    assert world.placement() == {"east": "0-99"}


def test_a_starved_city_that_goes_dark_is_gone_confirm_after_its_last_connection() -> None:
    world = a_world()
    world.die("east")
    hangs(world)
    world.advance(5.0)
    assert world.settle() == []
    hangs(world, connects=False)
    world.advance(CONFIRM_AFTER_S - 0.01)
    assert world.settle() == []
    world.advance(0.02)
    assert site_verdict(world.snapshot, "east", world.now).state is State.ABSENT
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_connections_that_come_and_go_do_not_put_it_off_for_ever() -> None:
    world = a_world()
    world.die("east")
    hangs(world)
    for second in range(int(HUNG_AFTER_S)):
        world.advance(1.0)
        hangs(world, connects=second % 2 == 0)
        if second < HUNG_AFTER_S - 1:
            assert world.settle() == [], second
    world.advance(0.01)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_locations_connections_count_until_it_falls_silent_itself() -> None:
    world = three_cities()
    for component in ("softswitch", "cti"):
        world.observe("north", "east", "hotel", component, passes=False, connects=component == "cti")
    world.die("east")
    world.advance(6.0)
    assert world.settle() == []
    for component in ("softswitch", "cti"):
        world.delete(keys.observation("north", "east", "hotel", component))
    world.advance(CONFIRM_AFTER_S - 0.01)
    assert world.settle() == []
    world.advance(0.02)
    world.settle()
    assert "east" not in world.placement()


def test_how_long_a_hung_city_is_waited_for_is_its_sites_to_say() -> None:
    world = a_world()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", detection={"hungAfter": "0s"}))
    world.die("east")
    hangs(world)
    world.advance(CONFIRM_AFTER_S - 0.01)
    assert world.settle() == [], "never sooner than confirmAfter"
    world.advance(0.02)
    assert site_verdict(world.snapshot, "east", world.now).state is State.ABSENT
    world.settle()
    assert world.placement() == {"west": "0-99"}


def only_the_receiver_accuses(world: World) -> None:
    world.die("east", seen_by=("west",))


def only_the_witness_accuses(world: World) -> None:
    world.die("east", seen_by=("witness",))


def it_still_writes(world: World) -> None:
    world.die("east")
    world.put(keys.heartbeat("east"), HeartbeatRecord(site="east", engine="e", started_at=0))


def only_its_engine_is_dead(world: World) -> None:
    world.delete(keys.heartbeat("east"))


def nobody_says_anything(world: World) -> None:
    world.die("east", seen_by=())
    for observer in ("west", "witness"):
        for component in ("cti", "softswitch"):
            world.delete(keys.observation(observer, "east", "hotel", component))


def its_own_word_and_one_other(world: World) -> None:
    world.die("east", seen_by=("west",))
    for component in ("cti", "softswitch"):
        world.observe("east", "east", "hotel", component, passes=False)


def it_answers_the_witness_now_and_then(world: World) -> None:
    """A city that is only slow: seen when another program had both processors of the lab."""
    world.die("east")
    world.observe("witness", "east", "hotel", "softswitch")


def one_location_and_the_clients_there(world: World) -> None:
    world.die("east", seen_by=("west",))
    world.observe("clients@west", "east", "hotel", "cti", passes=False)


def its_engine_answers(world: World) -> None:
    world.die("east")
    world.observe("west", "east", "", "engine")


def one_of_two_measured_a_single_failure(world: World) -> None:
    """A row of void probes may follow it: that confirms nothing."""
    world.die("east", seen_by=("witness",))
    for component in ("cti", "softswitch"):
        world.observe("west", "east", "hotel", component, passes=False, firm=False)


def one_of_two_has_measured_nothing_for_long(world: World) -> None:
    world.die("east", seen_by=("west",))
    for component in ("cti", "softswitch"):
        world.observe("witness", "east", "hotel", component, stale=True)


def two_accuse_different_parts(world: World) -> None:
    world.delete(keys.heartbeat("east"))
    world.observe("west", "east", "hotel", "cti", passes=False)
    world.observe("witness", "east", "hotel", "softswitch", passes=False)


@pytest.mark.parametrize(
    "change",
    [
        only_the_receiver_accuses,
        only_the_witness_accuses,
        it_still_writes,
        only_its_engine_is_dead,
        nobody_says_anything,
        its_own_word_and_one_other,
        it_answers_the_witness_now_and_then,
        one_location_and_the_clients_there,
        its_engine_answers,
        one_of_two_measured_a_single_failure,
        one_of_two_has_measured_nothing_for_long,
        two_accuse_different_parts,
    ],
)
def test_nobody_is_moved_unless_a_city_is_silent_and_two_accuse_the_same_part(
    change: Callable[[World], None],
) -> None:
    world = a_world()
    change(world)
    world.advance(60)
    assert world.settle() == []
    assert world.placement() == {"east": "0-99"}


def only_its_softswitch_answers(world: World) -> None:
    """As when the node that held its engine and its CTI has died."""
    world.die("east")
    for observer in ("west", "witness"):
        world.observe(observer, "east", "hotel", "softswitch")
        world.observe(observer, "east", "", "engine", passes=False)
    world.observe("clients@west", "east", "hotel", "cti", passes=False)


def test_a_city_that_only_its_softswitch_answers_for_is_given_up_when_its_clients_have_lost_it_for_long() -> None:
    world = a_world()
    only_its_softswitch_answers(world)
    world.advance(HUNG_AFTER_S - 0.1)
    assert world.settle() == []
    assert world.placement() == {"east": "0-99"}
    world.advance(0.2)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert "of hotel, and its clients have lost it" in failover(world).message
    assert "while its softswitch answers" in failover(world).message


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda w: w.delete(keys.observation("clients@west", "east", "hotel", "cti")), id="clients-live"),
        pytest.param(lambda w: w.observe("witness", "east", "", "engine"), id="its-engine-answers"),
        pytest.param(lambda w: w.observe("witness", "east", "hotel", "sign-in"), id="somebody-signs-in"),
        pytest.param(lambda w: w.observe("witness", "east", "hotel", "cti"), id="its-cti-answers-one"),
        pytest.param(lambda w: w.observe("witness", "east", "hotel", "cti", passes=False, firm=False), id="a-hiccup"),
    ],
)
def test_it_is_not_given_up_while_anything_that_signs_agents_in_lives(change: Callable[[World], None]) -> None:
    world = a_world()
    only_its_softswitch_answers(world)
    change(world)
    world.advance(10 * HUNG_AFTER_S)
    assert world.settle() == []
    assert world.placement() == {"east": "0-99"}


def test_what_is_withdrawn_in_the_last_moment_keeps_it() -> None:
    for key in (
        keys.observation("clients@west", "east", "hotel", "cti"),
        keys.observation("witness", "east", "hotel", "cti"),
        keys.observation("west", "east", "", "engine"),
    ):
        world = a_world()
        only_its_softswitch_answers(world)
        world.advance(HUNG_AFTER_S + 0.1)
        commits = world.decide().commits
        assert commits
        world.delete(key)
        assert not any(world.commit(commit) for commit in commits), key


@pytest.mark.parametrize(
    ("change", "veto"),
    [
        pytest.param(its_engine_answers, "west reaches the engine of east", id="its-engine"),
        pytest.param(it_answers_the_witness_now_and_then, "witness reaches the softswitch of hotel", id="a-part"),
    ],
)
def test_whose_word_keeps_a_silent_city_from_being_given_up_is_said(change: Callable[[World], None], veto: str) -> None:
    world = a_world()
    change(world)
    world.advance(60)
    [note] = [note for note in world.decide().notes if note.reason is Reason.NOT_GIVEN_UP]
    assert note.subject == "Site east"
    assert f"not given up: {veto} since 1970-01-01T00:16:40Z" in note.sentence
    assert "west on the cti" in note.sentence
    assert note.sentence == site_verdict(world.snapshot, "east").sentence


@pytest.mark.parametrize("change", [only_its_engine_is_dead, only_the_witness_accuses, two_accuse_different_parts])
def test_a_city_that_not_enough_accuse_needs_no_veto(change: Callable[[World], None]) -> None:
    world = a_world()
    change(world)
    assert Reason.NOT_GIVEN_UP not in world.reasons()


def test_the_end_of_a_veto_does_not_act_at_once() -> None:
    """A slow city: its CTI is silent, its softswitch answers the witness now and then, and misses one probe."""
    world = a_world()
    world.die("east")
    world.observe("witness", "east", "hotel", "softswitch")
    world.advance(60)
    assert world.settle() == []
    world.observe("witness", "east", "hotel", "softswitch", passes=False, firm=False)
    world.advance(60)
    assert world.settle() == [], "one failure is none"
    world.observe("witness", "east", "hotel", "softswitch")
    world.observe("witness", "east", "hotel", "softswitch", passes=False)
    world.advance(CONFIRM_AFTER_S - PROBE_S - 0.01)
    assert world.settle() == []
    world.advance(0.02)
    assert site_verdict(world.snapshot, "east", world.now).state is State.ABSENT
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_third_location_that_reaches_it_until_one_hiccup_holds_it_up() -> None:
    world = three_cities()
    for component in ("softswitch", "cti"):
        world.observe("north", "east", "hotel", component)
    world.die("east")
    world.advance(600)
    assert world.settle() == []
    for component in ("softswitch", "cti"):
        world.observe("north", "east", "hotel", component, passes=False, firm=False)
    world.advance(0.1)
    assert world.settle() == []


def only_north_reaches_it() -> World:
    """East is silent and accused; what north last measured was a Pass."""
    world = three_cities()
    for component in ("softswitch", "cti"):
        world.observe("north", "east", "hotel", component)
    world.die("east")
    world.advance(60)
    assert world.settle() == []
    return world


def becomes_stale(world: World) -> None:
    """The same words, of which north's have been renewed by nothing for long."""
    for component in ("softswitch", "cti"):
        key = keys.observation("north", "east", "hotel", component)
        word = world.snapshot.observations["east", "hotel", component]["north"].record
        world.put(key, word.model_copy(update={"stale": True}))


def test_a_veto_that_nothing_renews_ends_and_does_not_act_at_once() -> None:
    world = only_north_reaches_it()
    becomes_stale(world)
    world.advance(CONFIRM_AFTER_S - 0.01)
    assert world.settle() == []
    world.advance(0.02)
    world.settle()
    assert world.placement()["west"]


def test_a_veto_that_is_renewed_in_the_last_moment_stops_it() -> None:
    world = only_north_reaches_it()
    becomes_stale(world)
    [commit] = after_confirmation(world).decide().commits
    world.observe("north", "east", "hotel", "cti")
    assert not world.commit(commit)


def its_observer_dies(world: World) -> None:
    """North's engine is gone, and its lease has ended."""
    world.die("north", seen_by=())


def one_hiccup_and_its_observer_dies(world: World) -> None:
    for component in ("softswitch", "cti"):
        world.observe("north", "east", "hotel", component, passes=False, firm=False)
    its_observer_dies(world)


def it_disqualifies_itself(world: World) -> None:
    for component in ("softswitch", "cti"):
        world.delete(keys.observation("north", "east", "hotel", component))


@pytest.mark.parametrize("ends", [its_observer_dies, one_hiccup_and_its_observer_dies, it_disqualifies_itself])
def test_a_veto_that_vanishes_with_its_observer_does_not_act_at_once(ends: Callable[[World], None]) -> None:
    world = only_north_reaches_it()
    ends(world)
    world.advance(CONFIRM_AFTER_S - 0.01)
    assert world.settle() == []
    assert world.decide().wake_at == pytest.approx(world.mono + 0.011, abs=0.01)
    world.advance(0.02)
    world.settle()
    assert world.placement()["west"]


def test_who_reached_its_engine_only_is_waited_for_as_well() -> None:
    world = three_cities()
    world.die("east")
    world.observe("north", "east", "", "engine")
    world.advance(60)
    world.die("north", seen_by=())
    world.advance(CONFIRM_AFTER_S - 0.01)
    assert world.settle() == []
    world.advance(0.02)
    world.settle()
    assert world.placement()["west"]


def test_an_accuser_that_vanishes_ends_no_wait_and_begins_none() -> None:
    world = three_cities()
    world.die("east", seen_by=("west", "witness", "north"))
    world.advance(CONFIRM_AFTER_S - 0.1)
    world.die("north", seen_by=())
    world.advance(0.11)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_the_lost_citys_own_words_are_missed_by_nobody() -> None:
    """They go with its lease, which is later than the first accusations."""
    world = a_world()
    lease = {key for key in world.store if key.startswith(f"{keys.OBSERVATIONS}east/")}
    world.delete(keys.heartbeat("east"))
    for component in ("cti", "softswitch"):
        for observer in ("west", "witness"):
            world.observe(observer, "east", "hotel", component, passes=False)
    world.advance(CONFIRM_AFTER_S)
    for key in lease:
        world.delete(key)
    world.advance(0.01)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_veto_that_is_back_in_the_last_moment_stops_it() -> None:
    world = only_north_reaches_it()
    its_observer_dies(world)
    [commit] = after_confirmation(world).decide().commits
    world.observe("north", "east", "hotel", "cti")
    assert not world.commit(commit)


def test_a_lost_city_without_agents_holds_up_no_order_and_has_its_quarantine() -> None:
    world = World()
    world.group({"west": 100})
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert failover(world).state == "Active"
    assert world.snapshot.participants == {"west"}
    world.come_back("east")
    world.settle()
    world.sessions("west", GROUP, {1: 1})
    world.sessions("east", GROUP, {})
    world.shift(selector={"system": "hotel"}, to="east", percent=50)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.shift_record().reason == Reason.QUARANTINED


def test_announced_work_does_not_bring_a_dead_city_back() -> None:
    world = a_world()
    world.die("east")
    after_confirmation(world).settle()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", maintenance=True))
    for component in ("cti", "softswitch"):
        world.delete(keys.observation("witness", "east", "hotel", component))  # its engine restarts
    world.settle()
    assert failover(world).state == "Active"


def test_observers_of_one_failure_domain_are_one() -> None:
    world = a_world()
    world.die("east", seen_by=("west",))
    word = world.snapshot.observations[("east", "hotel", "cti")]["west"].record
    world.put(keys.observation("witness", "east", "hotel", "cti"), word)
    world.advance(60)
    assert world.settle() == []


def comes_back(world: World) -> None:
    world.put(keys.heartbeat("east"), HeartbeatRecord(site="east", engine="e", started_at=0))


def one_reaches_it(world: World) -> None:
    world.observe("witness", "east", "hotel", "cti")
    world.observe("witness", "east", "hotel", "softswitch")


def the_target_fails(world: World) -> None:
    world.observe("west", "west", "hotel", "cti", passes=False)


def another_reigns(world: World) -> None:
    world.delete(keys.COORDINATOR)
    world.put(keys.COORDINATOR, World.record_of_another_coordinator())


def somebody_moved_it(world: World) -> None:
    world.put(keys.placement(GROUP), world.record())


@pytest.mark.parametrize(
    "change", [comes_back, one_reaches_it, the_target_fails, another_reigns, somebody_moved_it, World.hold]
)
def test_what_changes_between_decision_and_commit_stops_it(change: Callable[[World], None]) -> None:
    world = a_world()
    world.die("east")
    after_confirmation(world)
    [commit] = world.decide().commits
    change(world)
    assert not world.commit(commit)
    assert world.placement() == {"east": "0-99"}


def test_hold_stops_a_failover_and_says_so() -> None:
    world = a_world()
    world.die("east")
    world.hold()
    after_confirmation(world)
    assert world.settle() == []
    assert Reason.HELD in world.reasons()
    world.delete(keys.HOLD)
    world.settle()
    assert world.placement() == {"west": "0-99"}


@pytest.mark.parametrize("by", ["Shift", "Order"])
def test_what_was_held_with_it_is_planned_on_what_the_failover_leaves(by: str) -> None:
    """Found by the simulation: both at once, each with the same room, and the target got twice what it carries."""
    world = World(capacity=30)
    world.publish(keys.SITE, "east", site_spec("east", "hotel", capacity=100))
    world.group({"east": 100})
    world.settle()
    world.hold()
    if by == "Order":
        world.group({"east": 70, "west": 30})
    else:
        world.shift(selector={"system": "hotel"}, to="west", percent=30)
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    world.delete(keys.HOLD)
    world.settle()
    assert world.map().touched_shares == {"east": 70, "west": 30}
    assert not world.map().in_transit


def test_a_target_that_is_not_usable_gets_nobody() -> None:
    world = a_world()
    world.die("east")
    world.observe("west", "west", "hotel", "cti", passes=False)
    after_confirmation(world).settle()
    assert world.placement() == {"east": "0-99"}
    [note] = [note for note in world.decide().notes if note.reason is Reason.TARGET_NOT_USABLE]
    assert "own probe of the cti" in note.sentence


def test_the_more_important_enter_first_and_the_rest_is_named() -> None:
    world = World(capacity=150)
    world.group({"east": 100}, name="callcenter/a", priority=10)
    world.group({"east": 50, "west": 50}, name="callcenter/b", priority=500, agents=80)
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert world.placement("callcenter/b") == {"west": "0-99"}
    # 150 fit, 80 are there: 70 of the less important hundred follow.
    shares = world.map("callcenter/a").end_shares
    assert (shares["west"], shares["east"]) == (70, 30)
    [note] = [note for note in world.decide().notes if note.reason is Reason.CAPACITY_EXCEEDED]
    assert note.subject == "AgentGroup callcenter/a"


def a_plan_that_waits(world: World) -> None:
    """A person has not approved it yet."""
    world.shift(selector={"names": ["a"]}, to="west", approval="Manual")


def a_move_under_way(world: World) -> None:
    world.shift(selector={"names": ["a"]}, to="west", waves=[10, 100])


@pytest.mark.parametrize("planned", [a_plan_that_waits, a_move_under_way])
def test_what_was_planned_for_the_less_important_keeps_nobody_out(planned: Callable[[World], None]) -> None:
    world = World(capacity=150)
    world.group({"east": 100}, name="callcenter/a", priority=10)
    world.group({"east": 100}, name="callcenter/b", priority=500, agents=50)
    world.group({"west": 100}, name=OTHER, agents=50)
    world.settle()
    world.sessions("east", "callcenter/a", dict.fromkeys(range(100), 1))
    planned(world)
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert world.placement("callcenter/b") == {"west": "0-99"}
    assert world.map("callcenter/a").end_shares["west"] == 50


@pytest.mark.parametrize(
    ("approval", "shares"),
    [
        pytest.param("Auto", {"west": 67, "north": 33}, id="begun"),
        pytest.param("Manual", {"west": 40, "north": 60}, id="not"),
    ],
)
def test_a_move_of_others_keeps_its_room_once_it_has_begun(approval: str, shares: dict[str, int]) -> None:
    """A hundred agents of west's go to north, where a hundred and fifty have room; west has room for a hundred more."""
    world = three_cities(west=200, north=150)
    world.group({"west": 100}, name=OTHER, agents=100, sites=["west", "north"])
    world.settle()
    world.sessions("west", OTHER, dict.fromkeys(range(100), 1))
    world.shift(selector={"names": [OTHER.rpartition("/")[2]]}, to="north", waves=[10, 100], approval=approval)
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert dict(world.map().end_shares) == shares


def test_beside_an_emergency_two_plans_share_no_room() -> None:
    world = three_cities(north=150)
    world.group({"east": 100}, sites=["east", "west", "north"], failover="Manual")
    for name in (OTHER, "callcenter/third"):
        world.group({"west": 100}, name=name, agents=100, sites=["west", "north"])
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    for number, name in enumerate((OTHER, "callcenter/third")):
        selector = {"names": [name.rpartition("/")[2]]}
        world.shift(f"callcenter/s{number}", selector=selector, to="north")
        world.settle()
    phases = [world.shift_record(f"callcenter/s{number}").phase for number in range(2)]
    assert phases == ["Moving", "Failed"]
    assert world.shift_record("callcenter/s1").reason == Reason.CAPACITY_EXCEEDED


def test_without_any_room_it_says_what_is_needed() -> None:
    world = World(capacity=50)
    world.group({"west": 100}, name=OTHER, agents=50)
    world.group({"east": 100}, agents=40)
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert world.placement() == {"east": "0-99"}
    [note] = [note for note in world.decide().notes if note.reason is Reason.CAPACITY_EXCEEDED]
    assert "room for 40 more" in note.sentence


def test_room_that_comes_later_is_used() -> None:
    world = World(capacity=50)
    world.group({"west": 100}, name=OTHER, agents=50)
    world.group({"east": 100}, agents=40)
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert world.placement() == {"east": "0-99"}
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=500))
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert failover(world).number == 1


def test_a_move_to_the_dead_city_turns_back_and_one_from_it_goes_on() -> None:
    world = a_world()
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", percent=40)
    world.settle()
    assert world.placement() == {"east": "0-59", "east>west": "60-99"}
    world.die("west", seen_by=("east", "witness"))
    after_confirmation(world).settle()
    assert world.placement() == {"east": "0-99"}
    shift = world.shift_record()
    assert (shift.phase, shift.reason) == ("Interrupted", Reason.FAILED_OVER)
    assert "wave 1" in shift.message


def test_a_move_that_just_arrived_at_the_dead_city_turns_back_all_the_same() -> None:
    world = a_world()
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", percent=40)
    world.settle()
    world.die("west", seen_by=("east", "witness"))
    after_confirmation(world)
    world.sessions("east", GROUP, dict.fromkeys(range(60), 1))  # east says: those forty have left
    world.settle()
    assert world.placement() == {"east": "0-99"}
    assert world.shift_record().phase == "Interrupted"


def test_a_move_under_way_from_the_dead_city_is_finished_at_once() -> None:
    world = a_world()
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", percent=40)
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert world.placement() == {"west": "0-99"}
    assert world.shift_record().phase == "Interrupted"


def test_a_shift_that_is_approved_in_this_moment_is_interrupted_all_the_same() -> None:
    world = a_world()
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", approval="Manual")
    world.settle()
    world.die("east")
    world.change_shift(approved=True, approved_by="ada")
    after_confirmation(world).settle()
    assert world.shift_record().phase == "Interrupted"
    assert world.placement() == {"west": "0-99"}


def test_what_a_shift_of_many_groups_had_done_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each group it is a second and more at 200 groups, in the engine's own turn: the reign would lapse."""
    world = World()
    for number in range(60):
        world.group({"east": 100}, name=f"callcenter/g{number:03d}", agents=1)
    world.settle()
    world.shift(selector={"system": "hotel"}, to="west", waves=[50, 100])
    world.settle()
    counted: list[str] = []
    so_far = failover_rules._so_far

    def counting(*asked: Any) -> Any:
        counted.append("once")
        return so_far(*asked)

    monkeypatch.setattr(failover_rules, "_so_far", counting)
    world.die("east")
    after_confirmation(world).decide()
    assert counted == ["once"]


def test_shifts_of_others_go_on() -> None:
    world = a_world()
    world.shift(name="callcenter/s2", selector={"names": [OTHER.rpartition("/")[2]]}, to="east", approval="Manual")
    world.settle()
    world.die("east")
    after_confirmation(world).settle()
    assert world.shift_record("callcenter/s2").phase == "AwaitingApproval"


def test_a_return_moves_nobody_and_begins_the_quarantine() -> None:
    world = a_world()
    world.die("east")
    after_confirmation(world).settle()
    world.sessions("west", GROUP, dict.fromkeys(range(100), 1))
    world.come_back("east")
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert failover(world).state == "Ended"
    world.shift(selector={"system": "hotel"}, to="east")
    world.settle()
    assert (world.shift_record().phase, world.shift_record().reason) == ("Preparing", Reason.QUARANTINED)
    world.advance(QUARANTINE_S + 0.1)
    world.settle()
    assert world.placement() == {"west>east": "0-99"}


def test_a_dry_run_says_that_it_would_wait_for_the_quarantine() -> None:
    world = a_world()
    world.die("east")
    after_confirmation(world).settle()
    world.sessions("west", GROUP, dict.fromkeys(range(100), 1))
    world.come_back("east")
    world.settle()
    world.shift(selector={"system": "hotel"}, to="east", dryRun=True)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Completed", Reason.DRY_RUN)
    assert "nothing was moved; now it would wait: east came back after failover 1; it is in quaran" in record.message


def test_a_lost_citys_copies_of_the_objects_hold_up_nothing() -> None:
    world = a_world()
    world.die("east")
    after_confirmation(world).settle()
    world.group({"east": 100}, agents=120, by=("west",))
    assert world.snapshot.participants == {"west"}
    published = world.snapshot.groups[GROUP]
    assert published.consistent
    assert published.spec is not None
    assert published.spec.agents == 120
    world.come_back("east")
    world.settle()
    assert world.snapshot.participants == {"east", "west"}
    assert not world.snapshot.groups[GROUP].consistent  # until the same is applied there


def fails_again(world: World) -> FailoverRecord:
    world.die("east")
    after_confirmation(world).settle()
    record = failover(world)
    world.come_back("east")
    world.settle()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east": "0-99"}}))
    return record


def test_a_city_that_fails_again_and_again_waits_longer_each_time_until_it_is_forgiven() -> None:
    world = a_world()
    assert [fails_again(world).repeated for _ in range(3)] == [0, 1, 2]
    world.advance(QUARANTINE_FORGIVEN_S + 1)
    record = fails_again(world)
    assert (record.repeated, record.number) == (0, 4)


def test_a_city_that_failed_is_still_the_way_out_when_there_is_no_other() -> None:
    world = a_world()
    world.die("east")
    after_confirmation(world).settle()
    world.come_back("east")
    world.settle()
    world.die("west", seen_by=("east", "witness"))
    after_confirmation(world).settle()
    assert world.placement() == {"east": "0-99"}


def three_cities(west: int = 1500, north: int = 1500) -> World:
    """A hundred agents at east, who may go to west and to north."""
    world = World()
    for city, capacity in (("north", north), ("west", west)):
        world.publish(keys.SITE, city, site_spec(city, "hotel", capacity=capacity))
    world.put(keys.heartbeat("north"), HeartbeatRecord(site="north", engine="n", started_at=0))
    for component in ("softswitch", "cti"):
        for observer in ("north", "west", "witness"):
            world.observe(observer, "north", "hotel", component)
    world.report("north", "hotel", {})
    world.group({"east": 100}, sites=["east", "west", "north"])
    world.settle()
    return world


def test_three_cities_share_the_load_by_their_room() -> None:
    world = three_cities(west=100, north=300)
    world.die("east")
    after_confirmation(world).settle()
    assert dict(world.map().end_shares) == {"west": 25, "north": 75}


def test_who_waits_for_replicas_is_not_told_of_the_room_behind_a_door_that_stays_shut() -> None:
    world = three_cities()
    west = site_spec("west", "hotel")
    west["systems"][0]["softswitch"]["scaling"] = {"mode": "Scale", "agentsPerReplica": 40, "min": 1, "max": 10}
    world.publish(keys.SITE, "west", west)
    world.group({"east": 100}, sites=["east", "north", "west"])
    world.group({"west": 100}, name="callcenter/other", agents=40)
    world.settle()
    world.put(keys.replicas("west", "hotel"), ReplicasRecord(ready={"softswitch": 1}))
    world.delete(keys.report("north", "hotel"))
    foreseen = Forecast(world.snapshot, Ledger(world.snapshot)).of("east", "hotel", GROUP)
    assert foreseen is not None
    assert "has room for 1500 of the 100 agents now at east, but its CTI does not answer its engine" in foreseen.why
    world.die("east")
    after_confirmation(world).settle()
    [note] = [note for note in world.decide().notes if note.reason is Reason.CAPACITY_EXCEEDED]
    assert "hotel at west would need room for 100 more agents and has room for 0: its Ready replicas" in note.sentence
    world.report("north", "hotel", {})
    world.settle()
    assert world.placement() == {"north": "0-99"}


def test_nobody_is_sent_to_a_lost_city_any_more_though_its_own_agents_can_go_nowhere() -> None:
    world = World()
    world.group({"east": 50, "west": 50})
    world.settle()
    world.shift(selector={"system": "hotel"}, to="east", percent=100)
    world.settle()
    assert world.placement() == {"east": "0-49", "west>east": "50-99"}
    world.observe("west", "west", "hotel", "cti", passes=False, firm=False)
    foreseen = Forecast(world.snapshot, Ledger(world.snapshot)).of("east", "hotel", GROUP)
    assert foreseen is not None
    assert (foreseen.left, foreseen.reason) == (50, Reason.TARGET_NOT_USABLE)
    world.die("east")
    [*_, commit] = after_confirmation(world).settle()
    assert world.placement() == {"east": "0-49", "west": "50-99"}
    assert "50 buckets of 1 groups go to west" in commit.sentence
    assert world.reasons() == [Reason.TARGET_NOT_USABLE]


@pytest.mark.parametrize(
    ("west", "north", "silent", "shares"),
    [
        pytest.param(1500, 1500, ["north"], {"west": 100}, id="it-comes-first"),
        pytest.param(1500, 1500, ["west"], {"north": 100}, id="wherever-it-stands-in-spec-sites"),
        pytest.param(30, 1500, ["north"], {"west": 30, "north": 70}, id="what-it-has-no-room-for-goes-to-the-other"),
        pytest.param(1500, 50, ["west", "north"], {"west": 97, "north": 3}, id="where-none-does-by-their-room"),
    ],
)
def test_a_city_whose_cti_follows_its_engine_comes_before_one_whose_does_not(
    west: int, north: int, silent: list[str], shares: dict[str, int]
) -> None:
    world = three_cities(west=west, north=north)
    for city in silent:
        world.delete(keys.report(city, "hotel"))
    foreseen = Forecast(world.snapshot, Ledger(world.snapshot)).of("east", "hotel", GROUP)
    assert foreseen is not None
    assert dict(foreseen.targets) == shares
    world.die("east")
    after_confirmation(world).settle()
    assert dict(world.map().end_shares) == shares


def test_a_city_whose_cti_follows_is_waited_for_while_its_replicas_come_up() -> None:
    world = three_cities(north=500)
    spec = site_spec("west", "hotel", capacity=90)
    spec["systems"][0]["softswitch"]["scaling"] = SCALE
    world.publish(keys.SITE, "west", spec)
    world.put(keys.replicas("west", "hotel"), ReplicasRecord(ready={"softswitch": 1}))
    world.delete(keys.report("north", "hotel"))
    world.die("east")
    after_confirmation(world).settle()
    assert dict(world.map().end_shares) == {"west": 40, "north": 10, "east": 50}
    world.put(keys.replicas("west", "hotel"), ReplicasRecord(ready={"softswitch": 3}))
    world.settle()
    assert dict(world.map().end_shares) == {"west": 90, "north": 10}


def copies_that_never_agreed(**norths: Any) -> World:
    """North's copy of the group differs from the other ones (none: it has none), and this engine has just started."""
    world = three_cities()
    for city in ("east", "west", "north"):
        world.publish(keys.SITE, city, site_spec(city, "hotel"), by=["north"])
    if norths:
        world.group({"east": 100}, by=["north"], **{"sites": ["east", "west", "north"], **norths})
    world.read_anew()
    assert world.snapshot.group(GROUP) is None
    world.die("east", seen_by=("west", "north", "witness"))
    return after_confirmation(world)


@pytest.mark.parametrize(
    ("norths", "ends"),
    [
        pytest.param({}, {"west": 50, "north": 50}, id="one-has-none"),
        pytest.param({"priority": 200}, {"west": 50, "north": 50}, id="priority"),
        pytest.param({"sites": ["east", "north"]}, {"north": 100}, id="the-sites-in-common"),
        pytest.param({"agents": 3000}, {"west": 50, "north": 50}, id="room-for-the-most-agents"),
    ],
)
def test_copies_that_never_agreed_leave_nobody_at_a_dead_city(norths: dict[str, Any], ends: dict[str, int]) -> None:
    world = copies_that_never_agreed(**norths)
    world.settle()
    assert dict(world.map().end_shares) == ends


def test_of_copies_that_never_agreed_the_one_counts_that_needs_more_room_or_a_person() -> None:
    world = copies_that_never_agreed(agents=6000)
    assert Ledger(world.snapshot).agents_of(GROUP) == 6000
    world.settle()
    assert dict(world.map().end_shares) == {"east": 50, "west": 25, "north": 25}

    world = copies_that_never_agreed(failover="Manual")
    world.settle()
    assert world.placement() == {"east": "0-99"}
    assert world.shift_record(world.only_shift()).phase == "AwaitingApproval"


def test_those_on_their_way_go_on_to_where_they_were_going() -> None:
    world = three_cities(north=120)
    world.shift(selector={"system": "hotel"}, to="north", percent=40)
    world.settle()
    assert world.placement() == {"east": "0-59", "east>north": "60-99"}
    world.die("east")
    after_confirmation(world).settle()
    assert {world.map().slots[bucket].site for bucket in range(60, 100)} == {"north"}


def test_a_city_that_has_failed_itself_is_no_choice_while_there_is_another() -> None:
    world = three_cities()
    world.put(keys.failover("west"), FailoverRecord(number=1, state="Active"))
    world.observe("west", "west", "hotel", "cti", passes=False)  # not healthy yet, so its failover has not ended
    world.observe("west", "west", "hotel", "cti")
    world.observe("north", "west", "hotel", "cti", passes=False)
    world.die("east")
    after_confirmation(world).settle()
    assert world.placement() == {"north": "0-99"}


def test_two_hundred_groups_fail_over_in_transactions_that_fit() -> None:
    world = World(capacity=100_000)
    names = [f"callcenter/g{number:03d}" for number in range(200)]
    for name in names:
        world.group({"east": 100}, name=name, agents=20)
    world.settle()
    world.die("east")
    after_confirmation(world)
    commits = world.decide().commits
    assert len(commits) <= 6
    world.settle()
    assert all(world.placement(name) == {"west": "0-99"} for name in names)
    assert failover(world).number == 1


def test_of_two_cities_lost_at_once_the_second_does_not_get_the_room_of_the_first() -> None:
    world = World(capacity=1000)
    world.cities = ("east", "west", "mid")
    for city, capacity in (("east", 1000), ("west", 1000), ("mid", 100)):
        world.publish(keys.SITE, city, site_spec(city, "hotel", capacity=capacity), by=world.cities)
    world.publish(keys.SITE, "witness", WITNESS, by=world.cities)
    world.publish(keys.SITE, "second", {**WITNESS, "failureDomain": "other"}, by=world.cities)
    for place in ("mid", "second"):
        world.put(keys.heartbeat(place), HeartbeatRecord(site=place, engine=place, started_at=0))
    for city in world.cities:
        world.healthy(city, "hotel")
        world.report(city, "hotel", {})
    sites = list(world.cities)
    world.group({"east": 50, "west": 50}, name="callcenter/a", agents=160, sites=sites, by=world.cities)
    world.group({"west": 100}, name="callcenter/b", agents=100, sites=sites, by=world.cities)
    world.settle()
    world.die("east", seen_by=("mid", "witness", "west"))
    world.die("west", seen_by=("mid", "witness"))
    world.advance(4.0)
    world.settle()
    ledger = Ledger(world.snapshot)
    assert 0 < ledger.load("mid", "hotel") <= ledger.capacity("mid", "hotel") == 100


def test_more_groups_of_one_shift_than_fit_into_one_transaction_leave_in_one_decision() -> None:
    world = World(capacity=100_000)
    names = [f"callcenter/g{number:03}" for number in range(150)]
    for name in names:
        world.group({"east": 100}, name=name, agents=10)
    world.settle()
    for name in names:
        world.sessions("east", name, dict.fromkeys(range(0, 100, 10), 1))
    world.shift(selector={"region": "north"}, to="west", waves=[5, 25, 100])
    world.settle()
    world.die("east")
    after_confirmation(world)
    commits = world.decide().commits
    assert len(commits) > 1
    assert all(world.commit(commit) for commit in commits)
    assert {tuple(world.placement(name).values()) for name in names} == {("0-99",)}
