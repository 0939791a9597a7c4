"""`failover: Manual`: the plan is ready, and a person decides."""

from itertools import product

import pytest

from tandem.constants import DOWN_EXTRA_S, FINISH_INTERVAL_S
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.history_entry import rule
from tandem.domain.readiness import readiness_of_all
from tandem.domain.reasons import Reason
from tests.unit.domain.test_failover import three_cities
from tests.unit.domain.world import GROUP, World, site_spec

AUTOMATIC = "callcenter/hotel-south-support"
QUESTION = "callcenter/east-1-failover"


def lost(**changes: object) -> World:
    """A Manual and an Automatic group at a city that has died."""
    world = World(**changes)  # type: ignore[arg-type]
    world.group({"east": 100}, failover="Manual")
    world.group({"east": 100}, name=AUTOMATIC, agents=50)
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    return world


def test_the_plan_is_prepared_and_nobody_of_the_group_is_moved() -> None:
    world = lost()
    assert world.placement() == {"east": "0-99"}
    assert world.placement(AUTOMATIC) == {"west": "0-99"}
    asked = world.shift_record(QUESTION)
    assert (asked.phase, asked.spec.approval, asked.spec.to) == ("AwaitingApproval", "Manual", "west")
    assert "`kubectl tandem approve east-1-failover -n callcenter` moves about 100 agents" in asked.message
    assert asked.plan_text[1] == f"{GROUP}: about 100 agents; buckets then: west 0-99"
    [note] = [note for note in world.decide().notes if note.reason is Reason.MANUAL_FAILOVER]
    assert "kubectl tandem approve east-1-failover" in note.sentence
    world.advance(3600)
    assert world.settle() == []


def with_many_systems(count: int, **changes: object) -> World:
    """A city with as many systems, each with one group, has died; three locations with deep probes look at each."""
    systems = tuple(f"s{number:02}" for number in range(count))
    world = World(systems=systems)
    everybody = (*world.cities, "witness")
    for system in systems:
        for observer, site, component in product(everybody, world.cities, ("sign-in", "call")):
            world.observe(observer, site, system, component)
        world.group({"east": 100}, name=f"callcenter/{system}", system=system, agents=10, **changes)
    world.settle()
    world.die("east")
    for observer, system, component in product(("west", "witness"), systems, ("sign-in", "call")):
        world.observe(observer, "east", system, component, passes=False)
    world.advance(2.5)
    return world


@pytest.mark.parametrize("count", [1, 5, 12, 16])
def test_a_city_of_many_systems_is_asked_about_in_as_many_questions_as_its_proof_needs(count: int) -> None:
    world = with_many_systems(count, failover="Manual")
    world.settle()
    asked = [shift.record for shift in world.snapshot.unfinished_shifts()]
    groups = [plan.group for record in asked for plan in record.plan]
    assert sorted(groups) == sorted(world.snapshot.placements)
    assert len(asked) == 1 or count > 5
    for shift in world.snapshot.unfinished_shifts():
        world.change_shift(shift.name, approved=True, approved_by="ada")
    world.settle()
    assert all(placed.map.encode() == {"west": "0-99"} for placed in world.snapshot.placements.values())


def test_a_city_of_many_systems_of_which_nobody_can_be_moved_counts_as_lost() -> None:
    world = with_many_systems(16, failover="Automatic")
    for system in world.systems:
        for observer in ("west", "witness"):
            world.observe(observer, "west", system, "cti", passes=False)
    world.advance(2.5)
    world.settle()
    assert world.snapshot.failovers["east"].record.state == "Active"
    assert len(world.snapshot.failovers["east"].record.systems) == 16


def test_approved_it_is_the_failovers_own_move() -> None:
    world = lost()
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    assert world.placement() == {"west": "0-99"}
    assert world.record().cause == "Failover/east-1"
    done = world.shift_record(QUESTION)
    assert (done.phase, done.reason) == ("Completed", Reason.FAILED_OVER)
    assert "approved by ada" in done.message


def test_an_approval_under_hold_waits_for_the_hold() -> None:
    world = lost()
    world.hold()
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    assert world.placement() == {"east": "0-99"}
    record = world.shift_record(QUESTION)
    assert (record.reason, record.message[:32]) == (Reason.HELD, "approved by ada, and waits: ada ")
    world.delete(keys.HOLD)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_an_approval_that_is_taken_back_in_the_last_moment_moves_nobody() -> None:
    world = lost()
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    [commit] = world.decide().commits
    world.change_shift(QUESTION, abort=True)
    assert not world.commit(commit)
    world.settle()
    assert world.placement() == {"east": "0-99"}


