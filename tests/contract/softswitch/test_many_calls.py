"""Two hundred calls at once: each rings, is answered and ends, and nothing of them stays behind."""

import asyncio

import pytest

from tests.contract.softswitch.conftest import Floor, push_tables
from tests.contract.softswitch.cti_client import CtiClient
from tests.contract.softswitch.kamailio import Softswitch, eventually
from tests.contract.softswitch.sip_client import Dialog

pytestmark = [pytest.mark.contract, pytest.mark.slow]

CALLS = 200
PER_SECOND = 60


def in_table(softswitch: Softswitch, table: str) -> int:
    return sum(len(slot["slot"]) for slot in softswitch.rpc("htable.dump", table))


async def test_two_hundred_calls_at_once_leave_nothing_behind(new_softswitch: Softswitch, floor: Floor) -> None:
    new_softswitch.start()
    push_tables(new_softswitch)
    cti = await CtiClient.connect(new_softswitch.evapi)
    phones = [await floor.registered(new_softswitch, n) for n in range(CALLS)]

    calls = []
    for _ in phones:
        calls.append(floor.call(new_softswitch))
        await asyncio.sleep(1 / PER_SECOND)
    pairs: list[tuple[Dialog, Dialog]] = []
    for phone, call in zip(phones, calls, strict=True):
        cti.ring(await cti.expect("call", callid=call.call_id), phone.extension)
        callee = phone.answer(await phone.ringing(call.call_id))
        pairs.append((await call.answered(), callee))
    assert new_softswitch.rpc("dlg.stats_active")["ongoing"] == CALLS
    assert in_table(new_softswitch, "calls") == CALLS
    assert in_table(new_softswitch, "waiting") == 0

    # A CTI that comes now is told of all of them, in one message.
    await cti.close()
    cti = await CtiClient.connect(new_softswitch.evapi)
    hello = await cti.expect("hello")
    assert {c["callid"] for c in hello["calls"]} == {call.call_id for call in calls}
    assert {c["state"] for c in hello["calls"]} == {"talking"}

    for caller, callee in pairs:
        await caller.hang_up(callee)
        await cti.expect("ended", callid=caller.call_id)
    for table in ("calls", "waiting", "repeat"):
        assert in_table(new_softswitch, table) == 0
    # Transactions linger for a few seconds to absorb retransmissions; then they are gone too.
    await eventually(
        lambda: bool(new_softswitch.rpc("tm.stats")["current"] == 0), within=10, what="all transactions gone"
    )
    await cti.close()
