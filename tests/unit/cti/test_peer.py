"""The line between the CTIs of two cities: who may have it, what is said on it, and how it ends."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from callcenter.cti import peer
from callcenter.cti.distribution import PeerGroup
from callcenter.cti.peer import FROM, TO, Arrivals, PeerLink, Report, read_frame
from callcenter.cti.texts import LONGEST_FRAME
from callcenter.session.loan_frames import Returned, Who
from callcenter.session.window import SILENCE
from tests.unit.cti.listening import listening
from tests.unit.engine.virtual import run_virtual


def test_arrivals_are_counted_often_enough_whatever_else_there_is_to_say() -> None:
    """The other city takes a silent count for a city that is gone, and releases without a window."""

    class Line:
        def __init__(self) -> None:
            self.counted_at: list[float] = []

        def send(self, text: str) -> None:
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

        def send(self, text: str) -> None:
            self.said.append(json.loads(text))

        async def receive(self, within: float) -> str:
            return await self.words.get()

        def end(self, code: Any) -> None: ...

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


def a_link(
    heard: "asyncio.Queue[Any]",
    *,
    site: str = "east",
    peer: str = "west",
    url: str = "http://nowhere",
    report: Callable[[], Report] = dict,
) -> PeerLink:
    async def news(seen: int, timeout: float) -> int:
        await asyncio.sleep(min(timeout, 60.0))
        return seen

    return PeerLink(
        url,
        "secret",
        site=site,
        peer=peer,
        report=report,
        arrivals=lambda: Arrivals("b1", 0),
        on_said=heard.put_nowait,
        news=news,
    )


@asynccontextmanager
async def connected(link: PeerLink, headers: dict[str, str]) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        listening(lambda path, sent: link.accept(sent) if path == "/peer" else None) as url,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/peer", headers={"Authorization": "Bearer secret", **headers}) as line,
    ):
        yield line


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


@asynccontextmanager
async def two_ctis(east_says: Callable[[], Report]) -> AsyncIterator[tuple[PeerLink, "asyncio.Queue[Any]"]]:
    """East connects to west, who listens at a real port; what west hears."""
    heard: asyncio.Queue[Any] = asyncio.Queue()
    west = a_link(heard, site="west", peer="east")
    async with listening(lambda _, headers: west.accept(headers)) as url:
        east = a_link(asyncio.Queue(), url=url, report=east_says)
        running = [asyncio.create_task(link.run()) for link in (east, west)]
        yield east, heard
        for task in running:
            task.cancel()
        ended = await asyncio.wait_for(asyncio.gather(*running, return_exceptions=True), 5.0)
    assert [type(error) for error in ended] == [asyncio.CancelledError] * 2
    assert not west._lines, "accepted lines end with it"


async def test_a_report_that_is_longer_than_a_frame_arrives_whole() -> None:
    report = {f"callcenter/g{n}": {"available": n, "signed_in": n, "longest_idle": 0.5} for n in range(2_000)}
    assert len(json.dumps(report)) > 2 * LONGEST_FRAME
    async with two_ctis(lambda: report) as (_, heard):
        while not isinstance(said := await asyncio.wait_for(heard.get(), 5.0), dict):
            assert isinstance(said, Arrivals)
        assert said == {name: PeerGroup(n, n) for n, name in enumerate(report)}


async def test_what_is_said_in_a_burst_arrives_in_its_order() -> None:
    async with two_ctis(dict) as (east, heard):
        await asyncio.wait_for(heard.get(), 5.0)
        east.say(Who(f"b1.q{n}") for n in range(100))
        whos: list[Any] = []
        while len(whos) < 100:
            if isinstance(said := await asyncio.wait_for(heard.get(), 5.0), Who):
                whos.append(said)
        assert whos == [Who(f"b1.q{n}") for n in range(100)]


@asynccontextmanager
async def whoever_answers(with_what: bytes) -> AsyncIterator[tuple[int, "asyncio.Queue[bytes]"]]:
    """Somebody at the other CTI's address who is no CTI; the port, and what was asked there."""
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.put_nowait(await reader.readuntil(b"\r\n\r\n"))
        writer.write(with_what)
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], asked


@asynccontextmanager
async def connecting(url: str) -> AsyncIterator[PeerLink]:
    """A link that tries to connect to `url`, and goes on trying."""
    link = a_link(asyncio.Queue(), url=url)
    running = asyncio.create_task(link.run())
    yield link
    assert not running.done(), "whatever answers, it goes on trying"
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("status", [b"302 Found", b"308 Permanent Redirect"])
async def test_the_secret_goes_where_the_url_says_and_nowhere_else(
    status: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "RECONNECT", 0.01)
    async with whoever_answers(b"") as (thief, stolen):
        redirect = b"HTTP/1.1 %b\r\nLocation: ws://127.0.0.1:%d/peer\r\n\r\n" % (status, thief)
        async with whoever_answers(redirect) as (port, asked), connecting(f"http://127.0.0.1:{port}"):
            for _ in range(3):
                assert b"Bearer secret" in await asyncio.wait_for(asked.get(), 5.0)
        assert stolen.empty()


async def test_who_hangs_up_before_it_is_a_line_is_tried_again_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was taken for a line that is silent: the other CTI, back by then, was heard five seconds later."""
    monkeypatch.setattr(peer, "RECONNECT", 0.01)
    async with whoever_answers(b"") as (port, asked), connecting(f"http://127.0.0.1:{port}") as link:
        for _ in range(3):
            await asyncio.wait_for(asked.get(), 4.0)
        assert link._lines == []


async def test_who_never_finishes_the_tls_handshake_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peer, "RECONNECT", 0.01)
    monkeypatch.setattr(peer, "CONNECT_WITHIN", 0.1)
    tries: asyncio.Queue[None] = asyncio.Queue()

    async def stare(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tries.put_nowait(None)
        await reader.read()
        writer.close()

    async with (
        await asyncio.start_server(stare, "127.0.0.1", 0) as server,
        connecting(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"),
    ):
        for _ in range(2):
            await asyncio.wait_for(tries.get(), 5.0)


@pytest.mark.parametrize(
    "said",
    [
        pytest.param("[" * 100_000, id="deep"),
        pytest.param('{"t": "arrivals", "boot": "b1", "n": 1e999}', id="endless"),
        pytest.param('{"t": "idle", "groups": {"a": {"available": 1e999, "signed_in": 1}}}', id="endless-group"),
    ],
)
def test_what_makes_no_sense_ends_the_line_and_not_the_process(said: str) -> None:
    with pytest.raises(ValueError, match="not what a CTI says to its peer"):
        read_frame(said)