def test_declined_it_is_over_and_is_not_asked_again() -> None:
    world = lost()
    world.change_shift(QUESTION, abort=True)
    world.settle()
    assert world.shift_record(QUESTION).phase == "RolledBack"
    assert world.placement() == {"east": "0-99"}
    assert list(world.snapshot.shifts) == [QUESTION]


@pytest.mark.parametrize("deleted", [False, True], ids=["question-there", "question-deleted"])
def test_declined_is_said_once_with_the_name_and_nobody_waits_for_a_person_any_more(deleted: bool) -> None:
    world = lost()
    assert Reason.MANUAL_FAILOVER in world.reasons()
    world.change_shift(QUESTION, abort=True, aborted_by="bob")
    world.settle()
    record = world.shift_record(QUESTION)
    assert (record.reason, record.message) == (Reason.ABORTED_BY_USER, "declined by bob: nothing was moved")
    if deleted:
        world.delete(keys.shift(QUESTION))
    world.advance(60)
    assert world.reasons() == []
    world.come_back("east")
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert Reason.MANUAL_FAILOVER in world.reasons(), "another failover asks"


def test_declined_is_not_said_as_a_want_of_room_and_only_while_a_person_decides() -> None:
    world = lost()
    world.change_shift(QUESTION, abort=True)
    world.settle()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=50))  # the others' agents have all of it
    assert readiness_of_all(world.snapshot, world.mono)[GROUP].reason == Reason.DECLINED
    assert world.reasons() == []
    world.group({"east": 100}, failover="Automatic")
    assert readiness_of_all(world.snapshot, world.mono)[GROUP].reason == Reason.CAPACITY_EXCEEDED
    assert world.reasons() == [Reason.CAPACITY_EXCEEDED]


def breaks(world: World, system: str, passes: bool = False) -> None:
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", system, "softswitch", passes=passes)
    world.advance(2.0 + DOWN_EXTRA_S + 0.01)
    world.settle()


def test_a_system_that_fails_again_is_asked_about_anew_though_another_kept_the_failover_going() -> None:
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100}, failover="Manual")
    world.settle()
    breaks(world, "flight")
    breaks(world, "hotel")
    world.change_shift(QUESTION, abort=True)
    world.settle()
    world.advance(3600)
    assert (world.settle(), world.reasons()) == ([], [])
    breaks(world, "hotel", passes=True)
    failover = world.snapshot.failovers["east"].record
    assert (failover.number, failover.state, failover.declined) == (1, "Active", ())
    assert readiness_of_all(world.snapshot, world.mono)[GROUP].ready
    breaks(world, "hotel")
    assert Reason.MANUAL_FAILOVER in world.reasons()
    again = f"{QUESTION}-2"
    assert world.shift_record(again).phase == "AwaitingApproval"
    world.change_shift(again, approved=True, approved_by="ada")
    world.settle()
    assert world.map().end_shares == {"west": 100}


@pytest.mark.parametrize("approved", [False, True])
def test_a_question_lapses_when_its_system_works_again_though_another_keeps_the_failover_going(approved: bool) -> None:
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100}, failover="Manual")
    world.settle()
    breaks(world, "flight")
    breaks(world, "hotel")
    if approved:
        world.hold()
        world.change_shift(QUESTION, approved=True, approved_by="ada")
    breaks(world, "hotel", passes=True)
    record = world.shift_record(QUESTION)
    assert (record.phase, record.message) == ("RolledBack", "hotel at east works again: nothing was moved")
    assert [entry.who for entry in world.log if entry.action == "Lapsed"] == [rule("Failover")]
    if approved:
        world.delete(keys.HOLD)
    breaks(world, "hotel")
    assert world.placement() == {"east": "0-99"}, "an approval holds for the loss that was asked about"
    assert world.shift_record(f"{QUESTION}-2").phase == "AwaitingApproval"


