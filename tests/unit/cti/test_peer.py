"""The line to the other CTI ends when it is told to, also while it is ending by itself."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from callcenter.cti.peer import FROM, TO, Arrivals, PeerLink, read_frame
from callcenter.session.loan_frames import Returned, Who
from callcenter.session.window import SILENCE
from tests.unit.engine.virtual import run_virtual


class ClosedSocket:
    """A WebSocket that the other side has closed while our last report was still on its way out."""

    def __init__(self) -> None:
        self.closed = False
        self.sending = asyncio.Event()

    async def send_str(self, _: str) -> None:
        self.sending.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)  # what has begun to go out takes a moment to be given up

    async def receive(self, timeout: float) -> Any:
        await self.sending.wait()
        return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)

    async def close(self) -> None:
        self.closed = True


async def test_a_line_that_is_cancelled_while_it_ends_does_end() -> None:
    async def news(seen: int, timeout: float) -> int:
        return seen + 1

    link = PeerLink(
        "http://nowhere",
        "secret",
        site="east",
        peer="west",
        report=dict,
        arrivals=lambda: Arrivals("b1", 0),
        on_said=lambda _: None,
        news=news,
    )
    socket = ClosedSocket()
    talk = asyncio.create_task(link._talk(socket))  # type: ignore[arg-type]
    await socket.sending.wait()
    await asyncio.sleep(0.01)  # it has seen the end and waits for the report to be given up
    talk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talk


def test_arrivals_are_counted_often_enough_whatever_else_there_is_to_say() -> None:
    """The other city takes a silent count for a city that is gone, and releases without a window."""

    class Line:
        def __init__(self) -> None:
            self.counted_at: list[float] = []

        async def send_str(self, text: str) -> None:
            if json.loads(text)["t"] == "arrivals":
                self.counted_at.append(asyncio.get_running_loop().time())

    async def story(every: float) -> None:
        idle = 0

        async def news(seen: int, timeout: float) -> int:
            nonlocal idle
            await asyncio.sleep(min(timeout, every))
            idle += 1
            return seen + 1

        link = PeerLink(
            "http://nowhere",
            "secret",
            site="east",
            peer="west",
            report=lambda: {"g": {"available": idle, "signed_in": 5, "longest_idle": 0.0}},
            arrivals=lambda: Arrivals("b1", 0),
            on_said=lambda _: None,
            news=news,
        )
        line = Line()
        talk = asyncio.create_task(link._tell(line))  # type: ignore[arg-type]
        await asyncio.sleep(10)
        talk.cancel()
        gaps = [after - before for before, after in zip(line.counted_at, line.counted_at[1:], strict=False)]
        assert len(gaps) >= 8
        assert max(gaps) < SILENCE / 2

    for every in (0.05, 0.3, 60.0):
        run_virtual(story(every))


def test_what_only_a_newer_cti_says_is_passed_over() -> None:
    assert read_frame('{"t": "weather", "sun": true}') is None


async def test_what_is_said_of_loans_goes_out_on_the_line_that_was_heard_last() -> None:
    class Line:
        """A WebSocket that hears `words`, and remembers what was said on it."""

        def __init__(self) -> None:
            self.words: asyncio.Queue[str] = asyncio.Queue()
            self.said: list[Any] = []

        async def send_str(self, text: str) -> None:
            self.said.append(json.loads(text))

        async def receive(self, timeout: float) -> Any:
            return aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, await self.words.get(), None)

        async def close(self) -> None: ...

    heard: list[Any] = []

    async def news(seen: int, timeout: float) -> int:
        await asyncio.sleep(60)
        return seen

    link = PeerLink(
        "http://nowhere",
        "secret",
        site="east",
        peer="west",
        report=dict,
        arrivals=lambda: Arrivals("b1", 0),
        on_said=heard.append,
        news=news,
    )
    link.say([Who("lost")])  # there is no line: whoever asks asks again
    old, new = Line(), Line()
    talks = [asyncio.create_task(link._talk(line)) for line in (old, new)]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    for line in (new, old, new):
        line.words.put_nowait('{"t": "returned", "loans": ["b1.l1"]}')
        await asyncio.sleep(0.01)
    link.say([Who("b1.q1"), Returned(("w1.l3",))])
    await asyncio.sleep(0.01)
    assert [word["t"] for word in new.said] == ["who", "returned"]
    assert old.said == []
    assert heard == [Returned(("b1.l1",))] * 3
    for talk in talks:
        talk.cancel()
    await asyncio.gather(*talks, return_exceptions=True)


def a_link(heard: "asyncio.Queue[Any]") -> PeerLink:
    async def news(seen: int, timeout: float) -> int:
        await asyncio.sleep(60)
        return seen

    return PeerLink(
        "http://nowhere",
        "secret",
        site="east",
        peer="west",
        report=dict,
        arrivals=lambda: Arrivals("b1", 0),
        on_said=heard.put_nowait,
        news=news,
    )


@asynccontextmanager
async def connected(link: PeerLink, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    app = web.Application()
    app.router.add_get("/peer", link.handle)
    async with TestClient(TestServer(app)) as cti:
        line = await cti.ws_connect("/peer", headers={"Authorization": "Bearer secret", **headers})
        yield line
        await line.close()


@pytest.mark.parametrize("headers", [{FROM: "west", TO: "east"}, {}], ids=["its-peer", "an-older-one"])
async def test_its_peer_is_listened_to(headers: dict[str, str]) -> None:
    heard: asyncio.Queue[Any] = asyncio.Queue()
    async with connected(a_link(heard), headers) as line:
        await line.send_str('{"t": "returned", "loans": ["b1.l1"]}')
        assert await asyncio.wait_for(heard.get(), 5) == Returned(("b1.l1",))


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        pytest.param({FROM: "north", TO: "east"}, 409, id="a-third-city"),
        pytest.param({FROM: "west", TO: "north"}, 409, id="who-looks-for-a-third-city"),
        pytest.param({"Authorization": "Bearer wrong", FROM: "west", TO: "east"}, 401, id="a-stranger"),
    ],
)
async def test_nobody_else_is(headers: dict[str, str], status: int) -> None:
    """Two of three cities are each other's peer; the third one's words would be taken for the other's."""
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        async with connected(a_link(asyncio.Queue()), headers):
            pass
    assert refused.value.status == status


def test_a_loan_that_makes_no_sense_ends_the_line() -> None:
    with pytest.raises(ValueError, match="loans"):
        read_frame('{"t": "borrow", "n": "w1.1", "wanted": "everybody"}')
