"""What must be written at once, and what may wait."""

import asyncio
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tandem.domain import keys
from tandem.domain.records import HoldRecord, PlacementRecord
from tandem.engine.wakeup import Signal
from tandem.operator.mirror import LocalNotes, StatusMirror
from tandem.operator.objects import Seen, Table
from tandem.operator.settings import STORE_SILENT_S
from tandem.operator.status_pacing import (
    COUNTS_INTERVAL_S,
    EMERGENCY_QUIET_S,
    PROGRESS_INTERVAL_S,
    QUIET_S,
    WRITES_PER_S,
    WRITES_SAVED,
    Budget,
    Quiet,
    write_interval,
)
from tests.support.manifests import group, namespaced, site
from tests.unit.domain.test_shifts import a_world
from tests.unit.domain.world import World
from tests.unit.engine.virtual import run_virtual
from tests.unit.operator.objects import CREATED_AT, seen

BEFORE: dict[str, Any] = {
    "where": "east 100",
    "signedIn": 17,
    "moving": 0,
    "phase": "Moving",
    "sites": [{"site": "east", "percent": 100, "talking": 3}],
    "conditions": [{"type": "Ready", "status": "False", "reason": "Moving", "message": "wave 1 of 4"}],
}


@pytest.mark.parametrize(
    ("change", "seconds"),
    [
        pytest.param({"signedIn": 16}, COUNTS_INTERVAL_S, id="an-agent-signed-out"),
        pytest.param({"sites": [{"site": "east", "percent": 100, "talking": 9}]}, COUNTS_INTERVAL_S, id="calls"),
        pytest.param({"sites": [{"site": "east", "percent": 60, "talking": 3}]}, PROGRESS_INTERVAL_S, id="buckets"),
        pytest.param({"moving": 12, "where": "east>west 100"}, PROGRESS_INTERVAL_S, id="under-way"),
        pytest.param(
            {"conditions": [{"type": "Ready", "status": "False", "reason": "Moving", "message": "wave 2 of 4"}]},
            PROGRESS_INTERVAL_S,
            id="the-same-reason-in-other-words",
        ),
        pytest.param(
            {"conditions": [{"type": "Ready", "status": "True", "reason": "Placed", "message": "wave 1 of 4"}]},
            0.0,
            id="another-reason",
        ),
        pytest.param({"phase": "Completed", "signedIn": 0}, 0.0, id="another-phase"),
        pytest.param({"conditions": []}, 0.0, id="a-condition-less"),
    ],
)
def test_news_are_written_at_once_progress_and_counts_later(change: dict[str, Any], seconds: float) -> None:
    before = deepcopy(BEFORE)
    assert write_interval(before, {**BEFORE, **change}) == seconds
    assert before == BEFORE


def test_a_first_status_is_news() -> None:
    assert write_interval({}, BEFORE) == 0.0


def placed(world: World, placement: dict[str, str]) -> None:
    world.put(keys.placement("n/g"), PlacementRecord(system="hotel", map=placement, cause="Shift/s"))


def test_the_first_seconds_of_a_move_are_quiet_and_a_long_one_is_told_of() -> None:
    world, quiet = World(), Quiet()
    placed(world, {"east": "0-99"})
    assert not quiet.wanted(world.snapshot, 10.0)
    placed(world, {"east>west": "0-99"})
    assert quiet.wanted(world.snapshot, 20.0)
    assert quiet.wanted(world.snapshot, 20.0 + QUIET_S - 0.1)
    assert not quiet.wanted(world.snapshot, 20.0 + QUIET_S)
    placed(world, {"west": "0-99"})
    assert not quiet.wanted(world.snapshot, 25.0)
    placed(world, {"west>east": "0-99"})
    assert quiet.wanted(world.snapshot, 26.0), "the next move has seconds of its own"


