"""The life of a Drill: when it starts, what speaks against it, how it comes back, what stops it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.constants import FINISH_INTERVAL_S, GATE_SETTLE_S, PATIENCE_S, PREPARE_PATIENCE_S, QUARANTINE_S, VERIFY_S
from tandem.domain import keys
from tandem.domain.alarms import utc
from tandem.domain.drill_requests import ANSWERS_KEPT
from tandem.domain.reasons import Reason
from tandem.domain.records import DrillDue, FailoverRecord, HeartbeatRecord, ReplicasRecord
from tandem.domain.schedule import next_after
from tests.unit.domain.drill_world import ALL, DRILL, HOLD_S, MIXED, DrillWorld
from tests.unit.domain.test_replicas import SCALE
from tests.unit.domain.world import GROUP, site_spec

TO_THE_HALF_HOUR_S = 800.0
"""From the world's beginning (00:16:40) to 00:30."""
EXAMPLE = Path(__file__).parents[3] / "examples/quickstart/drills/everyone-monthly.yaml"
HALF_HOURLY: dict[str, Any] = {"schedule": "*/30 * * * *"}


# -- the whole way


def test_a_run_goes_out_works_there_and_comes_back_to_the_exact_starting_map() -> None:
    world = DrillWorld(MIXED)
    world.started()
    assert world.placement() == {"east>west": "0-9,20-79", "west": "10-19,80-99"}
    assert world.record().cause == f"Drill/{world.run.out.shift.partition('/')[2]}"
    world.travel("east", "west")
    assert (world.state.phase, world.placement()) == ("Holding", {"west": "0-99"})
    world.advance(HOLD_S - 0.1)
    assert world.settle() == []
    assert world.decide().wake_at == pytest.approx(world.mono + 0.1, abs=0.01)
    world.advance(0.2)
    world.settle()
    assert world.placement() == {"west>east": "0-9,20-79", "west": "10-19,80-99"}
    world.travel("west", "east")
    assert world.placement() == MIXED
    assert world.outcome() == ("Succeeded", Reason.COMPLETED)
    assert (world.last.out.moved, world.last.back.moved, world.last.out.p95) == (10, 10, 0.2)
    assert world.state.last_success_at == world.last.finished_at > world.last.started_at > 0
    assert {shift.record.phase for shift in world.snapshot.shifts.values()} == {"Completed"}


def test_both_ways_have_the_drills_waves_pace_and_drain() -> None:
    drain = {"maxTalk": "1m", "maxWrapUp": "10s", "onDeadline": "Force"}
    world = DrillWorld(shift={**ALL["shift"], "waves": [50, 100], "pace": 7, "drain": drain})
    world.started()
    out = world.shift_record(world.run.out.shift)
    assert (len(out.plan[0].waves), world.record().pace, world.record().drain.on_deadline) == (2, 7, "Force")
    world.travel("east", "west")
    world.travel("east", "west")
    world.advance(HOLD_S + 0.1)
    world.settle()
    back = world.shift_record(world.run.back.shift)
    assert (len(back.plan[0].waves), world.record().pace, world.record().drain.on_deadline) == (2, 7, "Force")


@pytest.mark.parametrize("stage", ["started", "holding", "coming_back"])
def test_a_coordinator_that_is_lost_is_continued_by_the_next_one(stage: str) -> None:
    world = DrillWorld(MIXED)
    getattr(world, stage)()
    world.another_coordinator()
    world.settle()
    if stage == "started":
        world.travel("east", "west")
    if stage != "coming_back":
        world.advance(HOLD_S + 0.1)
        world.settle()
    world.travel("west", "east")
    assert (world.outcome()[0], world.placement()) == ("Succeeded", MIXED)
    assert len(world.snapshot.shifts) == 2


def comes_back_after(world: DrillWorld, seconds: float) -> None:
    """The hold time ends then: not 0.1 s earlier, and no later than 0.1 s after."""
    world.advance(seconds - 0.1)
    world.settle()
    assert world.phase() == "Holding"
    world.advance(0.2)
    world.settle()
    assert world.phase() == "Back"


def test_the_hold_time_counts_on_when_an_engine_that_has_watched_takes_over() -> None:
    world = DrillWorld().holding()
    world.advance(HOLD_S - 10)
    world.successor()
    world.settle()
    comes_back_after(world, 10)


def test_an_engine_that_has_not_watched_counts_the_hold_time_anew() -> None:
    """What it could go by is the wall clock of another machine, or of its own before it was set."""
    world = DrillWorld().holding()
    world.advance(HOLD_S - 10)
    world.another_coordinator()
    world.settle()
    comes_back_after(world, HOLD_S)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_shortens_no_hold_and_prolongs_none(step: float) -> None:
    world = DrillWorld().holding()
    world.wall_ahead = step
    comes_back_after(world, HOLD_S)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
@pytest.mark.parametrize("stage", ["out", "holding"])
def test_a_wall_clock_that_is_set_shortens_no_patience_and_prolongs_none(stage: str, step: float) -> None:
    world = DrillWorld(shift={**ALL["shift"], "waves": [50, 100]})
    if stage == "out":
        world.started()
        world.observe("west", "west", "hotel", "cti", passes=False, firm=False)
        world.travel("east", "west", agents=5)
    else:
        world.started()
        world.travel("east", "west", agents=5)
        world.travel("east", "west")
        world.observe("east", "east", "hotel", "cti", passes=False, firm=False)
        world.advance(HOLD_S + 0.1)
        world.settle()
    assert world.state.reason == Reason.TARGET_NOT_USABLE
    world.wall_ahead = step
    world.advance(PREPARE_PATIENCE_S - 0.1)
    world.settle()
    assert world.state.run is not None
    assert world.run.outcome is None
    world.advance(0.2)
    world.settle()
    outcome = world.run.outcome if world.state.run is not None else world.last.outcome
    assert outcome == "Failed"


def test_agents_missing_beyond_a_few_make_it_a_failure() -> None:
    world = DrillWorld().started()
    world.travel("east", "west", arrived=9)
    world.advance(10)
    world.settle()
    world.advance(HOLD_S)
    world.settle()
    world.travel("west", "east")
    assert world.outcome() == ("Failed", Reason.AGENTS_MISSING)
    assert "1 of 10 agents" in world.last.message
    assert world.placement() == {"east": "0-99"}


@pytest.mark.parametrize("way", ["out", "back"])
def test_a_run_in_which_everybody_stays_in_a_call_has_rehearsed_nobody(way: str) -> None:
    world = DrillWorld(hold="10s").started()
    for name, away, to in (("out", "east", "west"), ("back", "west", "east")):
        if name == way:
            leg = world.run.out if name == "out" else world.run.back
            world.advance(2)
            world.sessions(away, GROUP, dict.fromkeys(range(10), 1), staying=tuple(map(str, range(10))))
            world.settle()
            world.advance(35 * 60 + 3)
            world.settle()
            world.advance(2)
            world.sessions(away, GROUP, {})
            world.sessions(to, GROUP, dict.fromkeys(range(10), 1))
            world.settle()
            assert world.shift_record(leg.shift).staying, name
        else:
            world.travel(away, to)
        world.advance(10.1)
        world.settle()
    assert world.outcome() == ("Failed", Reason.NOBODY_REHEARSED), world.last.message
    assert f"on the way {way}: 10 of 10 agents stayed in their calls" in world.last.message
    assert (world.placement(), world.state.last_success_at) == ({"east": "0-99"}, 0.0)


