"""One WebSocket from an agent's client to one city's CTI, opened again as often as the client asks.

By picows: frames come as callbacks, without a task that wakes up for each of them. Two thousand connections a process
that each hear something twice a second are what this process does most of its time.
"""

import asyncio
import socket
from collections.abc import Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from picows import WSError, WSFrame, WSListener, WSMsgType, WSTransport, ws_connect

from callcenter.session.client import CONNECT_TIMEOUT
from callcenter.tcp import connected_socket

MOST_CONNECTING: Final = 200
"""Attempts to connect in flight per process: with thousands, a mass reconnect takes a minute instead of seconds."""

MOST_UNREAD: Final = 32_768
"""Bytes that may wait for the other side to read them; below the 64 KiB at which the transport asks to pause."""

LONGEST_FRAME: Final = 65_536
"""Bytes of a CTI's frame."""

READ_BUFFER: Final = 512
"""Bytes to begin with: a frame is shorter than 100, and there are thousands of connections."""

_TEXT: Final = WSMsgType.TEXT
_CLOSE: Final = WSMsgType.CLOSE


@dataclass(slots=True)
class Exchange:
    """What all connections of a process share."""

    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_CONNECTING))
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a coroutine that nobody waits for, and keep it from being collected."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)
        return task


class ConnectionOwner(Protocol):
    """The client at this end. Hears nothing of a connection that it has replaced."""

    def on_open(self, site: str) -> None:
        """The WebSocket is open."""

    def on_text(self, site: str, text: str) -> None:
        """A text frame came."""

    def on_closed(self, site: str) -> None:
        """The WebSocket is closed, or could not be opened."""


class Connection:
    """A place for one open WebSocket to `url`."""

    def __init__(self, exchange: Exchange, site: str, url: str, owner: ConnectionOwner) -> None:
        self.site = site
        self.owner = owner
        self._exchange = exchange
        self._url = url.replace("http", "ws", 1) if url.startswith("http") else url
        self._line: _Line | None = None

    def connect(self, after: float) -> None:
        """Drop what there is, and open a new WebSocket `after` seconds from now."""
        self.close()
        line = self._line = _Line(self)
        line.opening = self._exchange.spawn(self._open(line, after))

    def send(self, *texts: str) -> None:
        """Send text frames, in the order of these calls; lost without an open WebSocket."""
        if self._line is not None:
            self._line.send(texts)

    def close(self) -> None:
        """Drop what there is. What was sent before still goes out if the other side takes it."""
        line, self._line = self._line, None
        if line is not None:
            line.drop()

    def is_current(self, line: "_Line") -> bool:
        """Whether `line` has not been replaced."""
        return self._line is line

    def lost(self, line: "_Line") -> None:
        """`line` is gone, or has never come about."""
        if self._line is line:
            self._line = None
            self.owner.on_closed(self.site)

    async def _open(self, line: "_Line", after: float) -> None:
        if after > 0:
            await asyncio.sleep(after)
        async with self._exchange.gate:
            # From here on it is not cancelled, but ends by its own times: picows closes nothing on cancellation.
            line.opening = None
            try:
                await ws_connect(
                    lambda: line,
                    self._url,
                    socket_factory=lambda url: connected_socket(url.host, url.port, CONNECT_TIMEOUT),
                    websocket_handshake_timeout=CONNECT_TIMEOUT,
                    max_frame_size=LONGEST_FRAME,
                    read_buffer_init_size=READ_BUFFER,
                )
            except (OSError, WSError):
                pass  # nobody there, or no CTI
            finally:
                if line.never_open:
                    self.lost(line)


class _Line(WSListener):
    """One WebSocket, from the attempt to its end."""

    def __init__(self, connection: Connection) -> None:
        self.opening: asyncio.Task[None] | None = None
        """Waits for its turn to connect; may be cancelled."""
        self.never_open = True
        self._connection = connection
        self._transport: WSTransport | None = None

    def send(self, texts: Sequence[str]) -> None:
        transport = self._transport
        if transport is None:
            return
        if transport.underlying_transport.get_write_buffer_size() > MOST_UNREAD:
            transport.disconnect(graceful=False)
            return
        if len(texts) == 1:
            transport.send(_TEXT, texts[0].encode())
            return
        # In one packet: when thousands sign in at once, packets are most of the work of both ends.
        sock: socket.socket = transport.underlying_transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        try:
            for text in texts:
                transport.send(_TEXT, text.encode())
        finally:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)

    def drop(self) -> None:
        """End it; nobody wants to hear of it any more."""
        if self._transport is not None:
            self._transport.send_close()
            self._transport.disconnect()
        elif self.opening is not None:
            self.opening.cancel()

    # -- what picows tells

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport, self.never_open = transport, False
        if self._connection.is_current(self):
            self._connection.owner.on_open(self._connection.site)
        else:
            self.drop()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if not self._connection.is_current(self):
            return
        if frame.msg_type == _TEXT and frame.fin:
            self._connection.owner.on_text(self._connection.site, frame.get_payload_as_utf8_text())
        elif frame.msg_type == _CLOSE or not frame.fin:  # a CTI's frames are short: none comes in parts
            transport.disconnect()

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._connection.lost(self)
