"""The `kamailio` adapter against a real Kamailio with the reference configuration."""

import asyncio
from typing import Any

import pytest

from callcenter.directory import load
from tandem.adapters.softswitch.kamailio import KamailioSoftswitch
from tandem.domain.records import PlacementRecord
from tandem.engine.ports import AdapterError
from tests.contract.adapters.conftest import HttpTo
from tests.contract.softswitch.kamailio import TOKEN, Softswitch
from tests.contract.softswitch.sip_client import Phone, Socket

pytestmark = pytest.mark.contract

GROUP, OTHER = "callcenter/hotel-north-sales", "callcenter/hotel-south-service"
NUMBERS = {"4008001": GROUP, "4008002": OTHER}


def placed(revision: int, **places: str) -> tuple[int, PlacementRecord]:
    """A map: `east_west="0-9"` stands for `east>west`."""
    named = {place.replace("_", ">"): buckets for place, buckets in places.items()}
    return revision, PlacementRecord(system="hotel", map=named, cause="Order")


@pytest.fixture
def adapter(softswitch: Softswitch, http_to: HttpTo) -> KamailioSoftswitch:
    return KamailioSoftswitch(http_to(url_of(softswitch), TOKEN))


def url_of(softswitch: Softswitch) -> str:
    return f"http://{softswitch.ip}:{softswitch.http[1]}/RPC"


async def test_numbers_and_placements_are_in_its_tables(softswitch: Softswitch, adapter: KamailioSoftswitch) -> None:
    await adapter.push("east", NUMBERS, {GROUP: placed(7, east="0-59", west="60-99"), OTHER: placed(9, west="0-99")})
    assert softswitch.htable("numbers", "4008001") == GROUP
    assert softswitch.htable("placement", GROUP) == "7;60"
    assert softswitch.htable("placement", OTHER) == "9;0"
    assert await adapter.held() == {GROUP: 7, OTHER: 9}


async def test_a_bucket_on_its_way_counts_at_both_ends(softswitch: Softswitch, adapter: KamailioSoftswitch) -> None:
    """Its agents may still be here, or already: only 0 says that nobody is."""
    moving = placed(20, east="0-49", east_west="50-69", west_east="70-74", west="75-99")
    await adapter.push("east", NUMBERS, {GROUP: moving})
    assert softswitch.htable("placement", GROUP) == "20;75"
    await adapter.push("west", NUMBERS, {GROUP: placed(21, east="0-49", east_west="50-69", west="70-99")})
    assert softswitch.htable("placement", GROUP) == "21;50"


async def test_an_older_revision_changes_nothing_and_the_same_one_neither(
    softswitch: Softswitch, adapter: KamailioSoftswitch
) -> None:
    await adapter.push("east", NUMBERS, {GROUP: placed(30, east="0-99")})
    await adapter.push("east", NUMBERS, {GROUP: placed(29, west="0-99"), OTHER: placed(31, east="0-99")})
    await adapter.push("east", NUMBERS, {GROUP: placed(30, west="0-99")})
    assert softswitch.htable("placement", GROUP) == "30;100"
    assert await adapter.held() == {GROUP: 30, OTHER: 31}


async def test_a_number_that_is_not_named_any_more_goes(softswitch: Softswitch, adapter: KamailioSoftswitch) -> None:
    await adapter.push("east", NUMBERS, {})
    await adapter.push("east", {"4008001": OTHER, "4008003": GROUP}, {})
    numbers = {item["name"]: item["value"] for row in softswitch.rpc("htable.dump", "numbers") for item in row["slot"]}
    assert numbers == {"4008001": OTHER, "4008003": GROUP}


async def test_a_restart_shows_in_the_uptime_and_everything_can_be_pushed_again(
    softswitch: Softswitch, adapter: KamailioSoftswitch
) -> None:
    await adapter.push("east", NUMBERS, {GROUP: placed(40, east="0-99")})
    await asyncio.sleep(2.1)
    before = await adapter.state()
    assert before.uptime >= 2
    assert before.version.startswith("kamailio "), before.version
    softswitch.kill()
    with pytest.raises(AdapterError, match=r"POST .* was not answered"):
        await adapter.state()
    softswitch.start()
    assert (await adapter.state()).uptime < before.uptime
    assert await adapter.held() == {}
    # What was on its way before the restart and comes late is no reason to refuse the right one.
    await adapter.push("east", NUMBERS, {GROUP: placed(40, east="0-99")})
    assert await adapter.held() == {GROUP: 40}
    assert softswitch.htable("numbers", "4008002") == OTHER


async def test_registered_phones_and_calls_are_counted(softswitch: Softswitch, adapter: KamailioSoftswitch) -> None:
    before = await adapter.state()
    agent = load(softswitch.directory).agents[3]
    socket = await Socket.open()
    try:
        phone = Phone(socket, agent.extensions["east"], agent.password, server=softswitch.sip)
        assert (await phone.register()).code == 200
        assert (await adapter.state()).registered == before.registered + 1
        assert (await adapter.state()).calls == 0
    finally:
        socket.close()


async def test_drain_is_a_switch_that_may_be_pressed_twice(softswitch: Softswitch, adapter: KamailioSoftswitch) -> None:
    await adapter.drain(True)
    await adapter.drain(True)
    assert softswitch.htable("control", "drain") == 1
    await adapter.drain(False)
    await adapter.drain(False)
    with pytest.raises(AssertionError, match=r"404|500"):
        softswitch.htable("control", "drain")


async def test_of_five_hundred_numbers_only_those_that_differ_are_sent(
    softswitch: Softswitch, adapter: KamailioSoftswitch, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {f"49309{number:05}": GROUP for number in range(500)}
    await adapter.push("east", numbers, {})
    last = max(numbers)
    assert (softswitch.htable("numbers", min(numbers)), softswitch.htable("numbers", last)) == (GROUP, GROUP)
    asked: list[str] = []
    call = adapter._call

    async def counted(method: str, *params: str | int) -> Any:
        asked.append(method)
        return await call(method, *params)

    monkeypatch.setattr(adapter, "_call", counted)
    await adapter.push("east", numbers, {})
    assert asked == ["htable.dump"]
    asked.clear()
    await adapter.push("east", {**numbers, last: OTHER}, {})
    assert asked == ["htable.dump", "htable.sets"]
    assert softswitch.htable("numbers", last) == OTHER


async def test_a_wrong_token_is_an_error_that_says_so(softswitch: Softswitch, http_to: HttpTo) -> None:
    stranger = KamailioSoftswitch(http_to(url_of(softswitch), "wrong"))
    with pytest.raises(AdapterError, match=r"it at http://.* was answered 401"):
        await stranger.state()


async def test_what_kamailio_refuses_is_an_error_with_its_words(http_to: HttpTo, softswitch: Softswitch) -> None:
    adapter = KamailioSoftswitch(http_to(url_of(softswitch), TOKEN))
    with pytest.raises(AdapterError, match=r"htable.dump nonsense: .*[Tt]able"):
        await adapter._table("nonsense")
