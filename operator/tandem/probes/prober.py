"""`engine.ports.Prober` and `DeepProber` on the real network.

A failed probe is void, and accuses nobody, when it says something about ourselves: our event loop stalled meanwhile,
we have no socket, we could not resolve the name, or a connection to ourselves fails as well. A probe that passes is
never void: whatever happened here, the other side answered.
"""

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import replace
from typing import Self
from urllib.parse import urlsplit

from tandem.api.common import LAST_PORT
from tandem.domain.probe_agents import ProbeAgent
from tandem.engine.ports import Clock, DeepResult, Late, ProbeResult
from tandem.probes import http, stall
from tandem.probes.call import Caller
from tandem.probes.outcome import NotTestedError, NotWorkingError
from tandem.probes.reference import Reference
from tandem.probes.sign_in import Line, SignIn
from tandem.probes.sip import NotSentError, SipOptions


class NetworkProber:
    """Probes over the network. An async context manager: it watches its own event loop while it is open."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sip = SipOptions()
        self._http = http.HttpHealth()
        self._sign_in = SignIn()
        self._caller = Caller()
        self._lines: dict[tuple[str, str], Line] = {}
        """CTI and account -> the test phone, as last told."""
        self._reference = Reference()
        self._stalls = stall.Stalls(clock.monotonic())
        self._watch: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        await self._reference.start()
        await self._sign_in.start()
        self._watch = asyncio.create_task(stall.watch(self._stalls, self._clock), name="stall-watch")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
        self._sip.close()
        self._http.close()
        self._caller.close()
        await self._sign_in.stop()
        await self._reference.stop()

    async def sip_options(self, address: str, timeout: float, late: Late = lambda: None) -> ProbeResult:
        """Ask the softswitch at `address` (host:port) by OPTIONS."""
        start = self._clock.monotonic()
        try:
            host, port = _host_and_port(address)
            ip = await _resolvable(host, timeout)
            status = await self._sip.ask(ip, port, timeout - (self._clock.monotonic() - start), late)
        except TimeoutError:
            return await self._failure(start, f"OPTIONS to {address}: no answer within {timeout:g} s", timeout)
        except (NotTestedError, NotSentError) as error:
            return self._void(start, f"OPTIONS to {address}: {error}")
        if not status.lives:
            return await self._failure(start, f"OPTIONS to {address}: {status.code} {status.reason}".strip(), timeout)
        return self._pass(start)

    async def http_health(self, url: str, timeout: float, late: Late = lambda: None) -> ProbeResult:
        """Ask `url` by GET; any 2xx is health."""
        start = self._clock.monotonic()
        try:
            await self._http.check(url, timeout, late)
        except http.SilentError as error:
            return replace(await self._failure(start, f"{url}: {error}", timeout), connects=True)
        except http.HealthError as error:
            return await self._failure(start, f"{url}: {error}", timeout)
        except http.NotAskedError as error:
            return self._void(start, f"{url}: {error}")
        return self._pass(start)

    async def deep(self, cti: str, sip: str | None, agent: ProbeAgent, timeout: float) -> DeepResult:
        """Sign the test agent in, call it, sign it out."""
        start = self._clock.monotonic()
        passed = self._pass(start)
        call: ProbeResult | None = None
        try:
            await _resolvable(_host_of(cti), timeout)
            async with self._sign_in.signed_in(cti, agent, timeout) as seat:
                self._lines[cti, agent.account] = seat.line
                passed = self._pass(start, f"stands at the door: {seat.waits}" if seat.waits else "")
                if sip is not None:
                    why_not = "" if seat.state == "available" else f"the test agent is {seat.state or 'at the door'}"
                    call = await self._call(sip, seat.line, agent.number, timeout, why_not)
            sign_in = passed
        except NotWorkingError as error:
            sign_in = await self._failure(start, f"sign-in at {cti}: {error}", timeout)
        except NotTestedError as error:
            sign_in = self._void(start, f"sign-in at {cti}: {error}")
        if sip is not None and call is None:
            line = self._lines.get((cti, agent.account))
            call = await self._call(sip, line, agent.number, timeout, "the test agent is not signed in")
        return DeepResult(sign_in, call)

    async def _call(self, sip: str, line: Line | None, number: str, timeout: float, why_not: str) -> ProbeResult:
        """One call; where nobody would answer it (`why_not`), only whether the phone can register."""
        start = self._clock.monotonic()
        try:
            if line is None:
                raise NotTestedError(why_not)
            host, port = _host_and_port(sip)
            server = await _resolvable(host, timeout), port
            await self._caller.register(server, line, timeout)
            if why_not:
                raise NotTestedError(why_not)
            await self._caller.call(server, line, number, timeout)
        except NotWorkingError as error:
            return await self._failure(start, f"call at {sip}: {error}", timeout)
        except NotTestedError as error:
            return self._void(start, f"call at {sip}: {error}")
        return self._pass(start)

    def _pass(self, start: float, detail: str = "") -> ProbeResult:
        return ProbeResult(ok=True, void=False, seconds=self._clock.monotonic() - start, detail=detail)

    def _void(self, start: float, detail: str) -> ProbeResult:
        return ProbeResult(ok=False, void=True, seconds=self._clock.monotonic() - start, detail=detail)

    async def _failure(self, start: float, detail: str, timeout: float) -> ProbeResult:
        end = self._clock.monotonic()
        if self._stalls.overlapped(start, end):
            return self._void(start, f"{detail} (our own event loop stalled)")
        if not await self._reference.passes(timeout):
            return self._void(start, f"{detail} (a connection to ourselves fails as well)")
        return ProbeResult(ok=False, void=False, seconds=end - start, detail=detail)


def _host_and_port(address: str) -> tuple[str, int]:
    """The two parts of `host:port`. Raises NotTestedError: what is sent to no port ends the socket of all probes."""
    host, _, text = address.rpartition(":")
    port = int(text)
    if not 0 < port <= LAST_PORT:
        raise NotTestedError(f"{port} is no port; there are 1 to {LAST_PORT}")
    return host, port


def _host_of(url: str) -> str:
    """The host that a URL names. Raises NotTestedError."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError as error:
        raise NotTestedError(f"{url} is no URL of a server: {error}") from error


async def _resolvable(host: str, timeout: float) -> str:
    """The address of `host`. Raises NotTestedError: a name server that we cannot reach says nothing of others."""
    try:
        async with asyncio.timeout(timeout):
            return await _resolve(host)
    except (TimeoutError, socket.gaierror) as error:
        raise NotTestedError(f"cannot resolve {host}: {error}") from error


async def _resolve(host: str) -> str:
    """The IPv4 address of `host`. Raises socket.gaierror."""
    with contextlib.suppress(ValueError):
        return str(ipaddress.IPv4Address(host))
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, family=socket.AF_INET, type=socket.SOCK_DGRAM)
    except ValueError as error:  # a label that is empty or too long: no name server is asked at all
        raise socket.gaierror(f"not the name of a host: {error}") from error
    return str(found[0][4][0])