def test_a_question_lapses_also_where_a_system_that_was_never_lost_keeps_the_failover_going() -> None:
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100}, failover="Manual")
    world.settle()
    breaks(world, "hotel")
    world.observe("east", "east", "flight", "cti", passes=False)  # one accuser: not lost, and not well
    breaks(world, "hotel", passes=True)
    assert world.snapshot.failovers["east"].record.state == "Active"
    record = world.shift_record(QUESTION)
    assert (record.phase, record.message) == ("RolledBack", "hotel at east works again: nothing was moved")
    breaks(world, "hotel")
    assert world.shift_record(f"{QUESTION}-2").phase == "AwaitingApproval"


def test_what_was_approved_and_carried_out_is_asked_anew_when_the_group_is_lost_once_more() -> None:
    """Another emergency has brought it back meanwhile, and flight keeps the first failover going."""

    def fails(city: str, system: str, passes: bool = False) -> None:
        for observer in ("east", "west", "witness"):
            world.observe(observer, city, system, "softswitch", passes=passes)
        world.advance(2.0 + DOWN_EXTRA_S + 0.01)
        world.settle()

    def leaves(away: str, to: str) -> None:
        world.settle()
        world.advance(FINISH_INTERVAL_S)
        world.sessions(to, GROUP, dict.fromkeys(range(10), 1))
        world.sessions(away, GROUP, {})
        world.settle()
        assert world.placement() == {to: "0-99"}

    world = World(systems=("hotel", "flight"))
    world.group({"east": 100}, failover="Manual")
    world.settle()
    fails("east", "flight")
    fails("east", "hotel")
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    leaves("east", "west")
    assert world.shift_record(QUESTION).phase == "Completed"
    fails("east", "hotel", passes=True)
    fails("west", "hotel")
    world.change_shift("callcenter/west-1-failover", approved=True, approved_by="bob")
    leaves("west", "east")
    fails("west", "hotel", passes=True)
    fails("east", "hotel")
    assert world.snapshot.failovers["east"].record.number == 1
    assert world.placement() == {"east": "0-99"}, "nobody was asked about this loss"
    assert world.shift_record(f"{QUESTION}-2").phase == "AwaitingApproval"


FLIGHT = "callcenter/flight-x"


def both_lost() -> World:
    """Flight and hotel of a city are broken in the same moment, and a Manual group of each is asked about at once."""
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100}, failover="Manual")
    world.group({"east": 100}, name=FLIGHT, system="flight", failover="Manual", agents=30)
    world.settle()
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "flight", "softswitch", passes=False)
    breaks(world, "hotel")
    assert [plan.group for plan in world.shift_record(QUESTION).plan] == [FLIGHT, GROUP]
    return world


@pytest.mark.parametrize("under_hold", [False, True], ids=["approved-later", "approved-before-under-hold"])
def test_an_approval_for_one_system_moves_no_other_that_has_worked_since_it_was_asked_about(under_hold: bool) -> None:
    world = both_lost()
    if under_hold:
        world.hold()
        world.change_shift(QUESTION, approved=True, approved_by="ada")
    breaks(world, "hotel", passes=True)
    asked = world.shift_record(QUESTION)
    assert (asked.phase, [plan.group for plan in asked.plan]) == ("AwaitingApproval", [FLIGHT])
    [told] = [entry for entry in world.log if entry.action == "LapsedInPart"]
    assert (told.name, told.groups, "hotel at east works again" in told.why) == (QUESTION, (GROUP,), True)
    assert told.who == rule("Failover"), "not whoever approved it"
    if under_hold:
        world.delete(keys.HOLD)
    else:
        assert asked.message == (
            "hotel at east works again; `kubectl tandem approve east-1-failover -n callcenter` moves about 30 agents "
            "of the others"
        )
        assert asked.plan_text == (asked.message, f"{FLIGHT}: about 30 agents; buckets then: east>west 0-99")
        world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    assert world.placement(FLIGHT) == {"east>west": "0-99"}
    assert world.shift_record(QUESTION).phase == "Completed"
    breaks(world, "hotel")
    assert world.placement() == {"east": "0-99"}, "nobody was asked about this loss"
    again = world.shift_record(f"{QUESTION}-2")
    assert (again.phase, [plan.group for plan in again.plan]) == ("AwaitingApproval", [GROUP])


