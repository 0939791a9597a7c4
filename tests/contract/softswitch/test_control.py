"""What Tandem's engine does to a softswitch by JSON-RPC acts on the next call; nobody else may."""

import asyncio
import time

import httpx
import pytest

from tests.contract.softswitch.conftest import GROUP, NUMBER, Floor, push_tables
from tests.contract.softswitch.cti_client import CtiClient
from tests.contract.softswitch.kamailio import TOKEN, Softswitch
from tests.contract.softswitch.sip_client import options

pytestmark = pytest.mark.contract


def post(softswitch: Softswitch, headers: dict[str, str]) -> int:
    return httpx.post(
        f"http://{softswitch.ip}:{softswitch.http[1]}/RPC",
        json={"jsonrpc": "2.0", "method": "core.uptime", "id": 1},
        headers=headers,
        timeout=2,
        trust_env=False,
    ).status_code


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({}, 401, id="no-token"),
        pytest.param({"Authorization": "Bearer wrong"}, 401, id="wrong-token"),
        pytest.param({"Authorization": TOKEN}, 401, id="no-scheme"),
        pytest.param({"Authorization": f"Bearer {TOKEN}"}, 200, id="the-token"),
    ],
)
def test_json_rpc_needs_the_token(east: Softswitch, headers: dict[str, str], status: int) -> None:
    assert post(east, headers) == status


def test_json_rpc_and_evapi_serve_only_the_networks_they_are_told(
    new_softswitch: Softswitch,
) -> None:
    new_softswitch.environment["TANDEM_CONTROL_NETWORKS"] = "10.11.0.0/16,198.18.0.0/15"
    new_softswitch.start()
    assert post(new_softswitch, {"Authorization": f"Bearer {TOKEN}"}) == 403


async def test_evapi_closes_on_strangers(new_softswitch: Softswitch) -> None:
    new_softswitch.environment["TANDEM_CONTROL_NETWORKS"] = "10.11.0.0/16"
    new_softswitch.start()
    reader, writer = await asyncio.open_connection(*new_softswitch.evapi)
    assert await asyncio.wait_for(reader.read(100), timeout=2) == b""
    writer.close()
    await writer.wait_closed()


async def test_only_known_carriers_place_calls_and_their_word_on_the_age_counts(
    new_softswitch: Softswitch, floor: Floor
) -> None:
    new_softswitch.environment["TANDEM_CARRIER_NETWORKS"] = "127.0.0.1/32"
    new_softswitch.start()
    push_tables(new_softswitch)
    cti = await CtiClient.connect(new_softswitch.evapi)
    call = floor.call(new_softswitch, extra={"X-Tandem-Age": "42"})
    assert (await cti.expect("call", callid=call.call_id))["age"] in (42, 43)

    new_softswitch.kill()
    new_softswitch.environment["TANDEM_CARRIER_NETWORKS"] = "198.18.0.31/32"
    new_softswitch.start()
    assert (await floor.call(new_softswitch).final()).code == 403
    await cti.close()


def test_health_needs_no_token(east: Softswitch) -> None:
    answer = httpx.get(f"http://{east.ip}:{east.http[1]}/healthz", timeout=2, trust_env=False)
    assert answer.status_code == 200
    assert answer.json()["ok"] is True
    assert answer.json()["boot"] == east.htable("control", "boot")


def test_other_paths_are_not_served(east: Softswitch) -> None:
    url = f"http://{east.ip}:{east.http[1]}/"
    assert httpx.get(url, timeout=2, trust_env=False).status_code == 404


async def test_a_number_is_served_from_the_next_call_on(east: Softswitch, floor: Floor, cti: CtiClient) -> None:
    assert (await floor.call(east, "4930900200").final()).code == 404
    east.rpc("htable.sets", "numbers", "4930900200", "callcenter/hotel-south-service")
    call = floor.call(east, "4930900200")
    assert (await cti.expect("call", callid=call.call_id))["group"] == "callcenter/hotel-south-service"
    east.rpc("htable.delete", "numbers", "4930900200")
    assert (await floor.call(east, "4930900200").final()).code == 404


