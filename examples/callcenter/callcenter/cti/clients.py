"""The clients' WebSockets (`GET /agent`): frames in, frames out, nothing decided.

Clients see frames in the order in which they were decided: what goes out is written at once, and only a burst waits in
a queue. A client that does not read is cut off before its full buffer could hold up the others. When many speak at
once, they are heard in turn, and nothing else in this process waits for them all.
"""

import asyncio
import itertools
import logging
import operator
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final

from picows import WSCloseCode, WSTransport

from callcenter.cti.portions import Portions
from callcenter.cti.texts import CLOSE_WITHIN, MOST_UNREAD, Accepted, TextListener, answer
from callcenter.session.errors import FrameError
from callcenter.session.events import Close, Reply
from callcenter.session.messages import ClientFrame, Denied, Pong, decode_client, encode

HELLO_WITHIN: Final = 5.0
"""Seconds that a new connection has to say hello."""

MOST_UNHEARD: Final = 100
"""A client's frames that may wait to be heard: in a crowd an honest one has said three or four."""

MOST_UNHEARD_TEXT: Final = 32_768
"""And their characters: thousands of clients may wait at once, and a frame of an honest one has 200."""

LONGEST_FRAME: Final = 16_384
"""Bytes of what a client says."""

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
        on_frame, on_gone: called with the connection's number.
        most: connections at most; more are refused.
    """

    def __init__(
        self, on_frame: Callable[[int, ClientFrame], None], on_gone: Callable[[int], None], *, most: int
    ) -> None:
        self._on_frame = on_frame
        self._on_gone = on_gone
        self._most = most
        self._ids = itertools.count(1)
        self._open: dict[int, _Client] = {}
        self._outbox: deque[Reply | Close] = deque()
        self._news = asyncio.Event()
        self._portions = Portions(PORTION, self._hear)

    def accept(self) -> Accepted:
        """Somebody asks for a client's connection."""
        if len(self._open) >= self._most:
            return answer(503, {"error": "Full", "message": f"{self._most} connections are open"})
        return _Client(next(self._ids), self)

    def post(self, out: Iterable[Reply | Close]) -> None:
        """Send, in this order: at once, or a burst piece by piece."""
        outs = list(out)
        if self._outbox or len(outs) > BATCH:
            self._outbox.extend(outs)
            self._news.set()
        else:
            self._deliver(outs)

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
            client = self._open.get(conn)
            if client is None or client.ended:
                continue
            frames = []
            over = False
            for out in own:
                if isinstance(out, Close):
                    over = True
                    break
                frames.append(text_frame(encode(out.frame)))
            client.write(b"".join(frames))
            if over:
                client.end(WSCloseCode.OK)

    # -- what connections tell

    def opened(self, client: "_Client") -> None:
        """A connection is there."""
        self._open[client.conn] = client

    def said(self, client: "_Client", frame: ClientFrame, size: int) -> None:
        """A client spoke, so many characters: it is heard when it is its turn, and all it says in its order."""
        if type(frame) is Pong and not client.unheard:  # sessions live by these, and they cost next to nothing
            self._on_frame(client.conn, frame)
        elif client.unheard >= MOST_UNHEARD or client.unheard_text + size > MOST_UNHEARD_TEXT:
            log.warning("client connection %d speaks faster than it can be heard: cut off", client.conn)
            client.cut_off()
        else:
            client.unheard += 1
            client.unheard_text += size
            self._portions.put((client, frame, size))

    def gone(self, client: "_Client") -> None:
        """A connection is gone; what it said before is heard first."""
        self._open.pop(client.conn, None)
        client.unheard += 1
        self._portions.put((client, None, 0))

    def _hear(self, said: "tuple[_Client, ClientFrame | None, int]") -> None:
        client, frame, size = said
        client.unheard -= 1
        client.unheard_text -= size
        try:
            if frame is None:
                self._on_gone(client.conn)
            elif not client.ended:
                self._on_frame(client.conn, frame)
        except Exception:  # a defect, which must cost nobody else his turn
            log.exception("client connection %d: %r", client.conn, frame)
            client.cut_off()

    async def shut(self) -> None:
        """Close every connection: the process ends."""
        closing = [asyncio.create_task(client.leave()) for client in list(self._open.values())]
        if closing:
            await asyncio.wait(closing, timeout=CLOSE_WITHIN)


class _Client(TextListener):
    """One client's connection, number `conn`."""

    def __init__(self, conn: int, edge: ClientEdge) -> None:
        super().__init__(LONGEST_FRAME)
        self.conn = conn
        self.unheard = self.unheard_text = 0
        """What it has said that was not heard yet: frames, and their characters."""
        self._edge = edge
        self._hello_due: asyncio.TimerHandle | None = None

    def write(self, frames: bytes) -> None:
        """Send whole frames in one piece."""
        assert self.transport is not None, "only open connections are sent anything"
        transport = self.transport.underlying_transport
        if transport.is_closing() or not frames:
            return  # it has just gone; `on_ws_disconnected` follows
        if transport.get_write_buffer_size() > MOST_UNREAD:
            log.warning("client connection %d does not read: cut off", self.conn)
            self.cut_off()
        else:
            transport.write(frames)

    def cut_off(self) -> None:
        """Close without waiting for anything to be read."""
        self.ended = True
        if self.transport is not None:
            self.transport.disconnect(graceful=False)

    async def leave(self) -> None:
        """Close, and return when the other side has."""
        self.end(WSCloseCode.GOING_AWAY)
        if self.transport is not None:
            await self.transport.wait_disconnected()

    def on_text(self, text: str) -> None:
        if self._hello_due is not None:
            self._hello_due.cancel()
            self._hello_due = None
        try:
            frame = decode_client(text)
        except FrameError as error:
            self._refuse(str(error))
        else:
            self._edge.said(self, frame, len(text))

    def _no_hello(self) -> None:
        self._refuse(f"no hello within {HELLO_WITHIN:g} s")

    def _refuse(self, why: str) -> None:
        self.write(text_frame(encode(Denied("BadFrame", why))))
        self.end(WSCloseCode.POLICY_VIOLATION)

    # -- what picows tells

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        self._hello_due = asyncio.get_running_loop().call_later(HELLO_WITHIN, self._no_hello)
        self._edge.opened(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        if self._hello_due is not None:
            self._hello_due.cancel()
        self._edge.gone(self)
