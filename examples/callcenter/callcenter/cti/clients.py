"""The clients' WebSockets (`GET /agent`): frames in, frames out, nothing decided.

Clients see frames in the order in which they were decided: what goes out is written at once, and only a burst waits in
a queue. A client that does not read is cut off before its full buffer could hold up the others. When many speak at
once, they are heard in turn, and nothing else in this process waits for them all.
"""

import asyncio
import contextlib
import itertools
import logging
import operator
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

import aiohttp
from aiohttp import web

from callcenter.cti.portions import Portions
from callcenter.session.errors import FrameError
from callcenter.session.events import Close, Reply
from callcenter.session.messages import ClientFrame, Denied, Pong, decode_client, encode

HELLO_WITHIN: Final = 5.0
"""Seconds that a new connection has to say hello."""

MOST_UNREAD: Final = 32_768
"""Bytes that may wait for a client to read them."""

LONGEST_FRAME: Final = 16_384
"""Bytes of a client's frame."""

BATCH: Final = 50
"""Frames sent before the event loop may do something else: each takes a tenth of a millisecond."""

PORTION: Final = 20
"""Clients' words taken before the event loop may do something else: a sign-in takes 0.3 ms, and the control port's
requests need some five rounds."""

_conn_of: Final = operator.attrgetter("conn")

log = logging.getLogger(__name__)


def text_frame(text: str) -> bytes:
    """A whole text message as a WebSocket server sends it (RFC 6455, section 5.2): neither masked nor compressed."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65_536:
        return bytes((0x81, 126)) + size.to_bytes(2) + payload
    return bytes((0x81, 127)) + size.to_bytes(8) + payload


class ClientEdge:
    """All client connections.

    Args:
        on_frame, on_gone: called with the connection's number; must not raise.
        most: connections at most; more are refused.
    """

    def __init__(
        self, on_frame: Callable[[int, ClientFrame], None], on_gone: Callable[[int], None], *, most: int
    ) -> None:
        self._on_frame = on_frame
        self._on_gone = on_gone
        self._most = most
        self._ids = itertools.count(1)
        self._open: dict[int, tuple[web.WebSocketResponse, asyncio.WriteTransport]] = {}
        self._outbox: deque[Reply | Close] = deque()
        self._news = asyncio.Event()
        self._closing: set[asyncio.Task[None]] = set()
        self._portions = Portions(PORTION)

    def post(self, out: Iterable[Reply | Close]) -> None:
        """Send, in this order: at once, or a burst piece by piece."""
        outs = list(out)
        if self._outbox or len(outs) > BATCH:
            self._outbox.extend(outs)
            self._news.set()
        else:
            self._deliver(outs)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one client for as long as its connection lasts."""
        if len(self._open) >= self._most:
            return web.json_response({"error": "Full", "message": f"{self._most} connections are open"}, status=503)
        ws = web.WebSocketResponse(compress=False, autoping=False, timeout=1.0, max_msg_size=LONGEST_FRAME)
        with contextlib.suppress(OSError):
            await ws.prepare(request)
        transport = request.transport
        if transport is None or not ws.prepared:
            return web.Response()  # gone already: nobody reads this
        conn = next(self._ids)
        self._open[conn] = (ws, transport)
        try:
            with contextlib.suppress(OSError):
                await self._serve(conn, ws)
        finally:
            self._open.pop(conn, None)
            self._on_gone(conn)
        return ws

    async def _serve(self, conn: int, ws: web.WebSocketResponse) -> None:
        timeout: float | None = HELLO_WITHIN
        while True:
            try:
                message = await ws.receive(timeout=timeout)
            except TimeoutError:
                await self._refuse(ws, FrameError(f"no hello within {HELLO_WITHIN:g} s"))
                return
            timeout = None
            if message.type is aiohttp.WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type is aiohttp.WSMsgType.TEXT:
                try:
                    frame = decode_client(message.data)
                except FrameError as e:
                    await self._refuse(ws, e)
                    return
                if type(frame) is not Pong:  # sessions live by these, and they cost next to nothing
                    await self._portions.turn()
                self._on_frame(conn, frame)
            elif message.type is not aiohttp.WSMsgType.PONG:
                return

    @staticmethod
    async def _refuse(ws: web.WebSocketResponse, error: FrameError) -> None:
        with contextlib.suppress(OSError):
            await ws.send_str(encode(Denied("BadFrame", str(error))))
            await ws.close(code=aiohttp.WSCloseCode.POLICY_VIOLATION)

    async def run(self) -> None:
        """Send the bursts that were posted, until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._outbox:
                self._deliver([self._outbox.popleft() for _ in range(min(BATCH, len(self._outbox)))])
                await asyncio.sleep(0)

    def _deliver(self, outs: Iterable[Reply | Close]) -> None:
        """Write what goes to one connection in one piece: each piece is a packet with a long way to go."""
        for conn, own in itertools.groupby(outs, key=_conn_of):
            open_ = self._open.get(conn)
            if open_ is None:
                continue
            ws, transport = open_
            frames = []
            for out in own:
                if isinstance(out, Close):
                    task = asyncio.create_task(self._close(ws))
                    self._closing.add(task)
                    task.add_done_callback(self._closing.discard)
                    break
                frames.append(text_frame(encode(out.frame)))
            if transport.is_closing():
                continue  # it has just gone; its handler notices
            if transport.get_write_buffer_size() > MOST_UNREAD:
                log.warning("client connection %d does not read: cut off", conn)
                transport.abort()
            else:
                transport.write(b"".join(frames))

    @staticmethod
    async def _close(ws: web.WebSocketResponse) -> None:
        with contextlib.suppress(OSError):
            await ws.close()

    async def shut(self) -> None:
        """Close every connection: the process ends."""
        await asyncio.gather(*(self._close(ws) for ws, _ in list(self._open.values())))