def test_a_way_back_of_nobody_is_no_success() -> None:
    """They went home, or were signed out, while they worked at the other site."""
    world = DrillWorld().holding()
    world.sessions("west", GROUP, {})
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.travel("west", "east", agents=0)
    assert world.outcome() == ("Failed", Reason.NOBODY_REHEARSED), world.last.message
    assert "on the way back: nobody was signed in" in world.last.message
    assert world.placement() == {"east": "0-99"}


def test_groups_that_are_gone_are_no_success() -> None:
    world = DrillWorld().holding()
    for site in ("east", "west"):
        world.delete(keys.spec(site, keys.AGENT_GROUP, GROUP))
    world.delete(keys.placement(GROUP))
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert world.outcome() == ("Failed", Reason.NOBODY_REHEARSED), world.last.message
    assert "it did not take place" in world.last.message


def test_it_starts_when_somebody_signs_in_in_time() -> None:
    world = DrillWorld()
    world.sessions("east", GROUP, {})
    world.command()
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Checking", Reason.NOBODY_REHEARSED)
    assert "no agent of its 1 groups is signed in at east" in world.state.message
    world.advance(30)
    world.sessions("east", GROUP, {3: 1})
    world.settle()
    assert world.state.phase == "Out"


def test_those_in_a_long_call_stay_at_home_and_their_buckets_come_back_too() -> None:
    world = DrillWorld().started()
    world.advance(2)
    world.sessions("east", GROUP, {3: 1}, staying=("agent-3",))
    world.sessions("west", GROUP, {bucket: 1 for bucket in range(10) if bucket != 3})
    world.arrived("west", world.run.out.shift, 9)
    world.settle()
    world.advance(35 * 60 + 3)
    world.settle()
    assert (world.state.phase, world.placement()) == ("Holding", {"west": "0-2,4-99", "east>west": "3"})
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert world.placement() == {"west>east": "0-99"}
    world.travel("west", "east")
    world.arrived("east", world.run.back.shift if world.state.run else world.last.back.shift, 9)
    world.advance(10)
    world.settle()
    assert world.outcome()[0] == "Succeeded", world.last.message
    assert (world.last.out.staying, world.placement()) == (1, {"east": "0-99"})


# -- when it is due


def test_it_runs_once_for_each_scheduled_time_in_however_many_clusters_it_is_applied() -> None:
    world = DrillWorld(**HALF_HOURLY)
    world.drill(by=("east", "west", "witness"), **HALF_HOURLY)
    assert world.settle() == []
    assert world.decide().wake_at == pytest.approx(world.mono + TO_THE_HALF_HOUR_S, abs=0.01)
    world.advance(TO_THE_HALF_HOUR_S)
    world.settle()
    assert (world.state.phase, world.run.name) == ("Out", "19700101-003000")
    world.travel("east", "west")
    world.another_coordinator()
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.travel("west", "east")
    world.advance(300)
    world.settle()
    assert [run.outcome for run in world.state.runs] == ["Succeeded"]
    assert world.state.phase == "Waiting"


def test_a_time_that_nobody_could_heed_is_not_made_up_for() -> None:
    world = DrillWorld(**HALF_HOURLY, startingDeadline="1m")
    world.advance(TO_THE_HALF_HOUR_S + 4 * 1800 + 61)
    world.settle()
    assert world.outcome() == ("Blocked", Reason.DEADLINE_MISSED)
    assert len(world.state.runs) == 1
    assert world.placement() == {"east": "0-99"}
    assert world.settle() == []


def test_it_waits_for_what_speaks_against_it_until_its_deadline_and_never_starts_later() -> None:
    world = DrillWorld(**HALF_HOURLY, startingDeadline="5m")
    world.hold()
    world.advance(TO_THE_HALF_HOUR_S)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Checking", Reason.HELD)
    world.advance(300.1)
    world.delete(keys.HOLD)
    world.settle()
    assert world.outcome() == ("Blocked", Reason.HELD)
    assert world.placement() == {"east": "0-99"}


def test_it_starts_when_what_spoke_against_it_is_over_in_time() -> None:
    world = DrillWorld(**HALF_HOURLY, startingDeadline="5m")
    world.hold()
    world.advance(TO_THE_HALF_HOUR_S)
    world.settle()
    world.advance(290)
    world.delete(keys.HOLD)
    world.settle()
    assert world.state.phase == "Out"


AHEAD_S = 5 * 3600.0 - 1000.0
"""A clock that says 05:00:00 at 00:16:40."""


def ran_while_the_clock_was_ahead(**spec: Any) -> DrillWorld:
    world = DrillWorld(**HALF_HOURLY, hold="10m", **spec)
    world.wall_ahead = AHEAD_S
    world.settle()
    assert (world.state.phase, world.run.name) == ("Out", "19700101-050000")
    world.travel("east", "west")
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.travel("west", "east")
    assert world.outcome() == ("Succeeded", Reason.COMPLETED)
    return world


def test_a_clock_that_was_far_ahead_holds_up_no_schedule_and_no_time_has_two_runs() -> None:
    world = ran_while_the_clock_was_ahead()
    world.wall_ahead = 0.0
    world.settle()
    assert (world.state.after, world.state.reason) == (world.now.wall, Reason.CLOCK_AHEAD)
    assert (world.log[-1].action, world.log[-1].why) == ("Rescheduled", world.state.message)
    assert "a coordinator's clock was ahead and said 1970-01-01T05:00:00Z" in world.state.message
    assert world.decide().wake_at == pytest.approx(1800.0, abs=0.01)
    world.mono = 1800.0
    world.settle()
    assert (world.phase(), world.run.name) == ("Out", "19700101-003000")
    world.command("abort")
    world.settle()
    world.travel("west", "east")
    world.mono = 5 * 3600.0 - 10.0
    world.settle()
    runs = len(world.state.runs)
    world.mono = 5 * 3600.0 + 1.0
    world.settle()
    assert (world.phase(), len(world.state.runs)) == ("Waiting", runs)
    assert "its run of 1970-01-01T05:00:00Z was made when a coordinator's clock was ahead" in world.state.message
    assert (world.log[-1].action, world.log[-1].why) == ("Skipped", world.state.message)
    world.mono = 5 * 3600.0 + 1801.0
    world.settle()
    assert world.run.name == "19700101-053000"


def test_a_run_that_has_left_the_history_is_known_all_the_same() -> None:
    world = ran_while_the_clock_was_ahead(succeededRunsHistoryLimit=1)
    world.wall_ahead = 0.0
    forgotten = world.state.model_copy(update={"runs": (), "forgotten": ("19700101-050000",)})
    world.put(keys.drill(DRILL), forgotten)
    world.settle()
    world.mono = 5 * 3600.0 + 1.0
    world.settle()
    assert world.state.phase == "Waiting"


