"""The `http` CTI adapter against the reference CTI: real processes, real clients."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from callcenter.cti import loanstore
from callcenter.directory import save
from tandem.adapters.cti.http import HttpCTI
from tandem.api.agentgroup import Drain
from tandem.domain.buckets import bucket_of
from tandem.domain.clients import ClientCount
from tandem.domain.records import PlacementRecord
from tandem.engine.ports import AdapterError, Arrival, DoorWords
from tests.contract.adapters.conftest import HttpTo
from tests.contract.cti.support import (
    GROUP,
    TOKEN,
    CtiProcess,
    a_cti,
    a_directory,
    signed_in,
    two_cities,
    until,
)
from tests.support.ports import free_port

pytestmark = pytest.mark.contract

Cities = dict[str, CtiProcess]


def placed(revision: int, pace: int = 0, **places: str) -> dict[str, tuple[int, PlacementRecord]]:
    """A map of the one group: `east_west="0-9"` stands for `east>west`."""
    named = {place.replace("_", ">"): buckets for place, buckets in places.items()}
    drain = Drain(max_talk="1h30m", max_wrap_up="500ms", on_deadline="Force")
    return {GROUP: (revision, PlacementRecord(system="hotel", map=named, cause="Order", pace=pace, drain=drain))}


def on_disk(city: CtiProcess) -> str:
    """The placements that the CTI keeps, without blanks; empty before the first."""
    kept = Path(city.env["TANDEM_STATE_DIR"]) / "placements.json"
    return kept.read_text().replace(" ", "") if kept.exists() else ""


@pytest.fixture
async def cities(tmp_path: Path) -> AsyncIterator[Cities]:
    async with two_cities(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def lone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CtiProcess]:
    """The CTI of east alone, for what needs no agents; tests use ever newer revisions of `revision`."""
    folder = tmp_path_factory.mktemp("cti")
    save(a_directory(), folder / "directory.json.gz")
    running = a_cti(folder, "east", {"east": free_port(), "west": free_port()}, evapi=free_port())
    # A first life would keep nothing on the disk before it knows whom it has lent.
    state = Path(running.env["TANDEM_STATE_DIR"])
    state.mkdir(parents=True, exist_ok=True)
    loanstore.save(state, loanstore.Kept(frozenset(), 0))
    try:
        running.launch()
        deadline = time.monotonic() + 15
        while not running.serves():
            assert time.monotonic() < deadline, "the CTI does not serve"
            time.sleep(0.02)
        yield running
    finally:
        running.stop()


@pytest.fixture
def adapter(lone: CtiProcess, http_to: HttpTo) -> HttpCTI:
    return HttpCTI(http_to(lone.target.url, TOKEN))


@pytest.fixture
async def revision(adapter: HttpCTI) -> int:
    """Newer than what the CTI holds."""
    return (await adapter.status()).groups[GROUP].revision + 10


@pytest.fixture
def east(cities: Cities, http_to: HttpTo) -> HttpCTI:
    return HttpCTI(http_to(cities["east"].target.url, TOKEN))


@pytest.fixture
def west(cities: Cities, http_to: HttpTo) -> HttpCTI:
    return HttpCTI(http_to(cities["west"].target.url, TOKEN))


async def test_what_it_can_do_is_read(adapter: HttpCTI) -> None:
    capabilities = await adapter.capabilities()
    assert (capabilities.selection, capabilities.percent_step, capabilities.fence) == ("Bucket", 1, "Native")
    assert capabilities.max_rate > 0


async def test_the_same_map_again_is_accepted_and_an_older_one_refused(adapter: HttpCTI, revision: int) -> None:
    boot = (await adapter.status()).boot
    first = await adapter.push(boot, placed(revision, east="0-99"))
    assert (first.boot, first.accepted, first.refused) == (boot, {GROUP: revision}, {})
    assert (await adapter.push(boot, placed(revision, east="0-99"))).accepted == {GROUP: revision}
    stale = await adapter.push(boot, placed(revision - 1, west="0-99"))
    assert (stale.accepted, stale.refused) == ({}, {GROUP: "StaleRevision"})
    assert (await adapter.status()).groups[GROUP].revision == revision


async def test_an_older_number_of_guests_changes_nothing(adapter: HttpCTI, lone: CtiProcess, revision: int) -> None:
    def kept(guests: int) -> bool:
        loans = Path(lone.env["TANDEM_STATE_DIR"]) / "loans.json"
        return loans.exists() and f'"guestCapacity":{guests}' in loans.read_text().replace(" ", "")

    boot = (await adapter.status()).boot
    await adapter.push(boot, {}, doors=DoorWords(revision, guest_capacity=40))
    await until(lambda: kept(40), within=5, what="the number on disk")
    await adapter.push(boot, {}, doors=DoorWords(revision - 1, guest_capacity=7))
    await adapter.push(boot, placed(revision, east="0-99"), doors=DoorWords(revision + 1, guest_capacity=41))
    await until(lambda: kept(41), within=5, what="the newer number on disk")
    await adapter.push(boot, {}, doors=DoorWords(revision, guest_capacity=40))
    await asyncio.sleep(0.3)
    assert kept(41)


async def test_a_push_for_another_boot_is_a_normal_answer_that_names_this_one(adapter: HttpCTI, revision: int) -> None:
    result = await adapter.push("some-earlier-process", placed(revision, east="0-99"))
    assert result.wrong_boot
    assert result.boot == (await adapter.status()).boot
    assert (await adapter.status()).groups[GROUP].revision < revision


async def test_pace_and_deadlines_arrive_as_they_are_meant(adapter: HttpCTI, lone: CtiProcess, revision: int) -> None:
    """The reference CTI keeps what it holds on disk; the drain's durations are seconds there."""
    boot = (await adapter.status()).boot
    await adapter.push(boot, placed(revision, pace=25, east="0-99"))
    await until(lambda: '"pace":25' in on_disk(lone), within=5, what="the pace on disk")
    await adapter.push(boot, placed(revision + 1, pace=0, east="0-98", east_west="99"))
    await until(lambda: f'"revision":{revision + 1}' in on_disk(lone), within=5, what="the map on disk")
    kept = on_disk(lone)
    for part in ('"maxTalk":5400', '"maxWrapUp":0.5', '"onDeadline":"Force"', '"pace":null'):
        assert part in kept


