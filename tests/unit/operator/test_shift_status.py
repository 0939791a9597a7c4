"""The status of a Shift: its plan as text and as data."""

from dataclasses import replace

from tandem.api.resources import SHIFT
from tandem.api.shift import ShiftStatus
from tandem.domain import keys
from tandem.domain.records import MovesOfShift, MovesRecord
from tandem.operator.statuses.common import Scene
from tandem.operator.statuses.shift import shift_status
from tests.support.manifests import shift
from tests.unit.domain.test_shifts import ALL_HOTEL, a_world
from tests.unit.domain.test_shifts import SHIFT as NAME
from tests.unit.domain.world import GROUP
from tests.unit.operator.objects import seen


def test_the_plan_is_shown_as_text_and_as_data_with_buckets_as_ranges() -> None:
    world = a_world()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.shift(**ALL_HOTEL, waves=[5, 25, 100], dryRun=True)
    world.settle()
    entry = world.snapshot.shifts[NAME]
    status = shift_status(Scene(world.snapshot, "east", world.mono), seen(shift()), entry)
    assert status.plan == entry.record.plan_text
    (group,) = status.planned.groups
    assert (group.group, group.agents, group.moves) == (GROUP, 100, {"east>west": "0-99"})
    assert (group.before, group.after) == ({"east": 100}, {"west": 100})
    assert group.waves == ("95-99", "75-94", "0-74")
    assert [wave.agents for wave in status.planned.waves] == [5, 20, 75]
    # What the API server keeps is what was meant: names as in the CRD, read back without loss.
    shown = status.model_dump(mode="json", by_alias=True)
    assert shown["planned"]["sites"][1]["signInsPerSecond"] == {"expected": 75, "most": 1000}
    assert ShiftStatus.model_validate(shown) == status
    assert SHIFT.status is ShiftStatus


def test_a_shift_that_was_made_anew_under_its_name_shows_its_own_plan() -> None:
    shown = []
    for agents in (100, 50):
        world = a_world()
        world.sessions("east", GROUP, dict.fromkeys(range(agents), 1))
        world.shift(**ALL_HOTEL, dryRun=True)
        world.settle()
        entry = world.snapshot.shifts[NAME]
        shown.append(shift_status(Scene(world.snapshot, "east", world.mono), seen(shift()), entry).planned)
    assert [(plan.agents, plan.groups[0].agents) for plan in shown] == [(100, 100), (50, 50)]


def test_those_who_came_back_after_an_abort_are_not_moved() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL)
    world.settle()
    world.change_shift(abort=True)
    world.settle()
    times = {"p50": 0.1, "p95": 0.2, "max": 0.3, "last_at": 0.0}
    world.put(keys.moves("west", "hotel"), MovesRecord(shifts={NAME: MovesOfShift(agents=3, **times)}))
    world.put(keys.moves("east", "hotel"), MovesRecord(shifts={NAME: MovesOfShift(agents=3, back=3, **times)}))
    entry = world.snapshot.shifts[NAME]
    status = shift_status(Scene(world.snapshot, "east", world.mono), seen(shift()), entry)
    assert (status.progress.moved, status.progress.back, status.progress.text) == (3, 3, "3/10")


def test_who_approved_and_who_aborted_are_those_whom_the_store_knows() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    before = shift_status(Scene(world.snapshot, "east", world.mono), seen(shift()), world.snapshot.shifts[NAME])
    assert (before.approved_by, before.aborted_by) == ("", "")
    # A manifest may name who is to approve it, long before he does.
    world.change_shift(NAME, approved_by="eve")
    named = shift_status(Scene(world.snapshot, "east", world.mono), seen(shift()), world.snapshot.shifts[NAME])
    assert named.approved_by == ""
    world.change_shift(NAME, approved=True, approved_by="ada", abort=True, aborted_by="bob")
    here = shift(approved=True, approvedBy="eve", abort=True, abortedBy="eve")
    status = shift_status(Scene(world.snapshot, "east", world.mono), seen(here), world.snapshot.shifts[NAME])
    assert (status.approved_by, status.aborted_by) == ("ada", "bob")


def test_when_it_was_approved_is_shown() -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    entry = world.snapshot.shifts[NAME]
    assert shift_status(Scene(world.snapshot, "east", world.mono), seen(shift()), entry).approved_at == ""
    approved = replace(entry, record=entry.record.model_copy(update={"approved_at": 1_700_000_000.0}))
    status = shift_status(Scene(world.snapshot, "east", world.mono), seen(shift()), approved)
    assert status.approved_at == "2023-11-14T22:13:20Z"
