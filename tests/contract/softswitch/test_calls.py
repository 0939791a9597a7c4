"""A call waits, rings where the CTI says, is answered and ends; the CTI is told each step."""

import asyncio

import pytest

from tests.contract.softswitch.conftest import GROUP, NUMBER, Floor
from tests.contract.softswitch.cti_client import CtiClient
from tests.contract.softswitch.kamailio import Softswitch

pytestmark = pytest.mark.contract


async def test_a_call_waits_rings_is_answered_and_ends(east: Softswitch, floor: Floor, cti: CtiClient) -> None:
    phone = await floor.registered(east, 2)
    call = floor.call(east)
    await call.response(182)
    event = await cti.expect("call", callid=call.call_id)
    assert (event["group"], event["number"], event["hop"]) == (GROUP, NUMBER, 0)
    assert event["age"] in (0, 1)

    cti.ring(event, phone.extension)
    invite = await phone.ringing(call.call_id)
    await call.response(180)
    callee = phone.answer(invite)
    caller = await call.answered()
    await floor.phones.request("ACK", call.call_id)
    await cti.expect("answered", callid=call.call_id, ext=phone.extension)

    await caller.hang_up(callee)
    await cti.expect("ended", callid=call.call_id, ext=phone.extension, by="caller")


async def test_the_cti_is_told_when_the_agent_hangs_up(east: Softswitch, floor: Floor, cti: CtiClient) -> None:
    caller, callee = await floor.talk(east, cti, await floor.registered(east, 3))
    await callee.hang_up(caller)
    await cti.expect("ended", callid=caller.call_id, by="agent")