def test_what_is_approved_and_has_no_room_lapses_with_its_system_and_says_how_far_it_came() -> None:
    world = both_lost()
    world.observe("west", "west", "hotel", "cti", passes=False)
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    assert world.placement(FLIGHT) == {"east>west": "0-99"}
    world.observe("west", "west", "hotel", "cti")
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "softswitch")
    world.settle()
    record = world.shift_record(QUESTION)
    assert (record.phase, record.message) == ("Interrupted", "hotel at east works again: 1 of 2 groups had been moved")
    breaks(world, "hotel")
    assert world.placement() == {"east": "0-99"}
    assert world.shift_record(f"{QUESTION}-2").phase == "AwaitingApproval"


def test_a_yes_to_what_is_asked_in_other_words_by_now_is_carried_out_for_the_rest() -> None:
    """Approved in the very moment in which one of its systems works again."""
    world = both_lost()
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "softswitch")
    narrowed, *others = world.decide().commits
    assert set(narrowed.writes) == {keys.shift(QUESTION)}
    assert not any(keys.placement(FLIGHT) in commit.writes for commit in others)
    world.settle()
    assert (world.placement(FLIGHT), world.placement()) == ({"east>west": "0-99"}, {"east": "0-99"})
    assert world.shift_record(QUESTION).phase == "Completed"


def test_a_declined_question_that_is_deleted_is_not_asked_again() -> None:
    world = lost()
    world.change_shift(QUESTION, abort=True)
    world.settle()
    world.delete(keys.shift(QUESTION))
    world.advance(3600)
    assert world.settle() == []
    assert world.placement() == {"east": "0-99"}
    world.come_back("east")
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert world.shift_record("callcenter/east-2-failover").phase == "AwaitingApproval", "another failover asks"


def test_several_questions_can_be_declined_in_one_moment() -> None:
    world = lost()
    world.group({"east": 100}, name="sales/x", failover="Manual")
    world.put(keys.placement("sales/x"), world.record())
    world.settle()
    for question in (QUESTION, "sales/east-1-failover"):
        world.change_shift(question, abort=True)
    world.settle()
    assert world.snapshot.failovers["east"].record.declined == (GROUP, "sales/x")
    for question in (QUESTION, "sales/east-1-failover"):
        world.delete(keys.shift(question))
    assert world.settle() == []


def test_what_is_declined_is_remembered_before_the_question_can_be_deleted() -> None:
    world = lost()
    world.change_shift(QUESTION, abort=True)
    [commit] = world.decide().commits
    assert set(commit.writes) == {keys.shift(QUESTION), keys.failover("east")}


def test_a_question_is_declined_in_the_failover_as_it_was_seen() -> None:
    """Another system is lost in the same moment: what is remembered must not write over that."""
    world = lost()
    world.change_shift(QUESTION, abort=True)
    [commit] = world.decide().commits
    record = world.snapshot.failovers["east"].record
    world.put(keys.failover("east"), record.model_copy(update={"systems": ("flight", "hotel")}))
    assert not world.commit(commit)
    world.settle()
    record = world.snapshot.failovers["east"].record
    assert (record.systems, record.declined) == (("flight", "hotel"), (GROUP,))


def test_announced_work_ends_the_question_and_is_not_called_a_return() -> None:
    world = World()
    world.group({"east": 100}, failover="Manual")
    world.settle()
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "softswitch", passes=False)
    world.advance(4.01)
    world.settle()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", maintenance=True))
    world.settle()
    record = world.shift_record(QUESTION)
    assert (record.phase, record.message) == (
        "RolledBack",
        "maintenance was announced for east: nothing was moved",
    )
    assert world.snapshot.failovers["east"].record.ending == "maintenance was announced for east"


def test_a_city_that_comes_back_under_maintenance_is_back() -> None:
    world = lost()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", maintenance=True))
    world.come_back("east")
    world.settle()
    assert world.shift_record(QUESTION).message == "east is back: nothing was moved"


def many() -> World:
    """A question about a hundred groups, approved: more than one transaction holds."""
    world = World(capacity=100_000)
    for number in range(100):
        world.group({"east": 100}, name=f"callcenter/g{number:03d}", agents=20, failover="Manual")
    world.settle(300)
    world.die("east")
    world.advance(2.01)
    world.settle()
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    return world


def test_it_is_completed_when_the_last_of_its_groups_has_a_city() -> None:
    world = many()
    first, *others = world.decide().commits
    assert others
    assert world.commit(first)
    assert world.shift_record(QUESTION).phase == "AwaitingApproval"
    world.settle()
    assert all(placed.record.map == {"west": "0-99"} for placed in world.snapshot.placements.values())
    assert world.shift_record(QUESTION).phase == "Completed"


