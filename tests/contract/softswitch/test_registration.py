"""Phones register with the password of the directory, and with no other, and are found where they sent from."""

import asyncio

import pytest

from tests.contract.softswitch.conftest import Floor
from tests.contract.softswitch.cti_client import CtiClient
from tests.contract.softswitch.kamailio import Softswitch

pytestmark = pytest.mark.contract


def registered(softswitch: Softswitch) -> int:
    """How many contacts the softswitch holds, counted the way the engine counts."""
    statistics = softswitch.rpc("stats.fetchn", "usrloc:")
    return int(statistics["usrloc.location_contacts"])


async def test_a_phone_of_the_directory_registers_after_one_challenge(east: Softswitch, floor: Floor) -> None:
    phone = floor.phone(east)
    challenge = await phone.send_register()
    assert challenge.code == 401
    assert 'realm="callcenter"' in challenge.get("www-authenticate")
    assert (await phone.send_register(phone.authorization(challenge))).code == 200


async def test_a_wrong_password_is_challenged_again_and_registers_nothing(east: Softswitch, floor: Floor) -> None:
    before = registered(east)
    phone = floor.phone(east, 1, password="wrong")
    assert (await phone.register()).code == 401
    assert registered(east) == before


async def test_a_phone_cannot_register_somebody_elses_extension(east: Softswitch, floor: Floor) -> None:
    phone, other = floor.phone(east, 1), floor.phone(east, 2)
    challenge = await phone.send_register()
    assert (await phone.send_register(phone.authorization(challenge), to=other.extension)).code == 403


async def test_an_extension_of_the_other_city_is_refused(east: Softswitch, floor: Floor) -> None:
    phone = floor.phone(east, 1)
    phone.extension = "610002"
    assert (await phone.register()).code == 403


async def test_a_nonce_serves_again_so_that_renewing_takes_one_round_trip(east: Softswitch, floor: Floor) -> None:
    phone = floor.phone(east, 3)
    challenge = await phone.send_register()
    for _ in range(3):
        assert (await phone.send_register(phone.authorization(challenge))).code == 200


async def test_phones_that_share_a_socket_are_told_apart(east: Softswitch, floor: Floor, cti: CtiClient) -> None:
    phones = [await floor.registered(east, n) for n in range(20, 25)]
    before = registered(east)
    for phone in phones:
        assert (await phone.register()).code == 200
    assert registered(east) == before
    caller, callee = await floor.talk(east, cti, phones[3])
    await caller.hang_up(callee)


async def test_a_restarted_phone_is_rung_at_its_new_port_only(
    east: Softswitch, floor: Floor, other_floor: Floor, cti: CtiClient
) -> None:
    await floor.registered(east, 4)
    restarted = await other_floor.registered(east, 4)
    call = floor.call(east)
    cti.ring(await cti.expect("call", callid=call.call_id), restarted.extension)
    restarted.answer(await restarted.ringing(call.call_id))
    await call.answered()
    assert not floor.phones.inbox


async def test_a_phone_behind_a_nat_is_rung_where_it_sent_from(east: Softswitch, floor: Floor, cti: CtiClient) -> None:
    phone = floor.phone(east, 5)
    phone.claimed = ("192.0.2.7", 5060)
    assert (await phone.register()).code == 200
    caller, callee = await floor.talk(east, cti, phone)
    # The BYE reaches it too, though its Contact says otherwise.
    await caller.hang_up(callee)


async def test_signing_off_removes_the_phone(east: Softswitch, floor: Floor) -> None:
    phone = await floor.registered(east, 6)
    before = registered(east)
    assert (await phone.register(expires=0)).code == 200
    assert registered(east) == before - 1


async def test_fifty_phones_register_at_once(east: Softswitch, floor: Floor) -> None:
    answers = await asyncio.gather(*(floor.phone(east, n).register() for n in range(100, 150)))
    assert {answer.code for answer in answers} == {200}
