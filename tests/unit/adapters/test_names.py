"""Addresses are remembered, renewed behind their users' backs, and survive a name server that is gone."""

import asyncio
import socket

import pytest

from tandem.adapters.names import DOUBT_S, FRESH_S, Names, look_up
from tests.unit.engine.virtual import run_virtual


class NameServer:
    def __init__(self) -> None:
        self.address = "10.0.0.1"
        self.others: tuple[str, ...] = ()
        self.gone = False
        self.takes = 0.05
        self.asked = 0

    async def look_up(self, host: str) -> tuple[str, ...]:
        self.asked += 1
        await asyncio.sleep(self.takes)
        if self.gone:
            raise socket.gaierror("no answer")
        return (self.address, *self.others)


async def timed(names: Names) -> tuple[str, float]:
    loop = asyncio.get_running_loop()
    began = loop.time()
    return await names.address("cti.svc"), round(loop.time() - began, 9)


def test_only_the_first_use_waits_and_a_changed_address_is_learned_in_the_background() -> None:
    async def story() -> None:
        server = NameServer()
        names = Names(server.look_up)
        assert await timed(names) == ("10.0.0.1", 0.05)
        server.address = "10.0.0.2"
        assert await timed(names) == ("10.0.0.1", 0.0)
        await asyncio.sleep(FRESH_S + 1)
        assert await timed(names) == ("10.0.0.1", 0.0)
        assert await timed(names) == ("10.0.0.1", 0.0), "one question at a time"
        await asyncio.sleep(0.1)
        assert await timed(names) == ("10.0.0.2", 0.0)
        assert server.asked == 2
        await names.aclose()

    run_virtual(story())


def test_a_name_server_that_is_gone_is_missed_by_nobody_who_knows_the_address() -> None:
    async def story() -> None:
        server = NameServer()
        names = Names(server.look_up)
        await names.address("cti.svc")
        server.gone = True
        for _ in range(3):
            await asyncio.sleep(FRESH_S + 1)
            assert await timed(names) == ("10.0.0.1", 0.0)
        names.doubt("cti.svc")
        assert (await timed(names))[0] == "10.0.0.1"
        await names.aclose()

    run_virtual(story())


def test_an_address_in_doubt_is_looked_up_before_it_is_used() -> None:
    async def story() -> None:
        server = NameServer()
        names = Names(server.look_up)
        await names.address("cti.svc")
        server.address = "10.0.0.2"
        names.doubt("cti.svc")
        assert await timed(names) == ("10.0.0.2", 0.05)
        assert await timed(names) == ("10.0.0.2", 0.0)
        await names.aclose()

    run_virtual(story())


def test_an_unknown_host_is_an_error_and_an_address_needs_nobody() -> None:
    async def story() -> None:
        server = NameServer()
        server.gone = True
        names = Names(server.look_up)
        with pytest.raises(OSError, match="no answer"):
            await names.address("cti.svc")
        names.doubt("cti.svc")
        assert await names.address("198.18.0.11") == "198.18.0.11"
        assert server.asked == 1

    run_virtual(story())


def test_a_doubted_address_costs_a_moment_when_the_name_server_is_gone_and_nothing_once_it_has_answered() -> None:
    async def story() -> None:
        server = NameServer()
        names = Names(server.look_up)
        await names.address("cti.svc")
        server.gone, server.takes = True, 2.0
        names.doubt("cti.svc")
        for _ in range(3):
            assert await timed(names) == ("10.0.0.1", DOUBT_S)
        assert server.asked == 2, "one question at a time"
        names.trust("cti.svc")
        assert await timed(names) == ("10.0.0.1", 0.0)
        await names.aclose()

    run_virtual(story())


def test_of_several_addresses_the_next_one_is_taken_when_one_fails() -> None:
    async def story() -> None:
        server = NameServer()
        server.others = ("10.0.0.2", "10.0.0.3")
        names = Names(server.look_up)
        seen = []
        for _ in range(4):
            seen.append(await names.address("cti.svc"))
            names.doubt("cti.svc")
        assert seen == ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.1"]
        await names.address("cti.svc")
        await asyncio.sleep(FRESH_S + 1)
        assert await names.address("cti.svc") == "10.0.0.2", "a fresh answer does not put back what failed"
        await names.aclose()

    run_virtual(story())


@pytest.mark.parametrize("host", ["carrier..example", "x" * 64 + ".example"])
async def test_what_cannot_be_a_host_is_an_error_like_any_other(host: str) -> None:
    with pytest.raises(OSError, match="is not the name of a host"):
        await look_up(host)
