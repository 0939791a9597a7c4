"""The life of a Shift, phase by phase."""

from typing import Any

import pytest

from tandem.api.common import duration_seconds
from tandem.constants import (
    FINISH_INTERVAL_S,
    FORCE_GRACE_S,
    PATIENCE_S,
    PREPARE_PATIENCE_S,
    STAY_GRACE_S,
    TXN_OPERATIONS,
    VERIFY_S,
)
from tandem.domain import decide, keys
from tandem.domain.reasons import Reason
from tandem.domain.records import GroupPlan, ShiftRecord
from tandem.domain.words import DEEP
from tests.unit.domain.drill_world import DrillWorld
from tests.unit.domain.test_failover import three_cities
from tests.unit.domain.world import GROUP, World, site_spec

SHIFT = "callcenter/s1"
ALL_HOTEL: dict[str, Any] = {"selector": {"system": "hotel"}, "to": "west"}


def a_world(agents: int = 100, **changes: Any) -> World:
    """One group at east with an agent in each of the first ten buckets."""
    world = World()
    world.group({"east": 100}, agents=agents, **changes)
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(10), 1))
    return world


def leave(world: World, buckets: dict[int, int], group: str = GROUP, staying: tuple[str, ...] = ()) -> None:
    """Both cities hold the newest map; these sessions are left at east, `staying` named by its CTI, the others are at
    west by now; time to finish."""
    world.advance(FINISH_INTERVAL_S)
    gone = world.buckets("east", group)
    there = world.buckets("west", group)
    for bucket, count in gone.items():
        there[bucket] = there.get(bucket, 0) + max(count - buckets.get(bucket, 0), 0)
    world.sessions("east", group, buckets, staying=staying)
    world.sessions("west", group, there)
    world.settle()


# -- the whole way


def test_a_shift_moves_its_groups_and_completes_when_the_agents_have_arrived() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.wave, record.plan[0].agents) == ("Moving", 1, 10)
    assert (record.plan[0].before, record.plan[0].after) == ({"east": "0-99"}, {"west": "0-99"})
    assert world.placement() == {"east>west": "0-99"}
    assert world.record().cause == "Shift/s1"
    leave(world, {})
    assert world.placement() == {"west": "0-99"}
    assert world.shift_record().phase == "Verifying"
    world.arrived("west", SHIFT, 10)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason, record.message) == (
        "Completed",
        Reason.COMPLETED,
        "10 agents arrived at west",
    )
    assert record.finished_at >= record.started_at > 0


def test_waves_follow_each_other_when_the_one_before_has_left() -> None:
    world = a_world()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.shift(**ALL_HOTEL, waves=[10, 100])
    world.settle()
    assert world.placement() == {"east": "0-89", "east>west": "90-99"}
    leave(world, dict.fromkeys(range(91), 1))
    assert world.placement() == {"east": "0-89", "east>west": "90", "west": "91-99"}
    leave(world, dict.fromkeys(range(90), 1))
    assert world.placement() == {"east>west": "0-89", "west": "90-99"}
    assert world.shift_record().wave == 2


def many_groups() -> tuple[World, list[str]]:
    """A Shift of more groups than one transaction starts, before its first transaction; the groups' names."""
    world = World()
    names = [f"callcenter/g{number:03d}" for number in range(150)]
    for name in names:
        world.group({"east": 100}, name=name, agents=1)
    world.settle()
    world.shift(**ALL_HOTEL)
    return world, names


def test_a_shift_of_many_groups_starts_them_all_in_transactions_that_fit() -> None:
    world, names = many_groups()
    commits = world.settle()
    assert all(world.placement(name) == {"east>west": "0-99"} for name in names)
    assert len(commits) == 2
    assert all(len(commit.writes) <= TXN_OPERATIONS for commit in commits)


def test_the_percentage_is_what_the_target_has_afterwards() -> None:
    world = World()
    world.group({"east": 70, "west": 30})
    world.settle()
    world.shift(**ALL_HOTEL, percent=50)
    world.settle()
    assert world.placement() == {"east": "0-49", "east>west": "50-69", "west": "70-99"}


def test_agents_who_did_not_arrive_are_counted_and_named_after_a_moment() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL)
    world.settle()
    leave(world, {})
    world.arrived("west", SHIFT, 7)
    world.settle()
    assert world.shift_record().phase == "Verifying"
    world.advance(VERIFY_S + 0.1)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Completed", Reason.AGENTS_MISSING)
    assert "3 of the 10" in record.message


def test_at_night_the_buckets_move_in_their_waves_and_nobody_is_missed() -> None:
    world = a_world()
    world.sessions("east", GROUP, {})
    world.shift(**ALL_HOTEL, waves=[10, 100])
    world.settle()
    assert world.placement() == {"east": "0-89", "east>west": "90-99"}
    leave(world, {})
    leave(world, {})
    record = world.shift_record()
    assert (record.phase, record.message) == ("Completed", "0 agents arrived at west")


# -- which groups


