"""A synthetic call: a test phone registers and calls itself by its number, over everybody's way through the softswitch.

    caller ──INVITE──► softswitch ──► CTI's queue ──"ring"──► softswitch ──INVITE──► phone
      200 ◄──────────────────────────────────────────────────────────────────── 200
      ACK, BYE ───────────────────────────────────────────────────────────────► ACK, BYE

Both ends are one socket of ours, and both legs have one Call-ID, because the softswitch is a proxy. `TestCall` is the
call's state, without I/O; `Caller` has the socket and the patience.
"""

import asyncio
import secrets
import socket
from collections.abc import Sequence
from typing import Final, cast

from tandem.probes import sip_message as sip
from tandem.probes.outcome import NotTestedError, NotWorkingError
from tandem.probes.sign_in import Line

EXPIRES_S: Final = 60
"""Seconds that a test phone's registration lasts; it is renewed with every probe."""

CALL_TURNS: Final = 4
"""How often `timeout` a whole call may take; one silence of `timeout` ends it before."""

CLEAR_S: Final = 0.2
"""Seconds to take a call back that did not come about."""

_UNKNOWN: Final = {"REGISTER": (403, 404), "INVITE": (404,)}
"""Refusals that speak of the test phone or its number, not of the softswitch: it was not told of them."""

Address = tuple[str, int]
Send = tuple[bytes, Address]


class Challenges:
    """What each softswitch last wanted proved: one round trip instead of two from the second request on."""

    def __init__(self) -> None:
        self._held: dict[Address, sip.Challenge] = {}

    def headers(self, server: Address, line: Line, method: str, uri: str) -> list[sip.Header]:
        held = self._held.get(server)
        if held is None:
            return []
        return [("Authorization", held.credentials(line.extension, line.password, method, uri))]

    def take(self, server: Address, refused: sip.Message) -> bool:
        """Note a 401's challenge. False when it cannot be answered."""
        found = sip.Challenge.of(refused.first("www-authenticate"))
        if found is not None:
            self._held[server] = found
        return found is not None


