"""The line between the CTIs of one system (docs/contracts.md section 5).

Both tell each other how many agents are idle, for the relay of waiting calls, and how many have arrived, for the pace
of releases; and they lend each other agents (`callcenter.session.loans`). Each CTI connects to the other, so there are
usually two lines; what arrives on any of them counts. With three cities there is a `PeerLink` for each other one.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from multidict import CIMultiDict
from picows import WSCloseCode, WSError, WSMsgType, WSTransport, ws_connect

from callcenter.compact import to_json
from callcenter.cti.distribution import PeerGroup
from callcenter.cti.texts import LONGEST_FRAME, READ_BUFFER, Accepted, TextListener, answer
from callcenter.session import loan_frames
from callcenter.session.loan_frames import LoanFrame
from callcenter.tcp import connected_socket

SOONEST: Final = 0.1
LATEST: Final = 1.0
"""Seconds between two reports: at least and, when nothing changed, at most."""

ARRIVALS_SOONEST: Final = 0.02
"""Seconds between two counts of arrivals at least. The other CTI releases its agents by them."""

CONNECT_WITHIN: Final = 2.0
"""Seconds for the connection, and as many for the WebSocket on it."""

RECONNECT: Final = 0.5
"""Seconds between two attempts to connect."""

SILENT: Final = 5.0
"""Seconds without a report after which a line is given up."""

LONGEST_MESSAGE: Final = 4_194_304
"""Bytes of one report: a thousand groups are 80 kB."""

FROM: Final = "X-Tandem-Site"
TO: Final = "X-Tandem-Peer"
"""Headers of a connection: who connects, and to whom it means to."""

log = logging.getLogger(__name__)

Report = dict[str, dict[str, float]]


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How many agents have come in with a ticket of the listener's city since a CTI started as `boot`."""

    boot: str
    total: int


Said = Arrivals | dict[str, PeerGroup] | LoanFrame


def read_frame(text: str) -> Said | None:
    """Read what the other CTI says; None for what only a newer CTI says. Raises ValueError when it is none."""
    try:
        body = json.loads(text)
    except RecursionError as e:
        raise ValueError(f"not what a CTI says to its peer: {text[:80]!r}") from e
    kind = body.get("t") if isinstance(body, dict) else None
    try:
        if kind == "arrivals":
            return Arrivals(str(body["boot"]), int(body["n"]))
        if kind == "idle":
            return {
                name: PeerGroup(int(group["available"]), int(group["signed_in"]))
                for name, group in body["groups"].items()
            }
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as e:
        raise ValueError(f"not what a CTI says to its peer ({e!r}): {text[:80]!r}") from e
    if kind in loan_frames.KINDS:
        return loan_frames.read(body)
    if isinstance(kind, str):
        return None
    raise ValueError(f"not what a CTI says to its peer: {text[:80]!r}")


