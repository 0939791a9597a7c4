"""Calls that this city cannot serve go to the other one: soon, once, and with the time they have waited."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from tests.contract.softswitch.conftest import GROUP, NUMBER, Floor, TwoCities, push_tables
from tests.contract.softswitch.cti_client import CtiClient
from tests.contract.softswitch.kamailio import Softswitch, eventually
from tests.contract.softswitch.sip_client import Call, Dialog, Phone

pytestmark = [pytest.mark.contract, pytest.mark.slow]


@pytest.fixture
async def east_cti(cities: TwoCities) -> AsyncIterator[CtiClient]:
    client = await CtiClient.connect(cities.east.evapi)
    await client.expect("hello")
    yield client
    await client.close()


@pytest.fixture
async def west_cti(cities: TwoCities) -> AsyncIterator[CtiClient]:
    client = await CtiClient.connect(cities.west.evapi)
    await client.expect("hello")
    yield client
    await client.close()


async def until_up(softswitch: Softswitch, key: str, *, within: float = 6.0) -> None:
    """Wait until a softswitch sees its peer or its CTI (`peer_up`, `cti_up`)."""
    await eventually(
        lambda: bool(softswitch.htable("control", key) == 1), within=within, what=f"{softswitch.site} sees {key}"
    )


async def answered_at(phone: Phone, call: Call, cti: CtiClient) -> tuple[Dialog, Dialog]:
    """Ring the phone for a call that waits at `cti`; returns the caller's and the agent's end."""
    event = await cti.expect("call", callid=call.call_id, hop=1)
    cti.ring(event, phone.extension)
    callee = phone.answer(await phone.ringing(call.call_id))
    caller = await call.answered()
    await phone.socket.request("ACK", call.call_id)
    return caller, callee


async def test_a_call_is_answered_in_the_other_city_when_the_cti_says_so(
    cities: TwoCities, floor: Floor, east_cti: CtiClient, west_cti: CtiClient
) -> None:
    await until_up(cities.east, "peer_up")
    phone = await floor.registered(cities.west)
    call = floor.call(cities.east)
    east_cti.peer(await east_cti.expect("call", callid=call.call_id, hop=0))
    caller, callee = await answered_at(phone, call, west_cti)
    await east_cti.expect("answered", callid=call.call_id, ext="")
    await west_cti.expect("answered", callid=call.call_id, ext=phone.extension)

    await callee.hang_up(caller)
    await east_cti.expect("ended", callid=call.call_id, by="agent")
    await west_cti.expect("ended", callid=call.call_id, by="agent")


async def test_without_a_cti_a_new_call_is_in_the_other_citys_queue_within_a_second(
    cities: TwoCities, floor: Floor, west_cti: CtiClient
) -> None:
    await until_up(cities.east, "peer_up")
    phone = await floor.registered(cities.west, 1)
    call = floor.call(cities.east)
    placed = time.monotonic()
    caller, callee = await answered_at(phone, call, west_cti)
    assert time.monotonic() - placed < 1
    await caller.hang_up(callee)


async def test_calls_that_wait_when_the_cti_goes_are_in_the_other_citys_queue_within_a_second(
    cities: TwoCities, floor: Floor, east_cti: CtiClient, west_cti: CtiClient
) -> None:
    await until_up(cities.east, "peer_up")
    phones = [await floor.registered(cities.west, n) for n in range(2, 5)]
    calls = [floor.call(cities.east) for _ in phones]
    for call in calls:
        await east_cti.expect("call", callid=call.call_id)
    await asyncio.sleep(1.1)
    await east_cti.close()
    gone = time.monotonic()
    for call, phone in zip(calls, phones, strict=True):
        event = await west_cti.expect("call", callid=call.call_id, hop=1)
        assert event["age"] >= 1
        west_cti.ring(event, phone.extension)
        phone.answer(await phone.ringing(call.call_id))
        await call.answered()
    assert time.monotonic() - gone < 1


async def test_a_cti_that_is_silent_for_three_seconds_counts_as_gone(
    cities: TwoCities, floor: Floor, east_cti: CtiClient, west_cti: CtiClient
) -> None:
    await until_up(cities.east, "peer_up")
    call = floor.call(cities.east)
    await east_cti.expect("call", callid=call.call_id)
    await east_cti.stall()
    await west_cti.expect("call", callid=call.call_id, hop=1, within=5)
    # Back at work it is told all over again, for it has missed some of it.
    missed = floor.call(cities.east)
    await west_cti.expect("call", callid=missed.call_id, hop=1)
    east_cti.send({"a": "agents", "groups": {}})
    hello = await east_cti.expect("hello")
    assert {c["callid"]: c["state"] for c in hello["calls"]}.items() >= {
        call.call_id: "peer",
        missed.call_id: "peer",
    }.items()
    for given_up in (call, missed):
        given_up.cancel()
        assert (await given_up.final()).code == 487
        await west_cti.expect("cancel", callid=given_up.call_id)


async def test_a_call_from_the_other_city_is_never_sent_back(
    cities: TwoCities, floor: Floor, east_cti: CtiClient
) -> None:
    """West has no CTI: a call that east sent there waits there, until west's CTI comes."""
    await until_up(cities.west, "peer_up")
    phone = await floor.registered(cities.west, 6)
    call = floor.call(cities.east)
    east_cti.peer(await east_cti.expect("call", callid=call.call_id))
    await asyncio.sleep(2)
    assert not [e for e in east_cti.events if e["callid"] == call.call_id]

    west_cti = await CtiClient.connect(cities.west.evapi)
    hello = await west_cti.expect("hello")
    waiting = next(c for c in hello["calls"] if c["callid"] == call.call_id)
    assert (waiting["state"], waiting["hop"], waiting["group"]) == ("waiting", 1, GROUP)
    # Nor when the CTI says so.
    west_cti.peer(waiting)
    failed = await west_cti.expect("failed", callid=call.call_id, ext="", code=503)
    west_cti.ring(failed, phone.extension)
    callee = phone.answer(await phone.ringing(call.call_id))
    caller = await call.answered()
    await caller.hang_up(callee)
    await west_cti.close()