def test_a_run_that_did_not_start_by_such_a_clock_is_none() -> None:
    world = DrillWorld(**HALF_HOURLY, startingDeadline="1m")
    world.wall_ahead = AHEAD_S + 61.0
    world.settle()
    assert (world.last.name, world.outcome()) == ("19700101-050000", ("Blocked", Reason.DEADLINE_MISSED))
    world.wall_ahead = 0.0
    world.settle()
    world.mono = 5 * 3600.0 - 1.0
    world.settle()
    world.mono = 5 * 3600.0
    world.settle()
    assert world.run.name == "19700101-050000-2"
    world.command("abort")
    world.settle()
    world.travel("west", "east")
    world.wall_ahead = -120.0  # this time it is the coordinator's own clock that is wrong
    world.settle()
    assert world.state.reason == Reason.CLOCK_AHEAD
    world.advance(121)
    world.settle()
    assert (world.phase(), world.last.name) == ("Waiting", "19700101-050000-2"), "it has had its run"


def test_what_was_due_by_a_clock_that_was_far_ahead_is_due_at_its_time() -> None:
    world = DrillWorld(**HALF_HOURLY, startingDeadline="1h")
    world.hold()
    world.wall_ahead = AHEAD_S
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Checking", Reason.HELD)
    world.wall_ahead = 0.0
    world.delete(keys.HOLD)
    world.settle()
    assert (world.phase(), world.state.due, world.state.runs) == ("Waiting", None, ())
    world.advance(TO_THE_HALF_HOUR_S)
    world.settle()
    assert world.run.name == "19700101-003000"


def test_a_command_that_waits_since_a_clock_was_far_ahead_waits_no_longer_than_others() -> None:
    world = DrillWorld()
    world.hold()
    world.wall_ahead = AHEAD_S
    record = world.state.model_copy(update={"phase": "Checking", "reason": Reason.HELD})
    due = DrillDue(name="19700101-050000", at=world.now.wall, until=world.now.wall + PATIENCE_S, by="ada", request="1")
    world.put(keys.drill(DRILL), record.model_copy(update={"due": due}))
    world.settle()
    world.wall_ahead = 0.0
    world.settle()
    world.advance(PATIENCE_S + 0.1)
    world.settle()
    assert world.outcome() == ("Blocked", Reason.HELD)


def test_coordinators_whose_clocks_are_a_little_apart_take_each_others_word() -> None:
    world = DrillWorld(**HALF_HOURLY)
    world.advance(TO_THE_HALF_HOUR_S)
    world.settle()
    assert world.phase() == "Out"
    world.wall_ahead = -50.0
    world.settle()
    assert world.state.after == 1800.0


def test_a_changed_schedule_counts_from_now_on() -> None:
    world = DrillWorld(schedule="0 3 * * *")
    world.advance(TO_THE_HALF_HOUR_S + 60)
    world.drill(schedule="30 * * * *")
    world.settle()
    assert (world.state.phase, world.state.runs) == ("Waiting", ())


def test_times_pass_while_it_is_suspended() -> None:
    world = DrillWorld(**HALF_HOURLY, suspend=True)
    world.advance(TO_THE_HALF_HOUR_S + 1)
    world.settle()
    assert (world.state.phase, world.state.reason, world.state.runs) == ("Waiting", Reason.SUSPENDED, ())
    world.drill(**HALF_HOURLY)
    world.settle()
    assert world.state.phase == "Waiting"


# -- what speaks against it


def failed(world: DrillWorld) -> None:
    """East had failed and is back, a moment ago."""
    world.put(keys.failover("east"), FailoverRecord(number=1, state="Ended", ended_at=world.mono))


def full_west(world: DrillWorld) -> None:
    world.group({"west": 100}, name="callcenter/others", agents=1450)
    world.settle()


def overbooked_home(world: DrillWorld, site: str = "east") -> None:
    """East can carry less than it has; west has room."""
    spec = site_spec(site, "hotel")
    for part in ("softswitch", "cti"):
        spec["systems"][0][part]["capacity"]["agents"] = 90
    world.publish(keys.SITE, site, spec)


def other_drill(world: DrillWorld) -> None:
    world.group({"west": 100}, name="callcenter/others", region="south")
    world.settle()
    world.sessions("west", "callcenter/others", {0: 1})
    others = {"selector": {"names": ["others"]}, "to": "east"}
    world.drill("callcenter/another", shift=others)
    world.command(name="callcenter/another")
    world.settle()
    assert world.snapshot.drills["callcenter/another"].under_way


def own_shift(world: DrillWorld) -> None:
    world.group({"east": 100}, name="callcenter/others", region="south")
    world.settle()
    world.sessions("east", "callcenter/others", {0: 1})
    world.shift(selector={"names": ["others"]}, to="west")
    world.settle()


def on_the_way(world: DrillWorld) -> None:
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east": "1-99", "west>east": "0"}}))
    world.sessions("west", GROUP, {0: 1})


def away_by_a_failover(world: DrillWorld) -> None:
    world.group({"east": 100}, GROUP, **{"return": {"mode": "Automatic", "stableFor": "2h"}})
    failed(world)
    world.put(keys.placement(GROUP), world.record().model_copy(update={"cause": "Failover/east-1"}))
    world.settle()
    world.advance(700)


def watched_by_one(world: DrillWorld) -> None:
    """East is well, and only one location would notice if it were not."""
    for component in ("softswitch", "cti"):
        world.delete(keys.observation("witness", "east", "hotel", component))


def new_reign(world: DrillWorld) -> None:
    world.delete(keys.COORDINATOR)
    world.put(keys.COORDINATOR, world.record_of_another_coordinator())


