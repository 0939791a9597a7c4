"""A drill's silence, with real clients and two real CTIs: the agents find their city lost, and the other door opens."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.contract.cti.support import GROUP, Control, CtiProcess, Desk, control, desks, until
from tests.contract.cti.test_conformance import check

pytestmark = [pytest.mark.contract, pytest.mark.slow]

AGENTS = 10
LEASE_S = 2.7


@dataclass
class Rehearsal:
    cities: dict[str, CtiProcess]
    east: Control
    west: Control
    people: list[Desk]
    chosen: int = 0
    silent: list[Desk] = field(default_factory=list)
    others: list[Desk] = field(default_factory=list)

    async def place(self, revision: int, map_: dict[str, str]) -> None:
        for engine in (self.west, self.east):
            assert (await engine.place(revision, map_))["accepted"]

    async def say(self, groups: dict[str, int], ttl: float = 3.0) -> tuple[int, Any]:
        body = {"boot": await self.east.boot(), "drill": "n/d/1", "ttl": ttl, "to": ["west"], "groups": groups}
        return await self.east.send("PUT", "/v1/impair", body)

    async def begin(self, share: int) -> None:
        status, answer = await self.say({GROUP: share})
        assert status == 200, answer
        check("Impaired", answer)
        self.chosen = answer["groups"][GROUP]

    @asynccontextmanager
    async def renewed(self) -> AsyncIterator[None]:
        """The engine says each second that it goes on."""

        async def renew() -> None:
            while True:
                await asyncio.sleep(1.0)
                await self.say({GROUP: 1})

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until_out(self) -> None:
        """Everybody chosen has counted himself out."""
        await until(
            lambda: sum(desk.session.signed_in_at is None for desk in self.people) == self.chosen,
            within=LEASE_S + 2.0,
            what=f"{self.chosen} agents out of service",
        )
        self.silent = [desk for desk in self.people if desk.session.signed_in_at is None]
        self.others = [desk for desk in self.people if desk.session.signed_in_at is not None]


@pytest.fixture
async def rehearsal(cities: dict[str, CtiProcess]) -> AsyncIterator[Rehearsal]:
    async with contextlib.AsyncExitStack() as stack:
        east = await stack.enter_async_context(control(cities["east"].target))
        west = await stack.enter_async_context(control(cities["west"].target))
        people = desks(cities, AGENTS)
        found = Rehearsal(cities, east, west, people)
        await found.place(10, {"east": "0-99"})
        for desk in people:
            await stack.enter_async_context(desk)
        await until(
            lambda: all(desk.session.signed_in_at == "east" for desk in people), within=10, what="everybody at east"
        )
        await asyncio.sleep(0.5)  # and each client has said that it reaches west
        yield found


async def test_silenced_agents_stand_at_the_other_door_until_it_opens_and_nobody_else_moves(
    rehearsal: Rehearsal,
) -> None:
    await rehearsal.begin(40)
    assert 1 <= rehearsal.chosen <= 4
    async with rehearsal.renewed():
        await rehearsal.until_out()
        account = rehearsal.silent[0].account
        await asyncio.sleep(2.0)
        assert all(desk.session.signed_in_at is None for desk in rehearsal.silent)  # the map still says east
        assert all(desk.session.signed_in_at == "east" for desk in rehearsal.others)
        _, record = await rehearsal.west.get(f"/v1/agents/{account}")
        assert record["at_door"] is not None
        query = {"account": account, "instance": rehearsal.silent[0].instance}
        _, answer = await rehearsal.east.send("POST", "/v1/release-query", query)
        check("ReleaseAnswer", answer)
        assert answer == {"released": False, "reason": "Silenced"}

        await rehearsal.place(11, {"east>west": "0-99"})
        await until(
            lambda: all(desk.session.signed_in_at == "west" for desk in rehearsal.others), within=5, what="the others"
        )
        for _ in range(100):
            if not (await rehearsal.east.group())["buckets"]:
                break
            await asyncio.sleep(0.02)
        assert all(desk.session.signed_in_at is None for desk in rehearsal.silent)  # no ticket, no release, no loan
        await rehearsal.place(12, {"west": "0-99"})
        await until(
            lambda: all(desk.session.signed_in_at == "west" for desk in rehearsal.silent),
            within=1.0,
            what="those who stood at the door",
        )
    for desk in rehearsal.silent:
        assert desk.story() == ["in east (fresh)", "lost east", "in west (failover)"]
        assert not desk.sign_ins()[-1].guest
    for desk in rehearsal.others:
        assert desk.story() == ["in east (fresh)", "released east -> west", "in west (ticket)"]
    assert not any(city.complaints() for city in rehearsal.cities.values())


async def test_an_engine_that_dies_in_a_rehearsal_keeps_nobody_out(rehearsal: Rehearsal) -> None:
    await rehearsal.begin(100)
    assert rehearsal.chosen >= 1
    await rehearsal.until_out()  # and nobody says that it goes on
    await until(
        lambda: all(desk.session.signed_in_at == "east" for desk in rehearsal.people), within=6, what="everybody back"
    )
    assert {tuple(desk.story()) for desk in rehearsal.silent} == {
        ("in east (fresh)", "lost east", "in east (fresh)"),
    }


async def test_a_restart_of_the_cti_knows_of_no_silence(rehearsal: Rehearsal) -> None:
    await rehearsal.begin(100)
    east = rehearsal.cities["east"]
    east.stop()
    await east.start()
    await rehearsal.place(11, {"east": "0-99"})
    await until(
        lambda: all(desk.session.signed_in_at == "east" for desk in rehearsal.people), within=12, what="everybody back"
    )
