"""The line between the CTIs of one system: both tell each other how many agents are idle (docs/contracts.md section 5).

Each CTI connects to the other, so there are usually two lines; what arrives on any of them counts.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final

import aiohttp
from aiohttp import web

from callcenter.cti.distribution import PeerGroup

SOONEST: Final = 0.1
LATEST: Final = 1.0
"""Seconds between two reports: at least and, when nothing changed, at most."""

RECONNECT: Final = 0.5
"""Seconds between two attempts to connect."""

SILENT: Final = 5.0
"""Seconds without a report after which a line is given up."""

log = logging.getLogger(__name__)

Report = dict[str, dict[str, float]]


def read_report(text: str) -> dict[str, PeerGroup]:
    """Read an `idle` frame. Raises ValueError when it is none."""
    body = json.loads(text)
    if not isinstance(body, dict) or body.get("t") != "idle" or not isinstance(body.get("groups"), dict):
        raise ValueError(f"not an idle report: {text[:80]!r}")
    try:
        return {
            name: PeerGroup(int(group["available"]), int(group["signed_in"])) for name, group in body["groups"].items()
        }
    except (KeyError, TypeError) as e:
        raise ValueError(f"not an idle report: {e!r}") from e


class PeerLink:
    """Talks to the other CTI.

    Args:
        url: Its client port. secret: shared by the CTIs of this system.
        report: What to tell it. on_report: called with what it tells.
    """

    def __init__(
        self, url: str, secret: str, report: Callable[[], Report], on_report: Callable[[Mapping[str, PeerGroup]], None]
    ) -> None:
        self._url = url
        self._secret = secret
        self._report = report
        self._on_report = on_report
        self._silent = False

    async def run(self) -> None:
        """Connect to the other CTI, talk, reconnect, until cancelled."""
        headers = {"Authorization": f"Bearer {self._secret}"}
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
        ws = web.WebSocketResponse(compress=False, autoping=True)
        await ws.prepare(request)
        await self._talk(ws)
        return ws

    async def _talk(self, ws: web.WebSocketResponse | aiohttp.ClientWebSocketResponse) -> None:
        talker = asyncio.create_task(self._tell(ws))
        try:
            while True:
                message = await ws.receive(timeout=SILENT)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    break
                self._on_report(read_report(message.data))
        except (TimeoutError, ValueError, OSError) as e:
            log.warning("peer %s: %s", self._url, str(e) or "silent")
        finally:
            talker.cancel()
            # Not `suppress(CancelledError)`: that would also swallow our own, and this process would never end.
            await asyncio.gather(talker, return_exceptions=True)
            await ws.close()

    async def _tell(self, ws: web.WebSocketResponse | aiohttp.ClientWebSocketResponse) -> None:
        told: Any = None
        waited = LATEST
        while True:
            report = self._report()
            # An idle time that grows is no news; who is idle is.
            news = {name: (group["available"], group["signed_in"]) for name, group in report.items()}
            if news != told or waited >= LATEST:
                await ws.send_str(json.dumps({"t": "idle", "groups": report}, separators=(",", ":")))
                told, waited = news, 0.0
            await asyncio.sleep(SOONEST)
            waited += SOONEST
