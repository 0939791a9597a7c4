"""The decision log's entries: every decision once, with who, what and why; every placement named by exactly one."""

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tandem.constants import FINISH_INTERVAL_S, ROUTES_INTERVAL_S
from tandem.domain import keys
from tandem.domain.decision import Commit
from tandem.domain.history import decided, in_short
from tandem.domain.history_search import shown
from tandem.domain.reasons import Reason
from tandem.domain.records import GroupReport, HistoryEntry, HistoryRecord, OrderRecord
from tests.unit.domain.drill_world import DRILL, HOLD_S, DrillWorld
from tests.unit.domain.test_rehearsal import Rehearsed
from tests.unit.domain.test_routes import TRUNK, trunk_spec
from tests.unit.domain.world import GROUP, World

SHIFT = "callcenter/s1"
OTHER = "callcenter/hotel-south-support"
ALL = dict.fromkeys(range(100), 1)
CONFIRMED_S = 2.01


def settled(**group: Any) -> World:
    """A hundred agents at east; what led to that is not in the log any more."""
    world = World()
    world.group({"east": 100}, **group)
    world.settle()
    world.sessions("east", GROUP, ALL)
    world.log.clear()
    return world


def lines(log: Sequence[HistoryEntry]) -> list[tuple[str, str, str]]:
    """Object, action and who."""
    return [(f"{entry.kind} {entry.name}".strip(), entry.action, shown(entry.who)) for entry in log]


def told(world: World, step: Callable[[World], object]) -> list[tuple[str, str, str]]:
    """What the log has after this step more than before."""
    before = len(world.log)
    step(world)
    world.settle()
    return lines(world.log[before:])


def everybody_moves(world: World, to: str = "west", shift: str = SHIFT) -> None:
    world.advance(FINISH_INTERVAL_S)
    world.sessions("east" if to == "west" else "west", GROUP, {})
    world.sessions(to, GROUP, ALL)
    world.arrived(to, shift, 100)


# -- orders


def test_a_first_placement_names_its_order_and_its_group() -> None:
    world = World()
    assert told(world, lambda world: world.group({"east": 60, "west": 40})) == [
        (f"AgentGroup {GROUP}", "Placed", f"order {world.snapshot.orders[GROUP].record.digest[:8]}")
    ]
    (entry,) = world.log
    assert (entry.placed, entry.groups, entry.sites) == ((GROUP,), (), ("east", "west"))
    assert (entry.agents, entry.buckets) == (100, 100)
    assert "placed as ordered (east 60 %, west 40 %)" in entry.why


def test_a_placement_is_adopted_where_agents_are_signed_in() -> None:
    world = World()
    world.sessions("west", GROUP, ALL)
    ((what, action, _),) = told(world, lambda world: world.group({"east": 100}))
    assert (what, action) == (f"AgentGroup {GROUP}", "Adopted")
    assert world.log[-1].placed == (GROUP,)


def test_an_order_without_a_record_is_adopted_and_places_nobody() -> None:
    world = settled()
    world.delete(keys.order(GROUP))
    ((_, action, _),) = told(world, lambda _: None)
    assert (action, world.log[-1].placed) == ("Adopted", ())


def test_a_changed_order_is_accepted_and_its_shift_carries_it_out() -> None:
    world = settled()
    found = told(world, lambda world: world.group({"west": 100}))
    shift = world.only_shift()
    order = f"order {world.snapshot.orders[GROUP].record.digest[:8]}"
    assert found == [
        (f"AgentGroup {GROUP}", "OrderAccepted", order),
        (f"Shift {shift}", "Accepted", order),
        (f"Shift {shift}", "WaveStarted", order),
    ]
    assert [entry.placed for entry in world.log] == [(), (), (GROUP,)]
    assert world.log[0].shift == shift


