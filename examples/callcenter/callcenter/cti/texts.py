"""One WebSocket that carries text (picows), and a plain answer to who asks for none: what both edges of a CTI share.

What comes in is a call, without a task that wakes up for each frame: ten thousand agents answer thousands of pings a
second.
"""

import asyncio
import json
import resource
import socket
from collections.abc import Callable
from typing import Any, Final, TypeAlias

from multidict import CIMultiDict
from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
    ws_create_server,
)

LONGEST_FRAME: Final = 65_536
"""Bytes of one frame; a longer message comes in several."""

CLOSE_WITHIN: Final = 1.0
"""Seconds that the other side has to close its end. Before that, closing ours could cost it what it has not read."""

MOST_UNREAD: Final = 32_768
"""Bytes that may wait for the other side to read them, before it is sent more of what it may ask for at will."""

READ_BUFFER: Final = 2_048
"""Bytes to begin with: there are thousands of connections, and what is said on most of them is shorter than 200."""

MOST_AT_ONCE: Final = 32_768
"""Bytes, or twice as many, that may have come on one connection when we get to read it. The kernel's own bound is
megabytes; picows reads all of it, into a buffer that doubles until it fits, and never gives that back."""

_TEXT: Final = WSMsgType.TEXT

BACKLOG: Final = 4096
"""Connections that may wait to be accepted: after a failure everybody comes at once."""

FILES_KEPT: Final = 256
"""Of the files that a process may have open: for the disk, the engine's requests, the softswitch and the other CTIs."""

Accepted: TypeAlias = WSListener | WSUpgradeResponseWithListener
"""What becomes of a request: a WebSocket, or a plain answer."""


class TextListener(WSListener):
    """One WebSocket. Subclasses say what becomes of a text, and of its end (`on_ws_disconnected`).

    Args: longest: bytes of a message.
    """

    def __init__(self, longest: int) -> None:
        self.transport: WSTransport | None = None
        self.ended = False
        """Whether this side has said that it is over: nothing more is read or sent."""
        self._longest = longest
        self._begun: bytearray | None = None
        """What has come of a message in several frames."""

    def on_text(self, text: str) -> None:
        """A whole message came."""
        raise NotImplementedError

    def end(self, code: WSCloseCode) -> None:
        """Say that it is over, and close when the other side has done so, or has had the time for it."""
        if self.transport is None or self.ended:
            return
        self.ended = True
        self.transport.send_close(code)
        self._close_within(self.transport)

    @staticmethod
    def _close_within(transport: WSTransport) -> None:
        # A connection that is closing waits for ever for an other side that does not read what it was sent.
        asyncio.get_running_loop().call_later(CLOSE_WITHIN, transport.disconnect, False)

    # -- what picows tells

    def on_ws_connected(self, transport: WSTransport) -> None:
        self.transport = transport

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        if self.ended and kind != WSMsgType.CLOSE:
            return
        if kind == _TEXT and frame.fin and self._begun is None and frame.payload_size <= self._longest:
            self._whole(frame.get_payload_as_bytes())  # the common case by far
        elif kind == WSMsgType.CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            self._close_within(transport)
        elif kind == WSMsgType.PING:
            self._pong(transport, frame.get_payload_as_bytes())
        elif kind == WSMsgType.BINARY:
            self.end(WSCloseCode.UNSUPPORTED_DATA)
        elif kind != WSMsgType.PONG:
            self._part(kind, frame)

    @staticmethod
    def _pong(transport: WSTransport, payload: bytes) -> None:
        # Not left to picows, which answers for ever also to who reads nothing.
        if transport.underlying_transport.get_write_buffer_size() > MOST_UNREAD:
            transport.disconnect(graceful=False)
        else:
            transport.send_pong(payload)

    def _part(self, kind: WSMsgType, frame: WSFrame) -> None:
        if (kind == _TEXT) is not (self._begun is None):
            self.end(WSCloseCode.PROTOCOL_ERROR)  # a message in the middle of another, or the rest of none
            return
        if self._begun is None:
            self._begun = bytearray()
        self._begun += frame.get_payload_as_bytes()
        if len(self._begun) > self._longest:
            self.end(WSCloseCode.MESSAGE_TOO_BIG)
        elif frame.fin:
            whole, self._begun = bytes(self._begun), None
            self._whole(whole)

    def _whole(self, message: bytes) -> None:
        try:
            text = message.decode()
        except UnicodeDecodeError:
            self.end(WSCloseCode.INVALID_TEXT)
        else:
            self.on_text(text)

    def pause_writing(self) -> None:
        """The other side reads slowly. Whoever sends looks at what is unread; there is nothing to pause."""

    def resume_writing(self) -> None:
        """It reads again."""


async def listen(accept: Callable[[str, CIMultiDict[str]], Accepted | None], host: str, port: int) -> asyncio.Server:
    """Serve WebSockets at a port; 0: any free one.

    Args: accept: called with the path and the headers of a request. None: there is nothing at this path.
    """

    def came(request: WSUpgradeRequest) -> Accepted | None:
        # Firefox, and proxies like it, say `keep-alive, Upgrade`; picows wants the one word.
        if "upgrade" in request.headers.get("Connection", "").lower().replace(",", " ").split():
            request.headers["Connection"] = "Upgrade"
        return accept(request.path.partition(b"?")[0].decode(errors="replace"), request.headers)

    [(family, _, _, _, address), *_] = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    sock = _Entrance(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # What is accepted inherits these. Who has vanished without a word is found out one day.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, MOST_AT_ONCE)
        sock.bind(address)
        return await ws_create_server(
            came,
            sock=sock,
            enable_auto_pong=False,
            max_frame_size=LONGEST_FRAME,
            read_buffer_init_size=READ_BUFFER,
            backlog=BACKLOG,
        )
    except BaseException:
        sock.close()
        raise


class _Entrance(socket.socket):
    """A listening socket that hangs up on who comes when files are running out.

    A connection takes a file before anybody knows whose it is, and aiofastnet 1.2 does nothing but write tracebacks
    once there is none left.
    """

    def accept(self) -> tuple[socket.socket, Any]:
        sock, address = super().accept()
        if sock.fileno() >= resource.getrlimit(resource.RLIMIT_NOFILE)[0] - FILES_KEPT:  # the lowest that was free
            sock.close()
            raise ConnectionAbortedError("no file is left for it")
        return sock, address


def answer(status: int, body: dict[str, Any]) -> WSUpgradeResponseWithListener:
    """Answer with JSON, and with no WebSocket."""
    text = json.dumps(body).encode()
    headers = {"Content-Type": "application/json; charset=utf-8"}
    if status < 400:
        response = WSUpgradeResponse.create_ok_response(text, headers)
    else:
        response = WSUpgradeResponse.create_error_response(status, text, headers)
    return WSUpgradeResponseWithListener(response, None)