@pytest.mark.parametrize(
    ("against", "spec", "outcome", "reason"),
    [
        pytest.param(DrillWorld.hold, {}, "Blocked", Reason.HELD, id="hold"),
        pytest.param(
            lambda world: world.hold() or world.observe("witness", "east", "hotel", "cti", passes=False),
            {},
            "Blocked",
            Reason.HELD,
            id="a-hold-is-named-before-the-rest",
        ),
        pytest.param(None, {"suspend": True}, "Blocked", Reason.SUSPENDED, id="suspended"),
        pytest.param(
            lambda world: world.publish(
                keys.SITE, "east", site_spec("east", "hotel", maintenance=True), by=("east", "west")
            ),
            {},
            "Blocked",
            Reason.MAINTENANCE,
            id="maintenance",
        ),
        pytest.param(
            lambda world: world.observe("witness", "east", "hotel", "cti", passes=False),
            {},
            "Blocked",
            Reason.SITE_NOT_HEALTHY,
            id="a-city-is-accused",
        ),
        pytest.param(
            lambda world: (
                world.delete(keys.observation("east", "witness", "", "engine"))
                or world.observe("west", "witness", "", "engine", passes=False)
            ),
            {},
            "Blocked",
            Reason.SITE_NOT_HEALTHY,
            id="the-witness-is-not-reached",
        ),
        pytest.param(failed, {}, "Blocked", Reason.QUARANTINED, id="quarantine"),
        pytest.param(watched_by_one, {}, "Blocked", Reason.NOT_FAILOVER_READY, id="not-failover-ready"),
        pytest.param(own_shift, {}, "Blocked", Reason.SHIFT_CONFLICT, id="a-shift-is-under-way"),
        pytest.param(
            other_drill,
            {"shift": {"selector": {"region": "north"}, "to": "west"}},
            "Blocked",
            Reason.DRILL_CONFLICT,
            id="a-drill-of-the-same-cities",
        ),
        pytest.param(
            lambda world: world.sessions("east", GROUP, {}),
            {},
            "Blocked",
            Reason.NOBODY_REHEARSED,
            id="nobody-is-there",
        ),
        pytest.param(
            None,
            {"windows": {"blocked": [{"from": "01:00"}]}},
            "Blocked",
            Reason.OUTSIDE_WINDOWS,
            id="its-ways-are-long",
        ),
        pytest.param(full_west, {}, "CapacityCheckFailed", Reason.CAPACITY_EXCEEDED, id="no-room-there"),
        pytest.param(
            overbooked_home, {}, "CapacityCheckFailed", Reason.CAPACITY_EXCEEDED, id="no-room-for-the-way-back"
        ),
        pytest.param(
            None,
            {"windows": {"blocked": [{"lastDate": "1970-12-31", "reason": "holidays"}]}},
            "Blocked",
            Reason.OUTSIDE_WINDOWS,
            id="a-blocked-window",
        ),
        pytest.param(
            lambda world: world.drill(by=("west",), hold="1h"), {}, "Blocked", Reason.SPEC_NOT_CONSISTENT, id="differs"
        ),
        pytest.param(on_the_way, {}, "Blocked", Reason.STILL_MOVING, id="buckets-on-their-way"),
        pytest.param(away_by_a_failover, {}, "Blocked", Reason.AWAY_FROM_HOME, id="waits-for-the-way-home"),
        pytest.param(
            None,
            {"shift": {"selector": {"names": ["nobody"]}, "to": "west"}},
            "Blocked",
            Reason.UNKNOWN_GROUP,
            id="no-such-group",
        ),
        pytest.param(
            None, {"shift": {"selector": {"system": "hotel"}, "to": "moon"}}, "Blocked", Reason.UNKNOWN_SITE, id="moon"
        ),
        pytest.param(
            None,
            {"shift": {"selector": {"system": "hotel"}, "to": "east"}},
            "Blocked",
            Reason.NOTHING_TO_MOVE,
            id="they-are-there",
        ),
    ],
)
def test_a_run_that_something_speaks_against_does_not_start_and_says_why(
    against: Callable[[DrillWorld], object] | None, spec: dict[str, Any], outcome: str, reason: Reason
) -> None:
    world = DrillWorld(**spec)
    if against is not None:
        against(world)
    before = world.placement()
    world.command()
    world.settle()
    if world.state.phase == "Checking":
        assert world.state.reason == reason
        world.advance(PATIENCE_S + 0.1)
        world.settle()
    assert world.outcome() == (outcome, reason)
    assert world.last.message
    assert world.placement() == before
    assert world.last.started_at == 0.0


def on_a_scaled_target(**spec: Any) -> DrillWorld:
    """West's softswitch carries forty with each replica, one of ten is Ready, and somebody asks for a run."""
    world = DrillWorld(**spec)
    site = site_spec("west", "hotel")
    site["systems"][0]["softswitch"]["scaling"] = SCALE
    world.publish(keys.SITE, "west", site)
    world.put(keys.replicas("west", "hotel"), ReplicasRecord(ready={"softswitch": 1}))
    world.command()
    world.settle()
    return world


def test_a_run_whose_shift_raises_the_replicas_does_not_wait_for_them() -> None:
    world = on_a_scaled_target()
    assert world.phase() == "Out", world.state.message
    out = world.shift_record(world.run.out.shift)
    assert (out.phase, out.reason) == ("Preparing", Reason.WAITING_FOR_REPLICAS)
    assert "1 of 3 Ready" in out.message
    assert world.run.facts is not None
    (found,) = [check.found for check in world.run.facts.checks if "FailoverReady" in check.check]
    assert found.startswith("1 of 1: RoomElsewhere")
    world.put(keys.replicas("west", "hotel"), ReplicasRecord(ready={"softswitch": 3}))
    world.settle()
    world.travel("east", "west")
    assert world.phase() == "Holding"


def test_a_rehearsed_failover_must_do_with_the_replicas_that_are_ready() -> None:
    failover = {"kind": "Failover", "failover": {"site": "east"}, "shift": {"selector": {"system": "hotel"}}}
    world = on_a_scaled_target(**failover)
    assert (world.state.phase, world.state.reason) == ("Checking", Reason.NOT_FAILOVER_READY)
    assert "its Ready replicas carry 40 of the 1500 agents" in world.state.message


def test_a_window_that_the_ways_do_not_fit_in_is_named_with_how_long_they_may_take() -> None:
    world = DrillWorld(windows={"allowed": [{"until": "01:00", "days": ["Thu"]}]})
    world.command()
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Checking", Reason.OUTSIDE_WINDOWS)
    assert "01:00 UTC, within the run (at most 35m" in world.state.message
    assert "10m there, 35m" in world.state.message


def test_the_example_fits_into_its_windows_until_its_starting_deadline() -> None:
    spec = yaml.safe_load(EXAMPLE.read_text())["spec"]
    world = DrillWorld(**{**spec, "shift": {**spec["shift"], "selector": {"system": "hotel"}}})
    due = next_after(spec["schedule"], spec["timeZone"], world.mono)
    assert due is not None
    world.hold()
    world.advance(due - world.mono)
    world.settle()
    assert world.state.reason == Reason.HELD
    world.delete(keys.HOLD)
    world.advance(29 * 60)
    world.settle()
    assert world.state.phase == "Out", world.state.message


def test_of_two_drills_of_the_same_cities_one_starts() -> None:
    world = DrillWorld()
    world.group({"east": 100}, name="callcenter/others", region="south")
    world.settle()
    world.sessions("east", "callcenter/others", {0: 1})
    world.drill(shift={"selector": {"region": "north"}, "to": "west"})
    world.drill("callcenter/another", shift={"selector": {"region": "south"}, "to": "west"})
    world.command()
    world.command(name="callcenter/another")
    world.settle()
    under_way = [entry.name for entry in world.snapshot.drills.values() if entry.under_way]
    assert under_way == ["callcenter/another"]
    assert world.state.phase == "Checking"
    assert world.state.reason in (Reason.DRILL_CONFLICT, Reason.SHIFT_CONFLICT)
    assert "callcenter/another" in world.state.message


# -- commands


def test_a_command_acts_once_from_whichever_cluster_it_comes() -> None:
    world = DrillWorld()
    world.command(site="west", number="w1")
    world.settle()
    assert (world.state.phase, world.run.due.by, world.run.due.request) == ("Out", "ada", "w1")
    world.command(site="east", number="e1")
    world.settle()
    assert (world.state.request, world.state.answer) == ("e1", "not started: a run is under way already (Out)")
    world.travel("east", "west")
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.travel("west", "east")
    world.another_coordinator()
    assert world.settle() == []
    assert len(world.state.runs) == 1


def test_commands_from_two_clusters_at_once_are_both_answered_and_told() -> None:
    world = DrillWorld()
    world.command(site="east", number="e1")
    world.command(site="west", number="w1")
    world.log.clear()
    world.settle()
    run = world.run
    (first,) = world.state.answered
    assert (run.due.request, first.id, first.answer) == ("e1", "e1", f"run {run.name} is due now")
    assert (world.state.request, world.state.answer) == ("w1", "not started: a run is under way already (Checking)")
    taken = [entry.why for entry in world.log if entry.action == "CommandTaken"]
    assert taken == [first.answer, world.state.answer]