def test_a_refused_order_says_why() -> None:
    world = settled()
    ((what, action, _),) = told(world, lambda world: world.group({"west": 100}, agents=100_000))
    assert (what, action) == (f"AgentGroup {GROUP}", "OrderRefused")
    assert world.log[-1].reason == Reason.CAPACITY_EXCEEDED
    assert "has room for" in world.log[-1].why or "room" in world.log[-1].why


# -- Shifts


def a_shift(world: World, **spec: object) -> None:
    world.shift(SHIFT, **{"selector": {"system": "hotel"}, "to": "west", "requestedBy": "ada", **spec})


def test_a_shift_is_told_from_its_acceptance_to_its_end() -> None:
    world = settled()
    assert told(world, lambda world: a_shift(world, waves=[50, 100])) == [
        (f"Shift {SHIFT}", "Accepted", "ada"),
        (f"Shift {SHIFT}", "WaveStarted", "ada"),
    ]
    accepted, started = world.log
    assert (accepted.groups, accepted.placed, accepted.agents) == ((GROUP,), (), 100)
    assert (started.groups, started.placed, started.buckets, started.agents) == ((), (GROUP,), 50, 50)
    assert started.sites == ("east", "west")
    assert "wave 1 of 2" in started.why

    def first_half(world: World) -> None:
        leaving = world.map().in_transit
        world.advance(FINISH_INTERVAL_S)
        world.sessions("east", GROUP, {bucket: 1 for bucket in ALL if bucket not in leaving})
        world.sessions("west", GROUP, dict.fromkeys(leaving, 1))

    half = told(world, first_half)
    assert (f"Shift {SHIFT}", "BucketsArrived", "ada") in half
    assert (f"Shift {SHIFT}", "WaveStarted", "ada") in half
    arrived = next(entry for entry in world.log if entry.action == "BucketsArrived")
    assert (arrived.placed, arrived.buckets) == ((GROUP,), 50)
    found = told(world, everybody_moves)
    assert sorted(found) == [(f"Shift {SHIFT}", "BucketsArrived", "ada"), (f"Shift {SHIFT}", "Completed", "ada")]
    completed = next(entry for entry in world.log if entry.action == "Completed")
    assert "agents arrived at west" in completed.why
    assert (completed.groups, completed.placed) == ((GROUP,), ())


def test_a_shift_without_a_name_behind_it_was_a_persons_all_the_same() -> None:
    world = settled()
    assert {who for _, _, who in told(world, lambda world: a_shift(world, requestedBy=""))} == {"a person"}


def test_a_shift_that_is_refused_says_why() -> None:
    world = settled()
    assert told(world, lambda world: a_shift(world, to="north")) == [(f"Shift {SHIFT}", "Refused", "ada")]
    assert world.log[-1].reason == Reason.UNKNOWN_SITE
    assert "north" in world.log[-1].why


def test_a_shift_that_waits_says_so_once_for_each_reason() -> None:
    world = settled()
    world.hold()
    assert told(world, a_shift) == [(f"Shift {SHIFT}", "Waiting", "ada")]
    assert world.log[-1].reason == Reason.HELD
    world.advance(5.0)
    assert told(world, lambda _: None) == []
    assert [action for _, action, _ in told(world, lambda world: world.delete(keys.HOLD))] == [
        "Accepted",
        "WaveStarted",
    ]


def test_other_words_for_the_same_reason_are_no_news() -> None:
    world = settled()
    world.hold()
    told(world, a_shift)
    said = world.shift_record(SHIFT).model_copy(update={"message": "in other words"})
    commit = Commit(f"Shift {SHIFT}", Reason.HELD, said.message, (), {keys.shift(SHIFT): said})
    assert decided(world.snapshot, [commit]) == ()


def test_a_dry_run_is_planned_and_not_accepted() -> None:
    world = settled()
    found = told(world, lambda world: a_shift(world, dryRun=True))
    assert [action for _, action, _ in found] == ["Planned", "Completed"]