class TestCall:
    """One call, seen from both ends: `start` and `take` give what to send, `stage` says what is waited for."""

    __test__ = False  # not a test, whatever pytest thinks of the name

    def __init__(self, server: Address, local: Address, line: Line, number: str, challenges: Challenges) -> None:
        self.call_id = f"{secrets.token_hex(10)}@tandem"
        self.done = False
        self._server = server
        self._line = line
        self._challenges = challenges
        self._target = f"sip:{number}@{server[0]}:{server[1]}"
        self._contact = f"<sip:{line.extension}@{local[0]}:{local[1]}>"
        self._via = f"SIP/2.0/UDP {local[0]}:{local[1]};rport"
        self._from = f"<sip:{line.extension}@{server[0]}>;tag={secrets.token_hex(4)}"
        self._tag = secrets.token_hex(4)
        self._sdp = (
            f"v=0\r\no=- 0 0 IN IP4 {local[0]}\r\ns=-\r\nc=IN IP4 {local[0]}\r\nt=0 0\r\n"
            "m=audio 9 RTP/AVP 0\r\na=inactive\r\n"
        )
        self._cseq = 0
        self._branch = ""
        self._challenged = False
        self._progress = ""
        self._pending: list[Send] = []
        self._ok: sip.Message | None = None
        self._bye: bytes = b""
        self._rung = self._acknowledged = False

    @property
    def stage(self) -> str:
        """What the call is waiting for, as the end of a sentence."""
        if self._bye:
            return "the call could not be hung up"
        if self._ok is not None:
            return "answered, but the phone got no ACK"
        if self._rung:
            return "the phone answered, but the caller was not told"
        if self._progress:
            return f"queued ({self._progress}), but the phone was not rung"
        return "no answer to INVITE"

    @property
    def unanswered(self) -> Sequence[Send]:
        """What to send again."""
        return self._pending

    def start(self) -> list[Send]:
        """The INVITE."""
        self._cseq += 1
        self._branch = _branch()
        headers = [
            *self._caller_headers("INVITE", self._branch, f"<{self._target}>"),
            ("Contact", self._contact),
            *self._challenges.headers(self._server, self._line, "INVITE", self._target),
            ("Content-Type", "application/sdp"),
        ]
        invite = sip.write(f"INVITE {self._target} SIP/2.0", headers, self._sdp)
        self._pending = [(invite, self._server)]
        return list(self._pending)

    def take(self, message: sip.Message, source: Address) -> list[Send]:
        """A message of this call. Raises: NotWorkingError; NotTestedError."""
        match message.method:
            case "INVITE":
                return self._on_rung(message, source)
            case "ACK":
                self._acknowledged = True
                return self._hang_up_if_up()
            case "BYE":
                return [(sip.answer(message, "200 OK"), source)]
            case "CANCEL":
                return [(sip.answer(message, "200 OK", tag=self._tag), source)]
            case "" if message.cseq == f"{self._cseq} BYE":
                return self._on_bye_answered(message)
            case "" if message.cseq == f"{self._cseq} INVITE" or (self._ok and message.cseq == self._ok.cseq):
                return self._on_invite_answered(message)
        return []

    def give_up(self) -> list[Send]:
        """What takes the call back, wherever it has got to."""
        if self._bye:
            return [(self._bye, self._server)]
        if self._ok is not None:
            self._cseq += 1
            return [(self._within_dialog("BYE"), self._server)]
        if self._progress:
            headers = self._caller_headers("CANCEL", self._branch, f"<{self._target}>")
            return [(sip.write(f"CANCEL {self._target} SIP/2.0", headers), self._server)]
        return []

    # -- the phone's end

    def _on_rung(self, invite: sip.Message, source: Address) -> list[Send]:
        if sip.user_in(invite.uri) != self._line.extension:
            return [(sip.answer(invite, "404 Not This Phone", tag=self._tag), source)]
        self._rung = True
        more = [("Contact", self._contact), ("Content-Type", "application/sdp")]
        ok = sip.answer(invite, "200 OK", tag=self._tag, more=more, body=self._sdp)
        self._pending = [(ok, source)]
        return list(self._pending)

    # -- the caller's end

    def _on_invite_answered(self, answer: sip.Message) -> list[Send]:
        if answer.code < 200:
            if not self._progress:
                self._pending = []
            if answer.code > 100 or not self._progress:
                self._progress = f"{answer.code} {answer.reason}".strip()
            return []
        if answer.code < 300:
            self._ok = answer
            return [(self._within_dialog("ACK"), self._server), *self._hang_up_if_up()]
        ack = sip.write(f"ACK {self._target} SIP/2.0", self._caller_headers("ACK", self._branch, answer.first("to")))
        if answer.code == 401 and not self._challenged and self._challenges.take(self._server, answer):
            self._challenged = True
            return [(ack, self._server), *self.start()]
        raise _Refused(answer, "INVITE", [(ack, self._server)])

    def _hang_up_if_up(self) -> list[Send]:
        """Once both ends have the call, it has shown what it was for."""
        if self._ok is None or not self._acknowledged or self._bye:
            return []
        self._cseq += 1
        self._bye = self._within_dialog("BYE")
        self._pending = [(self._bye, self._server)]
        return list(self._pending)

    def _on_bye_answered(self, answer: sip.Message) -> list[Send]:
        if answer.code >= 300:
            raise NotWorkingError(f"BYE: {answer.code} {answer.reason}".strip())
        self.done = self.done or answer.code >= 200
        return []

    def _within_dialog(self, method: str) -> bytes:
        assert self._ok is not None
        # Not to where the route leads, but to the address that agents and carriers use: that is what is tested.
        target = sip.uri_in(self._ok.first("contact"))
        routes = [("Route", route) for route in reversed(self._ok.addresses("record-route"))]
        cseq = self._ok.cseq.partition(" ")[0] if method == "ACK" else str(self._cseq)
        headers = self._caller_headers(method, _branch(), self._ok.first("to"), cseq)
        return sip.write(f"{method} {target} SIP/2.0", [*routes, *headers])

    def _caller_headers(self, method: str, branch: str, to: str, cseq: str = "") -> list[sip.Header]:
        return [
            ("Via", f"{self._via};branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", self._from),
            ("To", to),
            ("Call-ID", self.call_id),
            ("CSeq", f"{cseq or self._cseq} {method}"),
            ("User-Agent", "tandem"),
        ]


class _Refused(Exception):  # noqa: N818 - becomes one of the outcomes where the ACK was sent
    def __init__(self, refused: sip.Message, method: str, sends: list[Send]) -> None:
        super().__init__(refused.start)
        self.refused = refused
        self.method = method
        self.sends = sends