def test_only_the_last_answers_are_kept() -> None:
    world = DrillWorld()
    for number in range(ANSWERS_KEPT + 5):
        world.command("abort", number=f"a{number}")
        world.settle()
    known = [world.state.request, *(one.id for one in world.state.answered)]
    assert known == [f"a{number}" for number in reversed(range(5, ANSWERS_KEPT + 5))]


def test_a_command_that_was_given_in_two_clusters_is_one() -> None:
    """The first one's operator stood still, so the command line went on to the next."""
    world = DrillWorld()
    world.settle()
    world.command("run", site="west", number="7")
    world.settle()
    answer = world.state.answer
    assert "is due now" in answer
    world.command("run", site="east", number="7")
    world.settle()
    assert (world.state.request, world.state.answer, world.state.answered) == ("7", answer, ())
    assert world.state.handled == {"east": "7", "west": "7"}
    world.command("abort", site="east", number="8")
    world.command("abort", site="west", number="8", age_s=600.0)
    world.settle()
    assert world.state.answer.startswith("aborted")
    assert [one.id for one in world.state.answered] == ["7"]


def test_a_command_that_comes_late_is_not_followed() -> None:
    world = DrillWorld()
    world.command(age_s=PATIENCE_S + 1)
    world.settle()
    assert world.state.phase == "Waiting"
    assert world.state.answer.endswith("ask again")


def test_a_late_commands_answer_says_whose_clocks_were_compared_and_what_they_said() -> None:
    world = DrillWorld()
    given = world.now.wall
    world.command(age_s=PATIENCE_S + 30)
    world.settle()
    assert "came 90 s late" in world.state.answer
    assert f"given at {utc(given - PATIENCE_S - 30)} by the clock of the cluster it was given in" in world.state.answer
    assert f"the coordinator's clock says {utc(given)}" in world.state.answer


def test_a_command_is_answered_although_nothing_can_be_done() -> None:
    world = DrillWorld()
    world.command("abort")
    world.settle()
    assert world.state.answer == "nothing is under way, so there is nothing to abort"
    world.hold()
    world.command("run", number="2")
    world.settle()
    world.command("abort", number="3")
    world.settle()
    assert world.outcome() == ("Interrupted", Reason.ABORTED_BY_USER)
    assert world.last.started_at == 0.0


# -- what stops it


def abort(world: DrillWorld) -> None:
    world.command("abort", number="2")


def suspend(world: DrillWorld) -> None:
    world.drill(suspend=True)


def delete(world: DrillWorld) -> None:
    world.delete(keys.spec("east", keys.DRILL, DRILL))


@pytest.mark.parametrize("stop", [abort, suspend, delete])
@pytest.mark.parametrize("stage", ["started", "holding", "coming_back"])
def test_a_run_that_is_stopped_brings_everybody_back(stage: str, stop: Callable[[DrillWorld], None]) -> None:
    world = DrillWorld(MIXED)
    getattr(world, stage)()
    stop(world)
    world.settle()
    assert "west>east" in world.placement()
    world.advance(2)
    world.sessions("west", GROUP, {})
    world.sessions("east", GROUP, dict.fromkeys(range(10), 1))
    back = next((shift for shift in world.snapshot.shifts if shift.endswith("-back")), None)
    if back is not None:
        world.arrived("east", back, 10)
    world.settle()
    assert world.placement() == MIXED
    if stop is delete:
        assert DRILL not in world.snapshot.drills
        assert not world.snapshot.shifts
        return
    outcome = world.outcome()[0]
    assert outcome == ("Succeeded" if (stage, stop) == ("coming_back", suspend) else "Interrupted")


def test_hold_pauses_a_run_and_it_goes_on_afterwards() -> None:
    world = DrillWorld().holding()
    world.hold()
    for _ in range(2):
        world.advance(HOLD_S + 3600)
        world.settle()
    assert (world.state.phase, world.state.reason) == ("Holding", Reason.HELD)
    assert world.placement() == {"west": "0-99"}
    world.delete(keys.HOLD)
    world.settle()
    assert world.state.phase == "Back"


def test_hold_in_a_wave_is_said_by_the_drill_too() -> None:
    world = DrillWorld(shift={**ALL["shift"], "waves": [50, 100]})
    world.started()
    world.hold()
    world.advance(2)
    world.sessions("east", GROUP, {})
    world.sessions("west", GROUP, {})
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Out", Reason.HELD)
    assert "waits" in world.state.message


def test_a_target_that_fails_half_way_is_waited_for_and_then_everybody_comes_back() -> None:
    world = DrillWorld(shift={**ALL["shift"], "waves": [50, 100]})
    world.started()
    world.observe("west", "west", "hotel", "cti", passes=False, firm=False)
    world.travel("east", "west", agents=5)
    assert (world.state.phase, world.state.reason) == ("Out", Reason.TARGET_NOT_USABLE)
    half = world.placement()
    assert set(half) == {"east", "west"}
    world.advance(PREPARE_PATIENCE_S - 1)
    world.settle()
    assert world.placement() == half
    world.advance(1.1)
    world.settle()
    assert "west>east" in world.placement()
    world.advance(2)
    world.sessions("west", GROUP, {})
    world.sessions("east", GROUP, dict.fromkeys(range(10), 1))
    world.settle()
    assert world.outcome() == ("Failed", Reason.TARGET_NOT_USABLE)
    assert world.placement() == {"east": "0-99"}


def test_after_a_hold_it_has_its_whole_patience() -> None:
    world = DrillWorld().holding()
    world.hold()
    for _ in range(2):
        world.advance(HOLD_S + PREPARE_PATIENCE_S + 10)
        world.settle()
    world.delete(keys.HOLD)
    world.observe("east", "east", "hotel", "cti", passes=False, firm=False)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Holding", Reason.TARGET_NOT_USABLE)
    world.observe("east", "east", "hotel", "cti")
    world.settle()
    assert world.state.phase == "Back"


def test_what_went_on_is_said_again() -> None:
    world = DrillWorld(shift={**ALL["shift"], "waves": [50, 100]})
    world.started()
    world.hold()
    world.travel("east", "west", agents=5)
    assert world.state.reason == Reason.HELD
    world.delete(keys.HOLD)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Out", Reason.DRILL_STARTED)


def test_a_persons_abort_of_the_shift_back_leaves_them_there_and_says_so() -> None:
    world = DrillWorld().coming_back()
    world.change_shift(world.run.back.shift, abort=True)
    world.settle()
    world.advance(2)
    world.sessions("east", GROUP, {})
    world.sessions("west", GROUP, dict.fromkeys(range(10), 1))
    world.settle()
    assert world.outcome() == ("Interrupted", Reason.ROLLED_BACK)
    assert f"not where they were: {GROUP} (buckets 0-99 at west)" in world.last.message


# -- emergencies


@pytest.mark.parametrize("stage", ["started", "holding", "coming_back"])
@pytest.mark.parametrize("city", ["east", "west"])
def test_an_emergency_ends_a_run_and_nothing_resumes_by_itself(stage: str, city: str) -> None:
    world = DrillWorld()
    getattr(world, stage)()
    other = "west" if city == "east" else "east"
    world.die(city, seen_by=(other, "witness"))
    world.advance(2.01)
    commits = world.settle()
    moved = [commit for commit in commits if keys.placement(GROUP) in commit.writes]
    for commit in moved:
        assert keys.drill(DRILL) in commit.writes, "in the failover's own transaction"
    assert world.outcome() == ("Interrupted", Reason.FAILED_OVER)
    assert dict(world.map().end_shares) == {other: 100}
    world.come_back(city)
    world.advance(4 * 3600)
    world.settle()
    assert dict(world.map().end_shares) == {other: 100}
    assert world.state.phase == "Waiting"