def test_taken_back_in_the_middle_it_stops_and_says_how_far_it_came() -> None:
    world = many()
    first, second, *_ = world.decide().commits
    assert world.commit(first)
    world.change_shift(QUESTION, abort=True)
    assert not world.commit(second)
    world.settle()
    moved = sum(placed.record.map == {"west": "0-99"} for placed in world.snapshot.placements.values())
    record = world.shift_record(QUESTION)
    assert 0 < moved < 100
    assert (record.phase, record.message) == (
        "Interrupted",
        f"declined by a person: {moved} of 100 groups had been moved",
    )
    assert len(world.snapshot.failovers["east"].record.declined) == 100 - moved


def test_without_room_an_approved_question_is_not_completed() -> None:
    world = World(capacity=100)
    world.group({"west": 100}, name=AUTOMATIC)
    world.group({"east": 100}, agents=50, failover="Manual")
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=125))
    world.settle()
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    assert dict(world.map().end_shares) == {"east": 50, "west": 50}
    assert world.shift_record(QUESTION).phase == "AwaitingApproval"
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=500))
    world.settle()
    assert world.shift_record(QUESTION).phase == "Completed"


def crowded(capacity: int) -> World:
    """A hundred agents at west, and a question about fifty of a lost east; then west carries `capacity`."""
    world = World()
    world.group({"west": 100}, name=AUTOMATIC)
    world.group({"east": 100}, agents=50, failover="Manual")
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=capacity))
    world.settle()
    return world


def test_approved_without_room_it_says_what_is_missing_and_goes_on_when_there_is_some() -> None:
    world = crowded(100)
    asked = world.shift_record(QUESTION).message
    assert "approve east-1-failover" in asked
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    record = world.shift_record(QUESTION)
    assert (record.phase, record.reason) == ("AwaitingApproval", Reason.CAPACITY_EXCEEDED)
    assert record.message.startswith(
        f"approved by ada, and waits: about 50 agents of {GROUP} have no room; they follow when hotel has more"
    )
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=130))
    world.settle()
    assert "about 20 agents of" in world.shift_record(QUESTION).message
    assert dict(world.map().end_shares) == {"east": 40, "west": 60}
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=500))
    world.settle()
    assert world.placement() == {"west": "0-99"}
    record = world.shift_record(QUESTION)
    assert (record.phase, record.reason) == ("Completed", Reason.FAILED_OVER)


def test_what_is_missing_is_said_once_whoever_signs_in_meanwhile() -> None:
    world = crowded(100)
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    for agents in (60, 61, 99):
        world.sessions("west", AUTOMATIC, {1: agents})
        assert world.settle() == []


def test_approved_with_nobody_to_take_over_it_says_why() -> None:
    world = lost()
    world.observe("west", "west", "hotel", "cti", passes=False)
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    record = world.shift_record(QUESTION)
    assert (record.phase, record.reason) == ("AwaitingApproval", Reason.TARGET_NOT_USABLE)
    assert "nobody can take over" in record.message
    world.observe("west", "west", "hotel", "cti")
    world.settle()
    assert world.shift_record(QUESTION).phase == "Completed"


def test_while_nobody_has_approved_the_question_stays_a_question() -> None:
    world = crowded(100)
    before = world.shift_record(QUESTION)
    world.advance(60)
    world.hold()
    assert world.settle() == []
    assert world.shift_record(QUESTION) == before


def test_many_groups_without_room_are_counted_beyond_the_first_few() -> None:
    world = World(capacity=100_000)
    for number in range(9):
        world.group({"east": 100}, name=f"callcenter/g{number}", agents=20, failover="Manual")
    world.settle(300)
    world.die("east")
    world.advance(2.01)
    world.settle()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=40))
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    message = world.shift_record(QUESTION).message
    assert "about 140 agents of" in message
    assert "callcenter/g6 and 2 more have no room" in message


def test_a_city_that_comes_back_ends_the_question() -> None:
    world = lost()
    world.come_back("east")
    world.settle()
    record = world.shift_record(QUESTION)
    assert (record.phase, record.message) == ("RolledBack", "east is back: nothing was moved")
    assert world.placement() == {"east": "0-99"}


def test_the_next_failover_asks_anew() -> None:
    world = lost()
    world.come_back("east")
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert world.shift_record("callcenter/east-2-failover").phase == "AwaitingApproval"