async def test_draining_refuses_what_is_new_and_keeps_what_is_there(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    phone = await floor.registered(east, 30)
    waiting = floor.call(east)
    waits = await cti.expect("call", callid=waiting.call_id)
    caller, callee = await floor.talk(east, cti, await floor.registered(east, 31))
    assert (await options(floor.carrier, east.sip)).code == 200

    east.rpc("htable.seti", "control", "drain", 1)
    try:
        assert (await options(floor.carrier, east.sip)).code == 503
        refusals = [await floor.call(east).final() for _ in range(12)]
        assert {refusal.code for refusal in refusals} == {503}
        # Spread, or everybody would come back in the same second.
        assert len({refusal.get("retry-after") for refusal in refusals}) > 3
        assert all(5 <= int(refusal.get("retry-after")) <= 24 for refusal in refusals)
        assert (await phone.register()).code == 503

        # The waiting call is still answered, the established one still ended.
        cti.ring(waits, phone.extension)
        other_callee = phone.answer(await phone.ringing(waiting.call_id))
        other_caller = await waiting.answered()
        await floor.phones.request("ACK", waiting.call_id)
        await callee.hang_up(caller)
        await other_caller.hang_up(other_callee)
    finally:
        east.rpc("htable.delete", "control", "drain")
    assert (await options(floor.carrier, east.sip)).code == 200
    assert (await phone.register()).code == 200


async def test_each_call_is_counted_as_placed_once_however_often_it_waits(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    def placed() -> int:
        return int(east.rpc("stats.fetchn", "dialog:")["dialog.processed_dialogs"])

    before = placed()
    phone = await floor.registered(east, 34)
    call = floor.call(east)
    waits = await cti.expect("call", callid=call.call_id)
    cti.ring(waits, "510099")  # a phone that is not there: it waits again
    waits = await cti.expect("failed", callid=call.call_id)
    cti.ring(waits, phone.extension)
    callee = phone.answer(await phone.ringing(call.call_id))
    caller = await call.answered()
    await floor.phones.request("ACK", call.call_id)
    assert placed() == before + 1
    await caller.hang_up(callee)
    assert (await floor.call(east, "4930900299").final()).code == 404
    assert placed() == before + 1


async def test_a_call_survives_the_cti(east: Softswitch, floor: Floor) -> None:
    cti = await CtiClient.connect(east.evapi)
    caller, callee = await floor.talk(east, cti, await floor.registered(east, 32))
    await cti.close()
    assert east.rpc("dlg.stats_active")["all"] >= 1

    # The next CTI is told of it, and of its end.
    cti = await CtiClient.connect(east.evapi)
    hello = await cti.expect("hello")
    known = next(c for c in hello["calls"] if c["callid"] == caller.call_id)
    assert (known["state"], known["ext"], known["group"], known["number"]) == ("talking", "510033", GROUP, NUMBER)
    assert abs(known["queued_at"] - time.time()) < 10
    await asyncio.sleep(0.2)
    await caller.hang_up(callee)
    await cti.expect("ended", callid=caller.call_id, ext="510033", by="caller")
    await cti.close()


async def test_who_asks_gets_a_list_of_all_calls_with_the_question_s_number(
    east: Softswitch, floor: Floor, cti: CtiClient
) -> None:
    call = floor.call(east)
    await cti.expect("call", callid=call.call_id)
    cti.send({"a": "list", "n": "b1.7"})
    hello = await cti.expect("hello", n="b1.7")
    assert {c["callid"]: c["state"] for c in hello["calls"]}[call.call_id] == "waiting"
    call.cancel()
    await call.final()


async def test_a_silent_cti_that_speaks_again_is_told_what_it_missed(new_softswitch: Softswitch, floor: Floor) -> None:
    new_softswitch.start()
    push_tables(new_softswitch)
    cti = await CtiClient.connect(new_softswitch.evapi)
    assert (await cti.expect("hello"))["n"] == ""
    await cti.stall()
    await asyncio.sleep(4.5)
    missed = floor.call(new_softswitch)
    await missed.response(182)
    await asyncio.sleep(0.5)
    assert not [event for event in cti.events if event["e"] == "call"], "nothing is sent to a CTI that may not read"
    cti.send({"a": "agents", "groups": {}})
    hello = await cti.expect("hello")
    assert [c["callid"] for c in hello["calls"]] == [missed.call_id]
    await cti.close()


async def test_the_182_is_repeated_while_a_call_waits(new_softswitch: Softswitch, floor: Floor) -> None:
    """Every minute; here the clock's next stroke is moved to now, by the table that says when."""
    new_softswitch.start()
    push_tables(new_softswitch)
    cti = await CtiClient.connect(new_softswitch.evapi)
    call = floor.call(new_softswitch)
    event = await cti.expect("call", callid=call.call_id)
    await call.response(182)
    for _ in range(3):
        row = new_softswitch.htable("waiting", call.call_id).split(":")
        assert 50 <= int(row[3]) - time.time() <= 61
        row[3] = "0"
        new_softswitch.rpc("htable.sets", "waiting", call.call_id, ":".join(row))
        again = await call.response(182)
        assert again.get("from") == call.local

    # The call is as alive as before.
    phone = await floor.registered(new_softswitch, 33)
    cti.ring(event, phone.extension)
    callee = phone.answer(await phone.ringing(call.call_id))
    await (await call.answered()).hang_up(callee)
    await cti.close()


async def test_a_wait_has_its_limit(new_softswitch: Softswitch, floor: Floor) -> None:
    new_softswitch.environment["TANDEM_MAX_WAIT_SECONDS"] = "2"
    new_softswitch.start()
    push_tables(new_softswitch)
    cti = await CtiClient.connect(new_softswitch.evapi)
    call = floor.call(new_softswitch)
    assert (await call.final(within=5)).code == 480
    await cti.expect("cancel", callid=call.call_id)
    await cti.close()


async def test_a_restart_forgets_the_tables_and_shows_it(new_softswitch: Softswitch, floor: Floor) -> None:
    new_softswitch.start()
    push_tables(new_softswitch)
    boot, uptime = new_softswitch.htable("control", "boot"), new_softswitch.rpc("core.uptime")["uptime"]
    await asyncio.sleep(1.1)
    assert new_softswitch.rpc("core.uptime")["uptime"] > uptime

    new_softswitch.kill()
    new_softswitch.start()
    assert new_softswitch.htable("control", "boot") != boot
    assert new_softswitch.rpc("core.uptime")["uptime"] <= uptime + 1
    # Not "404 unknown number": the tables are only not there yet.
    refusal = await floor.call(new_softswitch).final()
    assert refusal.code == 503
    assert refusal.get("retry-after")
    push_tables(new_softswitch)
    call = floor.call(new_softswitch)
    await call.response(182)
    call.cancel()
    assert (await call.final()).code == 487


async def test_a_request_for_a_call_that_nobody_knows_is_481(east: Softswitch, floor: Floor) -> None:
    call = floor.call(east)
    await call.response(182)
    call.cancel()
    await call.final()
    assert (await options(floor.carrier, east.sip, to_tag="gone")).code == 481


async def test_sip_is_not_served_on_the_http_port(east: Softswitch, floor: Floor) -> None:
    reader, writer = await asyncio.open_connection(*east.http)
    call = floor.call(east, "0")
    await call.final()
    writer.write(call.raw_invite().encode())
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(100), timeout=0.5)
    writer.close()
    await writer.wait_closed()


def test_a_long_answer_arrives_whole(new_softswitch: Softswitch) -> None:
    new_softswitch.start()
    for n in range(100):
        new_softswitch.rpc("htable.sets", "numbers", str(4930000000 + n), f"{n:03000d}")
    dump = new_softswitch.rpc("htable.dump", "numbers")
    values = [item["value"] for slot in dump for item in slot["slot"]]
    assert sorted(int(value) for value in values) == list(range(100))