def test_approval_is_asked_for() -> None:
    world = settled()
    found = told(world, lambda world: a_shift(world, approval="Manual"))
    assert [action for _, action, _ in found] == ["Accepted", "ApprovalAsked"]


def test_an_abort_is_told_with_what_it_turns_back_and_not_as_the_askers() -> None:
    world = settled()
    told(world, a_shift)
    found = told(world, lambda world: world.change_shift(SHIFT, abort=True))
    assert found == [(f"Shift {SHIFT}", "Aborting", "a person")]
    aborting = world.log[-1]
    assert (aborting.placed, aborting.buckets) == ((GROUP,), 100)
    found = told(world, lambda world: everybody_moves(world, "east"))
    assert (f"Shift {SHIFT}", "RolledBack", "a person") in found


def test_whoever_aborts_and_says_who_he_is_is_named() -> None:
    world = settled()
    told(world, a_shift)
    found = told(world, lambda world: world.change_shift(SHIFT, abort=True, aborted_by="bob"))
    assert found == [(f"Shift {SHIFT}", "Aborting", "bob")]
    assert world.log[-1].why.startswith("aborted by bob: what this Shift moved goes back")
    found = told(world, lambda world: everybody_moves(world, "east"))
    assert (f"Shift {SHIFT}", "RolledBack", "bob") in found
    told(world, lambda world: a_shift(world, approval="Manual"))
    name = next(name for name, entry in world.snapshot.shifts.items() if not entry.finished)
    found = told(world, lambda world: world.change_shift(name, abort=True, aborted_by="bob"))
    assert found == [(f"Shift {name}", "Aborted", "bob")]


def test_an_abort_before_anything_moved_is_one_line() -> None:
    world = settled()
    told(world, lambda world: a_shift(world, approval="Manual"))
    assert told(world, lambda world: world.change_shift(SHIFT, abort=True)) == [
        (f"Shift {SHIFT}", "Aborted", "a person")
    ]


def many_groups(count: int) -> tuple[World, list[str]]:
    world = World(capacity=100_000)
    names = [f"callcenter/g{number:03d}" for number in range(count)]
    for name in names:
        world.group({"east": 100}, name=name, agents=10)
    world.settle()
    world.log.clear()
    return world, names


def test_a_shift_of_two_hundred_groups_is_a_handful_of_entries() -> None:
    world, names = many_groups(200)
    found = told(world, lambda world: a_shift(world, waves=[100]))
    actions = [action for _, action, _ in found]
    assert actions == ["Accepted", "WaveStarted", "WaveContinued", "WaveContinued"]
    assert sorted(group for entry in world.log for group in entry.placed) == names
    world.advance(FINISH_INTERVAL_S)
    for name in names:
        world.sessions("east", name, {})
        world.sessions("west", name, {})
    snapshot = world.snapshot
    commits = world.decide().commits
    (arrived,) = (entry for entry in decided(snapshot, commits) if entry.action == "BucketsArrived")
    assert (arrived.kind, arrived.name, len(arrived.placed)) == ("Shift", SHIFT, 200)
    assert arrived.buckets == 20_000
    assert "20000 buckets of 200 groups" in arrived.why


# -- emergencies


def test_a_failover_is_told_with_its_evidence_and_ends_with_a_quarantine() -> None:
    world = settled()
    world.die("east")
    world.advance(CONFIRMED_S)
    assert told(world, lambda _: None) == [("Site east", "FailoverDecided", "Failover")]
    entry = world.log[-1]
    assert (entry.placed, entry.buckets, entry.agents, entry.sites) == ((GROUP,), 100, 100, ("east", "west"))
    assert "west and witness cannot reach" in entry.why
    world.sessions("west", GROUP, ALL)
    assert told(world, lambda world: world.come_back("east")) == [
        ("Site east", "FailoverEnded", "Failover"),
        ("Site east", "QuarantineBegun", "Quarantine"),
    ]
    assert "for 5 s" in world.log[-1].why