def test_an_emergency_that_does_not_concern_its_groups_leaves_it_alone() -> None:
    world = DrillWorld().holding()
    world.put(keys.failover("north"), FailoverRecord(number=1, state="Active"))
    world.settle()
    assert world.state.phase == "Holding"


def flight_fails(world: DrillWorld, city: str, *, works: bool = False) -> None:
    """Its softswitch for flight, which the Drill has no group of; or that works again."""
    for observer in (*world.cities, "witness"):
        world.observe(observer, city, "flight", "softswitch", passes=works)
    world.advance(60)
    world.settle()
    assert (world.snapshot.failovers[city].record.state == "Active") == (not works)


@pytest.mark.parametrize("city", ["east", "west"])
def test_an_emergency_of_another_system_leaves_it_there_and_it_comes_home_after_the_quarantine(city: str) -> None:
    world = DrillWorld(systems=("hotel", "flight"))
    world.group({"east": 50, "west": 50}, name="callcenter/flight", system="flight")
    world.settle()
    world.holding()
    flight_fails(world, city)
    assert world.phase() == "Holding"
    world.advance(HOLD_S + 2 * PREPARE_PATIENCE_S)
    world.settle()
    if city == "east":
        assert (world.state.phase, world.state.reason) == ("Holding", Reason.QUARANTINED)
        assert "cannot come back yet: east has failed" in world.state.message
        flight_fails(world, city, works=True)
        assert world.phase() == "Holding", "it may fail again at once"
        world.advance(QUARANTINE_S)
        world.settle()
    assert world.phase() == "Back", "to leave a city in quarantine is nothing that anybody forbids"
    world.travel("west", "east")
    assert world.outcome()[0] == "Succeeded"
    assert world.placement() == {"east": "0-99"}


@pytest.mark.parametrize(("wanted_home", "outcome"), [(True, "Interrupted"), (False, "Failed")])
def test_it_does_not_wait_for_ever_for_a_city_that_goes_on_failing(wanted_home: bool, outcome: str) -> None:
    world = DrillWorld(systems=("hotel", "flight"))
    world.group({"east": 50, "west": 50}, name="callcenter/flight", system="flight")
    world.settle()
    world.holding()
    flight_fails(world, "east")
    if wanted_home:
        world.command("abort", number="2")
    else:
        world.advance(HOLD_S)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Holding", Reason.QUARANTINED)
    world.advance(PREPARE_PATIENCE_S + 1)
    world.settle()
    assert world.outcome()[0] == outcome
    assert "gave up to come back" in world.last.message


# -- others, meanwhile


def test_its_groups_and_their_room_at_home_are_kept_while_they_are_away() -> None:
    world = DrillWorld(capacity=150).holding()
    world.shift("callcenter/mine", selector={"system": "hotel"}, to="east")
    world.settle()
    mine = world.shift_record("callcenter/mine")
    assert (mine.phase, mine.reason) == ("Failed", Reason.SHIFT_CONFLICT)
    assert f"Drill {DRILL}" in mine.message
    world.group({"east": 100}, name="callcenter/newcomers", agents=60)
    world.settle()
    assert "callcenter/newcomers" not in world.snapshot.placements
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.travel("west", "east")
    assert world.outcome()[0] == "Succeeded"


def test_a_home_that_can_carry_less_than_before_gets_nobody_back_and_says_who_stays() -> None:
    world = DrillWorld().holding()
    overbooked_home(world)
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Holding", Reason.CAPACITY_EXCEEDED)
    world.advance(PREPARE_PATIENCE_S + 0.1)
    world.settle()
    assert world.outcome() == ("CapacityCheckFailed", Reason.CAPACITY_EXCEEDED)
    assert "buckets 0-99 at west" in world.last.message
    assert "A Shift brings them back" in world.last.message


def the_site_is_deleted(world: DrillWorld) -> None:
    for city in world.cities:
        world.delete(keys.spec(city, keys.SITE, "east"))


def its_system_is_taken_out(world: DrillWorld) -> None:
    world.publish(keys.SITE, "east", site_spec("east", "flight"))


@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (the_site_is_deleted, Reason.UNKNOWN_SITE, "Site east is applied nowhere any more"),
        (its_system_is_taken_out, Reason.UNKNOWN_SYSTEM, "Site east has no system hotel any more"),
    ],
)
def test_a_home_that_is_gone_is_named_as_such_and_waited_for(
    change: Callable[[DrillWorld], None], reason: Reason, said: str
) -> None:
    world = DrillWorld().holding()
    change(world)
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Holding", reason)
    assert f"cannot come back yet: {said}, and agents of {GROUP} are to come back there" in world.state.message
    world.advance(PREPARE_PATIENCE_S + 0.1)
    world.settle()
    assert world.outcome() == ("Failed", reason)
    assert "again, in every city, or let them stay away" in world.last.message
    assert "capacity" not in world.last.message


def test_a_home_that_is_applied_again_in_time_has_its_agents_back() -> None:
    world = DrillWorld().holding()
    the_site_is_deleted(world)
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.publish(keys.SITE, "east", site_spec("east", "hotel"))
    world.settle()
    assert world.state.phase == "Back", world.state.message


@pytest.mark.parametrize("waves", [[100], [50, 100]])
@pytest.mark.parametrize(
    ("change", "reason", "said"),
    [
        (the_site_is_deleted, Reason.UNKNOWN_SITE, "Site east is applied nowhere any more"),
        (its_system_is_taken_out, Reason.UNKNOWN_SYSTEM, "Site east has no system hotel any more"),
    ],
)
def test_a_home_that_is_gone_while_they_are_on_their_way_there_ends_the_run_and_is_named(
    change: Callable[[DrillWorld], None], reason: Reason, said: str, waves: list[int]
) -> None:
    world = DrillWorld(shift={"selector": {"system": "hotel"}, "to": "west", "waves": waves}).started()
    for _ in waves:
        world.travel("east", "west")
        world.advance(10)
        world.settle()
    world.advance(HOLD_S + 0.1)
    world.settle()
    way = world.run.back.shift
    assert (world.state.phase, world.shift_record(way).phase) == ("Back", "Moving")
    change(world)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Back", reason)
    assert f"cannot go on: {said}, and agents of {GROUP} are to come back there" in world.state.message
    told = [entry for entry in world.log if entry.kind == "Drill"][-1]
    assert (told.action, told.reason) == ("Waiting", reason)
    where = world.placement()
    world.advance(PREPARE_PATIENCE_S + 0.1)
    world.settle()
    assert world.outcome() == ("Failed", reason)
    assert f"gave up to come back after 300 s: {said}" in world.last.message
    assert "again, in every city, or let them stay away" in world.last.message
    assert ("buckets 0-4 at west" in world.last.message) == (len(waves) > 1)
    ended = world.shift_record(way)
    assert (ended.phase, ended.reason, ended.finished_at) == ("Interrupted", reason, world.mono)
    assert world.placement() == where
    world.shift(selector={"system": "hotel"}, to="west")
    world.settle()
    assert world.shift_record().phase == "Moving"  # they may stay away


