"""Orders: the first placement, the changed order, and what consumes one."""

from collections.abc import Callable
from typing import Any

import pytest

from tandem.constants import AGREE_S, FINISH_INTERVAL_S, PATIENCE_S
from tandem.domain import keys
from tandem.domain.reasons import Reason
from tests.unit.domain.test_failover import three_cities
from tests.unit.domain.world import GROUP, WITNESS, World, group_spec, site_spec

# -- the first placement


def test_a_new_group_is_placed_as_ordered_once_every_city_reports() -> None:
    world = World()
    world.group({"east": 60, "west": 40})
    world.settle()
    assert world.placement() == {"east": "0-59", "west": "60-99"}
    assert world.record().cause == "Order"
    assert world.snapshot.orders[GROUP].record.outcome == "Accepted"
    assert world.decide().commits == ()


@pytest.mark.parametrize("silent", ["east", "west"])
def test_a_city_that_does_not_report_may_have_agents_so_nothing_is_placed(silent: str) -> None:
    world = World()
    world.delete(keys.report(silent, "hotel"))
    world.group({"east": 100})
    assert world.settle() == []
    assert world.reasons() == [Reason.NO_REPORT]


def test_an_empty_store_adopts_where_agents_are_signed_in_and_never_replays_the_order() -> None:
    world = World()
    world.sessions("west", GROUP, {3: 2, 50: 1})
    world.sessions("east", GROUP, {3: 1, 99: 4})
    world.group({"east": 100})
    world.settle()
    assert world.placement() == {"east": "0-2,4-49,51-99", "west": "3,50"}
    assert (world.record().cause, world.snapshot.orders[GROUP].record.outcome) == ("Adopted", "Adopted")
    world.settle()
    assert world.placement() == {"east": "0-2,4-49,51-99", "west": "3,50"}


def test_adoption_follows_the_order_for_buckets_without_agents() -> None:
    world = World()
    world.sessions("west", GROUP, dict.fromkeys(range(30), 1))
    world.group({"east": 50, "west": 50})
    world.settle()
    shares = world.map().end_shares
    assert (shares["east"], shares["west"]) == (50, 50)


def test_nothing_is_placed_while_everything_is_held() -> None:
    world = World()
    world.hold()
    world.group({"east": 100})
    assert world.settle() == []
    world.delete(keys.HOLD)
    world.settle()
    assert world.placement() == {"east": "0-99"}


def test_a_first_placement_without_room_is_refused_and_consumed() -> None:
    world = World(capacity=50)
    world.group({"east": 100}, agents=51)
    world.settle()
    order = world.snapshot.orders[GROUP].record
    assert (order.outcome, order.reason) == ("Refused", Reason.CAPACITY_EXCEEDED)
    assert "51" in order.message
    assert "50" in order.message
    assert GROUP not in world.snapshot.placements


# -- a changed order


def placed(agents: int = 100, capacity: int = 1500, **changes: Any) -> World:
    world = World(capacity=capacity)
    world.group({"east": 100}, agents=agents, **changes)
    world.settle()
    return world


def test_a_changed_order_becomes_a_shift_and_buckets_follow_the_sessions() -> None:
    world = placed()
    world.sessions("east", GROUP, {3: 2, 70: 1})
    world.group({"east": 50, "west": 50})
    world.settle()
    assert world.placement() == {"east": "0-49", "east>west": "50-99"}
    world.sessions("west", GROUP, {})
    world.sessions("east", GROUP, {3: 2, 70: 1})
    world.advance(FINISH_INTERVAL_S)
    world.settle()
    assert world.placement() == {"east": "0-49", "west": "50-69,71-99", "east>west": "70"}
    world.sessions("west", GROUP, {70: 1})
    world.sessions("east", GROUP, {3: 2})
    world.settle()
    assert world.placement() == {"east": "0-49", "west": "50-99"}
    assert world.shift_record(world.only_shift()).phase == "Verifying"
    world.arrived("west", world.only_shift(), 1)
    world.settle()
    assert world.shift_record(world.only_shift()).phase == "Completed"


def test_order_shift_and_first_wave_are_one_transaction() -> None:
    world = placed()
    world.group({"west": 100})
    (commit,) = world.decide().commits
    kinds = sorted(key.removeprefix(keys.PREFIX).partition("/")[0] for key in commit.writes)
    assert kinds == ["order", "placement", "shift"]


def test_the_shift_of_an_order_has_the_groups_own_pace_waves_and_drain() -> None:
    world = placed(pace=7, waves=[10, 100], drain={"maxTalk": "2m", "maxWrapUp": "3s", "onDeadline": "Force"})
    world.group(
        {"west": 100}, pace=7, waves=[10, 100], drain={"maxTalk": "2m", "maxWrapUp": "3s", "onDeadline": "Force"}
    )
    world.settle()
    spec = world.shift_record(world.only_shift()).spec
    assert (spec.pace, spec.waves, spec.to, spec.percent) == (7, (10, 100), "west", 100)
    assert world.placement() == {"east": "0-89", "east>west": "90-99"}
    assert world.record().pace == 7
    assert world.record().drain.max_talk == "2m"


