"""Health by HTTP: a fresh connection each time, as a client's would be, and a short deadline.

By asyncio's streams: every component of every city is asked twice a second, and an HTTP library's client takes ten
times as long for what is one line there and one line back.
"""

import asyncio
import functools
import json
import socket
import ssl
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from tandem.constants import LATE_ANSWER_S
from tandem.engine.ports import Late

_SHOWN: Final = 120
_LARGEST: Final = 16_384


class HealthError(Exception):
    """It was reached and does not serve, or it was not reached; the message says which."""


class SilentError(HealthError):
    """The connection came about, and nothing was heard on it."""


class NotAskedError(Exception):
    """Our own side could not ask; the message says why. Nobody else's fault."""


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    tls: ssl.SSLContext | None
    request: bytes


class HttpHealth:
    """Asks for health, and listens a while longer to those that it has given up."""

    def __init__(self) -> None:
        self._given_up: set[asyncio.Task[tuple[int, bytes]]] = set()

    def close(self) -> None:
        for asking in self._given_up:
            asking.cancel()

    async def check(self, url: str, timeout: float, late: Late = lambda: None) -> None:
        """Return when `url` answers 2xx within `timeout` seconds.

        Args:
            late: Called when it answers 2xx after that.
        Raises: HealthError (SilentError: it was connected); NotAskedError when the host's name cannot be resolved here,
            or when `url` is no server's: nobody was asked.
        """
        connected = asyncio.Event()
        asking = asyncio.create_task(_ask(_target(url), connected), name="health")
        try:
            done, _ = await asyncio.wait({asking}, timeout=timeout)
        except asyncio.CancelledError:
            asking.cancel()
            raise
        if not done:
            self._give_up(asking, timeout, late)
            if connected.is_set():
                raise SilentError(f"connected, but no answer within {timeout:g} s")
            raise HealthError(f"no answer within {timeout:g} s")
        try:
            status, answer = asking.result()
        except (socket.gaierror, UnicodeError) as error:  # a label that is empty or too long is no host's name
            raise NotAskedError(f"{error}") from error
        except (OSError, ValueError, EOFError) as error:
            raise HealthError(f"{type(error).__name__} {error}".strip()) from error
        if not 200 <= status < 300:
            raise HealthError(f"answered {status}: {_reason(answer)}")

    def _give_up(self, asking: asyncio.Task[tuple[int, bytes]], timeout: float, late: Late) -> None:
        def ended(task: asyncio.Task[tuple[int, bytes]]) -> None:
            self._given_up.discard(task)
            deadline.cancel()
            if not task.cancelled() and task.exception() is None and 200 <= task.result()[0] < 300:
                late()

        self._given_up.add(asking)
        deadline = asyncio.get_running_loop().call_later(max(LATE_ANSWER_S - timeout, 0.0), asking.cancel)
        asking.add_done_callback(ended)


def _target(url: str) -> _Target:
    """Raises NotAskedError for what is no URL of a server."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise NotAskedError(f"{error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable():
        raise NotAskedError("not a URL like http://198.18.0.11:30580/healthz")
    tls = _trusted() if parts.scheme == "https" else None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: tandem\r\nConnection: close\r\n\r\n"
    return _Target(parts.hostname, port or (443 if tls else 80), tls, request.encode())


@functools.cache
def _trusted() -> ssl.SSLContext:
    """The authorities that this machine trusts, read once: that takes 50 ms in which nothing else happens."""
    return ssl.create_default_context()


async def _ask(target: _Target, connected: asyncio.Event) -> tuple[int, bytes]:
    """Status, and of a bad answer how its body begins. Raises OSError, ValueError, EOFError.

    Args:
        connected: Set when the other side's kernel has taken the connection; TLS needs the program behind it.
    """
    reader, writer = await asyncio.open_connection(target.host, target.port, limit=_LARGEST)
    connected.set()
    try:
        if target.tls is not None:
            await writer.start_tls(target.tls, server_hostname=target.host)
        writer.write(target.request)
        version, _, rest = (await reader.readuntil(b"\r\n")).partition(b" ")
        code = rest[:3]
        if not version.startswith(b"HTTP/") or not code.isdigit():
            raise ValueError(f"no HTTP: {(version + b' ' + rest)[:40]!r}")
        status = int(code)
        if 200 <= status < 300:
            return status, b""
        await reader.readuntil(b"\r\n\r\n")
        return status, await reader.read(_LARGEST)
    except (asyncio.LimitOverrunError, asyncio.IncompleteReadError) as error:
        raise ValueError(f"no HTTP: {error}") from error
    finally:
        # Not `close`: there is nothing left to say, and a silent peer must not keep the socket.
        writer.transport.abort()


def _reason(answer: bytes) -> str:
    """What the answer gives as its reason: `reason` of a JSON body, else how the body begins."""
    try:
        document = json.loads(answer)
    except ValueError:
        document = None
    said = document.get("reason") if isinstance(document, dict) else None
    return str(said or answer.decode(errors="replace"))[:_SHOWN].strip()
