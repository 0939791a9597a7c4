"""`kubectl tandem hold`: nothing new starts; `resume`: it does."""

import asyncio
from typing import Final

import pytest

from demo.callcentre import CallCentre
from lab.addresses import CITIES
from tandem.domain import keys
from tandem.domain.records import HoldRecord
from tests.e2e.callcenter_fixtures import shift
from tests.support.hold_watch import LOOK_EVERY_S, HoldWatch, late, words

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

ENGINE_PORT: Final = 30590
SEEN_WITHIN_S: Final = 1.0
"""The promise. Beyond it there is the pace of the looks alone: an engine may have seen it just after one of them. What
a busy machine needs for an answer does not count (`HoldWatch.seen`), nor does what was before the operator wrote."""


async def test_every_engine_has_seen_the_hold_within_a_second(centre: CallCentre) -> None:
    engines = {city: f"http://{place.address}:{ENGINE_PORT}" for city, place in CITIES.items()}
    async with HoldWatch(engines) as watch:
        await centre.tandem("hold", "--reason", "end-to-end test of its speed")
        await watch.all(5.0)
    found = await centre.store.get(keys.HOLD)
    assert found is not None
    pressed_at = HoldRecord.model_validate_json(found.value).since  # when the operator wrote it; one machine, one clock

    print(words(watch.seen, pressed_at), flush=True)
    assert late(watch.seen, pressed_at, SEEN_WITHIN_S + LOOK_EVERY_S) == []

    await centre.tandem("resume")


async def test_nothing_moves_while_held_and_everything_after_resume(centre: CallCentre) -> None:
    group = centre.quickstart.group("callcenter/hotel-north-sales")
    await centre.tandem("hold", "--reason", "end-to-end test")
    order = shift(centre, (group,), to="west")
    begun = await centre.begin(order)
    await asyncio.sleep(4)
    centre.observed.look()
    assert centre.is_at("east", group)

    await centre.tandem("resume")
    await centre.finish(begun, timeout=30)

    assert (await centre.measured(begun)).complete