def test_the_home_of_a_group_that_stays_away_keeps_nobody_else_from_his() -> None:
    """Somebody else has placed it meanwhile, so it is not on the way back."""
    other = "callcenter/hotel-north-support"
    world = DrillWorld()
    world.publish(keys.SITE, "north", site_spec("north", "hotel"))
    world.put(keys.heartbeat("north"), HeartbeatRecord(site="north", engine="north", started_at=0))
    world.healthy("north", "hotel")
    for component in ("softswitch", "cti"):
        world.observe("north", "north", "hotel", component)
    world.report("north", "hotel", {})
    world.group({"north": 100}, name=other, sites=["north", "west", "east"])
    world.settle()
    world.sessions("north", other, {})
    world.started()
    world.sessions("north", other, {})
    world.sessions("west", other, {})
    world.travel("east", "west")
    assert world.phase() == "Holding", world.state.message
    elsewhere = {"map": {"west": "0-99"}, "cause": "Shift/other"}
    world.put(keys.placement(other), world.record(other).model_copy(update=elsewhere))
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert [plan.group for plan in world.shift_record(world.run.back.shift).plan] == [GROUP]
    for city in world.cities:
        world.delete(keys.spec(city, keys.SITE, "north"))
    world.settle()
    world.advance(PREPARE_PATIENCE_S + 0.1)
    world.settle()
    assert (world.phase(), world.state.reason) == ("Back", Reason.COMING_BACK), world.state.message
    world.travel("west", "east")
    assert world.outcome() == ("Failed", Reason.NOT_RESTORED)
    assert world.placement() == {"east": "0-99"}


def test_an_emergency_that_ends_the_way_back_comes_before_the_patience_with_a_home_that_is_gone() -> None:
    """Both in one decision: one transaction writes a key once."""
    world = DrillWorld().coming_back()
    the_site_is_deleted(world)
    for key in [key for key in world.store if key.startswith(keys.OBSERVATIONS) and "/east/hotel/" in key]:
        world.delete(key)
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east": "5-99", "west": "0-4"}}))
    world.settle()
    world.advance(PREPARE_PATIENCE_S - 1.5)
    world.settle()
    world.die("west", seen_by=("east", "witness"))
    world.advance(2.01)
    written = [key for commit in world.decide().commits for key in commit.writes]
    assert keys.failover("west") in written
    assert keys.shift(world.run.back.shift) in written
    assert len(written) == len(set(written))
    world.settle()
    assert world.outcome() == ("Interrupted", Reason.FAILED_OVER)


def test_a_home_that_is_applied_again_in_time_has_the_rest_of_its_agents_back() -> None:
    world = DrillWorld().coming_back()
    the_site_is_deleted(world)
    world.settle()
    world.advance(PREPARE_PATIENCE_S - 1)
    world.settle()
    world.publish(keys.SITE, "east", site_spec("east", "hotel"))
    world.settle()
    assert "goes on" in world.state.message
    world.travel("west", "east")
    assert world.outcome() == ("Succeeded", Reason.COMPLETED), world.last.message


def test_the_patience_with_a_home_that_is_gone_begins_when_it_goes() -> None:
    world = DrillWorld().coming_back()
    shift = world.run.back.shift
    waits = {"reason": Reason.TOO_FEW_SIGNED_IN, "message": "half of them"}
    world.put(keys.shift(shift), world.shift_record(shift).model_copy(update=waits))
    world.settle()
    assert world.state.reason == Reason.TOO_FEW_SIGNED_IN
    world.advance(2 * PREPARE_PATIENCE_S)
    the_site_is_deleted(world)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Back", Reason.UNKNOWN_SITE)


def test_a_run_that_is_aborted_while_it_waits_for_its_home_ends_when_it_would_have() -> None:
    world = DrillWorld().coming_back()
    the_site_is_deleted(world)
    world.settle()
    world.advance(PREPARE_PATIENCE_S - 1)
    world.command("abort", number="2")
    world.settle()
    assert (world.phase(), world.state.reason) == ("Back", Reason.UNKNOWN_SITE)
    world.advance(1.1)
    world.settle()
    assert world.outcome() == ("Interrupted", Reason.ABORTED_BY_USER)
    assert "Site east is applied nowhere any more" in world.last.message


def test_a_way_back_that_a_person_turns_round_needs_no_home() -> None:
    world = DrillWorld().coming_back()
    the_site_is_deleted(world)
    world.change_shift(world.run.back.shift, abort=True)
    world.settle()
    assert world.placement() == {"east>west": "0-99"}
    world.advance(PREPARE_PATIENCE_S + 0.1)
    world.settle()
    assert (world.state.phase, world.shift_record(world.run.back.shift).phase) == ("Back", "Aborting")


def test_a_run_whose_last_agents_had_come_home_when_it_was_deleted_has_succeeded() -> None:
    world = DrillWorld().coming_back()
    the_site_is_deleted(world)
    world.travel("west", "east")
    assert world.outcome() == ("Succeeded", Reason.COMPLETED), world.last.message


def test_a_home_that_was_deleted_while_nobody_arrived_there_is_named() -> None:
    world = DrillWorld().coming_back()
    world.travel("west", "east", agents=0)
    assert world.shift_record(world.run.back.shift).phase == "Verifying"
    the_site_is_deleted(world)
    world.advance(VERIFY_S + 0.1)
    world.settle()
    assert world.outcome() == ("Failed", Reason.UNKNOWN_SITE)
    assert "let them stay away; 10 of 10 agents of Shift" in world.last.message


def test_a_way_back_that_fails_before_it_begins_names_the_home_that_is_gone() -> None:
    world = DrillWorld().holding()
    world.advance(HOLD_S + 0.1)
    (planned,) = world.decide().commits
    assert world.commit(planned)
    world.observe("east", "east", "hotel", "cti", passes=False)
    world.settle()
    way = world.shift_record(world.run.back.shift)
    assert (world.state.phase, way.phase) == ("Back", "Preparing")
    world.advance(PREPARE_PATIENCE_S - 1)
    the_site_is_deleted(world)
    world.settle()
    assert world.state.reason == Reason.UNKNOWN_SITE
    world.advance(2)
    world.settle()
    assert world.outcome() == ("Failed", Reason.UNKNOWN_SITE)
    assert "gave up before anything moved" in world.last.message


def test_a_city_that_has_too_many_gives_those_up_who_go_home() -> None:
    world = DrillWorld({"east": "0-59", "west": "60-99"}).holding()
    overbooked_home(world, "west")
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert world.state.phase == "Back", world.state.message


def a_manifest_on_its_way(world: DrillWorld, *, to: Sequence[str], pace: int = 7) -> None:
    """A GitOps tool changes the group in one city after the other."""
    world.group({"east": 100}, pace=pace, by=to)


def test_a_group_whose_copies_differ_for_an_engine_that_has_just_started_is_waited_for_and_comes_home() -> None:
    world = DrillWorld().holding()
    a_manifest_on_its_way(world, to=["west"])
    world.another_coordinator()
    world.settle()
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Holding", Reason.SPEC_NOT_CONSISTENT)
    assert f"cannot come back yet: AgentGroup {GROUP} differs between east and west" in world.state.message
    a_manifest_on_its_way(world, to=["east"])
    world.settle()
    assert world.state.phase == "Back"
    world.travel("west", "east")
    assert world.outcome() == ("Succeeded", Reason.COMPLETED), world.last.message


