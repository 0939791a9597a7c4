"""The witness's member leads the store when all is calm, and nobody else's ever tries."""

import asyncio
from collections.abc import Callable

import pytest

from tandem.domain import keys
from tandem.engine.leadership import LOOK_S, STABLE_S, StoreLeadership
from tandem.engine.picture import Picture
from tandem.engine.ports import StoreError
from tests.support.memory_store import MemoryEtcd
from tests.unit.domain.world import World
from tests.unit.engine.virtual import VirtualClock, run_virtual


def asked(
    site: str, change: Callable[[World], object] = World.settle, *, live: bool = True, fails: bool = False
) -> int:
    """How often the lead is asked for within a minute."""
    count = 0

    async def lead() -> bool:
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
        task = asyncio.create_task(StoreLeadership(site, picture, lead, clock).run())
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
    assert asked("witness") == pytest.approx((60 - STABLE_S) / LOOK_S, abs=1.1)
    assert asked("witness", fails=True) > 5


@pytest.mark.parametrize("site", ["east", "west"])
def test_a_city_never_does(site: str) -> None:
    assert asked(site) == 0


def test_it_does_not_while_agents_move_or_the_store_is_lost_or_its_own_heartbeat_is_gone() -> None:
    assert asked("witness", moving) == 0
    assert asked("witness", live=False) == 0
    assert asked("witness", lambda world: world.delete(keys.heartbeat("witness"))) == 0
