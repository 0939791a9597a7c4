"""One WebSocket from an agent's client to one city's CTI, opened again as often as the client asks."""

import asyncio
import contextlib
import socket
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, cast

import aiohttp

from callcenter.session.client import CONNECT_TIMEOUT

MOST_CONNECTING: Final = 200
"""Attempts to connect in flight per process: with thousands, a mass reconnect takes a minute instead of seconds."""

UNACKNOWLEDGED: Final = 10_000
"""Milliseconds until the kernel gives up a connection whose data nobody acknowledges; its file is then free again."""

MOST_UNREAD: Final = 32_768
"""Bytes that may wait for the other side to read them; below the 64 KiB at which the transport asks to pause."""

GOODBYE: Final = 0.5
"""Seconds that a closing WebSocket waits for the other side's close frame."""


class WebSocket(aiohttp.ClientWebSocketResponse):
    """A WebSocket that sends without a task: a thousand agents who all say something cost no thousand tasks."""

    def post(self, text: str) -> None:
        """Send a text frame now. Raises: OSError when the connection is closed, or is cut because nobody reads it."""
        transport = self._writer.transport
        if transport.get_write_buffer_size() > MOST_UNREAD:
            transport.abort()
            raise ConnectionResetError("the other side does not read")
        # With room in the buffer the coroutine writes the (uncompressed) frame and ends without waiting for anything.
        step = self.send_str(text)
        with contextlib.suppress(StopIteration):
            step.send(None)


def _socket(address: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, _ = address
    sock = socket.socket(family, kind, protocol)
    sock.setblocking(False)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED)
    return sock


def open_http() -> aiohttp.ClientSession:
    """The HTTP client that all agents of a process share."""
    return aiohttp.ClientSession(
        ws_response_class=WebSocket, connector=aiohttp.TCPConnector(limit=0, socket_factory=_socket)
    )


@dataclass(slots=True)
class Exchange:
    """What all connections of a process share."""

    http: aiohttp.ClientSession
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MOST_CONNECTING))
    background: set[asyncio.Task[None]] = field(default_factory=set)

    def spawn(self, work: Any) -> None:
        """Run a coroutine that nobody waits for, and keep it from being collected."""
        task = asyncio.create_task(work)
        self.background.add(task)
        task.add_done_callback(self.background.discard)


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
        self._exchange = exchange
        self._site = site
        self._url = url
        self._owner = owner
        self._task: asyncio.Task[None] | None = None
        self._ws: WebSocket | None = None

    def connect(self, after: float) -> None:
        """Drop what there is, and open a new WebSocket `after` seconds from now."""
        self.close()
        self._task = asyncio.create_task(self._run(after))

    def send(self, text: str) -> None:
        """Send a text frame, in the order of these calls; lost without an open WebSocket."""
        if self._ws is None:
            return
        try:
            self._ws.post(text)
        except (OSError, aiohttp.ClientError):
            return  # the reader of this connection hears of it too, and tells the client

    def close(self) -> None:
        """Drop what there is. What was sent before still goes out if the other side takes it."""
        task, self._task = self._task, None
        # Called from within `on_text`, the task notices by itself: cancelled, it could not close in peace.
        if task is not None and task is not asyncio.current_task():
            task.cancel()
        self._forget()

    def _forget(self) -> None:
        ws, self._ws = self._ws, None
        if ws is not None and not ws.closed:
            self._exchange.spawn(_close(ws))

    async def _run(self, after: float) -> None:
        me = asyncio.current_task()
        if after > 0:
            await asyncio.sleep(after)
        ws = await self._open()
        if ws is None:
            self._task = None
            self._owner.on_closed(self._site)
            return
        self._ws = ws
        self._owner.on_open(self._site)
        try:
            while self._task is me:
                message = await ws.receive()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self._owner.on_text(self._site, message.data)
        except (OSError, aiohttp.ClientError):
            pass
        if self._task is me:
            self._task = None
            self._forget()
            self._owner.on_closed(self._site)

    async def _open(self) -> WebSocket | None:
        try:
            async with self._exchange.gate, asyncio.timeout(CONNECT_TIMEOUT):
                ws = await self._exchange.http.ws_connect(
                    self._url, compress=0, max_msg_size=65_536, timeout=aiohttp.ClientWSTimeout(ws_close=GOODBYE)
                )
                return cast("WebSocket", ws)
        except (OSError, TimeoutError, aiohttp.ClientError):
            return None


async def _close(ws: aiohttp.ClientWebSocketResponse) -> None:
    try:
        await ws.close()
    except (OSError, aiohttp.ClientError):
        return