def test_an_emergency_is_quiet_from_the_moment_a_city_falls_silent_and_a_start_is_not() -> None:
    world, quiet = World(), Quiet()
    world.delete(keys.heartbeat("west"))
    assert not quiet.wanted(world.snapshot, 1.0), "who has never been heard has not fallen silent"
    world.come_back("west")
    assert not quiet.wanted(world.snapshot, 9.0)
    world.delete(keys.heartbeat("witness"))
    assert not quiet.wanted(world.snapshot, 10.0), "the witness has no agents"
    world.die("east")
    assert quiet.wanted(world.snapshot, 11.0)
    assert quiet.wanted(world.snapshot, 11.0 + EMERGENCY_QUIET_S - 0.1)
    assert not quiet.wanted(world.snapshot, 11.0 + EMERGENCY_QUIET_S)


def test_so_is_one_of_a_city_that_goes_on_writing_from_its_first_placement_on() -> None:
    world, quiet = World(), Quiet()
    world.put(keys.placement("n/f"), PlacementRecord(system="hotel", map={"west": "0-99"}, cause="Failover/east-1"))
    placed(world, {"east": "0-99"})
    assert not quiet.wanted(world.snapshot, 5.0), "what was so before this process started is to be told"
    world.put(keys.placement("n/g"), PlacementRecord(system="hotel", map={"west": "0-99"}, cause="Failover/east-2"))
    assert quiet.wanted(world.snapshot, 10.0)
    assert not quiet.wanted(world.snapshot, 10.0 + EMERGENCY_QUIET_S)
    world.put(keys.placement("n/h"), PlacementRecord(system="hotel", map={"west": "0-99"}, cause="Failover/east-2"))
    assert not quiet.wanted(world.snapshot, 20.0), "those who follow are told of"
    world.put(keys.placement("n/i"), PlacementRecord(system="flight", map={"west": "0-99"}, cause="Failover/east-2"))
    assert quiet.wanted(world.snapshot, 30.0), "another system of the same city is lost later"


@pytest.mark.parametrize("tenths", range(0, 16, 2))
def test_a_silent_store_is_said_within_two_seconds_whenever_it_became_worth_saying(tenths: int) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        world = World()
        silent_since = loop.time() - STORE_SILENT_S + 2.0 + tenths / 10

        class View:
            synced = SimpleNamespace(is_set=lambda: True)
            trouble = "no quorum"
            clock = SimpleNamespace(now=lambda: world.mono, monotonic=loop.time)
            snapshot = world.snapshot

            @property
            def silent_s(self) -> float:
                return loop.time() - silent_since

            def subscribe(self, *_: str) -> Signal:
                return Signal()

        table = Table()
        table.update(seen(site("east")))
        mirror = StatusMirror("east", table, cast("Any", View()), cast("Any", None), LocalNotes())
        said_at = []

        async def write(due: Sequence[tuple[Seen, dict[str, Any]]]) -> None:
            for east, status in due:
                table.update(replace(east, status=status))
                if "StoreUnreachable" in str(status):
                    said_at.append(loop.time())

        mirror._write = write  # type: ignore[method-assign]
        running = asyncio.create_task(mirror.run())
        await asyncio.sleep(6.0 + tenths / 10)
        running.cancel()
        assert said_at
        assert said_at[0] - silent_since < STORE_SILENT_S + 2.0

    run_virtual(story())


@pytest.mark.parametrize("tenths", range(0, 8, 2))
def test_a_loss_that_time_confirms_is_shown_at_once(tenths: int) -> None:
    async def story() -> None:
        loop = asyncio.get_running_loop()
        world = World()
        world.mono = died = loop.time()
        world.die("east")
        await asyncio.sleep(tenths / 10)
        view = SimpleNamespace(
            synced=SimpleNamespace(is_set=lambda: True),
            silent_s=0.0,
            trouble="",
            clock=SimpleNamespace(now=loop.time, monotonic=loop.time),
            snapshot=world.snapshot,
            subscribe=lambda *_: Signal(),
        )
        table = Table()
        table.update(seen(site("east")))
        mirror = StatusMirror("east", table, cast("Any", view), cast("Any", None), LocalNotes())
        said = []

        async def write(due: Sequence[tuple[Seen, dict[str, Any]]]) -> None:
            for east, status in due:
                table.update(replace(east, status=status))
                said.append((status["verdict"], loop.time() - died))

        mirror._write = write  # type: ignore[method-assign]
        running = asyncio.create_task(mirror.run())
        await asyncio.sleep(4.0)
        running.cancel()
        [(before, _), (after, at)] = said
        assert (before, after) == ("Suspect", "Absent")
        assert 2.0 <= at < 2.6

    run_virtual(story())


