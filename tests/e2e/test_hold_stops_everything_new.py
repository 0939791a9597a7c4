"""`kubectl tandem hold`: nothing new starts; `resume`: it does."""

import asyncio

import pytest

from demo.callcentre import CallCentre
from tests.e2e.callcenter_fixtures import shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


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
