"""The line to the softswitch: evapi, netstrings that hold JSON. The CTI connects, and keeps connecting."""

import asyncio
import contextlib
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Final

from callcenter.compact import to_json
from callcenter.cti.config import HostPort

RECONNECT: Final = 0.25
"""Seconds between two attempts to connect: a call that waits for this line waits no longer than needed."""

AGENTS_EVERY: Final = 1.0
"""Seconds between two `agents` words at most; the softswitch counts a CTI that is silent for 3 s as gone."""

AGENTS_SOONEST: Final = 0.1
"""Seconds between two `agents` words at least."""

LIST_EVERY: Final = 5.0
"""Seconds between two questions for all calls: a caller of whom a word was lost waits no longer than this."""

MOST_AT_ONCE: Final = 16_000
WINDOW: Final = 0.05
"""Bytes sent in this many seconds at most: Kamailio 5.6 loses what a read that ends inside a netstring's length cut."""

LONGEST: Final = 4_000_000
"""Bytes of one netstring; `hello` lists every call."""

log = logging.getLogger(__name__)


class NetstringError(Exception):
    """The other side does not speak netstrings; the connection is of no use any more."""


class NetstringReader:
    """Cuts a stream of bytes into netstrings (`5:hello,`)."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterable[bytes]:
        """Take more bytes; yields every netstring that is complete. Raises NetstringError."""
        self._buffer += data
        while True:
            colon = self._buffer.find(b":", 0, 10)
            length_text = bytes(self._buffer[: colon if colon >= 0 else 10])
            if (length_text or colon == 0) and (not length_text.isdigit() or int(length_text) > LONGEST):
                raise NetstringError(f"{length_text!r} is no length of a netstring")
            if colon < 0:
                return
            end = colon + 1 + int(length_text)
            if len(self._buffer) <= end:
                return
            if self._buffer[end] != ord(","):
                raise NetstringError("a netstring without its comma")
            yield bytes(self._buffer[colon + 1 : end])
            del self._buffer[: end + 1]


def netstring(body: Mapping[str, Any]) -> bytes:
    """One JSON object as a netstring."""
    text = to_json(body).encode()
    return b"%d:%s," % (len(text), text)


class SoftswitchLink:
    """Keeps one connection to the softswitch.

    Args:
        address: Its evapi. on_event: called with every event it sends; must not raise.
        agents: The groups that have agents here, and how many.
        list_request: The question for all calls, a new one each time.
        news: see `callcenter.cti.peer`.
    """

    def __init__(
        self,
        address: HostPort,
        on_event: Callable[[Mapping[str, Any]], None],
        agents: Callable[[], dict[str, int]],
        list_request: Callable[[], Mapping[str, Any]],
        news: Callable[[int, float], Awaitable[int]],
    ) -> None:
        self._address = address
        self._on_event = on_event
        self._agents = agents
        self._list_request = list_request
        self._news = news
        self._writer: asyncio.StreamWriter | None = None
        self._told: dict[str, int] | None = None
        self._outbox: deque[bytes] = deque()
        self._window: asyncio.TimerHandle | None = None
        """Until it ends, nothing more is sent."""

    @property
    def connected(self) -> bool:
        """Whether the line is open now."""
        return self._writer is not None

    def send(self, words: Iterable[Mapping[str, Any]]) -> None:
        """Say something. Without a connection it is lost: `hello` settles everything when it is back."""
        if self._writer is not None:
            self._outbox.extend(netstring(word) for word in words)
            if self._window is None:
                self._send_some()

    def _send_some(self) -> None:
        """Send as much as one window may hold; the rest when the next one opens."""
        self._window = None
        if not self._outbox or self._writer is None:
            return
        self._window = asyncio.get_running_loop().call_later(WINDOW, self._send_some)
        portion = [self._outbox.popleft()]
        size = len(portion[0])
        while self._outbox and size + len(self._outbox[0]) <= MOST_AT_ONCE:
            size += len(self._outbox[0])
            portion.append(self._outbox.popleft())
        if not self._writer.is_closing():
            self._writer.write(b"".join(portion))

    def _begin_anew(self) -> None:
        """A new line: what the last one had still to say is nobody's, and its window holds nobody up."""
        self._outbox.clear()
        if self._window is not None:
            self._window.cancel()
            self._window = None

    async def run(self) -> None:
        """Connect, listen, reconnect, until cancelled."""
        silent = False
        while True:
            try:
                reader, writer = await asyncio.wait_for(
                    asyncio.open_connection(self._address.host, self._address.port), timeout=2.0
                )
            except (OSError, TimeoutError) as e:
                if not silent:
                    log.warning(
                        "softswitch %s does not answer (%s): trying on", self._address, str(e) or type(e).__name__
                    )
                silent = True
                await asyncio.sleep(RECONNECT)
                continue
            silent = False
            log.info("softswitch %s: connected", self._address)
            self._writer, self._told = writer, None
            self._begin_anew()
            try:
                async with asyncio.TaskGroup() as group:
                    talkers = [group.create_task(talk) for talk in (self._tell_agents(), self._ask_for_lists())]
                    await self._listen(reader)
                    for talker in talkers:
                        talker.cancel()
            except* (OSError, NetstringError) as e:
                log.warning("softswitch %s: %s", self._address, e.exceptions[0])
            finally:
                self._writer = None
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
            await asyncio.sleep(RECONNECT)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        netstrings = NetstringReader()
        while data := await reader.read(65536):
            for text in netstrings.feed(data):
                try:
                    event = json.loads(text)
                except ValueError as e:
                    raise NetstringError(f"not JSON: {text[:80]!r}") from e
                self._on_event(event)
        log.warning("softswitch %s has closed the line", self._address)

    async def _ask_for_lists(self) -> None:
        while True:
            await asyncio.sleep(LIST_EVERY)
            self.send([self._list_request()])

    async def _tell_agents(self) -> None:
        due, seen, now = 0.0, -1, 0.0
        while True:
            seen = await self._news(seen, max(due - now, 0.0))
            now = asyncio.get_running_loop().time()
            agents = self._agents()
            if agents != self._told or now >= due:
                self.send([{"a": "agents", "groups": agents}])
                self._told, due = agents, now + AGENTS_EVERY
            await asyncio.sleep(AGENTS_SOONEST)
            now += AGENTS_SOONEST