@pytest.mark.parametrize(
    ("selector", "moved"),
    [
        ({"system": "hotel"}, {"a", "b"}),
        ({"region": "south"}, {"b", "c"}),
        ({"skillGroup": "service"}, {"c"}),
        ({"system": "hotel", "region": "south"}, {"b"}),
        ({"labels": {"home": "east"}}, {"a", "c"}),
        ({"names": ["a", "c"]}, {"a", "c"}),
        ({"site": "west"}, {"d"}),
    ],
)
def test_a_selector_takes_the_groups_that_match_all_its_fields(selector: dict[str, Any], moved: set[str]) -> None:
    world = World(systems=("hotel", "flight"))
    groups: dict[str, dict[str, Any]] = {
        "a": {"region": "north", "labels": {"home": "east"}},
        "b": {"region": "south"},
        "c": {"region": "south", "system": "flight", "skillGroup": "service", "labels": {"home": "east"}},
        "d": {"region": "north", "system": "flight"},
    }
    for name, changes in groups.items():
        home = "west" if name == "d" else "east"
        world.group({home: 100}, name=f"callcenter/{name}", **changes)
    world.group({"east": 100}, name="other/a")
    world.settle()
    world.shift(selector=selector, to="east" if moved == {"d"} else "west")
    world.settle()
    assert {plan.group for plan in world.shift_record().plan} == {f"callcenter/{name}" for name in moved}


def test_a_selected_site_is_the_only_one_that_gives() -> None:
    world = World()
    world.group({"east": 100}, name="callcenter/a")
    world.group({"west": 100}, name="callcenter/b")
    world.settle()
    world.shift(selector={"site": "east"}, to="west")
    world.settle()
    assert world.placement("callcenter/a") == {"east>west": "0-99"}
    assert world.placement("callcenter/b") == {"west": "0-99"}


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({**ALL_HOTEL, "to": "north"}, Reason.UNKNOWN_SITE, ["spec.to", "'north'", "east, west", "correct it"]),
        ({**ALL_HOTEL, "to": "witness"}, Reason.NOT_ACTIVE, ["spec.to", "'witness'", "Active"]),
        ({"selector": {"names": ["nobody"]}, "to": "west"}, Reason.UNKNOWN_GROUP, ["names", "'nobody'", "callcenter"]),
        ({"selector": {"region": "moon"}, "to": "west"}, Reason.NO_GROUPS, ["spec.selector", "moon"]),
        ({"selector": {"names": ["only-east"]}, "to": "west"}, Reason.SITE_NOT_LISTED, ["spec.to", "spec.sites"]),
        ({"selector": {"names": ["big"]}, "to": "west"}, Reason.CAPACITY_EXCEEDED, ["west", "800", "room for 0"]),
    ],
)
def test_a_wrong_shift_fails_with_field_value_and_remedy_and_nothing_moves(
    spec: dict[str, Any], reason: Reason, words: list[str]
) -> None:
    world = World(capacity=1000)
    world.group({"east": 100})
    world.group({"east": 100}, name="callcenter/only-east", sites=["east"])
    world.group({"east": 100}, name="callcenter/big", agents=800, sites=["east", "west"])
    world.group({"west": 100}, name="callcenter/home-west", agents=1000, sites=["east", "west"])
    world.settle()
    before = {name: placed.record.map for name, placed in world.snapshot.placements.items()}
    world.shift(**spec)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Failed", reason)
    assert all(word in record.message for word in words), record.message
    assert {name: placed.record.map for name, placed in world.snapshot.placements.items()} == before


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"selector": {"names": ["hotel-north-sales"]}, "to": "west"},
            "'hotel-north-sales': there is no such AgentGroup",
        ),
        ({"selector": {"system": "hotel"}, "to": "west"}, "spec.selector (system: hotel) matches no placed AgentGroup"),
        ({"evacuate": "east"}, "spec.evacuate is 'east': no placed AgentGroup of namespace default is there"),
    ],
)
def test_a_shift_in_the_wrong_namespace_is_told_where_such_groups_are(spec: dict[str, Any], words: str) -> None:
    world = a_world()
    world.shift("default/s1", **spec)
    world.settle()
    record = world.shift_record("default/s1")
    assert record.phase == "Failed"
    assert words in record.message
    assert record.message.endswith("; such groups are in namespace callcenter: create it there")


def test_a_selector_is_said_as_people_write_it() -> None:
    world = a_world()
    world.shift(selector={"labels": {"home": "east", "floor": "2"}, "region": "moon"}, to="west")
    world.settle()
    assert "spec.selector (region: moon; labels: floor=2, home=east) matches no" in world.shift_record().message


def test_nothing_to_move_completes_at_once_and_says_so() -> None:
    world = a_world()
    world.shift(selector={"system": "hotel"}, to="east")
    world.settle()
    assert (world.shift_record().phase, world.shift_record().reason) == ("Completed", Reason.NOTHING_TO_MOVE)


def test_a_shift_of_a_group_under_way_fails_at_once_and_names_the_other() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL)
    world.settle()
    world.shift("callcenter/s2", **{**ALL_HOTEL, "to": "east"})
    world.settle()
    record = world.shift_record("callcenter/s2")
    assert (record.phase, record.reason) == ("Failed", Reason.SHIFT_CONFLICT)
    assert SHIFT in record.message


# -- before anything moves


