"""What clients say is heard in portions and in order; what goes to them is whole frames, one piece per connection."""

import asyncio
import json
import resource
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from callcenter.cti import clients, texts
from callcenter.cti.clients import BATCH, LONGEST_FRAME, MOST_UNHEARD, PORTION, ClientEdge, text_frame
from callcenter.cti.texts import FILES_KEPT, MOST_AT_ONCE, MOST_UNREAD, answer
from callcenter.session.events import Close, Reply
from callcenter.session.messages import Beat, ClientFrame, Denied, Pong, SignIn, decode_server, encode
from tests.unit.cti.listening import listening

# ---- what goes out


def read_frame(frame: bytes) -> str:
    """A whole, unmasked text frame by RFC 6455, section 5.2."""
    first, length, rest = frame[0], frame[1], frame[2:]
    assert first == 0b1000_0001, "final, no extension, text"
    if length == 126:
        length, rest = int.from_bytes(rest[:2], "big"), rest[2:]
        assert length > 125, "the shortest form of a length"
    elif length == 127:
        length, rest = int.from_bytes(rest[:8], "big"), rest[8:]
        assert length > 0xFFFF
    assert len(rest) == length
    return rest.decode()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_of_any_length_is_what_the_rfc_says(size: int) -> None:
    text = "ä" * (size // 2) + "x" * (size % 2)
    assert read_frame(text_frame(text)) == text


class Transport:
    """What the edge needs of a connection, the WebSocket's and the one below."""

    def __init__(self, unread: int = 0) -> None:
        self.pieces: list[bytes] = []
        self.unread = unread
        self.aborted = self.closing = self.is_close_frame_sent = False

    @property
    def underlying_transport(self) -> "Transport":
        return self

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def send_close(self, code: Any) -> None:
        self.is_close_frame_sent = True
        self.pieces.append(b"close")

    def disconnect(self, graceful: bool = True) -> None:
        self.closing, self.aborted = True, self.aborted or not graceful


def an_edge(
    *transports: Transport,
    on_frame: Callable[[int, ClientFrame], None] = lambda _, __: None,
    on_gone: Callable[[int], None] = lambda _: None,
) -> ClientEdge:
    """An edge with open connections 1, 2, ..."""
    edge = ClientEdge(on_frame, on_gone, most=len(transports) + 1)
    for transport in transports:
        edge.accept().on_ws_connected(transport)  # type: ignore[union-attr,arg-type]
    return edge


async def test_what_goes_to_one_connection_at_once_is_one_piece_and_in_order() -> None:
    one, two = Transport(), Transport()
    edge = an_edge(one, two)
    edge.post([Reply(1, Beat(1)), Reply(1, Beat(2)), Reply(2, Beat(3)), Reply(1, Beat(4)), Reply(7, Beat(5))])
    beat = [text_frame(encode(Beat(n))) for n in range(6)]
    assert one.pieces == [beat[1] + beat[2], beat[4]]
    assert two.pieces == [beat[3]]


async def test_what_was_decided_before_a_close_goes_out_before_it_and_nothing_after() -> None:
    one = Transport()
    edge = an_edge(one)
    edge.post([Reply(1, Beat(1)), Close(1), Reply(1, Beat(2))])
    edge.post([Reply(1, Beat(3)), Close(1)])
    assert one.pieces == [text_frame(encode(Beat(1))), b"close"]


async def test_a_client_that_does_not_read_is_cut_off_and_one_that_has_gone_is_left_alone() -> None:
    deaf, gone = Transport(unread=MOST_UNREAD + 1), Transport()
    gone.closing = True
    an_edge(deaf, gone).post([Reply(1, Beat(1)), Reply(2, Beat(1))])
    assert deaf.aborted
    assert deaf.pieces == gone.pieces == []
    assert not gone.aborted


async def test_a_burst_goes_out_piece_by_piece_and_what_comes_later_stays_behind_it() -> None:
    transport = Transport()
    edge = an_edge(transport)
    running = asyncio.create_task(edge.run())
    edge.post(Reply(1, Beat(n)) for n in range(2 * BATCH))
    edge.post([Reply(1, Beat(9999))])
    await asyncio.sleep(0.05)
    assert b"".join(transport.pieces) == b"".join(text_frame(encode(Beat(n))) for n in (*range(2 * BATCH), 9999))
    assert len(transport.pieces) == 3
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


# ---- what comes in


async def rounds(n: int) -> None:
    for _ in range(n):
        await asyncio.sleep(0)


async def test_a_crowd_is_heard_in_portions_and_who_lives_by_an_answer_waits_for_none_of_it() -> None:
    heard: list[Any] = []
    crowd = range(1, 3 * PORTION + 1)
    pong = len(crowd) + 1
    edge = an_edge(*(Transport() for _ in (*crowd, pong)), on_frame=lambda conn, _: heard.append(conn))
    for conn in crowd:
        edge._open[conn].on_text(encode(Beat(1)))
    edge._open[pong].on_text(encode(Pong("s1", 1)))
    assert heard == [*crowd[:PORTION], pong]
    await rounds(5)
    assert heard == [*crowd[:PORTION], pong, *crowd[PORTION:]]


async def test_all_that_one_client_says_is_heard_in_its_order_and_then_that_it_is_gone() -> None:
    heard: list[Any] = []
    edge = an_edge(
        Transport(), on_frame=lambda _, frame: heard.append(frame), on_gone=lambda conn: heard.append(f"{conn} gone")
    )
    client = edge._open[1]
    said: list[ClientFrame] = [*(Beat(n) for n in range(PORTION + 5)), Pong("s1", 1)]
    for frame in said:
        client.on_text(encode(frame))
    client.on_ws_disconnected(client.transport)  # type: ignore[arg-type]
    edge.post([Reply(1, Beat(1))])
    await rounds(5)
    assert heard == [*said, "1 gone"]


async def test_what_was_on_its_way_when_we_closed_is_not_heard() -> None:
    heard: list[Any] = []
    edge = an_edge(Transport(), on_frame=lambda _, frame: heard.append(frame))
    for n in range(PORTION + 5):
        edge._open[1].on_text(encode(Beat(n)))
    edge.post([Close(1)])
    await rounds(5)
    assert heard == [Beat(n) for n in range(PORTION)]


async def test_who_speaks_faster_than_can_be_heard_is_cut_off() -> None:
    hasty = Transport()
    edge = an_edge(hasty)
    for n in range(PORTION + MOST_UNHEARD):
        edge._open[1].on_text(encode(Beat(n)))
    assert not hasty.aborted
    edge._open[1].on_text(encode(Beat(0)))
    assert hasty.aborted


async def test_what_a_crowd_can_make_us_keep_is_bounded_also_by_its_length() -> None:
    long = encode(SignIn(1, "x" * 16_000, False, None))
    patient, windy = Transport(), Transport()
    edge = an_edge(patient, windy)
    for n in range(PORTION):
        edge._open[1].on_text(encode(Beat(n)))
    for _ in range(2):
        edge._open[2].on_text(long)
    assert not windy.aborted
    await rounds(3)
    for n in range(PORTION):
        edge._open[1].on_text(encode(Beat(n)))
    for _ in range(2):
        edge._open[2].on_text(long)
    assert not windy.aborted, "what was heard is not counted any more"
    edge._open[2].on_text(long)
    assert windy.aborted


async def test_a_defect_costs_one_client_and_nobody_else_his_turn(caplog: pytest.LogCaptureFixture) -> None:
    heard: list[int] = []

    def hear(conn: int, frame: ClientFrame) -> None:
        if conn == 1:
            raise KeyError("a defect")
        heard.append(conn)

    one, two = Transport(), Transport()
    edge = an_edge(one, two, on_frame=hear)
    for conn in (1, 2):
        edge._open[conn].on_text(encode(Beat(1)))
    await rounds(3)
    assert one.aborted
    assert heard == [2]
    assert "a defect" in caplog.text


# ---- over a real port


@asynccontextmanager
async def connected(edge: ClientEdge) -> AsyncIterator[tuple[aiohttp.ClientWebSocketResponse, str]]:
    """One client of a CTI that has `edge` at `/agent`; and the CTI's URL."""

    def accept(path: str, _: Any) -> Any:
        return {"/agent": edge.accept, "/healthz": lambda: answer(503, {"ok": False})}.get(path, lambda: None)()

    async with (
        listening(accept) as url,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"{url}/agent?x=1", autoping=False) as ws,
    ):
        yield ws, url
        await edge.shut()