def test_the_same_manifest_applied_again_does_nothing() -> None:
    world = placed()
    world.group({"west": 100})
    world.settle()
    revision = world.snapshot.placements[GROUP].revision
    world.group({"west": 100})
    assert world.settle() == []
    assert world.snapshot.placements[GROUP].revision == revision


def test_a_second_order_in_mid_course_plans_again_from_where_it_is() -> None:
    world = placed()
    world.group({"west": 100}, waves=[10, 100], pace=1)
    world.settle()
    first = world.only_shift()
    assert world.placement() == {"east": "0-89", "east>west": "90-99"}
    world.group({"east": 50, "west": 50}, waves=[100], pace=3)
    world.settle()

    old = world.shift_record(first)
    assert (old.phase, old.reason) == ("Interrupted", Reason.SUPERSEDED)
    (second,) = set(world.snapshot.shifts) - {first}
    record = world.shift_record(second)
    assert (record.cause, record.phase, record.spec.pace) == ("Order", "Moving", 3)
    assert world.placement() == {"east": "0-49", "east>west": "50-99"}  # ten were on their way already
    assert record.plan[0].moves == {"east>west": "50-89"}
    assert world.snapshot.orders[GROUP].record.shift == second


def on_the_way_to_a_city_nobody_wants_any_more() -> World:
    """A second order sends to north whom the first one has on their way to west, one of them in a call."""
    world = three_cities()
    sites = ["east", "west", "north"]
    drain = {"maxTalk": "30m"}
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.group({"west": 100}, sites=sites, drain=drain, waves=[100])
    world.settle()
    world.group({"north": 100}, sites=sites, drain=drain, waves=[100])
    world.settle()
    world.sessions("west", GROUP, dict.fromkeys(range(1, 100), 1))
    world.sessions("east", GROUP, {0: 1})
    world.advance(FINISH_INTERVAL_S)
    world.settle()
    assert world.placement() == {"east>west": "0", "west": "1-99"}
    return world


def test_a_second_order_to_a_third_city_waits_for_the_calls_of_the_first_and_then_moves_everybody() -> None:
    world = on_the_way_to_a_city_nobody_wants_any_more()
    world.advance(10 * PATIENCE_S)
    world.settle()
    assert world.reasons() == [Reason.STILL_MOVING]
    [note] = world.decide().notes
    assert "on their way to another site by an earlier order; wait" in note.sentence
    world.sessions("west", GROUP, dict.fromkeys(range(100), 1))
    world.sessions("east", GROUP, {})
    world.settle()
    world.settle()
    assert world.placement() == {"west>north": "0-99"}


def test_once_they_have_arrived_it_has_its_minute_for_whatever_else_there_is() -> None:
    world = on_the_way_to_a_city_nobody_wants_any_more()
    world.advance(10 * PATIENCE_S)
    world.settle()
    for observer in ("east", "west", "witness", "north"):
        world.observe(observer, "north", "hotel", "cti", passes=False, firm=False)
    world.sessions("west", GROUP, dict.fromkeys(range(100), 1))
    world.sessions("east", GROUP, {})
    world.settle()
    assert world.placement() == {"west": "0-99"}
    world.advance(PATIENCE_S - 1)
    world.settle()
    assert world.reasons() == [Reason.TARGET_NOT_USABLE]
    world.advance(2)
    world.settle()
    order = world.snapshot.orders[GROUP].record
    assert (order.outcome, order.reason) == ("Refused", Reason.TARGET_NOT_USABLE)
    assert f"The order waited {PATIENCE_S + 1:.0f} s and has lapsed" in order.message


def test_it_does_not_wait_for_longer_than_calls_may_last() -> None:
    world = on_the_way_to_a_city_nobody_wants_any_more()
    world.advance(40 * 60.0)
    world.settle()
    order = world.snapshot.orders[GROUP].record
    assert (order.outcome, order.reason) == ("Refused", Reason.STILL_MOVING)


def test_an_order_taken_back_in_mid_course_brings_them_back() -> None:
    world = placed()
    world.group({"west": 100}, waves=[10, 100])
    world.settle()
    world.group({"east": 100})
    world.settle()
    assert world.placement() == {"east": "0-89", "west>east": "90-99"}


def test_a_wrong_order_in_mid_course_does_not_end_the_right_one() -> None:
    world = placed()
    world.group({"west": 100}, waves=[10, 100])
    world.settle()
    world.group({"north": 100}, sites=["east", "north"])
    world.settle()
    assert world.shift_record(world.only_shift()).phase == "Moving"
    assert world.snapshot.orders[GROUP].record.outcome == "Refused"