def test_the_plan_can_be_read_before_anything_moves() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, dryRun=True)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Completed", Reason.DRY_RUN)
    assert record.plan_text == (
        "Move about 10 agents of 1 group to west in 1 wave.",
        "As fast as the CTI takes them: about 2s while nobody is in a call, 35m7s at most.",
        "hotel at east: about 10 leave; 100 of 1500 agents planned now, 0 afterwards; 0 calls now, about 0 afterwards; "
        "new calls a second not measured, at most 100.",
        "hotel at west: about 10 arrive; 0 of 1500 agents planned now, 100 afterwards; up to 10 sign-ins a second of "
        "1000; 0 calls now, about 0 afterwards; new calls a second not measured, at most 100.",
        "Agents in a call move after it (at most 30m) and its wrap-up (at most 5m); "
        "those beyond stay until their call has ended.",
        *(f"Gate: {gate}." for gate in record.planned.gates),
        "Not promised: hotel at east, hotel at west: has not said what it can do.",
        "Not promised: hotel at west: has no test agents (deepProbes: None): no sign-in and no call is tried "
        "beforehand.",
        *(f"Would stop it: {stop}." for stop in record.planned.stops),
        f"{GROUP}: east 100 % -> west 100 % (about 10 agents; buckets east>west 0-99).",
    )
    assert world.placement() == {"east": "0-99"}


def test_a_shift_that_names_no_waves_sends_a_canary_then_more_then_the_rest() -> None:
    world = a_world()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.put(
        keys.shift(SHIFT),
        ShiftRecord.model_validate({"spec": ALL_HOTEL, "created_at": world.mono, "created_in": "east"}),
    )
    world.settle()
    assert world.placement() == {"east": "0-94", "east>west": "95-99"}
    leave(world, dict.fromkeys(range(95), 1))
    assert world.placement() == {"east": "0-74", "east>west": "75-94", "west": "95-99"}
    leave(world, dict.fromkeys(range(75), 1))
    assert world.placement() == {"east>west": "0-74", "west": "75-99"}


def test_manual_approval_waits_for_a_person() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    world.advance(10 * PATIENCE_S)
    world.settle()
    assert world.shift_record().phase == "AwaitingApproval"
    assert world.shift_record().message == "waits for a person: `kubectl tandem approve s1 -n callcenter`"
    assert world.placement() == {"east": "0-99"}
    world.change_shift(approved=True, approved_by="ada")
    world.settle()
    assert world.placement() == {"east>west": "0-99"}


def test_a_plan_that_the_world_has_left_behind_is_not_carried_out() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east": "0-49", "west": "50-99"}}))
    world.change_shift(approved=True, approved_by="ada")
    world.settle()
    assert (world.shift_record().phase, world.shift_record().reason) == ("Failed", Reason.PLAN_OUTDATED)


def test_an_approved_shift_does_not_begin_onto_a_city_that_has_become_full() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=99))
    world.change_shift(approved=True, approved_by="ada")
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Preparing", Reason.CAPACITY_EXCEEDED)
    assert "carries 99 agents and would have more" in record.message
    assert world.placement() == {"east": "0-99"}
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=100))
    world.settle()
    assert world.placement() == {"east>west": "0-99"}


def test_a_shift_that_waits_for_approval_stands_in_nobodys_way_but_may_not_start_into_another() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    world.shift("callcenter/s2", **ALL_HOTEL)
    world.settle()
    assert world.shift_record("callcenter/s2").phase == "Moving"
    world.change_shift(approved=True, approved_by="ada")
    world.settle()
    assert world.shift_record().phase == "Failed"


def two_groups_and_room_for_one() -> World:
    """Two groups of seventy at east, and room for a hundred at west."""
    world = World()
    world.group({"east": 100}, agents=70)
    world.group({"east": 100}, name="callcenter/b", agents=70)
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=100))
    world.settle()
    return world


def room_for_one(**first: Any) -> World:
    """A Shift for each of two groups, one after the other; `first`: what the first one says besides."""
    world = two_groups_and_room_for_one()
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", **first)
    world.settle()
    world.shift("callcenter/s2", selector={"names": ["b"]}, to="west")
    world.settle()
    return world


def test_one_that_waits_for_approval_keeps_no_room_and_does_not_begin_when_it_is_taken() -> None:
    world = room_for_one(approval="Manual")
    assert world.shift_record("callcenter/s2").phase == "Moving"
    world.change_shift(approved=True, approved_by="ada")
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Preparing", Reason.CAPACITY_EXCEEDED)
    assert world.placement() == {"east": "0-99"}


