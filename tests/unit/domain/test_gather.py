"""Gathering: the picture is the same whether it grew change by change or was read at once."""

from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.domain import keys
from tandem.domain.gather import Gatherer
from tandem.domain.records import HoldRecord, ShiftRecord, StoreMemberRecord
from tandem.domain.snapshot import Snapshot
from tests.unit.domain.world import GROUP, World

DRILL = {"shift": {"selector": {"system": "hotel"}, "to": "west"}}
STEPS: dict[str, Callable[[World], object]] = {
    "order-east": lambda world: world.group({"east": 100}),
    "order-west": lambda world: world.group({"west": 100}),
    "only-east-reads": lambda world: world.group({"east": 50, "west": 50}, by=["east"]),
    "decide": lambda world: world.settle(),
    "hold": World.hold,
    "resume": lambda world: world.delete(keys.HOLD),
    "sign-in": lambda world: world.sessions("east", GROUP, {3: 2}),
    "accuse": lambda world: world.observe("west", "east", "hotel", "cti", passes=False),
    "silence": lambda world: world.delete(keys.observation("west", "east", "hotel", "cti")),
    "store-member": lambda world: world.put(keys.store_member("west"), StoreMemberRecord(works=True, voters=3)),
    "no-store-member": lambda world: world.delete(keys.store_member("west")),
    "no-report": lambda world: world.delete(keys.report("west", "hotel")),
    "shift": lambda world: world.shift(selector={"system": "hotel"}, to="west"),
    "drill": lambda world: world.publish(keys.DRILL, "callcenter/d", DRILL, by=["east"]),
    "drill-again": lambda world: world.publish(keys.DRILL, "callcenter/d", {**DRILL, "hold": "1h"}, by=["west"]),
    "no-drill": lambda world: world.delete(keys.spec("east", keys.DRILL, "callcenter/d")),
    "unpublish": lambda world: world.delete(keys.spec("west", keys.AGENT_GROUP, GROUP)),
}


def without_times(snapshot: Snapshot) -> object:
    """Everything but when this engine first saw it, and what was agreed before."""
    return (
        snapshot.coordinator and snapshot.coordinator.record,
        snapshot.hold and snapshot.hold.record,
        snapshot.participants,
        {name: site.spec for name, site in snapshot.sites.items()},
        {name: (group.consistent, group.message) for name, group in snapshot.groups.items()},
        {name: (placed.map, placed.revision) for name, placed in snapshot.placements.items()},
        {name: entry.record for name, entry in snapshot.orders.items()},
        {name: (entry.record, entry.mod_revision) for name, entry in snapshot.shifts.items()},
        {name: (entry.record, entry.mod_revision) for name, entry in snapshot.drills.items()},
        {name: (drill.consistent, drill.message, drill.evidence) for name, drill in snapshot.drill_specs.items()},
        {about: {o: w.record for o, w in words.items()} for about, words in snapshot.observations.items()},
        {pair: entry.record for pair, entry in snapshot.reports.items()},
        {site: entry.record for site, entry in snapshot.store_members.items()},
    )


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(sorted(STEPS)), max_size=12))
def test_a_picture_that_grew_equals_one_that_was_read_at_once(steps: list[str]) -> None:
    world = World()
    for step in steps:
        STEPS[step](world)
        world.snapshot  # noqa: B018 - what is cached in between must not matter
    fresh = Gatherer()
    for key, (value, created, modified) in world.store.items():
        fresh.apply(key, value, created, modified, world.mono)
    assert without_times(world.snapshot) == without_times(fresh.snapshot())
    assert world.gatherer.keys() == fresh.keys() == set(world.store)


def test_a_phase_lasts_since_it_was_first_seen_and_a_wave_begins_anew() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.shift(selector={"system": "hotel"}, to="west")
    first = world.mono
    world.advance(5)
    record = world.shift_record()
    world.put(keys.shift("callcenter/s1"), record.model_copy(update={"message": "still waiting"}))
    assert world.snapshot.shifts["callcenter/s1"].since == first
    world.put(keys.shift("callcenter/s1"), record.model_copy(update={"phase": "Moving", "wave": 1}))
    assert world.snapshot.shifts["callcenter/s1"].since == first + 5
    world.advance(5)
    world.put(keys.shift("callcenter/s1"), record.model_copy(update={"phase": "Moving", "wave": 2}))
    entry = world.snapshot.shifts["callcenter/s1"]
    assert (entry.since, entry.first_seen) == (first + 10, first)


def test_what_cannot_be_read_leaves_the_older_picture() -> None:
    gatherer = Gatherer()
    gatherer.apply(keys.HOLD, HoldRecord(by="ada", reason="", since=0).encode(), 1, 1, 0.0)
    gatherer.apply(keys.HOLD, b'{"format": 2}', 1, 2, 0.0)
    snapshot = gatherer.snapshot()
    assert snapshot.hold is not None
    assert snapshot.hold.mod_revision == 1
    assert snapshot.unreadable == {keys.HOLD}
    gatherer.delete(keys.HOLD, 3, 0.0)
    assert gatherer.snapshot().hold is None
    assert not gatherer.snapshot().unreadable


def test_fields_of_a_newer_version_are_ignored() -> None:
    record = ShiftRecord.model_validate(
        {"spec": {"selector": {"system": "hotel"}, "to": "west"}, "created_at": 0, "created_in": "x", "novel": 1}
    )
    assert record.phase == "Pending"