def test_the_plan_says_how_many_find_room() -> None:
    world = World(capacity=150)
    world.group({"east": 100}, failover="Manual")
    world.group({"west": 100}, name=AUTOMATIC)
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert "about 50 agents" in world.shift_record(QUESTION).plan_text[1]
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    assert dict(world.map().end_shares) == {"east": 50, "west": 50}


def test_what_an_approved_failover_has_begun_it_finishes_without_asking_again() -> None:
    """A city that is Down: released first, then free to go."""
    world = World()
    world.group({"east": 100}, failover="Manual")
    world.settle()
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "softswitch", passes=False)
    world.advance(4.01)
    world.settle()
    world.change_shift(QUESTION, approved=True, approved_by="ada")
    world.settle()
    assert world.placement() == {"east>west": "0-99"}
    world.advance(1.01)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_while_a_person_thinks_it_over_others_may_have_the_room() -> None:
    assert Ledger(lost().snapshot).load("west", "hotel") == 50, "of the automatic group only"


def test_each_namespace_has_its_own_question() -> None:
    world = World()
    world.group({"east": 100}, failover="Manual")
    world.group({"east": 100}, name="sales/x", failover="Manual")
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert set(world.snapshot.shifts) == {QUESTION, "sales/east-1-failover"}


def test_a_question_is_in_nobodys_way() -> None:
    """A person may as well move the group by a Shift: what is on its way from a lost city is helped along."""
    world = lost()
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west", percent=40)
    world.settle()
    assert dict(world.map().end_shares) == {"east": 60, "west": 40}
    assert not world.map().in_transit
    assert world.shift_record(QUESTION).phase == "AwaitingApproval"
    world.come_back("east")
    world.settle()
    assert world.shift_record(QUESTION).phase == "RolledBack"


def test_a_second_question_of_one_failover_has_a_name_of_its_own() -> None:
    """Hotel is lost first, flight a minute later: both have Manual groups in one namespace."""
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100}, failover="Manual")
    world.group({"east": 100}, name="callcenter/flight-x", system="flight", failover="Manual")
    world.settle()
    for system in ("hotel", "flight"):
        for observer in ("east", "west", "witness"):
            world.observe(observer, "east", system, "softswitch", passes=False)
        world.advance(4.01)
        world.settle()
    assert set(world.snapshot.shifts) == {QUESTION, f"{QUESTION}-2"}
    world.change_shift(f"{QUESTION}-2", approved=True, approved_by="ada")
    world.settle()
    assert world.placement("callcenter/flight-x") == {"east>west": "0-99"}
    assert world.placement() == {"east": "0-99"}


def test_many_groups_are_asked_about_in_several_questions() -> None:
    world = World(capacity=100_000)
    for number in range(201):
        world.group({"east": 100}, name=f"callcenter/g{number:03d}", agents=20, failover="Manual")
    world.settle(300)
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert sorted(len(shift.record.plan) for shift in world.snapshot.shifts.values()) == [1, 100, 100]


def test_many_namespaces_are_asked_in_several_transactions() -> None:
    world = World(capacity=1_000_000)
    for number in range(130):
        world.group({"east": 100}, name=f"ns{number:03d}/g", agents=20, failover="Manual")
    world.settle(300)
    world.die("east")
    world.advance(2.01)
    world.settle()
    assert len(world.snapshot.shifts) == 130


def test_a_city_that_is_back_in_the_last_moment_is_not_asked_about() -> None:
    world = World()
    world.group({"east": 100}, failover="Manual")
    world.settle()
    world.die("east")
    world.advance(2.01)
    [commit] = world.decide().commits
    world.come_back("east")
    assert not world.commit(commit)


def test_another_citys_failover_leaves_a_question_open() -> None:
    """East and west are lost one after the other; what a person approves about west answers nothing about east."""
    world = three_cities()
    world.group({"east": 50, "west": 50}, name="callcenter/both", sites=["east", "west", "north"], failover="Manual")
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    for component in ("softswitch", "cti"):
        world.observe("north", "east", "hotel", component, passes=False)
    world.die("west", seen_by=("north", "witness"))
    world.advance(2.01)
    world.settle()
    world.change_shift("callcenter/west-1-failover", approved=True, approved_by="ada")
    world.settle()
    assert world.shift_record(QUESTION).phase == "AwaitingApproval"
