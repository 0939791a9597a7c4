"""Previews: what manifests would do now, by the coordinator's own rules; nothing is written."""

from typing import Any

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.shift import ShiftSpec
from tandem.constants import PATIENCE_S, STAY_GRACE_S
from tandem.domain import keys
from tandem.domain.preview import Asked, Preview, previews
from tandem.domain.reasons import Reason
from tandem.domain.records import FailoverRecord, RanRecord
from tests.unit.domain.drill_world import DrillWorld
from tests.unit.domain.test_orders import on_the_way_to_a_city_nobody_wants_any_more
from tests.unit.domain.world import GROUP, World, group_spec

ALL_HOTEL: dict[str, Any] = {"selector": {"system": "hotel"}, "to": "west", "waves": [100]}


def a_world(**changes: Any) -> World:
    world = World()
    world.group({"east": 100}, **changes)
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    return world


def a_shift(name: str = "callcenter/s1", **spec: Any) -> Asked:
    return Asked(name, ShiftSpec.model_validate({**ALL_HOTEL, **spec}))


def an_order(placement: dict[str, int], order_id: str = "", **changes: Any) -> Asked:
    return Asked(GROUP, AgentGroupSpec.model_validate(group_spec(placement, **changes)), order_id)


def preview(world: World, *asked: Asked) -> list[Preview]:
    before = dict(world.store)
    found = previews(world.snapshot, asked, world.now)
    assert world.store == before
    return list(found)


def test_a_preview_is_the_plan_that_the_shift_gets() -> None:
    world = a_world()
    (found,) = preview(world, a_shift())
    world.shift(**ALL_HOTEL, dryRun=True)
    world.settle()
    record = world.shift_record()
    assert (found.outcome, found.text) == ("Planned", record.plan_text)
    assert found.planned.model_copy(update={"groups": ()}) == record.planned
    assert [group.group for group in found.planned.groups] == [GROUP]


def test_a_preview_of_an_order_is_the_plan_that_the_order_gets() -> None:
    world = a_world()
    (found,) = preview(world, an_order({"west": 100}, pace=50, waves=[10, 100]))
    world.group({"west": 100}, pace=50, waves=[10, 100])
    world.settle()
    record = world.shift_record(world.only_shift())
    assert (found.outcome, found.text) == ("Planned", record.plan_text)
    assert found.planned.pace == 50
    assert len(found.planned.waves) == 2


def test_a_preview_of_a_second_order_in_mid_course_is_the_plan_that_it_gets() -> None:
    world = a_world()
    world.group({"west": 100}, waves=[10, 100])
    world.settle()
    first = world.only_shift()
    (found,) = preview(world, an_order({"east": 50, "west": 50}))
    world.group({"east": 50, "west": 50})
    world.settle()
    (second,) = set(world.snapshot.shifts) - {first}
    assert found.outcome == "Planned"
    assert found.planned.groups[0].moves == world.shift_record(second).plan[0].moves == {"east>west": "50-89"}


def test_an_order_applied_again_does_nothing_and_a_new_order_id_makes_it_a_new_one() -> None:
    world = a_world()
    (again,) = preview(world, an_order({"east": 100}))
    assert (again.outcome, again.reason) == ("Nothing", Reason.NOTHING_TO_MOVE)
    assert "does nothing" in again.message
    world.shift(**ALL_HOTEL)
    world.settle()
    world.sessions("east", GROUP, {})
    world.sessions("west", GROUP, {})
    world.settle()
    world.advance(60)
    world.settle()
    assert preview(world, an_order({"east": 100}))[0].outcome == "Nothing"
    assert preview(world, an_order({"east": 100}, order_id="2"))[0].outcome == "Planned"


def test_a_group_that_is_placed_nowhere_yet_moves_nobody_and_becomes_what_is_told() -> None:
    world = World()
    (found,) = preview(world, an_order({"east": 100}))
    assert (found.outcome, found.reason) == ("Nothing", Reason.INITIAL_PLACEMENT)
    world.group({"east": 100})
    world.settle()
    order = world.snapshot.orders[GROUP].record
    assert found.message == f"{order.message}; it had no placement before, so nobody moves"


