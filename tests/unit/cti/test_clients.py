"""What clients say comes in in portions; what goes out to them are whole frames, in order, one piece per connection."""

import asyncio

import aiohttp
import pytest

from callcenter.cti.clients import BATCH, MOST_UNREAD, PORTION, ClientEdge, text_frame
from callcenter.session.events import Reply
from callcenter.session.messages import Beat, ClientFrame, Pong, encode


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


class Transport:
    """What the edge needs of a connection."""

    def __init__(self, unread: int = 0) -> None:
        self.pieces: list[bytes] = []
        self.unread = unread
        self.aborted = self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def get_write_buffer_size(self) -> int:
        return self.unread

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def abort(self) -> None:
        self.aborted = True


def an_edge(*transports: Transport) -> ClientEdge:
    edge = ClientEdge(lambda _, __: None, lambda _: None, most=10)
    edge._open = {n: (None, transport) for n, transport in enumerate(transports)}  # type: ignore[misc]
    return edge


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65_535, 65_536, 70_000])
def test_a_frame_of_any_length_is_what_the_rfc_says(size: int) -> None:
    text = "ä" * (size // 2) + "x" * (size % 2)
    assert read_frame(text_frame(text)) == text


async def test_what_goes_to_one_connection_at_once_is_one_piece_and_in_order() -> None:
    one, two = Transport(), Transport()
    edge = an_edge(one, two)
    edge.post([Reply(0, Beat(1)), Reply(0, Beat(2)), Reply(1, Beat(3)), Reply(0, Beat(4)), Reply(7, Beat(5))])
    beat = [text_frame(encode(Beat(n))) for n in range(6)]
    assert one.pieces == [beat[1] + beat[2], beat[4]]
    assert two.pieces == [beat[3]]


async def test_a_client_that_does_not_read_is_cut_off_and_one_that_has_gone_is_left_alone() -> None:
    deaf, gone = Transport(unread=MOST_UNREAD + 1), Transport()
    gone.closing = True
    an_edge(deaf, gone).post([Reply(0, Beat(1)), Reply(1, Beat(1))])
    assert deaf.aborted
    assert deaf.pieces == gone.pieces == []
    assert not gone.aborted


async def test_a_burst_goes_out_piece_by_piece_and_what_comes_later_stays_behind_it() -> None:
    transport = Transport()
    edge = an_edge(transport)
    running = asyncio.create_task(edge.run())
    edge.post(Reply(0, Beat(n)) for n in range(2 * BATCH))
    edge.post([Reply(0, Beat(9999))])
    await asyncio.sleep(0.05)
    assert b"".join(transport.pieces) == b"".join(text_frame(encode(Beat(n))) for n in (*range(2 * BATCH), 9999))
    assert len(transport.pieces) == 3
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


class Socket:
    """A WebSocket on which a client has said one thing and then closed."""

    def __init__(self, frame: ClientFrame) -> None:
        self._messages = [
            aiohttp.WSMessage(aiohttp.WSMsgType.TEXT, encode(frame), None),
            aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None),
        ]

    async def receive(self, timeout: float | None) -> aiohttp.WSMessage:
        return self._messages.pop(0)


async def test_a_crowd_is_heard_in_portions_and_who_lives_by_an_answer_waits_for_none_of_it() -> None:
    heard: list[int] = []
    edge = ClientEdge(lambda conn, _: heard.append(conn), lambda _: None, most=10)
    crowd = range(3 * PORTION)
    pong = len(crowd)
    said = [*(Beat(n) for n in crowd), Pong("s1", 1)]
    serving = [asyncio.create_task(edge._serve(n, Socket(frame))) for n, frame in enumerate(said)]  # type: ignore[arg-type]
    await asyncio.sleep(0)
    assert heard == [*range(PORTION), pong]
    await asyncio.wait_for(asyncio.gather(*serving), 5.0)
    assert heard == [*range(PORTION), pong, *crowd[PORTION:]]