def test_a_failover_of_many_groups_is_one_entry_for_each_transaction() -> None:
    world, names = many_groups(150)
    world.die("east")
    world.advance(CONFIRMED_S)
    actions = [action for _, action, _ in told(world, lambda _: None)]
    assert actions == ["FailoverDecided", "FailoverContinued"]
    assert sorted(group for entry in world.log for group in entry.placed) == names


def test_an_emergency_interrupts_a_shift_and_both_are_told_in_one_transaction() -> None:
    world = settled()
    told(world, lambda world: a_shift(world, waves=[50, 100]))
    world.die("east")
    world.advance(CONFIRMED_S)
    assert sorted(told(world, lambda _: None)) == [
        (f"Shift {SHIFT}", "Interrupted", "Failover"),
        ("Site east", "FailoverDecided", "Failover"),
    ]
    placed = [entry.placed for entry in world.log[-2:]]
    assert sorted(placed) == [(), (GROUP,)]


def test_a_manual_failover_asks_and_moves_in_the_name_of_who_approved() -> None:
    world = settled(failover="Manual")
    world.die("east")
    world.advance(CONFIRMED_S)
    found = told(world, lambda _: None)
    question = world.only_shift()
    assert sorted(found) == [
        (f"Shift {question}", "ApprovalAsked", "Failover"),
        ("Site east", "FailoverDecided", "Failover"),
    ]
    assert "west and witness cannot reach" in next(entry.why for entry in world.log if entry.kind == "Site")
    found = told(world, lambda world: world.change_shift(question, approved=True, approved_by="ada"))
    assert found == [("Site east", "FailoverContinued", "ada"), (f"Shift {question}", "Completed", "ada")]
    assert world.log[-2].placed == (GROUP,)


def test_a_declined_question_is_told() -> None:
    world = settled(failover="Manual")
    world.die("east")
    world.advance(CONFIRMED_S)
    told(world, lambda _: None)
    question = world.only_shift()
    found = told(world, lambda world: world.change_shift(question, abort=True, aborted_by="bob"))
    assert found == [(f"Shift {question}", "Declined", "bob")]


def test_a_return_that_the_group_asks_for_is_the_rules() -> None:
    world = settled(**{"return": {"mode": "Automatic", "stableFor": "10m"}})
    world.die("east")
    world.advance(CONFIRMED_S)
    world.settle()
    world.sessions("west", GROUP, ALL)
    world.come_back("east")
    world.settle()
    world.advance(601)
    found = told(world, lambda _: None)
    assert [(action, who) for _, action, who in found] == [("Accepted", "Return"), ("WaveStarted", "Return")]


def test_a_forgotten_placement_is_told() -> None:
    world = settled()
    world.sessions("east", GROUP, {})
    for site in world.cities:
        world.delete(keys.spec(site, keys.AGENT_GROUP, GROUP))
    world.settle()
    world.advance(61)
    assert told(world, lambda _: None) == [(f"AgentGroup {GROUP}", "Forgotten", "Forget")]
    assert world.log[-1].placed == (GROUP,)


def test_tidying_finished_shifts_away_is_no_decision() -> None:
    world = settled()
    told(world, lambda world: a_shift(world, to="east", ttlSecondsAfterFinished=0))
    world.advance(1000)
    assert told(world, lambda _: None) == []
    assert world.snapshot.shifts == {}


# -- Drills