def test_a_shift_that_is_being_aborted_is_waited_for() -> None:
    world = placed()
    world.group({"west": 100}, waves=[10, 100])
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.sessions("west", GROUP, {99: 1})
    world.settle()
    first = world.only_shift()
    world.change_shift(first, abort=True)
    world.settle()
    assert world.shift_record(first).phase == "Aborting"
    world.group({"east": 50, "west": 50})
    world.settle()
    assert world.shift_record(first).phase == "Aborting"
    assert Reason.SHIFT_CONFLICT in world.reasons()


def test_while_everything_is_held_a_second_order_ends_nothing() -> None:
    world = placed()
    world.group({"west": 100}, waves=[10, 100])
    world.settle()
    first = world.only_shift()
    world.hold()
    world.group({"east": 100})
    world.settle()
    assert world.shift_record(first).phase == "Moving"
    world.delete(keys.HOLD)
    world.settle()
    assert world.shift_record(first).reason == Reason.SUPERSEDED


def test_an_order_whose_predecessor_moved_nobody_has_a_shift_of_another_name() -> None:
    world = placed()
    name = f"{GROUP}-{world.snapshot.placements[GROUP].revision}"
    world.shift(name, selector={"names": [GROUP.partition("/")[2]]}, to="west")
    world.put(
        keys.shift(name), world.shift_record(name).model_copy(update={"phase": "Interrupted", "finished_at": 1.0})
    )
    world.group({"west": 100})
    world.settle()
    assert world.snapshot.orders[GROUP].record.shift == f"{name}-2"
    assert world.shift_record(f"{name}-2").phase == "Moving"


def test_a_shift_starts_because_the_order_changed_never_because_wanted_and_actual_differ() -> None:
    world = placed()
    record = world.record().model_copy(update={"map": {"west": "0-99"}, "cause": "Failover/1"})
    world.put(keys.placement(GROUP), record)
    world.group({"east": 100}, agents=90)  # changed, but not what it orders
    assert world.settle() == []
    assert world.placement() == {"west": "0-99"}


def test_an_order_for_what_is_already_so_is_accepted_and_moves_nothing() -> None:
    world = placed()
    world.group({"east": 100}, order_id="again")
    world.settle()
    order = world.snapshot.orders[GROUP].record
    assert (order.outcome, order.reason) == ("Accepted", Reason.NOTHING_TO_MOVE)
    assert not world.snapshot.shifts


def witness_in_sites(world: World) -> None:
    world.publish(keys.SITE, "witness", WITNESS)


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        (
            group_spec({"north": 100}, sites=["east", "north"]),
            Reason.UNKNOWN_SITE,
            ["spec.sites", "'north'", "east, west"],
        ),
        (
            group_spec({"east": 50, "witness": 50}, sites=["east", "witness"]),
            Reason.NOT_ACTIVE,
            ["spec.sites", "'witness'", "Active"],
        ),
        (group_spec({"west": 100}, system="ferry"), Reason.UNKNOWN_SYSTEM, ["spec.system", "'ferry'", "hotel"]),
        (
            group_spec({"east": 50, "west": 40}),
            Reason.PERCENTAGES_DO_NOT_SUM,
            ["spec.placement", "90", "add up to 100"],
        ),
        (group_spec({"west": 100}, agents=0), Reason.NO_AGENTS, ["spec.agents", "0"]),
        (
            group_spec({"west": 100}, agents=200),
            Reason.CAPACITY_EXCEEDED,
            ["west", "200", "150", "spec.systems[hotel].cti.capacity"],
        ),
    ],
)
def test_a_wrong_order_is_refused_with_field_value_and_remedy_and_nothing_moves(
    spec: dict[str, Any], reason: Reason, words: list[str]
) -> None:
    world = placed(capacity=150)
    world.publish(keys.AGENT_GROUP, GROUP, spec)
    world.settle()
    order = world.snapshot.orders[GROUP].record
    assert (order.outcome, order.reason) == ("Refused", reason)
    assert all(word in order.message for word in words), order.message
    assert "tandem.dev/order-id" in order.message
    assert world.placement() == {"east": "0-99"}
    assert not world.snapshot.shifts


def test_a_group_cannot_change_its_system_while_it_is_placed() -> None:
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100})
    world.settle()
    world.group({"west": 100}, system="flight")
    world.settle()
    assert world.snapshot.orders[GROUP].record.reason == Reason.INVALID_SPEC
    assert world.placement() == {"east": "0-99"}


