"""How long finished Shifts are kept in the store."""

import pytest

from tandem.constants import END_SHOWN_S, PATIENCE_S, RAN_KEPT, SHIFTS_KEPT
from tandem.domain import keys
from tandem.domain.records import RanRecord
from tests.unit.domain.world import World

NOTHING = {"selector": {"system": "hotel"}, "to": "east"}
LONG = int(10 * PATIENCE_S)


def finished(world: World, name: str, **spec: object) -> None:
    world.shift(f"callcenter/{name}", **NOTHING, **spec)
    world.settle()


def a_world() -> World:
    world = World()
    world.group({"east": 100})
    world.settle()
    return world


def test_a_finished_shift_stays_when_nobody_said_for_how_long() -> None:
    world = a_world()
    finished(world, "s1")
    world.advance(1e7)
    world.settle()
    assert "callcenter/s1" in world.snapshot.shifts


def test_a_finished_shift_goes_when_its_time_is_over_and_not_before() -> None:
    world = a_world()
    finished(world, "s1", ttlSecondsAfterFinished=LONG)
    wake = world.decide().wake_at
    assert wake == pytest.approx(world.mono + LONG, abs=0.1)
    world.advance(LONG - 1)
    world.settle()
    assert "callcenter/s1" in world.snapshot.shifts
    world.advance(1.1)
    world.settle()
    assert "callcenter/s1" not in world.snapshot.shifts


def test_a_shift_is_not_forgotten_while_a_cluster_might_take_its_object_for_a_new_one() -> None:
    world = a_world()
    finished(world, "s1", ttlSecondsAfterFinished=0)
    world.advance(2 * PATIENCE_S - 1)
    world.settle()
    assert "callcenter/s1" in world.snapshot.shifts
    world.advance(1.1)
    world.settle()
    assert "callcenter/s1" not in world.snapshot.shifts


def test_the_end_of_a_long_shift_is_shown_before_it_goes() -> None:
    world = a_world()
    world.shift(selector={"system": "hotel"}, to="west", ttlSecondsAfterFinished=0, approval="Manual")
    world.settle()
    world.advance(LONG)
    world.change_shift(abort=True)
    world.settle()
    world.advance(END_SHOWN_S - 1)
    world.settle()
    assert world.shift_record().phase == "RolledBack"
    world.advance(1.1)
    world.settle()
    assert "callcenter/s1" not in world.snapshot.shifts


def test_an_unfinished_shift_does_not_expire() -> None:
    world = a_world()
    world.shift(selector={"system": "hotel"}, to="west", ttlSecondsAfterFinished=0, approval="Manual")
    world.settle()
    world.advance(LONG)
    world.settle()
    assert world.shift_record().phase == "AwaitingApproval"


def test_of_each_namespace_the_newest_finished_shifts_are_kept() -> None:
    world = a_world()
    finished(world, "first")
    done = world.shift_record("callcenter/first")
    for number in range(SHIFTS_KEPT):
        world.put(
            keys.shift(f"callcenter/n{number}"), done.model_copy(update={"finished_at": done.finished_at + 1 + number})
        )
    world.put(keys.shift("other/old"), done)
    world.shift("callcenter/running", selector={"system": "hotel"}, to="west", approval="Manual")
    world.settle()
    kept = set(world.snapshot.shifts)
    assert "callcenter/first" not in kept
    assert {"callcenter/n0", "callcenter/running", "other/old"} <= kept
    assert len(kept) == SHIFTS_KEPT + 2


@pytest.mark.parametrize("cause", ["", "Order", "Drill/x"])
def test_a_shift_that_people_made_leaves_its_name_behind(cause: str) -> None:
    world = a_world()
    finished(world, "s1", ttlSecondsAfterFinished=LONG)
    record = world.shift_record("callcenter/s1")
    world.put(keys.shift("callcenter/s1"), record.model_copy(update={"cause": cause}))
    world.advance(LONG + 1)
    world.settle()
    assert "callcenter/s1" not in world.snapshot.shifts
    left = world.snapshot.ran.get("callcenter/s1")
    assert (left is not None) == (not cause)
    if left is not None:
        assert (left.record.phase, left.record.finished_at) == (record.phase, record.finished_at)


def test_of_each_namespace_the_newest_names_are_remembered() -> None:
    world = a_world()
    for number in range(RAN_KEPT + 2):
        world.put(keys.ran(f"callcenter/s{number}"), RanRecord(phase="Completed", finished_at=1000.0 + number))
    world.put(keys.ran("elsewhere/s0"), RanRecord(phase="Completed", finished_at=1.0))
    world.settle()
    assert len(world.snapshot.ran) == RAN_KEPT + 1
    assert not {"callcenter/s0", "callcenter/s1"} & world.snapshot.ran.keys()
    assert "elsewhere/s0" in world.snapshot.ran
