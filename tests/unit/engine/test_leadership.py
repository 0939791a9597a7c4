"""The witness's member leads the store when all is calm, and nobody else's ever tries."""

import asyncio
from collections.abc import Callable, Iterable
from itertools import repeat

import pytest

from tandem.domain import keys
from tandem.engine.leadership import LOOK_S, STABLE_S, StoreLeadership
from tandem.engine.picture import Picture
from tandem.engine.ports import StoreError
from tandem.engine.surroundings import TROUBLED_S
from tests.support.memory_store import MemoryEtcd
from tests.unit.domain.world import World
from tests.unit.engine.virtual import VirtualClock, run_virtual


def asked(
    site: str,
    change: Callable[[World], object] = World.settle,
    *,
    live: bool = True,
    fails: bool = False,
    leaders: Iterable[int] = repeat(7),
) -> int:
    """How often the lead is asked for within a minute. `leaders`: who leads, look by look."""
    count = 0

    class Members:
        found = iter(leaders)

        async def leader(self) -> int:
            return next(self.found, 0)

        async def lead(self, instead_of: int) -> bool:
            nonlocal count
            count += 1
            if fails:
                raise StoreError("no leader")
            return True

    async def story() -> None:
        clock = VirtualClock()
        world = World()
        world.mono = clock.monotonic()
        change(world)
        picture = Picture(MemoryEtcd(clock).client(), clock)
        picture._gatherer, picture.live = world.gatherer, live
        task = asyncio.create_task(StoreLeadership(site, picture, Members(), clock).run())
        await asyncio.sleep(60)
        assert not task.done()
        task.cancel()

    run_virtual(story())
    return count


def moving(world: World) -> None:
    world.group({"east": 100})
    world.settle()
    world.shift(selector={"system": "hotel"}, to="west")
    world.settle()


def test_the_witness_takes_the_lead_once_it_has_lived_for_a_while() -> None:
    assert asked("witness") == pytest.approx((60 - STABLE_S) / LOOK_S - 1, abs=1.1)
    assert asked("witness", fails=True) > 5


@pytest.mark.parametrize("site", ["east", "west"])
def test_a_city_never_does(site: str) -> None:
    assert asked(site) == 0


def test_one_that_has_just_been_elected_is_left_alone() -> None:
    """Each change of leaders has the leases of a dead city start anew."""
    assert asked("witness", leaders=[7, 8, 9, 0, 7, 0, 8]) == 0
    assert asked("witness", leaders=[7, 8, 8]) == 1


def test_it_does_not_while_a_city_may_be_lost_and_does_although_something_is_broken_for_good() -> None:
    def accused(world: World) -> None:
        world.observe("witness", "east", "", "engine", passes=False)

    # The accusation is made at the first look; it is news until 15 s later.
    assert asked("witness", accused) == pytest.approx((60 - TROUBLED_S) / LOOK_S - 1, abs=1.1)


def test_it_does_not_while_agents_move_or_the_store_is_lost_or_its_own_heartbeat_is_gone() -> None:
    assert asked("witness", moving) == 0
    assert asked("witness", live=False) == 0
    assert asked("witness", lambda world: world.delete(keys.heartbeat("witness"))) == 0