async def test_with_nobody_here_by_placement_and_cti_a_call_goes_straight_to_the_other_city(
    cities: TwoCities, floor: Floor, east_cti: CtiClient, west_cti: CtiClient
) -> None:
    await until_up(cities.east, "peer_up")
    cities.east.rpc("htable.sets", "placement", GROUP, "8;0")
    try:
        # Agents are still signed in here: the placement alone sends nobody away.
        east_cti.groups = {GROUP: 1}
        await asyncio.sleep(1.2)
        stays = floor.call(cities.east)
        await east_cti.expect("call", callid=stays.call_id)

        east_cti.groups = {}
        await asyncio.sleep(1.2)
        goes = floor.call(cities.east)
        await west_cti.expect("call", callid=goes.call_id, hop=1)
        assert not [e for e in east_cti.events if e["callid"] == goes.call_id]
    finally:
        cities.east.rpc("htable.sets", "placement", GROUP, "9;50")
    for call in (stays, goes):
        call.cancel()
        assert (await call.final()).code == 487


async def test_the_loop_guard_and_the_age_are_not_believed_from_strangers(
    cities: TwoCities, floor: Floor, east_cti: CtiClient
) -> None:
    call = floor.call(cities.east, extra={"X-Tandem-Hop": "1", "X-Tandem-Age": "500"})
    event = await east_cti.expect("call", callid=call.call_id)
    assert event["hop"] == 0
    assert event["age"] < 2
    call.cancel()
    assert (await call.final()).code == 487


class TestTheOtherCityGoesAway:
    """Kills and restarts `west`: last, in an order of its own."""

    async def test_a_call_that_waits_there_is_back_within_ten_seconds_and_stays(
        self, cities: TwoCities, floor: Floor, west_cti: CtiClient, east_cti: CtiClient
    ) -> None:
        await until_up(cities.east, "peer_up")
        call = floor.call(cities.east)
        east_cti.peer(await east_cti.expect("call", callid=call.call_id))
        await west_cti.expect("call", callid=call.call_id)
        # Longer than the silence that is allowed: as long as west repeats its 182, the call is west's.
        await asyncio.sleep(8)
        assert not [e for e in east_cti.events if e["callid"] == call.call_id]

        cities.west.kill()
        failed = await east_cti.expect("failed", callid=call.call_id, ext="", within=10)
        # West is known to be gone now: the call stays, and rings here.
        east_cti.peer(failed)
        again = await east_cti.expect("failed", callid=call.call_id, ext="")
        phone = await floor.registered(cities.east, 10)
        east_cti.ring(again, phone.extension)
        callee = phone.answer(await phone.ringing(call.call_id))
        caller = await call.answered()
        await caller.hang_up(callee)

    async def test_with_neither_cti_nor_other_city_calls_wait_until_one_is_back(
        self, cities: TwoCities, floor: Floor
    ) -> None:
        call = floor.call(cities.east)
        await call.response(182)
        await asyncio.sleep(1)
        cities.west.start(peer=cities.east)
        push_tables(cities.west)
        west_cti = await CtiClient.connect(cities.west.evapi)
        try:
            phone = await floor.registered(cities.west, 11)
            event = await west_cti.expect("call", callid=call.call_id, hop=1, number=NUMBER, within=6)
            west_cti.ring(event, phone.extension)
            callee = phone.answer(await phone.ringing(call.call_id))
            caller = await call.answered()
            await caller.hang_up(callee)
        finally:
            await west_cti.close()
