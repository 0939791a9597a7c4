"""A call that is longer than the drain allows keeps its agent; the Shift says who that is, and nobody is forgotten."""

import time
from typing import Any

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from tests.e2e.callcenter_fixtures import shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

TALK_S = 40.0


async def test_who_still_talks_at_the_deadline_stays_is_named_and_follows_after_the_call(centre: CallCentre) -> None:
    group = centre.quickstart.group("callcenter/hotel-north-sales")
    numbers = centre.quickstart.numbers_of((group,))
    await centre.carrier.load(4, numbers, talk=(TALK_S, TALK_S))
    await centre.calls_reach(3, (group,))
    await centre.load(0)
    talking = {call.id for call in centre.carrier.calls.values() if call.answered_at and not call.ended_at}

    order = shift(centre, (group,), to="west", drain={"maxTalk": "3s", "maxWrapUp": "1s", "onDeadline": "Stay"})
    begun = await centre.begin(order)
    status: dict[str, Any] = {}

    async def completed() -> tuple[bool, str]:
        nonlocal status
        found = await centre.clusters["east"].get("shift", order.name)
        status = found.get("status", {})
        return status.get("phase") == "Completed", f"{status.get('phase')}: {status.get('message')}"

    await until("the Shift completes without them", completed, timeout=25)
    decided_at = time.time()

    await centre.carrier.look()
    still = [centre.carrier.calls[call] for call in talking if centre.carrier.calls[call].ended_at is None]
    assert len(still) >= 3
    assert {centre.people.account_of[call.agent] for call in still} <= set(status["accountsStaying"])
    assert status["progress"]["staying"] == len(status["accountsStaying"])
    assert "stay where they are until their call has ended" in status["message"]
    assert status["accountsStaying"][0] in status["message"]
    assert min(call.answered_at or decided_at for call in still) + TALK_S > decided_at  # they were not waited for

    await centre.finish(begun, timeout=TALK_S + 20)
    await centre.carrier.look()
    assert {centre.carrier.calls[call].fate for call in talking} == {"answered"}
    move = await centre.measured(begun)
    assert move.complete
    assert move.measures.calls_cut == 0
