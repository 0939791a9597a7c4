"""Real clients against real CTI processes: sign-in, move, calls, failure."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from callcenter.directory import bucket
from callcenter.session.lease import DEFAULT_LEASE
from callcenter.session.messages import Denied, Hello, Welcome, decode_server, encode
from tests.contract.cti.support import (
    GROUP,
    Control,
    CtiProcess,
    Desk,
    a_directory,
    control,
    now,
    signed_in,
    until,
)
from tests.contract.cti.test_conformance import check

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Cities = dict[str, CtiProcess]


@pytest.fixture
async def engines(cities: Cities) -> AsyncIterator[dict[str, Control]]:
    async with control(cities["east"].target) as east, control(cities["west"].target) as west:
        yield {"east": east, "west": west}


@pytest.fixture
async def placed(engines: dict[str, Control]) -> dict[str, Control]:
    """Everybody belongs to east."""
    for engine in engines.values():
        await engine.place(10, {"east": "0-99"})
    return engines


async def test_agents_sign_in_at_home_with_numbers_of_the_citys_own(cities: Cities, placed: dict[str, Control]) -> None:
    async with signed_in(cities, 10) as desks:
        numbers = {desk.sign_ins()[0].number for desk in desks}
        assert len(numbers) == 10
        assert all(100_000 <= number <= 199_999 for number in numbers)
        assert {desk.sign_ins()[0].extension for desk in desks} == {str(510_001 + n) for n in range(10)}
        group = await placed["east"].group()
        assert (group["signed_in"], group["available"], group["standby"]) == (10, 10, 0)
        assert sum(group["buckets"].values()) == 10
        assert (await placed["west"].group())["standby"] == 10
        status, record = await placed["east"].get("/v1/agents/agent0001")
        assert status == 200
        check("Agent", record)
        assert record["session"] is not None
        assert 0 < record["valid_for"] <= DEFAULT_LEASE
        _, answer = await placed["east"].send("POST", "/v1/release-query", {"account": "agent0001", "instance": "i"})
        check("ReleaseAnswer", answer)
        assert answer == {"released": False, "reason": "SessionAlive"}
        _, answer = await placed["west"].send("POST", "/v1/release-query", {"account": "agent0001", "instance": "i"})
        assert answer == {"released": True, "reason": "NoSession"}
        await asyncio.sleep(2.0)  # more than a lease: pings keep them in
        assert [desk.story() for desk in desks] == [["in east (fresh)"]] * 10
    assert cities["east"].complaints() == []


async def test_a_planned_move_releases_each_agent_once_with_a_ticket(
    cities: Cities, placed: dict[str, Control]
) -> None:
    async with signed_in(cities, 30) as desks:
        await placed["west"].place(11, {"east>west": "0-99"})
        await placed["east"].place(11, {"east>west": "0-99"})
        await until(lambda: all(d.session.signed_in_at == "west" for d in desks), within=3, what="all in west")
        assert (await placed["east"].group())["buckets"] == {}
        for engine in placed.values():
            await engine.place(12, {"west": "0-99"})
        await asyncio.sleep(1.0)  # the reports come with the next pings
        assert [d.story() for d in desks] == [["in east (fresh)", "released east -> west", "in west (ticket)"]] * 30
        _, moves = await placed["west"].get("/v1/moves?after=0&wait=1")
        check("Moves", moves)
        assert {move["account"] for move in moves["moves"]} == {d.account for d in desks}
        assert {(m["from"], m["to"], m["cause"]) for m in moves["moves"]} == {("east", "west", "Move")}
        assert all(0 < move["gap"] < 1 for move in moves["moves"])
        assert all(move["bucket"] == bucket(move["account"]) for move in moves["moves"])
        _, rest = await placed["west"].get(f"/v1/moves?after={moves['seq']}")
        assert rest["moves"] == []
    assert [city.complaints() for city in cities.values()] == [[], []]


async def test_only_the_buckets_that_leave_are_moved(cities: Cities, placed: dict[str, Control]) -> None:
    async with signed_in(cities, 30) as desks:
        for site in ("west", "east"):
            await placed[site].place(11, {"east>west": "0-49", "east": "50-99"})
        leaving = [d for d in desks if bucket(d.account) < 50]
        await until(lambda: all(d.session.signed_in_at == "west" for d in leaving), within=3, what="half in west")
        await asyncio.sleep(0.2)
        assert all(d.story() == ["in east (fresh)"] for d in desks if d not in leaving)


async def test_a_pace_spreads_the_releases(cities: Cities, placed: dict[str, Control]) -> None:
    async with signed_in(cities, 20) as desks:
        began = now()
        for site in ("west", "east"):
            await placed[site].place(11, {"east>west": "0-99"}, pace=20)
        await until(lambda: all(d.session.signed_in_at == "west" for d in desks), within=5, what="all in west")
        assert 0.8 < now() - began < 2


async def test_a_fresh_client_is_sent_with_a_ticket_where_its_bucket_is_going(
    cities: Cities, placed: dict[str, Control]
) -> None:
    for site in ("west", "east"):
        await placed[site].place(11, {"east>west": "0-99"})
    agent = a_directory().agents[0]
    async with Desk(agent.account, agent.mac, cities) as desk:
        await until(lambda: desk.session.signed_in_at == "west", within=5, what="in west")
        assert desk.story() == ["in west (ticket)"]


async def test_a_call_rings_the_longest_idle_agent_and_is_finished_before_the_move(
    cities: Cities, placed: dict[str, Control]
) -> None:
    switch = cities["east"].softswitch
    async with signed_in(cities, 2) as desks:
        await until(lambda: switch.words("agents")[-1]["groups"] == {GROUP: 2}, within=2, what="2 agents told")
        switch.call("c1")
        await until(lambda: switch.words("ring"), within=1, what="a phone rings")
        ring = switch.words("ring")[0]
        talker, idle = desks if desks[0].sign_ins()[0].extension == ring["ext"] else desks[::-1]
        assert (ring["i"], ring["l"], ring["callid"]) == (1, 2, "c1")
        switch.say({"e": "answered", "callid": "c1", "ext": ring["ext"]})
        for site in ("west", "east"):
            await placed[site].place(11, {"east>west": "0-99"})
        await until(lambda: idle.session.signed_in_at == "west", within=2, what="the idle one in west")
        assert (await placed["east"].group())["talking"] == 1
        switch.call("c2")  # nobody who stays is here: it goes to the other city
        await until(lambda: switch.words("peer"), within=2, what="call sent to the peer")
        assert switch.words("peer")[0]["callid"] == "c2"
        assert talker.session.signed_in_at == "east"
        switch.say({"e": "ended", "callid": "c1", "ext": ring["ext"], "by": "caller"})
        await until(lambda: talker.session.signed_in_at == "west", within=3, what="the talker in west")
        assert len(switch.words("ring")) == 1
    assert cities["east"].complaints() == []


async def test_calls_go_to_the_peer_only_while_it_has_idle_agents(cities: Cities, placed: dict[str, Control]) -> None:
    for site in ("west", "east"):
        await placed[site].place(11, {"east": "0-49", "west": "50-99"})
    east, west = cities["east"].softswitch, cities["west"].softswitch
    agents = a_directory().agents
    here = next(agent for agent in agents if bucket(agent.account) < 50)
    there = next(agent for agent in agents if bucket(agent.account) >= 50)
    async with Desk(here.account, here.mac, cities) as at_east, Desk(there.account, there.mac, cities) as at_west:
        await until(lambda: at_east.session.signed_in_at == "east", within=5, what="in east")
        await until(lambda: at_west.session.signed_in_at == "west", within=5, what="in west")
        for number in range(3):
            east.call(f"c{number}")
        await until(lambda: east.words("ring") and east.words("peer"), within=2, what="one rings, one relayed")
        west.call(east.words("peer")[0]["callid"], hop=1, age=1)
        await until(lambda: west.words("ring"), within=1, what="it rings in west")
        await asyncio.sleep(1.0)
        assert [len(east.words(kind)) for kind in ("ring", "peer", "reject")] == [1, 1, 0]
        assert (await placed["east"].group())["calls_waiting"] == 1


async def test_a_restarted_cti_admits_nobody_until_confirmed(cities: Cities, placed: dict[str, Control]) -> None:
    async with signed_in(cities, 5) as desks:
        await asyncio.sleep(0.2)
        boot = await placed["east"].boot()
        cities["east"].stop(signal.SIGKILL)
        await cities["east"].start()
        _, health = await placed["east"].get("/healthz")
        assert health["boot"] != boot
        assert health["confirmed"] is False
        stale = await placed["east"].place(9, {"west": "0-99"})
        assert stale == {"revision": 10, "accepted": False, "reason": "StaleRevision"}
        await asyncio.sleep(2.5)
        group = await placed["east"].group()
        assert group["signed_in"] == 0
        assert group["waiting"] + (await placed["west"].group())["waiting"] > 0
        await placed["east"].place(10, {"east": "0-99"})
        await until(lambda: all(d.session.signed_in_at == "east" for d in desks), within=8, what="all back in east")


async def test_a_map_that_was_acknowledged_survives_a_crash_in_the_next_moment(
    cities: Cities, placed: dict[str, Control]
) -> None:
    for revision in (11, 12, 13):
        await placed["east"].place(revision, {"east>west": "0-99"} if revision % 2 else {"east": "0-99"})
        cities["east"].stop(signal.SIGKILL)
        await cities["east"].start()
        stale = await placed["east"].place(revision - 1, {"west": "0-99"})
        assert stale == {"revision": revision, "accepted": False, "reason": "StaleRevision"}


async def test_a_disk_that_takes_nothing_opens_doors_all_the_same_and_keeps_nothing_old(
    cities: Cities, placed: dict[str, Control]
) -> None:
    async with signed_in(cities, 3) as desks:
        obstacle = Path(cities["east"].env["TANDEM_STATE_DIR"]) / "placements.new"
        obstacle.mkdir()
        body = {"boot": await placed["east"].boot(), "confirmed": True}
        body["groups"] = {GROUP: {"revision": 11, "map": {"east>west": "0-99"}}}
        status, _ = await placed["east"].send("PUT", "/v1/placements", body)
        assert status == 200
        assert (await placed["east"].group())["revision"] == 11
        assert not (obstacle.parent / "placements.json").exists()
        await until(lambda: all(d.session.signed_in_at != "east" for d in desks), within=8, what="all released")
        obstacle.rmdir()
        body["groups"] = {GROUP: {"revision": 12, "map": {"east>west": "0-99"}}}
        assert (await placed["east"].send("PUT", "/v1/placements", body))[0] == 200
        assert (obstacle.parent / "placements.json").exists()


async def test_a_frozen_cti_takes_itself_for_restarted(cities: Cities, placed: dict[str, Control]) -> None:
    async with signed_in(cities, 5) as desks:
        boot = await placed["east"].boot()
        cities["east"].signal(signal.SIGSTOP)
        await until(lambda: all(d.session.signed_in_at is None for d in desks), within=4, what="all counted out")
        await asyncio.sleep(0.5)
        cities["east"].signal(signal.SIGCONT)
        await asyncio.sleep(0.2)
        _, health = await placed["east"].get("/healthz")
        assert health["boot"] != boot
        assert health["confirmed"] is False
        assert (await placed["east"].group())["signed_in"] == 0
        await placed["east"].place(10, {"east": "0-99"})
        await until(lambda: all(d.session.signed_in_at == "east" for d in desks), within=8, what="all back in east")


async def test_who_lost_a_city_waits_at_the_others_door_and_enters_when_it_opens(
    cities: Cities, placed: dict[str, Control]
) -> None:
    async with signed_in(cities, 5) as desks:
        cities["east"].stop(signal.SIGKILL)

        async def waiting() -> int:
            return int((await placed["west"].group())["waiting"])

        for _ in range(60):
            if await waiting() == 5:
                break
            await asyncio.sleep(0.1)
        assert await waiting() == 5
        _, evidence = await placed["west"].get("/v1/evidence")
        check("Evidence", evidence)
        assert evidence["sites"]["east"]["lost"] == 5
        opened = now()
        await placed["west"].place(11, {"west": "0-99"})
        await until(lambda: all(d.session.signed_in_at == "west" for d in desks), within=1, what="all in west")
        assert now() - opened < 1
        assert [d.story() for d in desks] == [["in east (fresh)", "lost east", "in west (failover)"]] * 5


async def test_a_restarted_softswitch_gets_its_phones_back(cities: Cities, placed: dict[str, Control]) -> None:
    switch = cities["east"].softswitch
    async with aiohttp.ClientSession() as http:
        ws = await http.ws_connect(f"{cities['east'].url}/agent", compress=0)
        agent = a_directory().agents[0]
        await ws.send_str(encode(Hello(agent.account, "i1", agent.mac, "standby")))
        welcome = decode_server((await ws.receive(timeout=2)).data)
        assert isinstance(welcome, Welcome)
        assert welcome.phone.registrar == "198.18.0.11:30560"
        switch.boot = "k2"
        await switch.drop()
        frame: Any = None
        with contextlib.suppress(TimeoutError):
            frame = decode_server((await ws.receive(timeout=3)).data)
        assert type(frame).__name__ == "Register"
        await ws.close()


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        pytest.param("not json", "BadFrame", id="not-json"),
        pytest.param('{"t":"signin","seq":1,"ticket":null,"wait":false,"state":null}', "HelloFirst", id="no-hello"),
        pytest.param(
            '{"t":"hello","account":"nobody","instance":"i","mac":"x","role":"primary","v":1}',
            "UnknownAccount",
            id="unknown-account",
        ),
        pytest.param(
            '{"t":"hello","account":"agent0001","instance":"i","mac":"x","role":"primary","v":1}',
            "UnknownPhone",
            id="unknown-phone",
        ),
        pytest.param(
            '{"t":"hello","account":"agent0001","instance":"i","mac":"02:00:00:00:00:01","role":"primary","v":9}',
            "WrongVersion",
            id="wrong-version",
        ),
    ],
)
async def test_a_wrong_client_is_told_why(cities: Cities, frame: str, reason: str) -> None:
    async with aiohttp.ClientSession() as http:
        ws = await http.ws_connect(f"{cities['east'].url}/agent", compress=0)
        await ws.send_str(frame)
        denied = decode_server((await ws.receive(timeout=2)).data)
        assert isinstance(denied, Denied)
        assert denied.reason == reason
        assert (await ws.receive(timeout=2)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
