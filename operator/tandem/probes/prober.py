"""`engine.ports.Prober` on the real network.

A failed probe is void, and accuses nobody, when it says something about ourselves: our event loop stalled meanwhile,
we have no socket, we could not resolve the name, or a connection to ourselves fails as well. A probe that passes is
never void: whatever happened here, the other side answered.
"""

import asyncio
import ipaddress
import socket
from typing import Self

from tandem.engine.ports import Clock, ProbeResult
from tandem.probes import http, stall
from tandem.probes.reference import Reference
from tandem.probes.sip import NotSentError, SipOptions


class NetworkProber:
    """Probes over the network. An async context manager: it watches its own event loop while it is open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sip = SipOptions()
        self._reference = Reference()
        self._stalls = stall.Stalls(clock.monotonic())
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._reference.start()
        self._watch = asyncio.create_task(stall.watch(self._stalls, self._clock), name="stall-watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self._sip.close()
        await self._reference.stop()

    async def sip_options(self, address: str, timeout: float) -> ProbeResult:
        """Ask the softswitch at `address` (host:port) by OPTIONS."""
        start = self._clock.monotonic()
        host, _, port = address.rpartition(":")
        try:
            async with asyncio.timeout(timeout):
                ip = await _resolve(host)
        except (TimeoutError, socket.gaierror) as error:
            return self._void(start, f"OPTIONS to {address}: cannot resolve {host}: {error}")
        try:
            status = await self._sip.ask(ip, int(port), timeout - (self._clock.monotonic() - start))
        except TimeoutError:
            return await self._failure(start, f"OPTIONS to {address}: no answer within {timeout:g} s", timeout)
        except NotSentError as error:
            return self._void(start, f"OPTIONS to {address}: {error}")
        if not status.lives:
            return await self._failure(start, f"OPTIONS to {address}: {status.code} {status.reason}".strip(), timeout)
        return self._pass(start)

    async def http_health(self, url: str, timeout: float) -> ProbeResult:
        """Ask `url` by GET; any 2xx is health."""
        start = self._clock.monotonic()
        try:
            await http.check(url, timeout)
        except http.HealthError as error:
            return await self._failure(start, f"{url}: {error}", timeout)
        except http.NotAskedError as error:
            return self._void(start, f"{url}: {error}")
        return self._pass(start)

    def _pass(self, start: float) -> ProbeResult:
        return ProbeResult(ok=True, void=False, seconds=self._clock.monotonic() - start)

    def _void(self, start: float, detail: str) -> ProbeResult:
        return ProbeResult(ok=False, void=True, seconds=self._clock.monotonic() - start, detail=detail)

    async def _failure(self, start: float, detail: str, timeout: float) -> ProbeResult:
        end = self._clock.monotonic()
        if self._stalls.overlapped(start, end):
            return self._void(start, f"{detail} (our own event loop stalled)")
        if not await self._reference.passes(timeout):
            return self._void(start, f"{detail} (a connection to ourselves fails as well)")
        return ProbeResult(ok=False, void=False, seconds=end - start, detail=detail)


async def _resolve(host: str) -> str:
    """The IPv4 address of `host`. Raises socket.gaierror."""
    try:
        return str(ipaddress.IPv4Address(host))
    except ValueError:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
        return str(found[0][4][0])