class Ear(WSListener):
    """A client that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[tuple[WSMsgType, bytes]] = asyncio.Queue()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        self.heard.put_nowait((frame.msg_type, frame.get_payload_as_bytes()))


async def test_words_come_whole_or_in_parts_and_pings_in_between_are_answered() -> None:
    heard: list[ClientFrame] = []
    edge = ClientEdge(lambda _, frame: heard.append(frame), lambda _: None, most=2)
    async with connected(edge) as (_, url):
        transport, ear = await ws_connect(Ear, url.replace("http", "ws", 1) + "/agent")
        assert isinstance(ear, Ear)
        said = encode(Beat(2)).encode()
        transport.send(WSMsgType.TEXT, encode(Beat(1)).encode())
        transport.send(WSMsgType.TEXT, said[:3], fin=False)
        transport.send_ping(b"still there?")
        transport.send(WSMsgType.CONTINUATION, said[3:4], fin=False)
        transport.send(WSMsgType.CONTINUATION, said[4:])
        transport.send_ping(b"and now?")
        for words in (b"still there?", b"and now?"):
            assert await asyncio.wait_for(ear.heard.get(), 5) == (WSMsgType.PONG, words)
        assert heard == [Beat(1), Beat(2)]
        edge.post([Reply(2, Beat(3))])
        assert await asyncio.wait_for(ear.heard.get(), 5) == (WSMsgType.TEXT, encode(Beat(3)).encode())
        transport.send(WSMsgType.TEXT, b"x", fin=False)
        transport.send(WSMsgType.TEXT, b"y")
        kind, reason = await asyncio.wait_for(ear.heard.get(), 5)
        assert (kind, int.from_bytes(reason[:2])) == (WSMsgType.CLOSE, 1002)
        transport.disconnect()


@pytest.mark.parametrize(
    ("says", "code"),
    [
        pytest.param(lambda ws: ws.send_str("x" * (LONGEST_FRAME + 1)), 1009, id="too-long"),
        pytest.param(lambda ws: ws.send_bytes(b"x"), 1003, id="binary"),
        pytest.param(lambda ws: ws.send_frame(b"\xff", aiohttp.WSMsgType.TEXT), 1007, id="no-utf-8"),
        pytest.param(lambda ws: ws.send_frame(b"x", aiohttp.WSMsgType.CONTINUATION), 1002, id="the-rest-of-none"),
    ],
)
async def test_what_is_no_text_ends_the_connection(says: Callable[[Any], Any], code: int) -> None:
    gone: list[int] = []
    async with connected(ClientEdge(lambda _, __: None, gone.append, most=1)) as (ws, _):
        await says(ws)
        end = await ws.receive(timeout=5)
        assert (end.type, end.data) == (aiohttp.WSMsgType.CLOSE, code)
    assert gone == [1]


UPGRADE = (
    "GET /agent HTTP/1.1\r\nHost: cti\r\nUpgrade: websocket\r\nConnection: {connection}\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


@asynccontextmanager
async def bare(url: str, *, connection: str = "Upgrade") -> AsyncIterator[tuple[socket.socket, bytes]]:
    """A client that reads nothing but the answer to its request, which comes with it."""
    loop = asyncio.get_running_loop()
    with socket.socket() as sock:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await loop.sock_connect(sock, ("127.0.0.1", int(url.rpartition(":")[2])))
        await loop.sock_sendall(sock, UPGRADE.format(connection=connection).encode())
        yield sock, await loop.sock_recv(sock, 4096)


@pytest.mark.parametrize(
    "ends",
    [
        pytest.param(lambda sock: sock.send(b"\x88\x80\0\0\0\0"), id="closes"),
        pytest.param(lambda sock: sock.shutdown(socket.SHUT_WR), id="half-closes"),
        pytest.param(lambda sock: sock.send(b"\x81\x01x"), id="breaks-the-protocol"),
    ],
)
async def test_who_ends_and_never_reads_what_it_was_sent_is_counted_out(
    ends: Callable[[socket.socket], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(texts, "CLOSE_WITHIN", 0.05)
    gone: asyncio.Queue[int] = asyncio.Queue()
    edge = ClientEdge(lambda _, __: None, gone.put_nowait, most=2)
    async with connected(edge) as (_, url), bare(url) as (sock, _):
        await rounds(5)
        transport = edge._open[2].transport
        assert transport is not None
        while not transport.underlying_transport.get_write_buffer_size():
            edge.post([Reply(2, Denied("Deaf", "x" * 10_000))])
        ends(sock)
        await asyncio.sleep(0.1)
        edge.post([Close(2)])  # the session server says so of who is silent
        assert await asyncio.wait_for(gone.get(), 5) == 2
        assert list(edge._open) == [1]


async def test_what_a_client_can_make_us_read_at_once_is_bounded() -> None:
    """Its buffer here grows to as much, and stays."""
    edge = ClientEdge(lambda _, __: None, lambda _: None, most=1)
    async with connected(edge):
        transport = edge._open[1].transport
        assert transport is not None
        sock = transport.underlying_transport.get_extra_info("socket")
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * MOST_AT_ONCE


async def test_who_comes_when_files_are_running_out_is_hung_up_on_and_some_are_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    edge = ClientEdge(lambda _, __: None, lambda _: None, most=3)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with connected(edge) as (_, url):
        monkeypatch.setattr(resource, "getrlimit", lambda _: (FILES_KEPT, limits[1]))
        with suppress(ConnectionResetError):
            async with bare(url) as (_, answered):
                assert answered == b""
        monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
        async with bare(url) as (_, answered):
            assert answered.split()[1] == b"101"
    assert not caplog.records


@pytest.mark.parametrize(
    ("connection", "status"), [("keep-alive, Upgrade", b"101"), ("upgrade", b"101"), ("keep-alive", b"400")]
)
async def test_a_browser_may_ask_for_more_than_the_upgrade(connection: str, status: bytes) -> None:
    edge = ClientEdge(lambda _, __: None, lambda _: None, most=2)
    async with connected(edge) as (_, url), bare(url, connection=connection) as (_, answered):
        assert answered.split()[1] == status


async def test_who_says_nothing_is_told_so_and_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "HELLO_WITHIN", 0.05)
    async with connected(ClientEdge(lambda _, __: None, lambda _: None, most=1)) as (ws, _):
        denied = decode_server((await ws.receive(timeout=5)).data)
        assert denied == Denied("BadFrame", "no hello within 0.05 s")
        assert (await ws.receive(timeout=5)).data == 1008


async def test_one_too_many_is_refused_and_other_paths_get_plain_answers() -> None:
    async with connected(ClientEdge(lambda _, __: None, lambda _: None, most=1)) as (_, url):
        async with aiohttp.ClientSession() as http:
            seen = []
            for path in ("/agent", "/healthz", "/nothing"):
                async with http.get(url + path) as response:
                    seen.append((response.status, await response.text()))
        assert [status for status, _ in seen] == [503, 503, 404]
        assert json.loads(seen[0][1]) == {"error": "Full", "message": "1 connections are open"}
        assert json.loads(seen[1][1]) == {"ok": False}


async def test_at_the_end_everybody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = ClientEdge(lambda _, __: None, lambda _: None, most=1)
    async with connected(edge) as (ws, _):
        shutting = asyncio.create_task(edge.shut())
        assert (await ws.receive(timeout=5)).data == 1001
        await asyncio.wait_for(shutting, 5)
