"""A group's priority, from the engine's push to the order in which a real CTI lets real connections in."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from callcenter.cti import loanstore
from callcenter.directory import Agent, GroupSize, generate, save
from callcenter.session.messages import Hello, Offer, Ping, Pong, SignIn, Wait, decode_server, encode
from callcenter.session.pacing import BURST_SECONDS
from tandem.adapters.cti.http import HttpCTI
from tandem.domain.records import PlacementRecord
from tandem.engine.ports import DoorWords
from tests.contract.adapters.conftest import HttpTo
from tests.contract.cti.support import TOKEN, Control, CtiProcess, a_cti, control
from tests.support.ports import free_port

pytestmark = pytest.mark.contract

SALES, HELP = "callcenter/hotel-sales", "callcenter/hotel-help"
RATE = 5
DIRECTORY = generate(
    [GroupSize(SALES, "hotel", 20), GroupSize(HELP, "hotel", 20)],
    cities=["east", "west"],
    realm="callcenter",
    seed="test",
)


@pytest.fixture
async def cti(tmp_path: Path) -> AsyncIterator[CtiProcess]:
    """The CTI of east, which lets five in each second."""
    save(DIRECTORY, tmp_path / "directory.json.gz")
    ports = {"east": free_port(), "west": free_port()}
    running = a_cti(tmp_path, "east", ports, evapi=free_port(), TANDEM_SIGNIN_RATE=str(RATE))
    # It has lent nobody; without that knowledge it would ask the other city first, which is not there.
    os.makedirs(running.env["TANDEM_STATE_DIR"])
    loanstore.save(Path(running.env["TANDEM_STATE_DIR"]), loanstore.Kept(frozenset(), 0))
    try:
        await running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture
def engine(cti: CtiProcess, http_to: HttpTo) -> HttpCTI:
    return HttpCTI(http_to(cti.target.url, TOKEN))


@pytest.fixture
async def asked(cti: CtiProcess) -> AsyncIterator[Control]:
    """To ask it what it goes by."""
    async with control(cti.target) as opened:
        yield opened


def maps(revision: int) -> dict[str, tuple[int, PlacementRecord]]:
    record = PlacementRecord(system="hotel", map={"east": "0-99"}, cause="Order")
    return dict.fromkeys((SALES, HELP), (revision, record))


def agents(group: str, *numbers: int) -> list[Agent]:
    own = [agent for agent in DIRECTORY.agents if agent.group == group]
    return [own[number] for number in numbers]


class Crowd:
    """Agents who knock one after the other, and are let in in some order."""

    def __init__(self, cti: CtiProcess, http: aiohttp.ClientSession) -> None:
        self._url = f"{cti.url}/agent"
        self._http = http
        self._group_of: dict[str, str] = {}
        self._came: asyncio.Queue[str] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def knock(self, people: Iterable[Agent]) -> None:
        for agent in people:
            self._group_of[agent.account] = agent.group
            ws = await self._http.ws_connect(self._url, compress=0)
            await ws.send_str(encode(Hello(agent.account, f"i-{agent.account}", agent.mac, "primary")))
            await ws.receive(timeout=5)
            await ws.send_str(encode(SignIn(1, None, True, None)))
            assert isinstance(decode_server((await ws.receive(timeout=5)).data), Wait)
            self._tasks.append(asyncio.create_task(self._live(agent.account, ws)))

    async def _live(self, account: str, ws: aiohttp.ClientWebSocketResponse) -> None:
        async for message in ws:
            match decode_server(message.data):
                case Offer():
                    self._came.put_nowait(account)
                case Ping(session=session, n=n):
                    await ws.send_str(encode(Pong(session, n)))

    async def next(self, number: int) -> list[str]:
        """Groups of the next so many who are let in, in order."""
        async with asyncio.timeout(20):
            return [self._group_of[await self._came.get()] for _ in range(number)]

    def leave(self) -> None:
        for task in self._tasks:
            task.cancel()


@pytest.fixture
async def crowd(cti: CtiProcess) -> AsyncIterator[Crowd]:
    async with AsyncExitStack() as stack:
        found = Crowd(cti, await stack.enter_async_context(aiohttp.ClientSession()))
        stack.callback(found.leave)
        yield found


async def shown(asked: Control) -> tuple[int, int]:
    """(sales, help) as the status has them."""
    _, status = await asked.get("/v1/status")
    return status["groups"][SALES]["priority"], status["groups"][HELP]["priority"]


async def test_the_priority_of_a_push_is_who_is_let_in_first_and_a_later_one_alone_counts_for_those_who_wait(
    engine: HttpCTI, crowd: Crowd
) -> None:
    """They stand at shut doors, as the agents of a lost city do; one push opens all of them."""
    await crowd.knock([*agents(SALES, *range(6)), *agents(HELP, *range(10))])
    boot = (await engine.status()).boot
    began = asyncio.get_running_loop().time()
    await engine.push(boot, maps(10), doors=DoorWords(20, {HELP: 200}))
    await engine.push(boot, {}, doors=DoorWords(19, {HELP: 1}))  # from an engine that was replaced meanwhile
    assert await crowd.next(3) == [HELP] * 3
    # The manifest changes, and no map does. One more may have come in before the push did.
    await engine.push(boot, {}, doors=DoorWords(30, {HELP: 50}))
    assert (await crowd.next(7)).count(SALES) >= 5
    took = asyncio.get_running_loop().time() - began
    assert took >= (10 - 1) / RATE - BURST_SECONDS, "and never more than the stated rate"


async def test_the_cti_shows_what_it_was_told_and_an_older_reading_changes_nothing(
    engine: HttpCTI, asked: Control
) -> None:
    assert await shown(asked) == (100, 100)
    boot = (await engine.status()).boot
    await engine.push(boot, maps(10), doors=DoorWords(20, {SALES: 10, HELP: 200}))
    await engine.push(boot, {}, doors=DoorWords(19, {HELP: 1}))
    assert await shown(asked) == (10, 200)
    await engine.push(boot, maps(11), doors=DoorWords(30, {HELP: 300}))
    await engine.push(boot, maps(12))
    assert await shown(asked) == (10, 300), "what is left out stays as it is"
    refused = await engine.push("another-boot", {}, doors=DoorWords(99, {HELP: 5}))
    assert refused.wrong_boot
    assert await shown(asked) == (10, 300)


async def test_a_cti_that_restarts_goes_by_what_it_knew_until_it_is_told_anew(
    cti: CtiProcess, engine: HttpCTI, asked: Control
) -> None:
    await engine.push((await engine.status()).boot, maps(10), doors=DoorWords(20, {SALES: 10, HELP: 200}))
    cti.stop()
    await cti.start()
    assert await shown(asked) == (10, 200)
    await engine.push((await engine.status()).boot, {}, doors=DoorWords(3, {HELP: 7}))
    assert await shown(asked) == (10, 7)