def test_a_drill_is_told_with_its_shifts_and_its_outcome() -> None:
    world = DrillWorld()
    assert ("Drill callcenter/monthly", "Scheduled") not in [(what, action) for what, action, _ in lines(world.log)]
    world.log.clear()
    found = told(world, DrillWorld.started)  # type: ignore[arg-type]
    drill = [(action, who) for what, action, who in found if what == f"Drill {DRILL}"]
    assert drill == [("CommandTaken", "ada"), ("Started", "ada")]
    shifts = {who for what, _, who in found if what.startswith("Shift")}
    assert shifts == {f"Drill {world.run.out.shift.rpartition('/')[2]}"}
    world.travel("east", "west")
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.travel("west", "east")
    drill = [(action, who) for what, action, who in lines(world.log) if what == f"Drill {DRILL}"]
    assert drill[2:] == [("Holding", "ada"), ("ComingBack", "ada"), ("Succeeded", "ada")]
    over = next(entry for entry in world.log if entry.action == "Succeeded")
    assert (over.groups, over.sites, over.agents) == ((GROUP,), ("west",), world.state.runs[0].out.agents)


def test_a_drill_by_its_schedule_is_the_schedules() -> None:
    world = DrillWorld(schedule="0 3 * * *")
    assert [(action, who) for what, action, who in lines(world.log) if what == f"Drill {DRILL}"] == [
        ("Scheduled", "Schedule")
    ]
    world.hold()
    world.advance(3 * 3600 + 1 - world.mono)
    found = told(world, lambda _: None)
    assert [(action, who) for _, action, who in found] == [("Due", "schedule"), ("Waiting", "schedule")]
    assert [entry.reason for entry in world.log[-2:]] == [Reason.CHECKING, Reason.HELD]
    world.advance(1)
    assert told(world, lambda _: None) == []
    world.advance(3600)
    found = told(world, lambda _: None)
    assert found[-1] == (f"Drill {DRILL}", "Blocked", "schedule")


def test_an_aborted_drill_names_who_gave_the_command_and_its_shift_the_drill() -> None:
    world = DrillWorld().started()
    world.log.clear()
    found = told(world, lambda world: world.command("abort", number="2"))  # type: ignore[attr-defined]
    assert (f"Drill {DRILL}", "CommandTaken", "ada") in found
    assert (f"Drill {DRILL}", "ComingBackEarly", "ada") in found
    shift = [(action, who) for what, action, who in found if what.startswith("Shift")]
    assert shift[0][0] == "AbortAsked"
    assert {who for _, who in shift} == {f"Drill {world.run.out.shift.rpartition('/')[2]}"}


def test_an_emergency_interrupts_a_drill() -> None:
    world = DrillWorld().holding()
    world.log.clear()
    world.die("west", seen_by=("east", "witness"))
    world.advance(CONFIRMED_S)
    found = told(world, lambda _: None)
    assert (f"Drill {DRILL}", "Interrupted", "ada") in found
    interrupted = next(entry for entry in world.log if entry.action == "Interrupted")
    assert interrupted.groups == (GROUP,)


# -- Trunks


def a_trunk() -> World:
    world = settled()
    world.publish(keys.TRUNK, TRUNK, trunk_spec())
    return world


def agents_at(world: World, east: int, west: int) -> None:
    world.report("east", "hotel", {GROUP: GroupReport(signed_in=east)})
    world.report("west", "hotel", {GROUP: GroupReport(signed_in=west)})
    world.advance(ROUTES_INTERVAL_S + 0.1)


def test_routes_are_told_when_they_lead_elsewhere_and_not_for_each_percent() -> None:
    world = a_trunk()
    assert told(world, lambda world: agents_at(world, 50, 50)) == [(f"Trunk {TRUNK}", "RoutesChanged", "Routes")]
    assert told(world, lambda world: agents_at(world, 30, 70)) == []
    assert world.snapshot.routes[TRUNK].record.routes[0]["weight"] == 30
    assert told(world, lambda world: agents_at(world, 0, 100)) == [(f"Trunk {TRUNK}", "RoutesChanged", "Routes")]
    assert "west 100 %" in world.log[-1].why
    assert world.log[-1].sites == ("east", "west")