class Caller(asyncio.DatagramProtocol):
    """One UDP socket for all test phones and their calls, any number at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None
        self._opening = asyncio.Lock()
        self._inboxes: dict[str, asyncio.Queue[tuple[sip.Message, Address]]] = {}
        self._challenges = Challenges()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def register(self, server: Address, line: Line, timeout: float) -> None:
        """Register the test phone, or renew that.

        Raises: NotWorkingError when the softswitch does not answer or refuses; NotTestedError when it does not know
            the phone, or our own side fails.
        """
        local = await self._open(server)
        uri = f"sip:{server[0]}:{server[1]}"
        call_id = f"{secrets.token_hex(10)}@tandem"
        inbox = self._inboxes[call_id] = asyncio.Queue()
        try:
            for attempt in (1, 2):
                own = f"<sip:{line.extension}@{server[0]}>"
                headers = [
                    ("Via", f"SIP/2.0/UDP {local[0]}:{local[1]};rport;branch={_branch()}"),
                    ("Max-Forwards", "70"),
                    ("From", f"{own};tag={secrets.token_hex(4)}"),
                    ("To", own),
                    ("Call-ID", call_id),
                    ("CSeq", f"{attempt} REGISTER"),
                    ("Contact", f"<sip:{line.extension}@{local[0]}:{local[1]}>"),
                    ("Expires", str(EXPIRES_S)),
                    ("User-Agent", "tandem"),
                    *self._challenges.headers(server, line, "REGISTER", uri),
                ]
                request = (sip.write(f"REGISTER {uri} SIP/2.0", headers), server)
                answer = await self._answer(inbox, request, f"{attempt} REGISTER", timeout)
                if answer.code < 300:
                    return
                if answer.code != 401 or not self._challenges.take(server, answer):
                    raise _outcome(answer, "REGISTER")
            raise NotTestedError("REGISTER: the softswitch does not accept the test phone's password")
        finally:
            del self._inboxes[call_id]

    async def call(self, server: Address, line: Line, number: str, timeout: float) -> None:
        """Call the test phone by its number, answer, and hang up.

        Raises: NotWorkingError; NotTestedError.
        """
        call = TestCall(server, await self._open(server), line, number, self._challenges)
        inbox = self._inboxes[call.call_id] = asyncio.Queue()
        try:
            async with asyncio.timeout(CALL_TURNS * timeout):
                self._send(call.start())
                while not call.done:
                    self._send(call.take(*await self._next(inbox, call.unanswered, timeout)))
        except TimeoutError:
            stage = call.stage
            await self._take_back(call, inbox)
            raise NotWorkingError(f"{stage} within {timeout:g} s") from None
        except _Refused as error:
            self._send(error.sends)
            raise _outcome(error.refused, error.method) from None
        finally:
            del self._inboxes[call.call_id]

    async def _take_back(self, call: TestCall, inbox: asyncio.Queue[tuple[sip.Message, Address]]) -> None:
        """End what is left of a call: nobody may find its remains in the queue. It ends by itself after 5 s anyway."""
        try:
            async with asyncio.timeout(CLEAR_S):
                self._send(call.give_up())
                while True:
                    message, source = await inbox.get()
                    if message.method == "INVITE":
                        self._send([(sip.answer(message, "480 Too Late", tag="0"), source)])
                    else:
                        self._send(call.take(message, source))
        except _Refused as error:
            self._send(error.sends)
        except (TimeoutError, NotWorkingError):
            pass

    async def _answer(
        self, inbox: asyncio.Queue[tuple[sip.Message, Address]], request: Send, cseq: str, timeout: float
    ) -> sip.Message:
        """The final answer to a request, sent again after half the time."""
        self._send([request])
        try:
            while True:
                message, _ = await self._next(inbox, [request], timeout)
                if message.cseq == cseq and message.code >= 200:
                    return message
        except TimeoutError:
            raise NotWorkingError(f"no answer to {cseq.partition(' ')[2]} within {timeout:g} s") from None

    async def _next(
        self, inbox: asyncio.Queue[tuple[sip.Message, Address]], unanswered: Sequence[Send], timeout: float
    ) -> tuple[sip.Message, Address]:
        """The next message; what is unanswered is sent again after half the time. Raises TimeoutError."""
        try:
            async with asyncio.timeout(timeout / 2):
                return await inbox.get()
        except TimeoutError:
            self._send(unanswered)
        async with asyncio.timeout(timeout / 2):
            return await inbox.get()

    async def _open(self, server: Address) -> Address:
        """Our own address as far as the way to `server` is concerned."""
        async with self._opening:
            try:
                if self._transport is None:
                    await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=("0.0.0.0", 0))
                assert self._transport is not None
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
                    way.connect(server)  # sends nothing, but chooses the source address
                    return way.getsockname()[0], self._transport.get_extra_info("sockname")[1]
            except OSError as error:
                raise NotTestedError(f"no UDP socket: {error}") from error

    def _send(self, sends: Sequence[Send]) -> None:
        if self._transport is None:
            raise NotTestedError("the UDP socket was lost")
        for data, to in sends:
            self._transport.sendto(data, to)

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        message = sip.read(data)
        if message is None:
            return
        source = (str(addr[0]), int(addr[1]))
        inbox = self._inboxes.get(message.call_id)
        if inbox is not None:
            inbox.put_nowait((message, source))
        elif message.method == "INVITE":
            self._send([(sip.answer(message, "480 Too Late", tag="0"), source)])
        elif message.method in ("BYE", "CANCEL"):
            self._send([(sip.answer(message, "481 Call Does Not Exist", tag="0"), source)])

    def error_received(self, exc: Exception) -> None:
        """Some datagram could not be sent, or was refused on its way: what it belongs to times out."""


def _outcome(refused: sip.Message, method: str) -> NotWorkingError | NotTestedError:
    words = f"{method}: {refused.code} {refused.reason}".strip()
    if refused.code in _UNKNOWN.get(method, ()):
        return NotTestedError(f"{words} (the softswitch does not know the test phone or its number)")
    return NotWorkingError(words)


def _branch() -> str:
    return sip.COOKIE + secrets.token_hex(12)
