"""The Kubernetes API of a city stops answering: a move in progress goes on."""

import pytest

from demo.callcentre import CallCentre
from demo.report import move_json
from demo.waiting import until
from tests.e2e.callcenter_fixtures import shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest.mark.parametrize("city", ["east", "west"])
async def test_a_move_goes_on_while_a_citys_kubernetes_api_is_dead(centre: CallCentre, city: str) -> None:
    everyone = centre.quickstart.choose("east")
    begun = await centre.begin(shift(centre, everyone, to="west", waves=[25, 50, 75, 100], pace=50))

    async def begun_at_all() -> tuple[bool, str]:
        centre.observed.look()
        there = centre.observed.at("west", begun.accounts)
        return 0 < there < len(begun.accounts), f"{there} of {len(begun.accounts)} at west"

    await until("the move is in its middle", begun_at_all, timeout=20, every=0.05)
    await centre.lab.faults.kill(city, "kube-apiserver")
    try:
        await centre.finish(begun, timeout=60)
        move = await centre.measured(begun)
    finally:
        await centre.lab.faults.revive(city, "kube-apiserver")

    assert move.complete, move_json(move)