def test_routes_that_stay_because_the_new_ones_are_wrong_are_told() -> None:
    world = a_trunk()
    told(world, lambda world: agents_at(world, 50, 50))
    lost = trunk_spec(routes=[{"name": name, "site": "north", "weight": 50} for name in ("a", "b", "c")])
    world.advance(ROUTES_INTERVAL_S + 0.1)
    ((_, action, _),) = told(world, lambda world: world.publish(keys.TRUNK, TRUNK, lost))
    assert (action, world.log[-1].reason) == ("RoutesKept", Reason.ROUTE_TO_NOWHERE)


# -- every placement once


def test_whatever_a_long_story_places_is_named_exactly_once() -> None:
    """Beside the simulation, which looks at every transaction: orders, a Shift, its abort, a failover, a Drill."""
    world = DrillWorld().coming_back()
    world.travel("west", "east")
    world.group({"west": 30, "east": 70}, order_id="2")
    seen = len(world.log)
    written: list[str] = []

    def step() -> None:
        for commit in world.settle():
            written.extend(key.removeprefix(keys.PLACEMENTS) for key in commit.writes if "/placement/" in key)

    step()
    world.shift(SHIFT, selector={"system": "hotel"}, to="west")
    world.advance(FINISH_INTERVAL_S)
    step()
    world.die("east")
    world.advance(CONFIRMED_S)
    step()
    assert len(written) >= 2
    assert [group for entry in world.log[seen:] for group in entry.placed] == written


def test_a_commit_that_nobody_knows_yet_is_told_in_its_own_words() -> None:
    world = settled()
    record = world.record().model_copy(update={"map": {"west": "0-99"}})
    strange = Commit(f"AgentGroup {GROUP}", Reason.DEFECT, "for no reason", (), {keys.placement(GROUP): record})
    (entry,) = decided(world.snapshot, [strange])
    assert (entry.action, entry.why, entry.placed, entry.buckets) == ("Defect", "for no reason", (GROUP,), 100)
    (entry,) = in_short([strange])
    assert (entry.kind, entry.name, entry.why, entry.placed) == ("AgentGroup", GROUP, "for no reason", (GROUP,))


def test_what_changes_nothing_worth_telling_is_not_told() -> None:
    world = settled()
    order = world.snapshot.orders[GROUP]
    assert isinstance(order.record, OrderRecord)
    shift = Commit("Shift callcenter/x", Reason.FORGOTTEN, "old", (), {keys.shift("callcenter/x"): None})
    assert decided(world.snapshot, [shift]) == ()


def test_a_record_survives_the_store() -> None:
    world = settled()
    told(world, a_shift)
    record = HistoryRecord(at=1.5, site="witness", engine="e", epoch=7, entries=tuple(world.log))
    assert HistoryRecord.model_validate_json(record.encode()) == record


@pytest.mark.parametrize("count", [1, 10, 11])
def test_keys_sort_as_what_they_tell_of(count: int) -> None:
    found = [keys.history(revision, "witness-e", number) for revision, number in ((9, 3), (10, 1), (1000, count))]
    assert sorted(found) == found
    assert not any(key.startswith(keys.PREFIX) for key in found)


def test_whoever_orders_anew_interrupts_the_earlier_order() -> None:
    world = settled(waves=[50, 100])
    told(world, lambda world: world.group({"west": 100}, waves=[50, 100]))
    earlier = world.only_shift()
    found = told(world, lambda world: world.group({"east": 50, "west": 50}, waves=[50, 100]))
    order = f"order {world.snapshot.orders[GROUP].record.digest[:8]}"
    assert (f"Shift {earlier}", "Interrupted", order) in found


def test_what_ends_a_rehearsed_loss_is_told_as_its_drills() -> None:
    world = Rehearsed().said()
    shift = world.run.out.shift
    found = told(world, lambda world: world.hold())
    assert (f"Shift {shift}", "Interrupted", f"Drill {shift.rpartition('/')[2]}") in found