def test_a_group_that_is_placed_nowhere_yet_is_refused_for_what_its_first_order_is_refused_for() -> None:
    world = World(capacity=1500)
    (unknown,) = preview(world, an_order({"north": 100}, sites=["east", "north"]))
    assert (unknown.outcome, unknown.reason) == ("Refused", Reason.UNKNOWN_SITE)
    (full,) = preview(world, an_order({"east": 100}, agents=1501))
    assert (full.outcome, full.reason) == ("Refused", Reason.CAPACITY_EXCEEDED)
    world.group({"east": 100}, agents=1501)
    world.settle()
    (again,) = preview(world, an_order({"east": 100}, agents=1501))
    assert "had this very order last (Refused); again, it does nothing" in again.message


def test_a_group_that_is_placed_nowhere_yet_waits_out_a_hold_and_takes_its_room() -> None:
    world = World(capacity=1500)
    world.group({"west": 100}, name="callcenter/other", agents=750)
    world.settle()
    new = an_order({"east": 100}, agents=1000)
    other = a_shift(selector={"names": ["other"]}, to="east")
    assert [one.outcome for one in preview(world, other, new)] == ["Planned", "Refused"]
    assert [one.outcome for one in preview(world, new, other)] == ["Nothing", "Refused"]
    world.hold()
    (held,) = preview(world, new)
    assert (held.outcome, held.reason) == ("Nothing", Reason.HELD)
    assert "placed once this has passed" in held.message


def test_what_would_be_refused_is_told_with_its_reason() -> None:
    world = a_world()
    assert [(one.outcome, one.reason) for one in preview(world, a_shift(to="north"), a_shift(to="east"))] == [
        ("Refused", Reason.UNKNOWN_SITE),
        ("Nothing", Reason.NOTHING_TO_MOVE),
    ]
    (unknown,) = preview(world, an_order({"north": 100}, sites=["east", "north"]))
    assert (unknown.outcome, unknown.reason) == ("Refused", Reason.UNKNOWN_SITE)


def test_what_waiting_might_cure_waits() -> None:
    world = a_world()
    world.hold()
    (found,) = preview(world, a_shift())
    assert (found.outcome, found.reason, found.patience_s) == ("Waits", Reason.HELD, PATIENCE_S)


def test_an_order_that_waits_for_calls_waits_as_long_as_they_may_last() -> None:
    world = on_the_way_to_a_city_nobody_wants_any_more()
    (found,) = preview(world, an_order({"north": 100}, order_id="again", sites=["east", "west", "north"]))
    assert (found.outcome, found.reason) == ("Waits", Reason.STILL_MOVING)
    assert found.patience_s == PATIENCE_S + 35 * 60.0 + STAY_GRACE_S


def test_several_are_taken_one_after_the_other() -> None:
    world = a_world()
    first, second, third = preview(world, a_shift(), a_shift("callcenter/s2", percent=50), an_order({"west": 100}))
    assert first.outcome == "Planned"
    assert (second.outcome, second.reason) == ("Refused", Reason.SHIFT_CONFLICT)
    assert "callcenter/s1" in second.message
    # An order waits for others.
    assert (third.outcome, third.reason, third.patience_s) == ("Waits", Reason.SHIFT_CONFLICT, PATIENCE_S)


def test_one_that_waits_for_approval_or_is_planned_only_stands_in_nobodys_way() -> None:
    for spec in ({"approval": "Manual"}, {"dryRun": True}):
        world = a_world()
        assert [one.outcome for one in preview(world, a_shift(**spec), a_shift("callcenter/s2"))] == ["Planned"] * 2


def test_one_that_waits_for_approval_keeps_no_room_until_it_is_approved() -> None:
    world = World(capacity=1500)
    for name in ("callcenter/a", "callcenter/b"):
        world.group({"east": 100}, name=name, agents=750)
    world.group({"west": 100}, name="callcenter/c", agents=750)
    world.settle()
    waits, other = (a_shift(f"callcenter/{n}", selector={"names": [n]}, approval="Manual") for n in ("a", "b"))
    assert [found.outcome for found in preview(world, waits, other)] == ["Planned", "Planned"]
    approved = a_shift("callcenter/a", selector={"names": ["a"]}, approval="Manual", approved=True, approvedBy="ada")
    assert [found.outcome for found in preview(world, approved, other)] == ["Planned", "Refused"]


