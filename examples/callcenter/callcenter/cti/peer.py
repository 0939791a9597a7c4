"""The line between the CTIs of one system (docs/contracts.md section 5).

Both tell each other how many agents are idle, for the relay of waiting calls, and how many have arrived, for the pace
of releases; and they lend each other agents (`callcenter.session.loans`). Each CTI connects to the other, so there are
usually two lines; what arrives on any of them counts. With three cities there is a `PeerLink` for each other one.
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp
from aiohttp import web

from callcenter.cti.distribution import PeerGroup
from callcenter.session import loan_frames
from callcenter.session.loan_frames import LoanFrame

SOONEST: Final = 0.1
LATEST: Final = 1.0
"""Seconds between two reports: at least and, when nothing changed, at most."""

ARRIVALS_SOONEST: Final = 0.02
"""Seconds between two counts of arrivals at least. The other CTI releases its agents by them."""

RECONNECT: Final = 0.5
"""Seconds between two attempts to connect."""

SILENT: Final = 5.0
"""Seconds without a report after which a line is given up."""

FROM: Final = "X-Tandem-Site"
TO: Final = "X-Tandem-Peer"
"""Headers of a connection: who connects, and to whom it means to."""

log = logging.getLogger(__name__)

Report = dict[str, dict[str, float]]
_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse


@dataclass(frozen=True, slots=True)
class Arrivals:
    """How many agents have come in with a ticket of the listener's city since a CTI started as `boot`."""

    boot: str
    total: int


Said = Arrivals | dict[str, PeerGroup] | LoanFrame


def read_frame(text: str) -> Said | None:
    """Read what the other CTI says; None for what only a newer CTI says. Raises ValueError when it is none."""
    body = json.loads(text)
    kind = body.get("t") if isinstance(body, dict) else None
    try:
        if kind == "arrivals":
            return Arrivals(str(body["boot"]), int(body["n"]))
        if kind == "idle":
            return {
                name: PeerGroup(int(group["available"]), int(group["signed_in"]))
                for name, group in body["groups"].items()
            }
    except (AttributeError, KeyError, TypeError, ValueError) as e:
        raise ValueError(f"not what a CTI says to its peer ({e!r}): {text[:80]!r}") from e
    if kind in loan_frames.KINDS:
        return loan_frames.read(body)
    if isinstance(kind, str):
        return None
    raise ValueError(f"not what a CTI says to its peer: {text[:80]!r}")


@dataclass(slots=True, eq=False)
class _Line:
    """One open WebSocket. `heard_at`: the loop's time."""

    heard_at: float = 0.0
    outbox: deque[str] = field(default_factory=deque)
    news: asyncio.Event = field(default_factory=asyncio.Event)


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

    def say(self, frames: Iterable[LoanFrame]) -> None:
        """Say something on the line that was heard last. Without one it is lost: whoever said it says it again."""
        texts = [json.dumps(loan_frames.write(frame), separators=(",", ":")) for frame in frames]
        if texts and self._lines:
            line = max(self._lines, key=lambda line: line.heard_at)
            line.outbox.extend(texts)
            line.news.set()

    async def run(self) -> None:
        """Connect to the other CTI, talk, reconnect, until cancelled."""
        headers = {"Authorization": f"Bearer {self._secret}", FROM: self._site, TO: self._peer}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2.0)
        async with aiohttp.ClientSession(headers=headers, timeout=timeout) as session:
            while True:
                try:
                    ws = await asyncio.wait_for(session.ws_connect(f"{self._url}/peer", compress=0), timeout=3.0)
                except (aiohttp.ClientError, OSError, TimeoutError) as e:
                    if not self._silent:
                        log.warning("peer %s does not answer (%s): trying on", self._url, str(e) or type(e).__name__)
                    self._silent = True
                else:
                    self._silent = False
                    log.info("peer %s: connected", self._url)
                    async with ws:
                        await self._talk(ws)
                await asyncio.sleep(RECONNECT)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """The other CTI connects here (`GET /peer`)."""
        if request.headers.get("Authorization") != f"Bearer {self._secret}":
            return web.json_response({"error": "Unauthorized", "message": "TANDEM_PEER_SECRET differs"}, status=401)
        pair = request.headers.get(FROM, self._peer), request.headers.get(TO, self._site)
        if pair != (self._peer, self._site):
            message = f"{pair[0]} takes {pair[1]} for its peer; this is {self._site}, and its peer is {self._peer}"
            log.warning("a CTI is refused: %s; look at TANDEM_PEER_SITE and TANDEM_PEER_URL of both", message)
            return web.json_response({"error": "NotMyPeer", "message": message}, status=409)
        ws = web.WebSocketResponse(compress=False, autoping=True)
        await ws.prepare(request)
        await self._talk(ws)
        return ws

    async def _talk(self, ws: _Socket) -> None:
        line = _Line()
        self._lines.append(line)
        talkers = [asyncio.create_task(talk) for talk in (self._tell(ws), self._speak(ws, line))]
        try:
            while True:
                message = await ws.receive(timeout=SILENT)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                line.heard_at = asyncio.get_running_loop().time()
                said = read_frame(message.data)
                if said is not None:
                    self._on_said(said)
        except (TimeoutError, ValueError, OSError) as e:
            log.warning("peer %s: %s", self._url, str(e) or "silent")
        finally:
            self._lines.remove(line)
            for talker in talkers:
                talker.cancel()
            # Not `suppress(CancelledError)`: that would also swallow our own, and this process would never end.
            await asyncio.gather(*talkers, return_exceptions=True)
            await ws.close()

    @staticmethod
    async def _speak(ws: _Socket, line: _Line) -> None:
        while True:
            await line.news.wait()
            line.news.clear()
            while line.outbox:
                await ws.send_str(line.outbox.popleft())

    async def _tell(self, ws: _Socket) -> None:
        clock = asyncio.get_running_loop().time
        told: Any = None
        told_arrivals: Arrivals | None = None
        seen, told_at, reported_at, counted_at, look_at = -1, -LATEST, -LATEST, -LATEST, clock()
        while True:
            seen = await self._news(seen, max(look_at - clock(), 0.0))
            now = clock()
            arrivals = self._arrivals()
            if arrivals != told_arrivals or now >= counted_at + LATEST:
                await ws.send_str(json.dumps({"t": "arrivals", "boot": arrivals.boot, "n": arrivals.total}))
                told_arrivals, counted_at = arrivals, now
            look_at = reported_at + SOONEST
            if now >= look_at:
                reported_at = now
                report = self._report()
                # An idle time that grows is no news; who is idle is.
                news = {name: (group["available"], group["signed_in"]) for name, group in report.items()}
                if news != told or now >= told_at + LATEST:
                    await ws.send_str(json.dumps({"t": "idle", "groups": report}, separators=(",", ":")))
                    told, told_at = news, now
                look_at = min(told_at, counted_at) + LATEST
            await asyncio.sleep(ARRIVALS_SOONEST)
