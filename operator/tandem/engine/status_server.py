"""The engine's small HTTP server: `GET /healthz` for other engines and the kubelet, `GET /metrics` for Prometheus.

Answers come from memory, so a slow store or a slow CTI never makes this location look dead to the others.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

_IDLE_S = 30.0
_MOST_HEADER_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Answer:
    body: str
    content_type: str = "application/json"
    status: str = "200 OK"


_NOT_FOUND = Answer('{"error": "NotFound"}', status="404 Not Found")
_NOT_ALLOWED = Answer('{"error": "MethodNotAllowed"}', status="405 Method Not Allowed")


class StatusServer:
    def __init__(self, port: int, pages: Mapping[str, Callable[[], Answer]], host: str = "0.0.0.0") -> None:
        self._host = host
        self._port = port
        self._pages = pages
        self.bound = asyncio.Event()
        self.bound_port = 0
        """The port in use, once `bound` is set."""

    async def run(self) -> None:
        """Serve until cancelled. Raises OSError when the port is taken."""
        server = await asyncio.start_server(self._serve, self._host, self._port, limit=_MOST_HEADER_BYTES)
        self.bound_port = server.sockets[0].getsockname()[1]
        self.bound.set()
        async with server:
            await server.serve_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                async with asyncio.timeout(_IDLE_S):
                    head = await reader.readuntil(b"\r\n\r\n")
                answer, stay = self._answer(head)
                writer.write(_encode(answer, stay))
                await writer.drain()
                if not stay:
                    return
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return
        finally:
            writer.close()

    def _answer(self, head: bytes) -> tuple[Answer, bool]:
        line, _, headers = head.partition(b"\r\n")
        method, _, rest = line.decode("latin-1").partition(" ")
        path = rest.partition(" ")[0].partition("?")[0]
        # A request with a body is none of ours: answer and close, so that its body is not read as a request.
        stay = b"connection: close" not in headers.lower() and b"content-length" not in headers.lower()
        if method not in ("GET", "HEAD"):
            return _NOT_ALLOWED, False
        page = self._pages.get(path)
        if page is None:
            return _NOT_FOUND, stay
        answer = page()
        return answer, stay and method == "GET"


def _encode(answer: Answer, stay: bool) -> bytes:
    body = answer.body.encode()
    connection = "keep-alive" if stay else "close"
    head = (
        f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: {connection}\r\n\r\n"
    )
    return head.encode() + body
