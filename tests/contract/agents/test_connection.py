"""One connection against a small WebSocket server: order, replacement, and what happens when nobody is there."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import WSMsgType, web

from callcenter.agents.connection import Connection, Exchange

pytestmark = pytest.mark.contract


@dataclass
class Server:
    """Keeps what it hears, and the connections it has."""

    heard: list[str] = field(default_factory=list)
    sockets: list[web.WebSocketResponse] = field(default_factory=list)
    url: str = ""
    deaf: bool = False
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        ws = web.WebSocketResponse(compress=False)
        await ws.prepare(request)
        self.sockets.append(ws)
        if self.deaf:
            assert request.transport is not None
            request.transport.pause_reading()
            await self.wake.wait()
            request.transport.resume_reading()
        async for message in ws:
            if message.type is WSMsgType.TEXT:
                self.heard.append(message.data)
        return ws


@dataclass
class Owner:
    """Answers each frame as the session would, and writes down what it is told."""

    connection: Connection | None = None
    told: list[str] = field(default_factory=list)

    def on_open(self, site: str) -> None:
        self.told.append("open")

    def on_text(self, site: str, text: str) -> None:
        self.told.append(text)
        assert self.connection is not None
        if text == "replace":
            self.connection.connect(0.0)
        elif text == "both":
            self.connection.send("one")
            self.connection.send("two")
        elif text == "burst":
            self.connection.send("three", "four", "")
        else:
            self.connection.send(f"re:{text}")

    def on_closed(self, site: str) -> None:
        self.told.append("closed")


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/agent", server.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    server.url = f"http://{host}:{port}/agent"
    yield server
    for ws in server.sockets:
        await ws.close()
    await runner.cleanup()


@pytest.fixture
async def exchange() -> Exchange:
    return Exchange()


def connect(exchange: Exchange, url: str) -> tuple[Connection, Owner]:
    owner = Owner()
    owner.connection = Connection(exchange, "east", url, owner)
    owner.connection.connect(0.0)
    return owner.connection, owner


async def eventually(check: Callable[[], bool]) -> None:
    for _ in range(500):
        if check():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within 5 s")


async def test_frames_go_both_ways_in_order(server: Server, exchange: Exchange) -> None:
    connection, owner = connect(exchange, server.url)
    await eventually(lambda: owner.told == ["open"])
    for number in range(50):
        connection.send(f"s{number}")
    await eventually(lambda: len(server.heard) == 50)
    for number in range(50):
        await server.sockets[0].send_str(f"{number}")
    await eventually(lambda: len(server.heard) == 100)
    assert server.heard == [f"s{number}" for number in range(50)] + [f"re:{number}" for number in range(50)]
    await server.sockets[0].send_str("both")
    await eventually(lambda: len(server.heard) == 102)
    assert server.heard[-2:] == ["one", "two"]
    await server.sockets[0].send_str("burst")
    await eventually(lambda: len(server.heard) == 105)
    assert server.heard[-3:] == ["three", "four", ""]
    connection.close()
    await eventually(lambda: server.sockets[0].closed)


async def test_a_connection_that_the_server_closes_is_told_once(server: Server, exchange: Exchange) -> None:
    _, owner = connect(exchange, server.url)
    await eventually(lambda: owner.told == ["open"])
    await server.sockets[0].close()
    await eventually(lambda: owner.told == ["open", "closed"])


async def test_a_replaced_connection_is_heard_of_no_more(server: Server, exchange: Exchange) -> None:
    connection, owner = connect(exchange, server.url)
    await eventually(lambda: owner.told == ["open"])
    connection.connect(0.0)
    await eventually(lambda: owner.told == ["open", "open"])
    await eventually(lambda: server.sockets[0].closed)
    connection.send("x")
    await eventually(lambda: server.heard == ["x"])
    connection.close()
    await eventually(lambda: server.sockets[1].closed)
    assert owner.told == ["open", "open"]


async def test_a_connection_can_be_replaced_from_within_a_frame(server: Server, exchange: Exchange) -> None:
    connection, owner = connect(exchange, server.url)
    await eventually(lambda: owner.told == ["open"])
    await server.sockets[0].send_str("replace")
    await server.sockets[0].send_str("late")
    await eventually(lambda: owner.told == ["open", "replace", "open"])
    await eventually(lambda: server.sockets[0].closed)
    connection.close()
    await eventually(lambda: server.sockets[1].closed)
    assert owner.told == ["open", "replace", "open"]


async def test_a_peer_that_does_not_read_is_cut_off(server: Server, exchange: Exchange) -> None:
    server.deaf = True
    connection, owner = connect(exchange, server.url)
    await eventually(lambda: owner.told == ["open"])
    for _ in range(300):
        connection.send("x" * 60_000)
    await eventually(lambda: owner.told == ["open", "closed"])
    server.wake.set()
    connection.close()


async def test_nobody_there_is_told_as_closed(exchange: Exchange) -> None:
    _, owner = connect(exchange, "http://127.0.0.1:9/agent")
    await eventually(lambda: owner.told == ["closed"])


async def test_sending_without_a_connection_is_lost_in_silence(exchange: Exchange) -> None:
    owner = Owner()
    connection = Connection(exchange, "east", "http://127.0.0.1:9/agent", owner)
    connection.send("x")
    connection.connect(60.0)
    connection.send("y")
    connection.close()
    await asyncio.sleep(0)
    assert owner.told == []