@pytest.mark.parametrize("others", [0, 1])
def test_one_whose_copies_go_on_differing_keeps_the_others_for_no_longer_than_that_patience(others: int) -> None:
    world = DrillWorld()
    if others:
        world.group({"east": 100}, name="callcenter/other", agents=10)
        world.settle()
    world.started()
    if others:
        world.sessions("east", "callcenter/other", {})
        world.sessions("west", "callcenter/other", {})
    world.travel("east", "west")
    a_manifest_on_its_way(world, to=["west"])
    world.another_coordinator()
    world.settle()
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert world.state.reason == Reason.SPEC_NOT_CONSISTENT
    world.advance(PREPARE_PATIENCE_S + 1.0)
    world.settle()
    if others:
        assert world.state.phase == "Back"
        assert [plan.group for plan in world.shift_record(world.run.back.shift).plan] == ["callcenter/other"]
    else:
        assert world.outcome() == ("Failed", Reason.SPEC_NOT_CONSISTENT)
        assert "gave up to come back after 300 s: AgentGroup" in world.last.message


def test_a_group_that_is_applied_nowhere_any_more_is_named_as_such() -> None:
    world = DrillWorld().holding()
    for site in ("east", "west"):
        world.delete(keys.spec(site, keys.AGENT_GROUP, GROUP))
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert world.outcome() == ("Failed", Reason.NOT_RESTORED)
    assert f"AgentGroup {GROUP} is applied nowhere any more, so nobody was brought back; apply it" in world.last.message


def test_a_group_that_somebody_else_has_placed_meanwhile_is_left_alone_and_named() -> None:
    world = DrillWorld().holding()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"cause": "Order"}))
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.outcome() == ("Failed", Reason.NOT_RESTORED)
    assert f"{GROUP} (buckets 0-99 at west)" in world.last.message


def test_a_home_that_is_not_usable_for_a_while_is_waited_for() -> None:
    world = DrillWorld().holding()
    world.observe("east", "east", "hotel", "cti", passes=False, firm=False)
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Holding", Reason.TARGET_NOT_USABLE)
    world.observe("east", "east", "hotel", "cti")
    world.settle()
    assert world.state.phase == "Back"


# -- premises


def between(world: DrillWorld, change: Callable[[DrillWorld], object]) -> list[bool]:
    """Decide, let something happen, then commit what concerns the Drill: which commits the store takes."""
    commits = [commit for commit in world.decide().commits if commit.subject == f"Drill {DRILL}"]
    assert commits
    change(world)
    return [world.commit(commit) for commit in commits]


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(DrillWorld.hold, id="hold"),
        pytest.param(suspend, id="the-spec"),
        pytest.param(failed, id="a-failover"),
        pytest.param(new_reign, id="the-reign"),
        pytest.param(lambda world: world.put(keys.drill(DRILL), world.state), id="the-record"),
    ],
)
def test_what_changes_between_decision_and_commit_stops_the_start(change: Callable[[DrillWorld], object]) -> None:
    world = DrillWorld()
    world.command()
    assert between(world, change) == [False]


def test_a_hold_between_decision_and_commit_stops_the_way_back() -> None:
    world = DrillWorld().holding()
    world.advance(HOLD_S + 0.1)
    assert between(world, DrillWorld.hold) == [False]


# -- what is kept


def test_old_runs_go_with_their_shifts_and_each_kind_has_its_own_room() -> None:
    world = DrillWorld(succeededRunsHistoryLimit=2, otherRunsHistoryLimit=1)
    for number in range(4):
        world.advance(10)
        world.command(number=f"good-{number}")
        world.settle()
        world.travel("east", "west")
        world.advance(HOLD_S + 0.1)
        world.settle()
        world.travel("west", "east")
    assert [run.outcome for run in world.state.runs] == ["Succeeded", "Succeeded"]
    assert len(world.snapshot.shifts) == 4
    world.hold()
    for number in range(2):
        world.advance(10)
        world.command(number=f"bad-{number}")
        world.settle()
        world.advance(PATIENCE_S + 1)
        world.settle()
    assert [run.outcome for run in world.state.runs] == ["Blocked", "Succeeded", "Succeeded"]


def test_a_drill_that_is_deleted_everywhere_is_forgotten_with_its_shifts() -> None:
    world = DrillWorld().over()
    delete(world)
    world.settle()
    assert DRILL not in world.snapshot.drills
    assert not world.snapshot.shifts


def test_a_lost_citys_older_manifest_holds_up_nothing() -> None:
    world = DrillWorld()
    world.drill(by=("west",), hold="1h")
    assert not world.snapshot.drill_specs[DRILL].consistent
    world.put(keys.failover("east"), FailoverRecord(number=1, state="Active"))
    published = world.snapshot.drill_specs[DRILL]
    assert (published.consistent, published.voices) == (True, ("west",))
    assert published.spec is not None
    assert published.spec.hold == "1h"


def test_a_copy_alone_is_no_drill() -> None:
    world = DrillWorld()
    world.command(site="west")
    delete(world)
    world.settle()
    assert DRILL not in world.snapshot.drills
    assert world.placement() == {"east": "0-99"}


# -- gates


def at_a_gate(gates: dict[str, object]) -> DrillWorld:
    """The first of two waves has left, and nobody of it is at west."""
    world = DrillWorld(shift={**ALL["shift"], "waves": [50, 100], "gates": gates})
    world.started()
    world.advance(FINISH_INTERVAL_S)
    world.sessions("east", GROUP, dict.fromkeys(range(5), 1))
    world.sessions("west", GROUP, {})
    world.settle()
    world.advance(GATE_SETTLE_S + 0.1)
    world.settle()
    return world


def test_a_gate_that_stays_closed_on_the_way_out_fails_the_run_with_everybody_back() -> None:
    world = at_a_gate({"patience": "1m"})
    assert (world.state.phase, world.state.reason) == ("Out", Reason.TOO_FEW_SIGNED_IN)
    assert "waits" in world.state.message
    world.advance(60.1)
    world.settle()
    world.advance(FINISH_INTERVAL_S)
    world.sessions("west", GROUP, {})
    world.sessions("east", GROUP, dict.fromkeys(range(10), 1))
    world.settle()
    assert world.outcome() == ("Failed", Reason.ROLLED_BACK)
    assert "SignedIn stayed closed" in world.last.message
    assert world.placement() == {"east": "0-99"}


def test_a_gate_that_stays_closed_on_the_way_back_sends_nobody_away_again() -> None:
    world = DrillWorld(shift={**ALL["shift"], "waves": [50, 100], "gates": {"patience": "1m"}})
    world.started()
    world.travel("east", "west", agents=5)
    world.travel("east", "west")
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert world.state.phase == "Back", world.state.message
    world.advance(FINISH_INTERVAL_S)
    world.sessions("west", GROUP, dict.fromkeys(range(5), 1))
    world.sessions("east", GROUP, {})
    world.settle()
    for _ in range(3):
        world.advance(61.0)
        world.settle()
    assert (world.state.phase, world.state.reason) == ("Back", Reason.TOO_FEW_SIGNED_IN)
    assert "west>east" not in world.placement()
    assert "east>west" not in world.placement()
