"""A caller is queued and answered at east; one `kubectl apply` moves ten agents to west, and calls follow them."""

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from tests.e2e.callcenter_fixtures import order_of

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

GROUP = "callcenter/flight-coast-premium"


async def one_answered_call(centre: CallCentre) -> str:
    """Place calls until one is answered; the extension that took it."""
    group = centre.quickstart.group(GROUP)
    before = set(centre.carrier.calls)
    await centre.load(2, [group])

    async def answered() -> tuple[bool, str]:
        await centre.carrier.look()
        new = [call for ident, call in centre.carrier.calls.items() if ident not in before]
        return any(call.answered_at for call in new), f"{[(call.fate, call.code) for call in new]}"

    await until("a call answered", answered, timeout=20)
    await centre.quiet()
    call = next(c for ident, c in centre.carrier.calls.items() if ident not in before and c.answered_at)
    assert call.queued_at is not None
    assert call.fate == "answered"
    return call.agent


async def test_a_call_is_queued_and_answered_and_ten_agents_move_by_one_apply(centre: CallCentre) -> None:
    group = centre.quickstart.group(GROUP)
    assert group.agents == 10
    extension = await one_answered_call(centre)
    assert centre.people.account_of[extension] in centre.accounts([group])

    move = await centre.move(order_of(centre, group, to="west"))

    assert move.complete
    assert len(move.measures.switches) == 10
    assert (await one_answered_call(centre)).startswith("61")  # west's extensions
