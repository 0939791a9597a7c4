"""A floor loses one city: real clients, two real CTIs, and a wire between floor and city that goes dead."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from callcenter.session.client import HasSignedIn
from tests.contract.cti.support import GROUP, Control, CtiProcess, Desk, a_directory, control, now, until
from tests.contract.cti.test_conformance import check

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Cities = dict[str, CtiProcess]
STRAYS, OTHERS, CAPACITY = 10, 5, 10
WORKS = 15.0
"""Seconds for what a test only begins with; how soon it must be is the first test's business."""


@dataclass
class Wire:
    """Between one floor and one city. Cut, it carries nothing and tells nobody, as a wide-area network does."""

    to_port: int
    port: int = 0

    def __post_init__(self) -> None:
        self._whole = asyncio.Event()
        self._whole.set()

    def cut(self) -> None:
        self._whole.clear()

    def mend(self) -> None:
        self._whole.set()

    @asynccontextmanager
    async def laid(self) -> AsyncIterator["Wire"]:
        carriers: set[asyncio.Task[None]] = set()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            carriers.add(task)
            ends = [writer]
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._whole.wait()
                there, back = await asyncio.open_connection("127.0.0.1", self.to_port)
                ends.append(back)
                await asyncio.gather(self._carry(reader, back), self._carry(there, writer))
            for end in ends:
                end.close()
            carriers.discard(task)

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            for task in list(carriers):
                task.cancel()
            await asyncio.gather(*carriers, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                await self._whole.wait()
                writer.write(data)
        writer.close()


@dataclass
class Story:
    cities: Cities
    east: Control
    west: Control
    wire: Wire
    floor: list[Desk]
    others: list[Desk]

    async def guests(self) -> int:
        return int((await self.west.group())["guests"])

    async def until_guests(self, count: int, *, within: float) -> None:
        deadline = now() + within
        while (found := await self.guests()) != count:
            assert now() < deadline, f"{found} guests, not {count}, after {within} s"
            await asyncio.sleep(0.05)


async def place(control: Control, revision: int, map_: dict[str, str], **more: Any) -> None:
    groups = {GROUP: {"revision": revision, "map": map_}}
    body = {"boot": await control.boot(), "confirmed": True, "groups": groups, "asOf": revision, **more}
    status, answer = await control.send("PUT", "/v1/placements", body)
    assert status == 200, answer


@pytest.fixture
async def story(cities: Cities) -> AsyncIterator[Story]:
    """Everybody belongs to east; ten desks reach it by a wire that can be cut, five in another way."""
    agents = a_directory().agents
    async with contextlib.AsyncExitStack() as stack:
        east = await stack.enter_async_context(control(cities["east"].target))
        west = await stack.enter_async_context(control(cities["west"].target))
        wire = await stack.enter_async_context(Wire(cities["east"].port).laid())
        for engine in (east, west):
            await place(engine, 10, {"east": "0-99"}, guestCapacity=CAPACITY)
        by_wire = {**cities, "east": replace(cities["east"], port=wire.port)}
        floor = [Desk(agent.account, agent.mac, by_wire) for agent in agents[:STRAYS]]
        others = [Desk(agent.account, agent.mac, cities) for agent in agents[STRAYS : STRAYS + OTHERS]]
        for desk in (*floor, *others):
            await stack.enter_async_context(desk)
        await until(
            lambda: all(desk.session.signed_in_at == "east" for desk in (*floor, *others)),
            within=10,
            what="everybody signed in at home",
        )
        yield Story(cities, east, west, wire, floor, others)


def all_at(desks: list[Desk], site: str) -> bool:
    return all(desk.session.signed_in_at == site for desk in desks)


async def test_a_floor_that_loses_its_city_works_as_guests_within_5_s_and_comes_home(story: Story) -> None:
    story.wire.cut()
    await until(lambda: all_at(story.floor, "west"), within=5.0, what="the floor working as guests")
    assert await story.guests() == STRAYS
    assert all(desk.sign_ins()[-1].guest for desk in story.floor)
    _, record = await story.west.get(f"/v1/agents/{story.floor[0].account}")
    check("Agent", record)
    assert (record["guest"], record["lent"]) == (True, False)
    _, record = await story.east.get(f"/v1/agents/{story.floor[0].account}")
    assert (record["guest"], record["lent"], record["session"]) == (False, True, None)
    body = {"account": story.floor[0].account, "instance": story.floor[0].instance}
    assert (await story.east.send("POST", "/v1/release-query", body))[1] == {"released": True, "reason": "Lent"}

    switch = story.cities["west"].softswitch
    switch.call("c1")
    await until(lambda: switch.words("ring"), within=2, what="a guest's phone ringing")
    assert switch.words("ring")[0]["ext"] in {d.sign_ins()[-1].extension for d in story.floor}
    switch.say({"e": "cancel", "callid": "c1"})

    story.wire.mend()
    await until(lambda: all_at(story.floor, "east"), within=30.0, what="the floor at home again")
    await story.until_guests(0, within=2.0)
    for desk in story.floor:
        assert desk.story() == [
            "in east (fresh)",
            "lost east",
            "in west (failover)",
            "released west -> east",
            "in east (ticket)",
        ]
        assert desk.sign_ins()[-1].gap is not None
        assert (desk.sign_ins()[-1].gap or 0) < 1.0
    assert {tuple(desk.story()) for desk in story.others} == {("in east (fresh)",)}, "nobody else has noticed"
    await asyncio.sleep(1.0)  # the reports come with the next pings
    _, moves = await story.west.get("/v1/moves")
    check("Moves", moves)
    assert [move["cause"] for move in moves["moves"]] == ["Guest"] * STRAYS
    _, moves = await story.east.get("/v1/moves")
    assert [move["cause"] for move in moves["moves"]] == ["Guest"] * STRAYS


async def test_a_home_that_is_killed_still_knows_whom_it_has_lent(story: Story) -> None:
    story.wire.cut()
    await until(lambda: all_at(story.floor, "west"), within=WORKS, what="the floor working as guests")
    east = story.cities["east"]
    east.stop(signal.SIGKILL)
    await east.start()
    await place(story.east, 10, {"east": "0-99"})
    await until(lambda: all_at(story.others, "east"), within=10.0, what="the others back at home")
    stray = story.floor[0]
    async with Desk(stray.account, stray.mac, story.cities) as other_device:
        other_device.session.sites = ["east"]  # asks nowhere else
        await asyncio.sleep(4.0)
        assert other_device.sign_ins() == []
        _, record = await story.east.get(f"/v1/agents/{stray.account}")
        assert (record["at_door"], record["lent"]) == ("LentOut", True)
    assert all_at(story.floor, "west")
    story.wire.mend()
    await until(lambda: all_at(story.floor, "east"), within=30.0, what="the floor at home again")


async def test_guests_whose_host_dies_go_home_by_themselves_if_they_can(story: Story) -> None:
    story.wire.cut()
    await until(lambda: all_at(story.floor, "west"), within=WORKS, what="the floor working as guests")
    story.wire.mend()
    story.cities["west"].stop(signal.SIGKILL)
    await until(lambda: all_at(story.floor, "east"), within=30.0, what="the floor at home again")


async def test_guests_become_ordinary_agents_when_their_group_is_moved(story: Story) -> None:
    story.wire.cut()
    await until(lambda: all_at(story.floor, "west"), within=WORKS, what="the floor working as guests")
    for engine in (story.east, story.west):
        await place(engine, 11, {"east>west": "0-99"})
    await until(lambda: all_at(story.others, "west"), within=WORKS, what="the others following")
    assert (await story.east.group())["buckets"] == {}
    for engine in (story.east, story.west):
        await place(engine, 12, {"west": "0-99"})
    await story.until_guests(0, within=2.0)
    story.wire.mend()
    await asyncio.sleep(8.0)
    assert all_at([*story.floor, *story.others], "west")
    sign_ins = [action for _, action in story.floor[0].seen if isinstance(action, HasSignedIn)]
    assert [action.site for action in sign_ins] == ["east", "west"], "nobody was disturbed by that"


async def test_no_more_guests_than_there_is_room_for(story: Story) -> None:
    await place(story.west, 10, {"east": "0-99"}, guestCapacity=4)
    story.wire.cut()
    await story.until_guests(4, within=WORKS)
    await asyncio.sleep(1.0)
    assert await story.guests() == 4
    records = [(await story.west.get(f"/v1/agents/{desk.account}"))[1] for desk in story.floor]
    assert sorted(str(record["at_door"]) for record in records) == ["GuestsFull"] * 6 + ["None"] * 4
    await place(story.west, 10, {"east": "0-99"}, guestCapacity=CAPACITY)
    await story.until_guests(STRAYS, within=WORKS)
