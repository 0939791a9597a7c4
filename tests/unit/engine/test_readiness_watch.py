"""The metric `failover_ready`: asked by the engine that reigns, and kept for whoever scrapes."""

import asyncio
from contextlib import suppress
from types import SimpleNamespace

from tandem.engine.readiness_watch import READINESS_EVERY_S, ReadinessWatch
from tests.unit.domain.world import GROUP, World


class Turns:
    """A clock whose pauses end when the test says so."""

    def __init__(self) -> None:
        self.asleep = asyncio.Event()
        self.go = asyncio.Event()

    def monotonic(self) -> float:
        return 1000.0

    async def sleep(self, seconds: float) -> None:
        assert seconds == READINESS_EVERY_S
        self.asleep.set()
        await self.go.wait()
        self.go.clear()

    async def next(self) -> None:
        """Until it has looked once more."""
        self.asleep.clear()
        self.go.set()
        await self.asleep.wait()


async def test_the_engine_that_reigns_knows_of_each_group_and_another_one_of_none() -> None:
    world, clock = World(capacity=40), Turns()
    world.group({"east": 100}, agents=40)
    world.settle()
    synced = asyncio.Event()
    picture = SimpleNamespace(snapshot=world.snapshot, live=True, synced=synced)
    reign = SimpleNamespace(epoch=lambda: 7)
    watch = ReadinessWatch(picture, reign, clock)  # type: ignore[arg-type]
    running = asyncio.create_task(watch.run())
    try:
        async with asyncio.timeout(10):
            await asyncio.sleep(0)
            assert watch.found == {}, "the store has not spoken yet"
            synced.set()
            await clock.asleep.wait()
            assert {name: found.reason for name, found in watch.found.items()} == {GROUP: "RoomElsewhere"}
            world.group({"west": 100}, name="callcenter/other", agents=40)
            world.settle()
            picture.snapshot = world.snapshot
            await clock.next()
            assert {name: found.ready for name, found in watch.found.items()} == {
                GROUP: False,
                "callcenter/other": False,
            }
            picture.snapshot = None
            await clock.next()
            assert watch.found == {}, "a defect in a rule ends no engine"
            picture.snapshot, picture.live = world.snapshot, False
            await clock.next()
            assert watch.found == {}, "what it knew before the store fell silent would be old"
            picture.live, reign.epoch = True, lambda: 0
            await clock.next()
            assert watch.found == {}
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
