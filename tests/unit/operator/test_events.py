"""In which order Events are posted, with which time, and what becomes of them while they cannot be."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

from tandem.api.resources import AGENT_GROUP, SHIFT, SITE
from tandem.domain import keys
from tandem.domain.snapshot import Snapshot
from tandem.engine.wakeup import Signal
from tandem.operator import events
from tandem.operator.cluster import ApiError, RefusedError
from tandem.operator.events import Storyteller
from tandem.operator.objects import Table
from tandem.operator.story import Tale
from tests.support.manifests import group, shift, site
from tests.unit.domain.world import GROUP, World
from tests.unit.engine.virtual import VirtualClock, run_virtual
from tests.unit.operator.objects import seen

NIGHT = "callcenter/to-west"


class Api:
    """A cluster that takes Events, or not."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.error: ApiError | None = None

    async def post(self, path: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        if self.error is not None:
            raise self.error
        assert path.endswith("/events")
        self.events.append(dict(body))
        return body

    async def merge(self, path: str, body: Mapping[str, Any]) -> None:
        (event,) = (one for one in self.events if path.endswith(one["metadata"]["name"]))
        event.update(body)

    @property
    def told(self) -> list[str]:
        return [event["reason"] for event in self.events]


class Rig:
    """A storyteller with the Shift `to-west`, its group and the Site `east`, running."""

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.api = Api()
        self.changed = Signal()
        self.table = Table()
        for manifest in (shift(), group(), site("east")):
            self.table.update(seen(manifest))
        self.view = SimpleNamespace(
            clock=VirtualClock(),
            snapshot=snapshot or Snapshot(),
            subscribe=lambda *_: self.changed,
            synced=SimpleNamespace(is_set=lambda: True),
        )
        self.teller = Storyteller("east", self.table, self.view, self.api)  # type: ignore[arg-type]

    async def __aenter__(self) -> "Rig":
        self._task = asyncio.create_task(self.teller.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    def say(self, *reasons: str, warning: bool = False, about: Any = SHIFT, name: str = NIGHT) -> None:
        for reason in reasons:
            self.teller.tell(Tale(about, name, reason, reason.lower(), "Warning" if warning else "Normal"))


def moving() -> Snapshot:
    """Agents have just begun to move: a time in which only warnings are told."""
    world = World()
    world.group({"east": 100})
    world.settle()
    world.shift(selector={"system": "hotel"}, to="west")
    world.settle()
    assert world.snapshot.placements[GROUP].map.in_transit
    return world.snapshot


def test_events_come_in_the_order_of_the_story_and_their_names_sort_so() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.say("ShiftPlanned", "MoveStarted", "WaveStarted", "Moved")
            await asyncio.sleep(2)
            assert rig.api.told == ["ShiftPlanned", "MoveStarted", "WaveStarted", "Moved"]
            names = [event["metadata"]["name"] for event in rig.api.events]
            assert names == sorted(names)
            assert len(set(names)) == 4

    run_virtual(story())


def test_a_warning_takes_along_what_came_before_it_and_leaves_the_rest_for_quieter_times() -> None:
    async def story() -> None:
        async with Rig(moving()) as rig:
            rig.say("MoveStarted")
            rig.say("MoveStarted", about=AGENT_GROUP, name="callcenter/sales")
            await asyncio.sleep(1)
            assert rig.api.told == []
            rig.say("Aborting", "RolledBack", warning=True)
            await asyncio.sleep(1)
            assert rig.api.told == ["MoveStarted", "Aborting", "RolledBack"]
            assert {event["involvedObject"]["kind"] for event in rig.api.events} == {"Shift"}
            await asyncio.sleep(3)
            assert rig.api.events[-1]["involvedObject"]["kind"] == "AgentGroup"

    run_virtual(story())


def test_an_object_that_appears_late_gets_its_story_from_the_beginning() -> None:
    async def story() -> None:
        async with Rig() as rig:
            late = seen(shift("late"))
            rig.say("ShiftPlanned", name="callcenter/late")
            rig.say("SiteSuspect", about=SITE, name="east", warning=True)
            await asyncio.sleep(1)
            assert rig.api.told == ["SiteSuspect"]
            rig.say("MoveStarted", name="callcenter/late")
            await asyncio.sleep(0.05)
            rig.table.update(late)
            await asyncio.sleep(2)
            assert rig.api.told == ["SiteSuspect", "ShiftPlanned", "MoveStarted"]
            rig.say("ShiftPlanned", name="callcenter/elsewhere")  # it never comes
            await asyncio.sleep(10)
            assert len(rig.api.events) == 3
            assert rig.teller._waiting == []

    run_virtual(story())


def test_an_object_that_appears_in_the_middle_of_a_round_does_not_lose_its_beginning() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.say("ShiftPlanned", name="callcenter/late")
            rig.say("ShiftPlanned")
            rig.say("MoveStarted", name="callcenter/late")
            await asyncio.sleep(0.05)  # the second one is posted, the third one's turn comes
            assert len(rig.api.events) == 1
            rig.table.update(seen(shift("late")))
            await asyncio.sleep(2)
            late = [event["reason"] for event in rig.api.events if event["involvedObject"]["name"] == "late"]
            assert late == ["ShiftPlanned", "MoveStarted"]

    run_virtual(story())


def test_an_api_that_is_away_loses_nothing_and_the_time_is_that_of_the_story() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.api.error = ApiError("the Kubernetes API cannot be reached")
            rig.say("ShiftPlanned", "MoveStarted")
            await asyncio.sleep(60)
            rig.say("Moved")
            rig.api.error = None
            await asyncio.sleep(5)
            assert rig.api.told == ["ShiftPlanned", "MoveStarted", "Moved"]
            first, second, third = (event["lastTimestamp"] for event in rig.api.events)
            assert first == second < third

    run_virtual(story())


def test_what_is_refused_holds_up_nobody() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.api.error = RefusedError("no")
            rig.say("ShiftPlanned")
            await asyncio.sleep(1)
            rig.api.error = None
            rig.say("MoveStarted")
            await asyncio.sleep(1)
            assert rig.api.told == ["MoveStarted"]

    run_virtual(story())


def test_when_too_many_wait_groups_are_left_out_first(monkeypatch: Any) -> None:
    monkeypatch.setattr(events, "_WAITING", 10)

    async def story() -> None:
        async with Rig() as rig:
            rig.api.error = ApiError("away")
            rig.say("FailedOver", about=SITE, name="east", warning=True)
            rig.say(*(f"Group{number}" for number in range(100)), about=AGENT_GROUP, name="callcenter/sales")
            rig.say("ShiftInterrupted", warning=True)
            await asyncio.sleep(1)
            rig.api.error = None
            await asyncio.sleep(10)
            assert rig.api.told == ["FailedOver", *(f"Group{number}" for number in range(92, 100)), "ShiftInterrupted"]

    run_virtual(story())


def test_the_same_again_is_counted_with_its_own_time() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.say("Held", warning=True)
            await asyncio.sleep(10)
            rig.say("Held", warning=True)
            await asyncio.sleep(1)
            (event,) = rig.api.events
            assert event["count"] == 2
            assert event["firstTimestamp"] < event["lastTimestamp"]

    run_virtual(story())


def test_a_city_is_told_to_be_back_though_it_was_unknown_for_a_while() -> None:
    async def story() -> None:
        async with Rig() as rig:
            world = World()
            before = world.snapshot
            world.observe("witness", "east", "hotel", "cti", passes=False)
            accused = world.snapshot
            world.healthy("east", "hotel")
            well = world.snapshot
            world.delete(keys.observation("east", "east", "hotel", "cti"))
            for snapshot in (before, accused, world.snapshot, well, world.snapshot, well):
                rig.view.snapshot = snapshot
                rig.changed.give()
                await asyncio.sleep(1)
            assert rig.api.told == ["SiteDegraded", "SiteHealthy"]
            assert [event["count"] for event in rig.api.events] == [1, 1]

    run_virtual(story())


def test_a_loss_that_time_alone_confirms_is_told_in_its_moment() -> None:
    async def story() -> None:
        async with Rig() as rig:
            world = World()
            world.mono = rig.view.clock.monotonic()
            before = world.snapshot
            world.die("east")
            for snapshot in (before, world.snapshot):
                rig.view.snapshot = snapshot
                rig.changed.give()
                await asyncio.sleep(0.1)
            await asyncio.sleep(1.7)
            assert rig.api.told == ["SiteSuspect"]
            await asyncio.sleep(0.5)
            assert rig.api.told == ["SiteSuspect", "SiteAbsent"]

    run_virtual(story())