class PeerLink:
    """Talks to the other CTI.

    Args:
        url: Its client port. secret: shared by the CTIs of this system.
        site, peer: Names of this city and of the other one. A CTI that took a third one's words for its peer's would
            count agents as free who are lent.
        report, arrivals: What to tell it. on_said: called with what it tells.
        news: of the number of the last change known and seconds to wait: returns as soon as there is a newer one, or
            after that time, with the newest number.
    """

    def __init__(
        self,
        url: str,
        secret: str,
        *,
        site: str,
        peer: str,
        report: Callable[[], Report],
        arrivals: Callable[[], Arrivals],
        on_said: Callable[[Said], None],
        news: Callable[[int, float], Awaitable[int]],
    ) -> None:
        self._url = url
        self._secret = secret
        self._site = site
        self._peer = peer
        self._report = report
        self._arrivals = arrivals
        self._on_said = on_said
        self._news = news
        self._silent = False
        self._lines: list[_Line] = []
        """The open ones."""
        self._accepted: set[asyncio.Task[None]] = set()

    def say(self, frames: Iterable[LoanFrame]) -> None:
        """Say something on the line that was heard last. Without one it is lost: whoever said it says it again."""
        if self._lines:
            line = max(self._lines, key=lambda line: line.heard_at)
            for frame in frames:
                line.send(to_json(loan_frames.write(frame)))

    async def run(self) -> None:
        """Connect to the other CTI, talk, reconnect, until cancelled; then no line is left, accepted ones neither."""
        try:
            while True:
                await self._connect_and_talk()
                await asyncio.sleep(RECONNECT)
        finally:
            for talk in self._accepted:
                talk.cancel()
            await asyncio.gather(*self._accepted, return_exceptions=True)

    async def _connect_and_talk(self) -> None:
        headers = {"Authorization": f"Bearer {self._secret}", FROM: self._site, TO: self._peer}
        line = _Line()
        try:
            # Each step has its own time: picows closes nothing when it is cancelled.
            await ws_connect(
                lambda: line,
                f"{self._url.replace('http', 'ws', 1)}/peer",
                extra_headers=headers,
                socket_factory=lambda url: connected_socket(url.host, url.port, CONNECT_WITHIN),
                websocket_handshake_timeout=CONNECT_WITHIN,
                enable_auto_pong=False,
                max_frame_size=LONGEST_MESSAGE,
                max_redirects=0,  # the secret is for this address only
                read_buffer_init_size=READ_BUFFER,
                ssl_handshake_timeout=CONNECT_WITHIN if self._url.startswith("https") else None,
            )
            if line.transport is None:  # picows takes it for an end like any other
                raise ConnectionResetError("hung up before it was a WebSocket")
        except (WSError, OSError) as e:
            if not self._silent:
                log.warning("peer %s does not answer (%s): trying on", self._url, str(e) or type(e).__name__)
            self._silent = True
        else:
            self._silent = False
            log.info("peer %s: connected", self._url)
            await self._talk(line)

    def accept(self, headers: CIMultiDict[str]) -> Accepted:
        """The other CTI connects here (`GET /peer`)."""
        if headers.get("Authorization") != f"Bearer {self._secret}":
            return answer(401, {"error": "Unauthorized", "message": "TANDEM_PEER_SECRET differs"})
        pair = headers.get(FROM, self._peer), headers.get(TO, self._site)
        if pair != (self._peer, self._site):
            message = f"{pair[0]} takes {pair[1]} for its peer; this is {self._site}, and its peer is {self._peer}"
            log.warning("a CTI is refused: %s; look at TANDEM_PEER_SITE and TANDEM_PEER_URL of both", message)
            return answer(409, {"error": "NotMyPeer", "message": message})
        return _Line(self._begin)

    def _begin(self, line: "_Line") -> None:
        talk = asyncio.create_task(self._talk(line))
        self._accepted.add(talk)
        talk.add_done_callback(self._accepted.discard)

    async def _talk(self, line: "_Line") -> None:
        self._lines.append(line)
        telling = asyncio.create_task(self._tell(line))
        try:
            while (text := await line.receive(SILENT)) is not None:
                line.heard_at = asyncio.get_running_loop().time()
                said = read_frame(text)
                if said is not None:
                    self._on_said(said)
        except (TimeoutError, ValueError) as e:
            log.warning("peer %s: %s", self._url, str(e) or "silent")
        finally:
            self._lines.remove(line)
            telling.cancel()
            # Not `suppress(CancelledError)`: that would also swallow our own, and this process would never end.
            await asyncio.gather(telling, return_exceptions=True)
            line.end(WSCloseCode.OK)

    async def _tell(self, line: "_Line") -> None:
        clock = asyncio.get_running_loop().time
        told: Any = None
        told_arrivals: Arrivals | None = None
        seen, told_at, reported_at, counted_at, look_at = -1, -LATEST, -LATEST, -LATEST, clock()
        while True:
            seen = await self._news(seen, max(look_at - clock(), 0.0))
            now = clock()
            arrivals = self._arrivals()
            if arrivals != told_arrivals or now >= counted_at + LATEST:
                line.send(json.dumps({"t": "arrivals", "boot": arrivals.boot, "n": arrivals.total}))
                told_arrivals, counted_at = arrivals, now
            look_at = reported_at + SOONEST
            if now >= look_at:
                reported_at = now
                report = self._report()
                # An idle time that grows is no news; who is idle is.
                news = {name: (group["available"], group["signed_in"]) for name, group in report.items()}
                if news != told or now >= told_at + LATEST:
                    line.send(to_json({"t": "idle", "groups": report}))
                    told, told_at = news, now
                look_at = min(told_at, counted_at) + LATEST
            await asyncio.sleep(ARRIVALS_SOONEST)


class _Line(TextListener):
    """One WebSocket to the other CTI. Args: begin: called when it is open; None: whoever connected waits for that."""

    def __init__(self, begin: "Callable[[_Line], None] | None" = None) -> None:
        super().__init__(LONGEST_MESSAGE)
        self.heard_at = 0.0
        """The loop's time."""
        self._begin = begin
        self._heard: asyncio.Queue[str | None] = asyncio.Queue()

    async def receive(self, within: float) -> str | None:
        """What the other side said next; None: it is gone. Raises TimeoutError: it is silent for so many seconds."""
        async with asyncio.timeout(within):
            return await self._heard.get()

    def send(self, text: str) -> None:
        """Say something, in frames that any version takes; lost when the line is gone."""
        if self.transport is None or self.ended or self.transport.is_disconnected:
            return
        if self.transport.underlying_transport.get_write_buffer_size() > LONGEST_MESSAGE:
            self.transport.disconnect(graceful=False)
            return
        message = text.encode()
        kind = WSMsgType.TEXT
        while len(message) > LONGEST_FRAME:
            self.transport.send(kind, message[:LONGEST_FRAME], fin=False)
            message, kind = message[LONGEST_FRAME:], WSMsgType.CONTINUATION
        self.transport.send(kind, message)

    def on_text(self, text: str) -> None:
        self._heard.put_nowait(text)

    # -- what picows tells

    def on_ws_connected(self, transport: WSTransport) -> None:
        super().on_ws_connected(transport)
        if self._begin is not None:
            self._begin(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._heard.put_nowait(None)