def test_two_that_fit_only_alone_do_not_share_the_same_room() -> None:
    world = World(capacity=1500)
    for name in ("callcenter/a", "callcenter/b"):
        world.group({"east": 100}, name=name, agents=750)
    world.group({"west": 100}, name="callcenter/c", agents=750)
    world.settle()
    one, two = (a_shift(f"callcenter/{n}", selector={"names": [n]}) for n in ("a", "b"))
    assert [found.outcome for found in preview(world, one, two)] == ["Planned", "Refused"]


def test_notes_say_what_else_is_in_the_way() -> None:
    world = a_world()
    world.put(keys.failover("west"), FailoverRecord(number=1, ended_at=world.mono))
    world.delete(keys.COORDINATOR)
    (found,) = preview(world, a_shift())
    assert found.outcome == "Planned"
    coordinator, quarantine = found.notes
    assert "no engine is coordinator" in coordinator
    assert "it is in quarantine" in quarantine


def test_a_name_that_is_taken_moves_nobody_and_the_plan_of_another_name_is_shown() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, dryRun=True)
    world.settle()
    again, other = preview(world, a_shift(dryRun=True), a_shift())
    assert (again.outcome, again.reason) == ("Nothing", Reason.NAME_TAKEN)  # the same manifest twice
    assert (other.outcome, other.reason) == ("Refused", Reason.NAME_TAKEN)
    assert other.message == (
        "there is a Shift callcenter/s1 already (Completed), so this one would move nobody; create it under another "
        "name, and it would do what follows"
    )
    assert other.text == preview(world, a_shift("callcenter/s2"))[0].text
    # It takes nobody's place.
    assert [one.outcome for one in preview(world, a_shift(), a_shift("callcenter/s2"))] == ["Refused", "Planned"]


def test_a_name_that_has_run_moves_nobody() -> None:
    world = a_world()
    world.put(keys.ran("callcenter/s1"), RanRecord(phase="Completed", message="", finished_at=1.0))
    (found,) = preview(world, a_shift())
    assert (found.outcome, found.reason) == ("Nothing", Reason.ALREADY_RUN)
    assert "has run already, so this one would move nobody" in found.message


def test_an_order_that_takes_an_earlier_ones_place_counts_the_group_where_it_is() -> None:
    world = a_world(waves=[10, 100])
    world.group({"west": 100}, waves=[10, 100])
    world.settle()
    assert world.placement() == {"east": "0-89", "east>west": "90-99"}
    (found,) = preview(world, an_order({"east": 50, "west": 50}, waves=[100]))
    loads = {place.site: (place.agents.before, place.agents.after) for place in found.planned.sites}
    # The earlier order has asked for a hundred there, and comes to ten; its ten on their way are at both ends.
    assert loads == {"east": (100, 60), "west": (10, 50)}
    world.group({"east": 50, "west": 50}, waves=[100])
    world.settle()
    record = next(entry.record for entry in world.snapshot.shifts.values() if not entry.finished)
    assert found.planned.sites == record.planned.sites


def test_groups_of_a_drill_are_its_own_and_their_room_at_home_is_kept() -> None:
    world = DrillWorld(capacity=100).holding()
    (found,) = preview(world, a_shift(to="east"))
    assert (found.outcome, found.reason) == ("Refused", Reason.SHIFT_CONFLICT)
    assert "Drill callcenter/monthly" in found.message
    world.shift(**{**ALL_HOTEL, "to": "east"})
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason, record.message) == ("Failed", found.reason, found.message)


def test_nothing_is_planned_into_the_room_that_a_drills_agents_have_at_home() -> None:
    world = DrillWorld(capacity=150)
    world.group({"west": 100}, name="callcenter/other", agents=50)
    world.settle()
    world.holding()
    one = a_shift(to="east", selector={"names": ["other"]})
    assert [found.outcome for found in preview(world, one)] == ["Planned"]
    world.group({"west": 100}, name="callcenter/other", agents=51)
    world.settle()
    (found,) = preview(world, one)
    assert (found.outcome, found.reason) == ("Refused", Reason.CAPACITY_EXCEEDED)