@pytest.mark.parametrize("others", ["nobody", "another-group", "the-drills-own-group"])
def test_the_room_of_a_drills_way_home_is_nobody_elses_whoever_else_waits(others: str) -> None:
    """It is asked for again once a Shift is approved; what waits for a person beside it changes nothing."""
    world = DrillWorld(capacity=150)
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=1500))
    world.group({"west": 100}, name="callcenter/b", agents=100)
    world.group({"west": 100}, name="callcenter/c", agents=10)
    world.settle()
    if others == "the-drills-own-group":
        world.shift("callcenter/s2", selector={"names": [GROUP.rpartition("/")[2]]}, to="west", approval="Manual")
        world.settle()
        assert world.shift_record("callcenter/s2").phase == "AwaitingApproval"
    world.holding()
    younger = world.mono + 100.0
    if others == "another-group":
        world.shift("callcenter/s2", selector={"names": ["c"]}, to="east", approval="Manual")
        world.settle()
    if others != "nobody":
        s2 = world.shift_record("callcenter/s2")
        world.put(keys.shift("callcenter/s2"), s2.model_copy(update={"created_at": younger}))
    # Planned when there was room, which the Drill has by now.
    world.shift(selector={"names": ["b"]}, to="east", approval="Manual")
    record = world.shift_record()
    plan = GroupPlan(
        group="callcenter/b", system="hotel", agents=100, to="east", moves={"west>east": "0-99"},
        waves=({"west>east": "0-99"},), before={"west": "0-99"}, after={"east": "0-99"},
    )  # fmt: skip
    world.put(keys.shift(SHIFT), record.model_copy(update={"phase": "AwaitingApproval", "plan": (plan,)}))
    world.change_shift(approved=True, approved_by="ada")
    world.settle()
    assert (world.shift_record().phase, world.shift_record().reason) == ("Preparing", Reason.CAPACITY_EXCEEDED)
    assert world.placement("callcenter/b") == {"west": "0-99"}


def test_who_was_approved_first_has_its_room_first() -> None:
    world = room_for_one(approval="Manual", pace=1)
    started = world.shift_record("callcenter/s2")
    assert started.phase == "Moving"
    world.put(keys.shift("callcenter/s2"), started.model_copy(update={"phase": "Preparing", "wave": 0}))
    world.put(keys.placement("callcenter/b"), world.record("callcenter/b").model_copy(update={"map": {"east": "0-99"}}))
    world.hold()
    world.advance(1)
    world.change_shift(approved=True, approved_by="ada")
    record = world.shift_record().model_copy(update={"approved_at": world.mono})
    world.put(keys.shift("callcenter/s1"), record)
    world.settle()
    world.delete(keys.HOLD)
    world.settle()
    assert world.shift_record("callcenter/s2").phase == "Moving"
    assert world.shift_record().reason == Reason.CAPACITY_EXCEEDED


def test_one_that_waits_for_room_keeps_none_from_those_that_fit() -> None:
    world = room_for_one(approval="Manual")
    world.change_shift(approved=True, approved_by="ada")
    world.group({"east": 100}, name="callcenter/c", agents=20)
    world.settle()
    assert world.shift_record().reason == Reason.CAPACITY_EXCEEDED
    world.shift("callcenter/s3", selector={"names": ["c"]}, to="west")
    world.settle()
    assert world.shift_record("callcenter/s3").phase == "Moving"


def test_a_dry_run_takes_no_room() -> None:
    world = room_for_one(dryRun=True)
    assert world.shift_record("callcenter/s2").phase == "Moving"
    world = two_groups_and_room_for_one()
    world.shift("callcenter/a", selector={"names": [GROUP.rpartition("/")[2]]}, to="west", dryRun=True)
    world.shift("callcenter/b", selector={"names": ["b"]}, to="west")
    world.settle()
    assert world.shift_record("callcenter/b").phase == "Moving"


def test_a_guest_at_another_city_that_is_left_is_nobody_who_stays() -> None:
    world = three_cities()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east": "0-49", "west": "50-99"}}))
    drain = {"maxTalk": "10s", "maxWrapUp": "5s"}
    world.shift(selector={"system": "hotel"}, to="north", drain=drain)
    world.settle()
    world.advance(15.0 + STAY_GRACE_S)
    # Of bucket 1 one is in a call at east, and one is a guest at west.
    world.sessions("north", GROUP, dict.fromkeys((0, *range(2, 100)), 1))
    world.sessions("west", GROUP, {1: 1})
    world.sessions("east", GROUP, {1: 1}, staying=("agent0001",))
    world.settle()
    assert world.shift_record().staying == {GROUP: 1}


def test_who_finds_no_room_is_told_which_shift_has_it() -> None:
    record = room_for_one().shift_record("callcenter/s2")
    assert (record.phase, record.reason) == ("Failed", Reason.CAPACITY_EXCEEDED)
    assert "has room for 30, beside what Shift callcenter/s1 will bring there;" in record.message


def test_two_of_the_same_moment_do_not_share_the_same_room_unless_one_waits_for_a_person() -> None:
    for approval, phase in (("Auto", "Failed"), ("Manual", "Moving")):
        world = two_groups_and_room_for_one()
        world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", approval=approval)
        world.shift("callcenter/s2", selector={"names": ["b"]}, to="west")
        world.settle()
        assert world.shift_record("callcenter/s2").phase == phase, approval


@pytest.mark.parametrize("lateness", ["seen-by-us", "by-the-creators-clock"])
def test_a_shift_that_nobody_accepted_in_time_fails_and_never_starts_late(lateness: str) -> None:
    world = a_world()
    if lateness == "seen-by-us":
        world.hold()
        world.shift(**ALL_HOTEL)
        world.settle()
        assert world.shift_record().reason == Reason.HELD
        world.advance(PATIENCE_S + 1)
        world.settle()
        world.delete(keys.HOLD)
    else:
        world.shift(**ALL_HOTEL)
        record = world.shift_record()
        world.put(keys.shift(SHIFT), record.model_copy(update={"created_at": world.mono - PATIENCE_S - 1}))
    world.settle()
    assert world.shift_record().phase == "Failed"
    assert "not accepted within 60 s" in world.shift_record().message
    assert world.placement() == {"east": "0-99"}