def test_a_hold_is_told_while_a_move_is_young_and_mere_counts_are_not() -> None:
    world = a_world()
    world.shift(selector={"system": "hotel"}, to="west")
    world.settle()
    clock = SimpleNamespace(now=lambda: world.mono, monotonic=lambda: world.mono)
    view = SimpleNamespace(
        synced=SimpleNamespace(is_set=lambda: True),
        silent_s=0.0,
        trouble="",
        clock=clock,
        subscribe=lambda *_: Signal(),
    )
    table = Table()
    east = seen(site("east"))
    table.update(east)
    mirror = StatusMirror("east", table, cast("Any", view), cast("Any", None), LocalNotes())

    def due() -> list[dict[str, Any]]:
        view.snapshot = world.snapshot
        return [status for _, status in mirror._due()]

    [first] = due()  # it has no status yet: that is news
    table.update(replace(east, status=first))
    world.sessions("east", "callcenter/hotel-north-sales", {1: 17})
    assert due() == []
    world.put(keys.HOLD, HoldRecord(by="ada", reason="storm", since=world.mono))
    [held] = due()
    assert held["hold"]["by"] == "ada"


@pytest.mark.parametrize(("said", "shown"), [({}, True), ({"abort": True}, False)])
def test_what_an_earlier_shift_of_the_name_was_stays_where_it_says_what_the_newer_one_must_not_hear(
    said: dict[str, bool], shown: bool
) -> None:
    world = World()
    world.shift(selector={"system": "hotel"}, to="west")
    record = world.shift_record().model_copy(update={"created_at": CREATED_AT + 1200.0})
    world.put(keys.shift("callcenter/s1"), record)
    clock = SimpleNamespace(now=lambda: world.mono, monotonic=lambda: world.mono)
    view = SimpleNamespace(synced=SimpleNamespace(is_set=lambda: True), silent_s=0.0, trouble="", clock=clock)
    view.snapshot, view.subscribe = world.snapshot, lambda *_: Signal()
    table = Table()
    over = {"phase": "Completed", "finishedAt": "2026-11-23T20:10:00Z"}
    table.update(
        seen(
            namespaced("Shift", "s1", {**record.spec.model_dump(by_alias=True, exclude_none=True), **said}), status=over
        )
    )
    mirror = StatusMirror("east", table, cast("Any", view), cast("Any", None), LocalNotes())
    assert [status["phase"] for _, status in mirror._due()] == ([record.phase] if shown else [])


def test_writes_keep_below_their_rate_and_what_is_saved_is_spent_once() -> None:
    budget = Budget()
    assert budget.take(1000, 0.0) == WRITES_SAVED
    assert budget.take(1000, 0.5) == WRITES_PER_S / 2
    assert [budget.take(1, 10.0) for _ in range(3)] == [1, 1, 1]
    assert budget.take(1000, 10.0) == WRITES_SAVED - 3, "no more is saved than once"


def test_of_many_groups_news_come_first_and_then_who_has_waited_longest() -> None:
    world = a_world()
    clock = SimpleNamespace(now=lambda: world.mono, monotonic=lambda: world.mono)
    view = SimpleNamespace(clock=clock, subscribe=lambda *_: Signal())
    mirror = StatusMirror("east", Table(), cast("Any", view), cast("Any", None), LocalNotes())
    groups = [replace(seen(group(f"g{number}")), status=BEFORE) for number in range(60)]
    due = [(one, {**BEFORE, "moving": 12}) for one in groups]
    due[50] = (groups[50], {**BEFORE, "phase": "Completed"})
    due.append((seen(site("east")), {"hold": {"by": "ada"}}))
    for number, one in enumerate(groups):
        mirror._written_at[one.key] = 100.0 - number

    now = [one.name for one, _ in mirror._afforded(due)]

    assert now[0] == "east"
    assert now[1].endswith("g50")
    assert [name.rpartition("g")[2] for name in now[2:4]] == ["59", "58"]
    assert len(now) == 1 + WRITES_SAVED
    assert mirror._some_wait
