"""SIP OPTIONS over UDP: one socket for all probes, a transaction by its branch, one retransmission."""

import asyncio
import secrets
from dataclasses import dataclass
from typing import Final, cast

from tandem.constants import LATE_ANSWER_S
from tandem.engine.ports import Late

_COOKIE: Final = "z9hG4bK"
_LARGEST: Final = 65_535


class NotSentError(Exception):
    """Our own side could not send; the message says why. Nobody else's fault."""


@dataclass(frozen=True, slots=True)
class Status:
    """The first line of a response, and the transaction that it belongs to."""

    branch: str
    code: int
    reason: str

    @property
    def lives(self) -> bool:
        """Whether a softswitch that answers this does its work.

        2xx, and refusals of this one request (4xx). Not 408, which speaks of something behind it, nor 5xx and 6xx: 503
        asks for nothing new to be sent, which is what a carrier needs to know.
        """
        return 200 <= self.code < 300 or (400 <= self.code < 500 and self.code != 408)


def options_request(host: str, port: int, branch: str) -> bytes:
    """An OPTIONS to the softswitch itself. `rport` asks for the answer where the request came from (RFC 3581)."""
    lines = (
        f"OPTIONS sip:{host}:{port} SIP/2.0",
        f"Via: SIP/2.0/UDP tandem.invalid:5060;rport;branch={branch}",
        "Max-Forwards: 70",
        f"From: <sip:tandem@tandem.invalid>;tag={branch[-8:]}",
        f"To: <sip:{host}:{port}>",
        f"Call-ID: {branch[len(_COOKIE) :]}@tandem.invalid",
        "CSeq: 1 OPTIONS",
        "Accept: application/sdp",
        "User-Agent: tandem",
        "Content-Length: 0",
        "",
        "",
    )
    return "\r\n".join(lines).encode()


def read_status(datagram: bytes) -> Status | None:
    """The final response in a datagram; None for anything else, which is none of our business."""
    head = datagram[:_LARGEST].partition(b"\r\n\r\n")[0].decode(errors="replace")
    first, *headers = head.split("\r\n")
    version, _, rest = first.partition(" ")
    code, _, reason = rest.partition(" ")
    if version != "SIP/2.0" or len(code) != 3 or not code.isdigit() or code < "200":
        return None
    for header in headers:
        name, _, value = header.partition(":")
        if name.strip().lower() in ("via", "v"):
            # The topmost Via is the request's own.
            _, found, branch = value.partition("branch=")
            return Status(branch.partition(";")[0].partition(",")[0].strip(), int(code), reason) if found else None
    return None


class SipOptions(asyncio.DatagramProtocol):
    """Sends OPTIONS and waits for the answers, any number at a time."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None
        self._opening = asyncio.Lock()
        self._waiting: dict[str, asyncio.Future[Status]] = {}
        self._given_up: dict[str, Late] = {}

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    async def ask(self, host: str, port: int, timeout: float, late: Late = lambda: None) -> Status:
        """The answer to one OPTIONS, sent again after half the time.

        Args:
            host: An IPv4 address.
            timeout: Seconds for everything.
            late: Called when the softswitch answers after that, and lives.
        Raises: TimeoutError without an answer; NotSentError when our own side fails.
        """
        await self._open()
        branch = _COOKIE + secrets.token_hex(12)
        request = options_request(host, port, branch)
        answer: asyncio.Future[Status] = asyncio.get_running_loop().create_future()
        self._waiting[branch] = answer
        try:
            async with asyncio.timeout(timeout):
                self._send(request, host, port)
                done, _ = await asyncio.wait([answer], timeout=timeout / 2)
                if not done:
                    self._send(request, host, port)
                return await answer
        except TimeoutError:
            self._given_up[branch] = late
            left = max(LATE_ANSWER_S - timeout, 0.0)
            asyncio.get_running_loop().call_later(left, self._given_up.pop, branch, None)
            raise
        finally:
            del self._waiting[branch]

    async def _open(self) -> None:
        async with self._opening:
            if self._transport is None:
                try:
                    await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, local_addr=("0.0.0.0", 0))
                except OSError as error:
                    raise NotSentError(f"no UDP socket: {error}") from error

    def _send(self, request: bytes, host: str, port: int) -> None:
        if self._transport is None:
            raise NotSentError("the UDP socket was lost")
        self._transport.sendto(request, (host, port))

    # -- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None  # the next probe opens another one

    def datagram_received(self, data: bytes, addr: tuple[str | object, int]) -> None:
        status = read_status(data)
        answer = self._waiting.get(status.branch) if status else None
        if status is None:
            return
        if answer is not None and not answer.done():
            answer.set_result(status)
        elif status.lives and (late := self._given_up.pop(status.branch, None)) is not None:
            late()

    def error_received(self, exc: Exception) -> None:
        """Some datagram could not be sent, or was refused on its way: the probe that it belongs to times out."""