def test_a_site_in_maintenance_receives_nobody() -> None:
    world = placed()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", maintenance=True))
    world.group({"west": 100})
    world.settle()
    order = world.snapshot.orders[GROUP].record
    assert (order.outcome, order.reason) == ("Refused", Reason.MAINTENANCE)
    assert "spec.maintenance" in order.message


def test_a_refused_order_stays_refused_until_its_order_id_changes() -> None:
    world = placed(capacity=150)
    world.group({"west": 100}, agents=200)
    world.settle()
    world.group({"west": 100}, agents=100)  # room enough now, but this order was consumed
    assert world.settle() == []
    world.group({"west": 100}, agents=100, order_id="2")
    world.settle()
    assert world.placement() == {"east>west": "0-99"}


def accuse_west(world: World) -> None:
    world.observe("west", "west", "hotel", "cti", passes=False)


@pytest.mark.parametrize(
    ("obstacle", "remove", "reason"),
    [
        pytest.param(World.hold, lambda world: world.delete(keys.HOLD), Reason.HELD, id="held"),
        pytest.param(
            accuse_west, lambda world: world.healthy("west", "hotel"), Reason.TARGET_NOT_USABLE, id="not-usable"
        ),
    ],
)
def test_what_waiting_can_cure_is_waited_for_a_minute_and_no_longer(
    obstacle: Callable[[World], None], remove: Callable[[World], None], reason: Reason
) -> None:
    world = placed()
    obstacle(world)
    world.group({"west": 100})
    assert world.settle() == []
    assert world.reasons() == [reason]
    world.advance(PATIENCE_S - 1)
    assert world.decide().wake_at == pytest.approx(world.mono + 1, abs=0.01)
    remove(world)
    world.settle()
    assert world.placement() == {"east>west": "0-99"}

    late = placed()
    obstacle(late)
    late.group({"west": 100})
    late.settle()
    late.advance(PATIENCE_S + 1)
    late.settle()
    remove(late)
    late.settle()
    assert late.snapshot.orders[GROUP].record.outcome == "Refused"
    assert late.snapshot.orders[GROUP].record.reason == reason
    assert late.placement() == {"east": "0-99"}


def test_an_order_that_only_one_city_has_read_waits_and_is_not_consumed() -> None:
    world = placed()
    world.group({"west": 100}, by=["east"])
    assert world.settle() == []
    assert world.reasons() == []  # the other city is about to read it, most likely
    assert world.decide().wake_at == pytest.approx(world.mono + AGREE_S, abs=0.01)
    world.advance(AGREE_S + 0.1)
    assert world.reasons() == [Reason.SPEC_NOT_CONSISTENT]
    world.advance(10 * PATIENCE_S)
    assert world.settle() == []
    world.group({"west": 100}, by=["west"])
    world.settle()
    assert world.placement() == {"east>west": "0-99"}


def test_an_order_for_a_group_that_a_person_moves_waits_for_that_shift() -> None:
    world = placed()
    world.sessions("east", GROUP, {1: 1})
    world.shift(selector={"names": [GROUP.partition("/")[2]]}, to="west", percent=50, waves=[100])
    world.settle()
    first = world.only_shift()
    world.group({"west": 100})
    world.settle()
    assert world.shift_record(first).phase == "Moving"
    assert [note.reason for note in world.decide().notes] == [Reason.SHIFT_CONFLICT]
    assert any(first in note.sentence for note in world.decide().notes)
    world.sessions("east", GROUP, {1: 1})
    world.sessions("west", GROUP, {})
    world.settle()
    world.arrived("west", first, 0)
    world.settle()
    assert world.placement() == {"east>west": "0-49", "west": "50-99"}


def test_two_orders_of_one_moment_cannot_share_the_same_room() -> None:
    world = World(capacity=150)
    for name in ("a", "b"):
        world.group({"east": 100}, name=f"callcenter/{name}", agents=75)
    world.settle()
    world.group({"west": 100}, name="callcenter/c", agents=10)
    world.settle()
    for name in ("a", "b"):
        world.group({"west": 100}, name=f"callcenter/{name}", agents=75)
    world.settle()
    outcomes = [world.snapshot.orders[f"callcenter/{name}"].record.outcome for name in ("a", "b")]
    assert outcomes == ["Accepted", "Refused"]


def test_a_placement_whose_order_record_is_missing_is_kept_and_nothing_is_replayed() -> None:
    world = placed()
    world.delete(keys.order(GROUP))
    world.group({"west": 100})
    world.settle()
    assert world.placement() == {"east": "0-99"}
    assert world.snapshot.orders[GROUP].record.outcome == "Adopted"


def test_a_placement_of_a_newer_format_is_left_alone() -> None:
    world = placed()
    world.revision += 1
    world.gatherer.apply(keys.placement(GROUP), b'{"format": 2}', 1, world.revision, world.mono)
    world.group({"west": 100})
    assert world.settle() == []