def test_a_pending_shift_starts_when_its_target_is_usable_in_time() -> None:
    world = a_world()
    world.observe("west", "west", "hotel", "softswitch", passes=False)
    world.shift(**ALL_HOTEL)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Pending", Reason.TARGET_NOT_USABLE)
    world.advance(PATIENCE_S - 1)
    world.healthy("west", "hotel")
    world.settle()
    assert world.shift_record().phase == "Moving"


def test_an_approved_shift_gives_up_when_its_target_does_not_become_usable() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    world.observe("west", "west", "hotel", "softswitch", passes=False)
    world.change_shift(approved=True, approved_by="ada")
    world.settle()
    assert world.shift_record().phase == "Preparing"
    world.advance(PREPARE_PATIENCE_S + 1)
    world.settle()
    assert world.shift_record().phase == "Failed"
    assert world.placement() == {"east": "0-99"}


@pytest.mark.parametrize("approval", ["Auto", "Manual"])
def test_an_abort_before_anything_moved_ends_it(approval: str) -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval=approval)
    if approval == "Manual":
        world.settle()
    world.change_shift(abort=True)
    world.settle()
    assert world.shift_record().phase == "RolledBack"
    assert world.placement() == {"east": "0-99"}


# -- hold, and a target that fails on the way


def two_waves() -> World:
    world = a_world()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.shift(**ALL_HOTEL, waves=[10, 100])
    world.settle()
    return world


def test_hold_lets_buckets_finish_and_starts_no_wave() -> None:
    world = two_waves()
    world.hold()
    leave(world, dict.fromkeys(range(90), 1))
    assert world.placement() == {"east": "0-89", "west": "90-99"}
    assert world.shift_record().reason == Reason.HELD
    world.delete(keys.HOLD)
    world.settle()
    assert world.placement() == {"east>west": "0-89", "west": "90-99"}
    assert world.shift_record().reason == Reason.WAVE_STARTED


def test_a_hold_between_decision_and_commit_stops_the_wave() -> None:
    world = two_waves()
    world.sessions("east", GROUP, dict.fromkeys(range(90), 1))
    world.sessions("west", GROUP, dict.fromkeys(range(90, 100), 1))
    (finish,) = world.decide().commits
    world.commit(finish)
    (wave,) = world.decide().commits
    world.hold()
    assert not world.commit(wave)


def test_a_target_that_fails_between_decision_and_commit_stops_the_wave() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL)
    (commit,) = world.decide().commits
    world.observe("west", "west", "hotel", "cti", passes=False)
    assert not world.commit(commit)


def test_no_wave_starts_onto_a_site_that_is_not_usable_any_more() -> None:
    world = two_waves()
    world.observe("west", "west", "hotel", "cti", passes=False)
    leave(world, dict.fromkeys(range(90), 1))
    assert world.placement() == {"east": "0-89", "west": "90-99"}
    assert world.shift_record().reason == Reason.TARGET_NOT_USABLE
    world.healthy("west", "hotel")
    world.settle()
    assert world.placement() == {"east>west": "0-89", "west": "90-99"}


# -- deadlines


def test_those_in_a_call_beyond_the_deadline_stay_and_are_named() -> None:
    world = a_world(drain={"maxTalk": "10s", "maxWrapUp": "5s"})
    world.shift(**ALL_HOTEL)
    world.settle()
    leave(world, {4: 2})
    world.advance(14.9 - FINISH_INTERVAL_S)
    world.settle()
    # The deadline has passed when the CTI, which looks once a second, has found out who is late.
    world.advance(STAY_GRACE_S - 0.1)
    world.sessions("east", GROUP, {4: 2}, staying=("agent0007", "agent0042"))
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.advance(0.3)
    world.settle()
    world.arrived("west", SHIFT, 8)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Completed", Reason.AGENTS_STAY)
    assert record.staying == {GROUP: 2}
    assert record.accounts_staying == ("agent0007", "agent0042")
    assert f"{GROUP} 2 (agent0007, agent0042)" in record.message
    assert world.placement() == {"west": "0-3,5-99", "east>west": "4"}
    leave(world, {})
    assert world.placement() == {"west": "0-99"}


def a_wave_behind_someone_who_stays() -> World:
    """Wave 2 of 2 has begun, nobody of it has left; an agent of wave 1 (bucket 9) is in a call beyond the deadline."""
    world = a_world(drain={"maxTalk": "10s", "maxWrapUp": "5s"})
    open_gates = {"signedIn": 0, "signInTime": "0s", "callSuccess": 0, "observe": "0s"}
    world.shift(**ALL_HOTEL | {"waves": [50, 100], "gates": open_gates})
    world.settle()
    leave(world, dict.fromkeys((0, 1, 2, 3, 4, 9), 1))
    world.advance(15.0 + STAY_GRACE_S)
    leave(world, dict.fromkeys((0, 1, 2, 3, 4, 9), 1), staying=("agent0009",))
    record = world.shift_record()
    assert (record.wave, record.staying, record.accounts_staying) == (2, {GROUP: 1}, ("agent0009",))
    return world


