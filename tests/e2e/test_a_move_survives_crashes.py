"""kill -9 of an engine or operator in the middle of a move: it finishes after the restart, nobody moves twice."""

import asyncio

import pytest

from demo.callcentre import CallCentre
from demo.report import move_json
from demo.waiting import until
from tests.e2e.callcenter_fixtures import shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

PACE = 50
"""Agents a second over all groups: a hundred agents take two seconds, and with four waves the whole move several."""


async def coordinator(centre: CallCentre) -> str:
    """The location whose engine may commit."""
    site = await centre.clusters["east"].get("site", "east", namespace="default")
    return str(site["status"]["coordinator"])


@pytest.mark.parametrize("victim", ["engine-of-the-coordinator", "engine-of-the-source", "operator-of-the-source"])
async def test_a_move_finishes_after_a_crash_and_nobody_moves_twice(centre: CallCentre, victim: str) -> None:
    city = await coordinator(centre) if victim == "engine-of-the-coordinator" else "east"
    container = "operator" if victim.startswith("operator") else "engine"
    everyone = centre.quickstart.choose("east")
    begun = await centre.begin(shift(centre, everyone, to="west", waves=[25, 50, 75, 100], pace=PACE))

    async def part_of_the_way() -> tuple[bool, str]:
        centre.observed.look()
        there = centre.observed.at("west", begun.accounts)
        return 0 < there < len(begun.accounts), f"{there} of {len(begun.accounts)} at west"

    await until("the move is in its middle", part_of_the_way, timeout=20, every=0.05)
    await centre.lab.faults.kill(city, f"pod/tandem-system/tandem/{container}")
    await centre.lab.faults.revive(city, f"pod/tandem-system/tandem/{container}")
    await centre.finish(begun, timeout=60)
    await asyncio.sleep(2)  # long enough for a second move of somebody to show

    move = await centre.measured(begun)
    assert move.complete, move_json(move)
    assert move.measures.moved_twice == ()
    assert move.measures.in_two_places == ()