async def test_a_map_that_the_cti_cannot_read_is_an_error_that_names_the_field(adapter: HttpCTI, revision: int) -> None:
    boot = (await adapter.status()).boot
    with pytest.raises(AdapterError, match=r"answered 400.*map"):
        await adapter.push(boot, placed(revision, east="0-59"))  # 40 buckets are nowhere


async def test_a_wrong_token_is_an_error_that_says_so(lone: CtiProcess, http_to: HttpTo) -> None:
    with pytest.raises(AdapterError, match="401"):
        await HttpCTI(http_to(lone.target.url, "wrong")).status()


async def test_a_new_boot_is_not_confirmed_until_it_is_told_and_a_dead_one_is_an_error(
    cities: Cities, east: HttpCTI
) -> None:
    before = await east.status()
    assert (before.confirmed, before.groups[GROUP].revision) == (False, 0)
    assert (await east.progress(0, 0)).confirmed is False
    await east.push(before.boot, placed(10, east="0-99"))
    for found in (await east.status(), await east.progress(0, 0)):
        assert (found.boot, found.confirmed, found.groups[GROUP].revision) == (before.boot, True, 10)

    cities["east"].stop()
    with pytest.raises(AdapterError, match=r"GET /v1/status was not answered within 2 s"):
        await east.status()
    await cities["east"].start()
    again = await east.progress(0, 0)
    assert again.boot != before.boot
    assert (again.confirmed, again.groups[GROUP].revision) == (False, 10)  # it has its map from its disk


async def test_progress_waits_for_a_change_and_tells_what_changed(east: HttpCTI, cities: Cities) -> None:
    boot = (await east.status()).boot
    await east.push(boot, placed(10, east="0-99"))
    start = await east.progress(0, 0)
    quiet = await east.progress(start.seq, 0.3)
    assert (quiet.groups, quiet.confirmed) == ({}, True)

    asking = asyncio.create_task(east.progress(quiet.seq, 10))
    await asyncio.sleep(0.1)
    assert not asking.done()
    async with signed_in(cities, 3) as desks:
        async with asyncio.timeout(5):
            told = await asking
        assert told.seq > quiet.seq
        assert told.groups[GROUP].revision == 10
        async with asyncio.timeout(5):
            while told.groups[GROUP].signed_in < 3:
                told = await east.progress(0, 0)
        found = told.groups[GROUP]
        assert sum(found.buckets.values()) == 3
        assert set(map(int, found.buckets)) == {bucket_of(desk.account) for desk in desks}


async def test_a_whole_move_is_seen_from_both_ends(east: HttpCTI, west: HttpCTI, cities: Cities) -> None:
    boots = {"east": (await east.status()).boot, "west": (await west.status()).boot}
    for city, adapter in (("east", east), ("west", west)):
        await adapter.push(boots[city], placed(10, east="0-99"))
    async with signed_in(cities, 5) as desks:
        none_yet = await west.arrivals(0, 0)
        assert (list(none_yet.agents), none_yet.boot) == ([], boots["west"])
        seq = none_yet.seq
        # The receiving city first: a ticket must find its door.
        await west.push(boots["west"], placed(11, east_west="0-99"))
        await east.push(boots["east"], placed(11, east_west="0-99"))
        arrived: list[Arrival] = []
        async with asyncio.timeout(5):
            while len(arrived) < 5:
                found = await west.arrivals(seq, 2)
                seq = found.seq
                arrived += found.agents
        assert {arrival.account for arrival in arrived} == {desk.account for desk in desks}
        for arrival in arrived:
            assert (arrival.group, arrival.came_from) == (GROUP, "east")
            assert arrival.bucket == bucket_of(arrival.account)
            assert 0 <= arrival.gap < 2
            assert arrival.released_at <= arrival.signed_in_at
        assert (await east.status()).groups[GROUP].signed_in == 0
        assert (await west.status()).groups[GROUP].signed_in == 5


async def test_what_clients_say_of_another_city_is_read(east: HttpCTI, west: HttpCTI, cities: Cities) -> None:
    for adapter in (east, west):
        await adapter.push((await adapter.status()).boot, placed(10, east="0-99"))
    async with signed_in(cities, 5):
        assert (await west.evidence()).get("east", {}).get(GROUP, ClientCount(0, 0)).lost == 0
        cities["east"].stop(signal.SIGKILL)
        for _ in range(100):
            await asyncio.sleep(0.1)
            found = await west.evidence()
            if found["east"] == {GROUP: ClientCount(clients=5, lost=5)}:
                return
        raise AssertionError(f"the clients' loss did not show: {found}")