def test_who_stayed_and_has_left_since_is_not_said_to_stay() -> None:
    world = a_wave_behind_someone_who_stays()
    leave(world, {})
    world.arrived("west", SHIFT, 9)
    world.advance(VERIFY_S + 1)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Completed", Reason.AGENTS_MISSING), (
        "the one who did not arrive is another"
    )
    assert (record.staying, record.accounts_staying) == ({}, ())


def test_who_still_stays_at_the_end_is_named_with_those_of_later_waves() -> None:
    world = a_wave_behind_someone_who_stays()
    leave(world, {3: 1, 9: 1}, staying=("agent0009",))
    world.advance(15.0 + STAY_GRACE_S)
    leave(world, {3: 1, 9: 1}, staying=("agent0003", "agent0009"))
    world.arrived("west", SHIFT, 8)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Completed", Reason.AGENTS_STAY)
    assert (record.staying, record.accounts_staying) == ({GROUP: 2}, ("agent0003", "agent0009"))


def test_while_a_city_says_nothing_those_who_stayed_there_are_still_counted() -> None:
    world = a_wave_behind_someone_who_stays()
    world.arrived("west", SHIFT, 9)
    leave(world, {9: 1}, staying=("agent0009",))
    world.advance(15.0 + STAY_GRACE_S)
    world.delete(keys.report("east", "hotel"))
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.staying, record.accounts_staying) == ("Completed", {GROUP: 1}, ("agent0009",))


def test_nobody_stays_after_a_way_back() -> None:
    world = a_wave_behind_someone_who_stays()
    world.change_shift(abort=True)
    for _ in range(4):
        world.settle()
        leave(world, dict.fromkeys(range(10), 1))
        world.advance(60)
    record = world.shift_record()
    assert (record.phase, record.staying, record.accounts_staying) == ("RolledBack", {}, ())


def test_a_city_that_stops_reporting_does_not_empty_its_buckets() -> None:
    world = a_world(drain={"maxTalk": "10s", "maxWrapUp": "5s"})
    world.shift(**ALL_HOTEL)
    world.settle()
    world.delete(keys.report("east", "hotel"))
    world.settle()
    assert world.placement() == {"east>west": "0-99"}


def test_a_pace_gives_the_wave_the_time_it_needs() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, pace=1, drain={"maxTalk": "10s", "maxWrapUp": "5s"})
    world.settle()
    assert world.record().pace == 1
    world.advance(24.9 + STAY_GRACE_S)
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.advance(0.2)
    world.settle()
    assert world.shift_record().reason == Reason.AGENTS_STAY


@pytest.mark.parametrize(
    ("home", "east", "north"),
    [
        pytest.param({"east": "0-89", "north": "90-99"}, dict.fromkeys(range(90), 1), {90: 10}, id="by-the-map"),
        pytest.param({"east": "0-49", "north": "50-99"}, {0: 90}, {50: 10}, id="in-fact"),
    ],
)
def test_agents_who_leave_unevenly_have_the_time_that_the_fullest_cti_needs(
    home: dict[str, str], east: dict[int, int], north: dict[int, int]
) -> None:
    """Each of two CTIs has half of the pace of 1: 90 agents of one of them take 180 s, whatever the other has."""
    world = three_cities()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": home}))
    world.sessions("east", GROUP, east)
    world.sessions("north", GROUP, north)
    world.shift(**ALL_HOTEL, pace=1, drain={"maxTalk": "10s", "maxWrapUp": "5s"})
    world.settle()
    assert world.record().together_pace == 0.5
    waits = 180 + 15 + STAY_GRACE_S
    assert duration_seconds(world.shift_record().planned.longest) == round(waits + VERIFY_S)
    world.advance(waits - 0.1)
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.advance(0.2)
    world.settle()
    assert world.shift_record().phase != "Moving"


def test_each_wave_has_the_time_that_its_own_agents_need() -> None:
    world = a_world()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.shift(
        **ALL_HOTEL, waves=[10, 100], pace=1, drain={"maxTalk": "10s", "maxWrapUp": "5s"}, gates={"signedIn": 0}
    )
    world.settle()
    world.advance(10 + 15 + STAY_GRACE_S - 0.1)
    world.settle()
    assert world.shift_record().wave == 1
    world.advance(0.2)
    world.settle()
    assert world.shift_record().wave == 2
    world.advance(90 + 15 + STAY_GRACE_S - 0.1)
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.advance(0.2)
    world.settle()
    assert world.shift_record().phase != "Moving"


def test_a_forced_shift_waits_for_no_call() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, mode="Forced")
    world.settle()
    drain = world.record().drain
    assert (drain.max_talk, drain.max_wrap_up, drain.on_deadline) == ("0s", "0s", "Force")
    world.advance(FORCE_GRACE_S - 0.1)
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.advance(0.2)
    world.settle()
    assert world.shift_record().reason == Reason.AGENTS_STAY


# -- abort


def half_way() -> World:
    """Bucket 0-4 have left for west, 5-9 have agents at east still."""
    world = a_world()
    world.shift(**ALL_HOTEL)
    world.settle()
    leave(world, dict.fromkeys(range(5, 10), 1))
    assert world.placement() == {"east>west": "5-9", "west": "0-4,10-99"}
    return world


