"""kill -9 of a CTI pod: its doors stay shut until its engine confirmed the map; then everybody is back, at home."""

import time

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from tests.e2e.callcenter_fixtures import shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_everybody_is_back_at_home_and_can_be_moved(centre: CallCentre) -> None:
    hotel = centre.quickstart.choose("east", system="hotel")
    accounts = centre.accounts(hotel)
    revisions = {group.name: centre.commits.newest[group.name].revision for group in hotel}
    killed_at = time.time()

    await centre.lab.faults.kill("east", "pod/callcenter/cti-hotel")

    async def signed_in_again() -> tuple[bool, str]:
        centre.observed.look()
        back = {
            event.account
            for event in centre.observed.events
            if event.event == "signed-in"
            and event.site == "east"
            and event.at > killed_at
            and event.account in accounts
        }
        return len(back) == len(accounts), f"{len(back)} of {len(accounts)} signed in again"

    await until("everybody is signed in again", signed_in_again, timeout=60)
    assert {group.name: centre.commits.newest[group.name].revision for group in hotel} == revisions  # nobody was moved
    strangers = centre.accounts(centre.quickstart.groups) - accounts
    noticed = [
        event
        for event in centre.observed.events
        if event.at > killed_at and event.account in strangers and event.event in ("lost", "released", "out")
    ]
    assert noticed == []

    # The map is not only there: the process takes newer ones.
    assert (await centre.move(shift(centre, hotel, to="west"))).complete
