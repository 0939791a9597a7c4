"""A synthetic sign-in: what an agent's client does, from hello to the first answered ping, and out again.

The frames are those of docs/contracts.md section 4. One silence of `timeout` seconds where an answer is due is a
failure, as it is for the health probe; a CTI that answers each time may take several times as long in all.
"""

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from typing import Any, Final

import aiohttp

from tandem.domain.probe_agents import ProbeAgent
from tandem.probes.outcome import NotTestedError, NotWorkingError

DOOR_TURNS: Final = 2
"""How often `timeout` a probe stands at a door before it goes away: that it was let stand is an answer."""

_UNKNOWN: Final = ("UnknownAccount", "UnknownPhone", "WrongVersion")
"""Refusals that speak of the test agent, not of the CTI: its directory does not know this location."""

_OVERTAKEN: Final = ("OtherDevice", "Replaced")
"""Another engine of this location has signed in: an old one that ends while a new one starts."""


@dataclass(frozen=True, slots=True)
class Line:
    """The test agent's phone in that city, as the CTI tells it."""

    extension: str
    realm: str
    password: str


@dataclass(frozen=True, slots=True)
class Seat:
    """Where the sign-in got to: `session` "" when it was let stand at the door for `waits`."""

    line: Line
    session: str = ""
    state: str = ""
    """What the CTI takes the agent to be doing; `available` unless an earlier call is not over."""
    waits: str = ""


class SignIn:
    """Signs test agents in, over connections of their own."""

    def __init__(self) -> None:
        self._http: aiohttp.ClientSession | None = None

    async def start(self) -> None:
        # Each probe connects anew, as a client does after a failure.
        connector = aiohttp.TCPConnector(limit=0, force_close=True)
        self._http = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None))

    async def stop(self) -> None:
        if self._http is not None:
            await self._http.close()
            self._http = None

    @asynccontextmanager
    async def signed_in(self, url: str, agent: ProbeAgent, timeout: float) -> AsyncIterator[Seat]:
        """The test agent's session for as long as the block lasts; signed out at its end.

        Raises: NotWorkingError; NotTestedError.
        """
        ws = await self._connect(f"{url.rstrip('/')}/agent", timeout)
        conversation = _Conversation(ws, timeout)
        try:
            seat = await conversation.sign_in(agent)
            answering = asyncio.create_task(conversation.answer_pings())
            try:
                yield seat
            finally:
                answering.cancel()
                await asyncio.gather(answering, return_exceptions=True)
            if seat.session:
                await conversation.sign_out(seat.session)
        finally:
            await _close(ws, timeout)

    async def _connect(self, url: str, timeout: float) -> aiohttp.ClientWebSocketResponse:
        if self._http is None:
            raise NotTestedError("not started")
        try:
            async with asyncio.timeout(timeout):
                return await self._http.ws_connect(url, compress=0, autoping=True, max_msg_size=65_536)
        except TimeoutError:
            raise NotWorkingError(f"no connection within {timeout:g} s") from None
        except (aiohttp.ClientConnectorDNSError, aiohttp.InvalidURL) as error:
            raise NotTestedError(f"{error}") from error
        except aiohttp.WSServerHandshakeError as error:
            raise NotWorkingError(f"no WebSocket: answered {error.status}") from error
        except (aiohttp.ClientError, OSError) as error:
            cause = error.__cause__ if isinstance(error.__cause__, socket.gaierror) else None
            if cause is not None:
                raise NotTestedError(f"{cause}") from error
            raise NotWorkingError(f"{type(error).__name__} {error}".strip()) from error