def test_an_abort_is_the_mirror_image() -> None:
    world = half_way()
    world.change_shift(abort=True)
    world.settle()
    assert world.shift_record().phase == "Aborting"
    assert world.placement() == {"west>east": "0-99"}
    world.sessions("west", GROUP, {2: 1})
    world.sessions("east", GROUP, dict.fromkeys(range(5, 10), 1))
    world.advance(FINISH_INTERVAL_S)
    world.settle()
    assert world.placement() == {"east": "0-1,3-99", "west>east": "2"}
    world.sessions("west", GROUP, {})
    world.sessions("east", GROUP, dict.fromkeys(range(10), 1))
    world.settle()
    assert world.placement() == {"east": "0-99"}
    assert world.shift_record().phase == "RolledBack"


def test_an_abort_restores_only_what_is_still_this_shifts_doing() -> None:
    world = half_way()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"cause": "Failover/3", "map": {"west": "0-99"}}))
    world.change_shift(abort=True)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.shift_record().phase == "RolledBack"


def test_an_abort_puts_nobody_onto_a_site_that_is_not_usable() -> None:
    world = half_way()
    world.observe("east", "east", "hotel", "cti", passes=False)
    world.change_shift(abort=True)
    world.settle()
    assert world.placement() == {"east>west": "5-9", "west": "0-4,10-99"}
    world.advance(PATIENCE_S + 1)
    world.settle()
    record = world.shift_record()
    assert record.phase == "RolledBack"
    assert "not usable" in record.message


def test_an_abort_waits_out_a_hiccup_of_the_site_it_returns_to() -> None:
    world = half_way()
    world.observe("east", "east", "hotel", "cti", passes=False)
    world.change_shift(abort=True)
    world.settle()
    world.advance(PATIENCE_S - 1)
    world.healthy("east", "hotel")
    world.settle()
    assert world.placement() == {"west>east": "0-99"}


def test_an_abort_under_hold_waits_for_the_hold() -> None:
    world = half_way()
    world.hold()
    world.change_shift(abort=True)
    world.settle()
    assert world.shift_record().reason == Reason.HELD
    assert "west>east" not in world.placement()
    world.delete(keys.HOLD)
    world.settle()
    assert world.placement() == {"west>east": "0-99"}
    assert world.shift_record().reason == Reason.ABORTING


def test_an_abort_does_not_touch_waves_that_never_started() -> None:
    world = two_waves()
    world.change_shift(abort=True)
    world.settle()
    assert world.placement() == {"east": "0-89", "west>east": "90-99"}


def test_an_abort_names_those_who_come_back_after_their_call() -> None:
    world = a_world(drain={"maxTalk": "10s", "maxWrapUp": "5s"})
    world.shift(**ALL_HOTEL)
    world.settle()
    leave(world, {})
    world.change_shift(abort=True)
    world.settle()
    world.sessions("west", GROUP, {3: 1})
    world.sessions("east", GROUP, {})
    world.settle()
    world.advance(16 + STAY_GRACE_S)
    world.settle()
    record = world.shift_record()
    assert record.phase == "RolledBack"
    assert GROUP in record.message
    assert world.placement() == {"east": "0-2,4-99", "west>east": "3"}


def test_a_shift_of_a_few_agents_in_two_systems_can_be_planned() -> None:
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100}, name="callcenter/small", agents=8)
    world.group({"east": 100}, name="callcenter/big", system="flight", agents=20)
    world.settle()
    world.sessions("east", "callcenter/small", dict.fromkeys((99, 97, 95, 93, 91, 89, 30), 1))
    world.sessions("east", "callcenter/big", dict.fromkeys(range(0, 100, 5), 1), system="flight")
    world.shift(selector={"region": "north"}, to="west", waves=[5, 25, 100])
    world.settle()
    assert world.shift_record().phase == "Moving"


def test_of_two_shifts_that_have_room_for_one_the_older_one_begins() -> None:
    world = World(capacity=300)
    for name, home in (("a", "east"), ("b", "east"), ("c", "west")):
        world.group({home: 100}, name=f"callcenter/{name}", agents=100)
    world.settle()
    for name, home in (("a", "east"), ("b", "east"), ("c", "west")):
        world.sessions(home, f"callcenter/{name}", dict.fromkeys(range(100), 1))
    for name in "ab":
        world.shift(f"callcenter/s{name}", selector={"names": [name]}, to="west", approval="Manual")
        world.advance(1.0)
    world.settle()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=200))
    for name in "ab":
        world.change_shift(f"callcenter/s{name}", approved=True, approved_by="ada")
    world.settle()
    assert world.placement("callcenter/a") == {"east>west": "0-99"}
    assert world.placement("callcenter/b") == {"east": "0-99"}
    assert world.shift_record("callcenter/sb").reason == Reason.CAPACITY_EXCEEDED