async def test_a_caller_who_gives_up_while_waiting_leaves_the_queue(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    call = floor.call(east)
    event = await cti.expect("call", callid=call.call_id)
    call.cancel()
    assert (await call.final()).code == 487
    await cti.expect("cancel", callid=call.call_id)

    # A word that crossed with the cancel: nobody is rung for a caller who has gone.
    phone = await floor.registered(east, 4)
    cti.ring(event, phone.extension)
    await cti.expect("cancel", callid=call.call_id)
    assert not [m for m in floor.phones.inbox if m.method == "INVITE"]


async def test_a_caller_who_gives_up_while_a_phone_rings_stops_the_ringing(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    phone = await floor.registered(east, 5)
    call = floor.call(east)
    cti.ring(await cti.expect("call", callid=call.call_id), phone.extension)
    invite = await phone.ringing(call.call_id)
    await call.response(180)
    call.cancel()
    cancel = await floor.phones.request("CANCEL", call.call_id)
    phone.acknowledge_cancel(invite, cancel)
    assert (await call.final()).code == 487
    await cti.expect("cancel", callid=call.call_id)


async def test_a_call_that_cannot_be_woken_is_over_for_the_cti_and_for_the_caller(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    phone = await floor.registered(east, 12)
    call = floor.call(east)
    event = await cti.expect("call", callid=call.call_id)
    index, label, *rest = east.htable("waiting", call.call_id).split(":")
    east.rpc("htable.sets", "waiting", call.call_id, ":".join((index, str(int(label) + 1), *rest)))
    cti.ring(event, phone.extension)
    await cti.expect("cancel", callid=call.call_id)
    assert (await call.final()).code == 503, "the carrier has other routes"
    cti.send({"a": "list", "n": "t.1"})
    assert call.call_id not in [listed["callid"] for listed in (await cti.expect("hello", n="t.1"))["calls"]]
    assert not [e for e in cti.events if e.get("callid") == call.call_id], "told once"


async def test_callers_who_give_up_in_the_moment_in_which_a_phone_is_to_ring_leave_nothing_behind(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    """Listed as ringing for ever, such a call would keep an agent."""
    phone = await floor.registered(east, 13)
    for n in range(40):
        call = floor.call(east)
        event = await cti.expect("call", callid=call.call_id, within=20)
        if n % 2:
            call.cancel()
        cti.ring(event, phone.extension)
        if not n % 2:
            call.cancel()
    listed = [{"callid": "not asked yet"}]
    for n in range(20):  # phones that say nothing are given up after 4 s
        if listed:
            await asyncio.sleep(1.0)
            cti.send({"a": "list", "n": f"t.{n}"})
            listed = (await cti.expect("hello", n=f"t.{n}", within=20))["calls"]
    assert listed == []


async def test_after_a_phone_refuses_the_call_rings_at_the_next_one(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    busy, free = await floor.registered(east, 6), await floor.registered(east, 7)
    call = floor.call(east)
    cti.ring(await cti.expect("call", callid=call.call_id), busy.extension)
    await busy.refuse(await busy.ringing(call.call_id))
    failed = await cti.expect("failed", callid=call.call_id)
    assert (failed["ext"], failed["code"]) == (busy.extension, 486)

    cti.ring(failed, free.extension)
    invite = await free.ringing(call.call_id)
    assert len(invite.all("record-route")) == 1
    free.answer(invite)
    await call.answered()
    await cti.expect("answered", callid=call.call_id, ext=free.extension)


async def test_a_phone_that_is_not_registered_is_reported_at_once(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    call = floor.call(east)
    cti.ring(await cti.expect("call", callid=call.call_id), floor.phone(east, 8).extension)
    await cti.expect("failed", callid=call.call_id, code=404, within=1)


async def test_a_phone_that_answers_after_its_four_seconds_disturbs_nobody(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    slow, quick = await floor.registered(east, 9), await floor.registered(east, 10)
    call = floor.call(east)
    cti.ring(await cti.expect("call", callid=call.call_id), slow.extension)
    invite = await floor.phones.request("INVITE", call.call_id)
    failed = await cti.expect("failed", callid=call.call_id, ext=slow.extension, code=408, within=6)

    too_late = slow.answer(invite)
    cseq = too_late.send("BYE")
    assert (await floor.phones.response(call.call_id, cseq, *range(200, 700))).code == 481
    floor.phones.inbox.clear()
    cti.ring(failed, quick.extension)
    callee = quick.answer(await quick.ringing(call.call_id))
    caller = await call.answered()
    assert not [m for m in floor.carrier.inbox if m.method]
    await caller.hang_up(callee)
    await cti.expect("ended", callid=call.call_id, ext=quick.extension)


async def test_fourteen_phones_are_tried_before_the_carrier_is_sent_away(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    phone = await floor.registered(east, 11)
    call = floor.call(east)
    event = await cti.expect("call", callid=call.call_id)
    for _ in range(13):
        cti.ring(event, phone.extension)
        await phone.refuse(await phone.ringing(call.call_id))
        event = await cti.expect("failed", callid=call.call_id, code=486)
    cti.ring(event, phone.extension)
    await phone.refuse(await phone.ringing(call.call_id))
    assert (await call.final()).code == 503
    await cti.expect("cancel", callid=call.call_id)


async def test_a_call_that_the_cti_rejects_gets_its_code(east: Softswitch, floor: Floor, cti: CtiClient) -> None:
    call = floor.call(east)
    cti.reject(await cti.expect("call", callid=call.call_id), 480)
    assert (await call.final()).code == 480


async def test_an_unknown_number_is_404(east: Softswitch, floor: Floor) -> None:
    assert (await floor.call(east, "4930999999").final()).code == 404


async def test_a_retransmitted_invite_is_the_same_call(east: Softswitch, floor: Floor, cti: CtiClient) -> None:
    call = floor.call(east)
    event = await cti.expect("call", callid=call.call_id)
    call.invite()
    await call.response(182)
    await call.response(182)
    call.cancel()
    await call.final()
    await cti.expect("cancel", callid=call.call_id)
    assert not [e for e in cti.events if e["callid"] == event["callid"]]


@pytest.mark.parametrize("call_id", ['say"cheese', "back\\slash"])
async def test_a_call_id_that_would_break_the_events_is_refused(
    east: Softswitch, floor: Floor, cti: CtiClient, call_id: str
) -> None:
    call = floor.call(east, call_id=call_id)
    assert (await call.final()).code == 400


async def test_callers_whose_ids_look_like_json_or_markup_are_served(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    call = floor.call(east, call_id="{a:'b'}%41~=>;$var(x)@host")
    await cti.expect("call", callid=call.call_id)
    call.cancel()
    assert (await call.final()).code == 487
    await cti.expect("cancel", callid=call.call_id)