class _Conversation:
    def __init__(self, ws: aiohttp.ClientWebSocketResponse, timeout: float) -> None:
        self._ws = ws
        self._timeout = timeout
        self._over: dict[str, Any] | None = None
        """The frame that ended the session before we did."""

    async def sign_in(self, agent: ProbeAgent) -> Seat:
        await self._say(
            t="hello", account=agent.account, instance=secrets.token_hex(8), mac=agent.mac, role="primary", v=1
        )
        line = _line(await self._hear("welcome"))
        await self._say(t="signin", seq=1, ticket=None, wait=True, state=None)
        answer = await self._hear("offer", "wait", "refused", "release")
        if answer["t"] == "wait":
            reason = str(answer.get("reason", ""))
            try:
                async with asyncio.timeout(DOOR_TURNS * self._timeout):
                    answer = await self._hear("offer", "refused", "release", patient=True)
            except TimeoutError:
                await self._say(t="withdraw", seq=1)
                return Seat(line, waits=reason or "no reason given")
        if answer["t"] == "refused":
            raise _refusal(answer)
        if answer["t"] == "release":
            raise NotTestedError(f"sends its test agent to {answer.get('to')}: it places it like anybody else")
        session = str(answer.get("session", ""))
        while True:
            said = await self._hear("ping", "signedin", "ended", "release")
            if said.get("session") != session:
                continue
            if said["t"] == "ping":
                await self._say(t="pong", session=session, n=said.get("n"))
            elif said["t"] == "signedin":
                return Seat(line, session, str(said.get("state", "")))
            else:
                raise _refusal(said)

    async def answer_pings(self) -> None:
        """Keep the session alive, until cancelled. What ends it otherwise is told when we sign out."""
        with contextlib.suppress(NotWorkingError):
            while True:
                said = await self._hear("ping", "ended", "release", patient=True)
                if said["t"] != "ping":
                    self._over = said
                    return
                await self._say(t="pong", session=said.get("session"), n=said.get("n"))

    async def sign_out(self, session: str) -> None:
        """Raises: NotWorkingError when the CTI does not confirm it; NotTestedError when somebody has replaced us."""
        if self._over is None:
            await self._say(t="signout", session=session)
            while (await self._hear("ended")).get("session") != session:
                pass
        else:
            raise _refusal(self._over)

    async def _say(self, **frame: Any) -> None:
        try:
            await self._ws.send_str(json.dumps(frame, separators=(",", ":")))
        except OSError as error:
            raise NotWorkingError("closed the connection") from error

    async def _hear(self, *kinds: str, patient: bool = False) -> dict[str, Any]:
        """The next frame of one of these kinds; `denied` ends it all. `patient`: however long that takes."""
        try:
            async with asyncio.timeout(None if patient else self._timeout):
                while True:
                    frame = await self._frame()
                    if frame.get("t") == "denied":
                        raise _refusal(frame)
                    if frame.get("t") in kinds:
                        return frame
        except TimeoutError:
            raise NotWorkingError(f"no {' or '.join(kinds)} within {self._timeout:g} s") from None

    async def _frame(self) -> dict[str, Any]:
        message = await self._ws.receive()
        if message.type is not aiohttp.WSMsgType.TEXT:
            raise NotWorkingError("closed the connection")
        try:
            frame = json.loads(message.data)
        except ValueError as error:
            raise NotWorkingError(f"says what is no frame: {message.data[:40]!r}") from error
        if not isinstance(frame, dict):
            raise NotWorkingError(f"says what is no frame: {message.data[:40]!r}")
        return frame


def _line(welcome: dict[str, Any]) -> Line:
    phone = welcome.get("phone")
    if not isinstance(phone, dict) or not all(isinstance(phone.get(field.name), str) for field in fields(Line)):
        raise NotWorkingError("welcomes its test agent without a phone")
    return Line(phone["extension"], phone["realm"], phone["password"])


def _refusal(frame: dict[str, Any]) -> NotWorkingError | NotTestedError:
    reason = str(frame.get("reason", frame["t"]))
    words = f"{frame['t']}: {reason} {frame.get('message', '')}".strip()
    return NotTestedError(words) if reason in (*_UNKNOWN, *_OVERTAKEN) else NotWorkingError(words)


async def _close(ws: aiohttp.ClientWebSocketResponse, timeout: float) -> None:
    """Close politely, but wait for nobody who does not answer."""
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(timeout):
            await ws.close()
