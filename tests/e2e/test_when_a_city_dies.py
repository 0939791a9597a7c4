"""A city loses its power: its agents work in the other one by themselves, and come home by a Shift."""

import json

import pytest

from demo.callcentre import CallCentre
from tests.e2e.callcenter_fixtures import shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_everybody_of_a_dead_city_works_in_the_other_one_and_nobody_else_notices(centre: CallCentre) -> None:
    await centre.load(4)
    await centre.calls_reach(10, centre.quickstart.choose("east"))
    others = {group.name: centre.commits.newest[group.name].revision for group in centre.quickstart.choose("west")}

    found = await centre.lose("east")

    assert found.complete, found
    assert found.agents == sum(group.agents for group in centre.quickstart.choose("east"))
    assert found.phases.first_call is not None or not found.missing
    assert {name: centre.commits.newest[name].revision for name in others} == others
    assert {centre.commits.newest[group.name].cause for group in centre.quickstart.choose("east")} == {
        f"Failover/east-{centre.commits.failovers[-1][1].number}"
    }

    # While it is dead, the other city's cluster has the whole story.
    told = json.loads(await centre.tandem("history", "--site", "east", "--since", "10m", "-o", "json"))
    decided = {
        (entry["revision"], group)
        for entry in told["entries"]
        for group in entry["placed"]
        if entry["action"] in ("FailoverDecided", "FailoverWidened", "FailoverContinued")
    }
    newest = {(centre.commits.newest[group.name].revision, group.name) for group in centre.quickstart.choose("east")}
    assert newest <= decided, told["entries"][-5:]

    await centre.restore("east")

    centre.observed.look()
    everyone = centre.quickstart.groups
    assert centre.observed.at("west", centre.accounts(everyone)) == len(centre.accounts(everyone))  # nobody returned
    home = await centre.move(shift(centre, centre.quickstart.choose("east"), to="east", city="west"), timeout=120)
    assert home.complete, home
