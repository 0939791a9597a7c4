"""Applying what was applied before, by hand or by a GitOps tool, changes nothing."""

import asyncio

import pytest

from demo.callcentre import CallCentre
from tests.e2e.callcenter_fixtures import order_of, shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def nothing_happens(centre: CallCentre, seconds: float = 4.0) -> bool:
    """Whether no placement is committed and no agent goes anywhere."""
    centre.observed.look()
    commits, sites = len(centre.commits.commits), dict(centre.observed.site_of)
    await asyncio.sleep(seconds)
    centre.observed.look()
    return len(centre.commits.commits) == commits and centre.observed.site_of == sites


async def test_the_quickstart_applied_again_moves_nobody(centre: CallCentre) -> None:
    await centre.installation.apply_quickstart()

    assert await nothing_happens(centre)


async def test_an_order_applied_again_does_not_undo_a_later_shift(centre: CallCentre) -> None:
    group = centre.quickstart.group("callcenter/hotel-coast-premium")
    order = order_of(centre, group, to="west")
    assert (await centre.move(order)).complete
    home = shift(centre, (group,), to="east")
    assert (await centre.move(home)).complete

    for again in (order, home):
        for city in again.cities:
            await centre.clusters[city].apply(again.file)
    assert await nothing_happens(centre)
    assert centre.is_at("east", group)