def test_a_defect_in_one_plan_stops_no_emergency(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise ValueError("a defect")

    world = a_world()
    world.shift(**ALL_HOTEL)
    world.die("east")
    world.advance(4.0)
    monkeypatch.setattr(decide, "advance", fails)
    decision = decide.decide(world.snapshot, world.now)
    [note] = [note for note in decision.notes if note.reason is Reason.DEFECT]
    assert note.subject == f"Shift {SHIFT}"
    assert "ValueError: a defect" in note.sentence
    assert [commit.reason for commit in decision.commits if commit.reason is Reason.FAILED_OVER]


# -- the way back by waves


def three_waves_out() -> World:
    """The first ten and the next forty have arrived at west; of the last fifty half have."""
    world = a_world()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.shift(**ALL_HOTEL, waves=[10, 50, 100], pace=20)
    world.settle()
    leave(world, dict.fromkeys(range(90), 1))
    leave(world, dict.fromkeys(range(50), 1))
    leave(world, dict.fromkeys(range(25), 1))
    assert world.placement() == {"east>west": "0-24", "west": "25-99"}
    return world


def return_to_east(world: World, buckets: range) -> None:
    there = {bucket: count for bucket, count in world.buckets("west").items() if bucket not in buckets}
    here = world.buckets("east") | dict.fromkeys(buckets, 1)
    world.advance(FINISH_INTERVAL_S)
    world.sessions("west", GROUP, there)
    world.sessions("east", GROUP, here)
    world.settle()


def test_an_abort_goes_back_by_waves_each_when_the_one_before_is_back() -> None:
    world = three_waves_out()
    world.change_shift(abort=True)
    world.settle()
    # What was on its way turns round at once, with the rest of its wave; what had arrived waits.
    assert world.placement() == {"west>east": "0-49", "west": "50-99"}
    assert world.record().together_pace == 20.0
    return_to_east(world, range(40))
    assert world.placement() == {"east": "0-39", "west>east": "40-49", "west": "50-99"}
    return_to_east(world, range(50))
    assert world.placement() == {"east": "0-49", "west": "50-89", "west>east": "90-99"}
    assert (world.shift_record().back_wave, world.record().together_pace) == (1, 20.0)
    return_to_east(world, range(90, 100))
    assert world.placement() == {"east": "0-49,90-99", "west>east": "50-89"}
    return_to_east(world, range(50, 90))
    assert world.placement() == {"east": "0-99"}
    assert world.shift_record().phase == "RolledBack"


def test_another_coordinator_goes_on_with_the_way_back() -> None:
    world = three_waves_out()
    world.change_shift(abort=True)
    world.settle()
    return_to_east(world, range(50))
    world.put(keys.COORDINATOR, world.record_of_another_coordinator())
    fresh = World()
    fresh.store, fresh.revision, fresh.mono = world.store, world.revision, world.mono
    for key, (value, created, modified) in world.store.items():
        fresh.gatherer.apply(key, value, created, modified, fresh.mono)
    fresh.settle()
    return_to_east(fresh, range(90, 100))
    return_to_east(fresh, range(50, 90))
    assert fresh.placement() == {"east": "0-99"}
    assert fresh.shift_record().phase == "RolledBack"


@pytest.mark.parametrize("phase", ["Planned", "AwaitingApproval", "Preparing", "Moving", "gate", "Verifying"])
def test_an_abort_in_any_phase_restores_the_map(phase: str) -> None:
    world = a_world()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    approval = "Manual" if phase in ("AwaitingApproval", "Preparing") else "Auto"
    if phase == "Planned":
        world.shift(**ALL_HOTEL, abort=True)
    else:
        world.shift(**ALL_HOTEL, waves=[10, 100], approval=approval)
    world.settle()
    if phase == "Preparing":
        world.observe("west", "west", "hotel", "cti", passes=False)
        world.change_shift(approved=True, approved_by="ada")
        world.settle()
    if phase == "gate":
        world.advance(FINISH_INTERVAL_S)
        world.sessions("east", GROUP, dict.fromkeys(range(90), 1))
        world.sessions("west", GROUP, {})
        world.settle()
        assert world.placement() == {"east": "0-89", "west": "90-99"}
    elif phase == "Verifying":
        leave(world, dict.fromkeys(range(90), 1))
        leave(world, {})
    if phase not in ("Planned", "gate"):
        assert world.shift_record().phase == phase
    world.change_shift(abort=True)
    for wave in (range(100), range(90, 100), range(90)):
        world.settle()
        back = range(0) if phase in ("Planned", "AwaitingApproval", "Preparing") else wave
        return_to_east(world, back)
    assert world.placement() == {"east": "0-99"}
    assert world.shift_record().phase == "RolledBack"


def test_a_shift_of_more_systems_than_a_transaction_can_prove_usable_starts_and_goes_back_all_the_same() -> None:
    """As many as a Site may have, each with deep probes: six words that make it usable."""
    systems = [f"system-{number:02}" for number in range(16)]
    world = World(systems=systems)
    groups = [f"callcenter/{system}" for system in systems]
    for system, group in zip(systems, groups, strict=True):
        world.group({"east": 100}, name=group, system=system)
        for city in world.cities:
            for component in DEEP:
                world.observe(city, city, system, component)
    world.settle()
    world.shift(selector={"site": "east"}, to="west")
    commits = world.settle()  # which fit, or the world refuses them
    assert all(world.placement(group) == {"east>west": "0-99"} for group in groups)
    words = {key for commit in commits for key in (premise.key for premise in commit.premises)}
    for system in systems:
        assert keys.observation("west", "west", system, "sign-in") in words, "each moves by words that still stand"

    world.change_shift(abort=True)
    world.settle()
    assert all(world.placement(group) == {"west>east": "0-99"} for group in groups)
