"""A very small SIP user agent over UDP, for tests on loopback: no retransmissions, one message at a time.

Written apart from the call centre's own SIP code on purpose: a mistake shared by both ends would not be seen.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

ANSWER_S = 3.0
"""How long a test waits for a message that should come at once, in seconds."""


@dataclass(frozen=True)
class Message:
    """A parsed request or response. `headers` keeps order and repetition; names are lower case."""

    start: str
    headers: tuple[tuple[str, str], ...]
    body: str
    source: tuple[str, int]

    @property
    def method(self) -> str:
        return "" if self.start.startswith("SIP/2.0") else self.start.split(" ", 1)[0]

    @property
    def code(self) -> int:
        return int(self.start.split(" ", 2)[1]) if self.start.startswith("SIP/2.0") else 0

    @property
    def target(self) -> str:
        return self.start.split(" ")[1]

    def get(self, name: str) -> str:
        """The first header of that name, or an empty string."""
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]

    @property
    def call_id(self) -> str:
        return self.get("call-id")


def parse(raw: bytes, source: tuple[str, int]) -> Message:
    head, _, body = raw.decode().partition("\r\n\r\n")
    start, *lines = head.split("\r\n")
    headers = tuple((name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines))
    return Message(start, headers, body, source)


def uri_of(header: str) -> str:
    """The URI in a name-addr: `"Anna" <sip:a@b;x>;tag=1` -> `sip:a@b;x`."""
    match = re.search(r"<([^>]+)>", header)
    return match.group(1) if match else header.split(";")[0]


class Socket(asyncio.DatagramProtocol):
    """A UDP socket that keeps everything it received until a test asks for it."""

    def __init__(self) -> None:
        self.inbox: list[Message] = []
        self._arrived = asyncio.Event()
        self.transport: asyncio.DatagramTransport

    @classmethod
    async def open(cls, ip: str = "127.0.0.1") -> Socket:
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(cls, local_addr=(ip, 0))
        return protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if data.strip():
            self.inbox.append(parse(data, addr))
            self._arrived.set()

    def close(self) -> None:
        self.transport.close()

    @property
    def address(self) -> tuple[str, int]:
        ip, port = self.transport.get_extra_info("sockname")[:2]
        return ip, port

    def send(self, text: str, to: tuple[str, int]) -> None:
        self.transport.sendto(text.encode(), to)

    async def expect(self, wanted: Callable[[Message], bool], *, within: float = ANSWER_S) -> Message:
        """Take the first message that `wanted` accepts. Raises: AssertionError with what arrived instead."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    for message in self.inbox:
                        if wanted(message):
                            self.inbox.remove(message)
                            return message
                    self._arrived.clear()
                    await self._arrived.wait()
        raise AssertionError(f"not within {within} s; there is {[m.start for m in self.inbox]}")

    async def request(self, method: str, call_id: str, *, within: float = ANSWER_S) -> Message:
        return await self.expect(lambda m: m.method == method and m.call_id == call_id, within=within)

    async def response(self, call_id: str, cseq: str, *codes: int, within: float = ANSWER_S) -> Message:
        """The next response to `cseq` (such as "1 INVITE") with one of `codes`."""
        return await self.expect(
            lambda m: m.call_id == call_id and m.get("cseq") == cseq and m.code in codes, within=within
        )


def build(start: str, headers: list[tuple[str, str]], body: str = "") -> str:
    lines = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body.encode())}", "", body]
    return "\r\n".join(lines)


def branch() -> str:
    return "z9hG4bK" + secrets.token_hex(8)


def reply(request: Message, code: int, reason: str, *, tag: str = "", contact: str = "", extra: str = "") -> str:
    """A response to a request, with what RFC 3261 wants copied."""
    to = request.get("to")
    if tag and ";tag=" not in to:
        to += f";tag={tag}"
    headers = [("Via", via) for via in request.all("via")]
    headers += [("Record-Route", route) for route in request.all("record-route")]
    headers += [("From", request.get("from")), ("To", to), ("Call-ID", request.call_id), ("CSeq", request.get("cseq"))]
    if contact:
        headers.append(("Contact", contact))
    if extra:
        name, _, value = extra.partition(":")
        headers.append((name, value.strip()))
    return build(f"SIP/2.0 {code} {reason}", headers)


@dataclass
class Dialog:
    """One end's view of an established call, enough to send a BYE or to answer one."""

    socket: Socket
    call_id: str
    local: str
    remote: str
    target: str
    routes: list[str]
    hop: tuple[str, int]
    cseq: int = 100

    def send(self, method: str, cseq: int | None = None) -> str:
        """Send a request within the call; returns its CSeq header."""
        self.cseq += 1
        number = cseq if cseq is not None else self.cseq
        ip, port = self.socket.address
        headers = [
            ("Via", f"SIP/2.0/UDP {ip}:{port};branch={branch()};rport"),
            ("Max-Forwards", "70"),
            *(("Route", route) for route in self.routes),
            ("From", self.local),
            ("To", self.remote),
            ("Call-ID", self.call_id),
            ("CSeq", f"{number} {method}"),
        ]
        self.socket.send(build(f"{method} {self.target} SIP/2.0", headers), self.hop)
        return f"{number} {method}"

    async def hang_up(self, other: Dialog) -> None:
        """Say BYE; the other end gets it and accepts. Raises: AssertionError when it does not arrive or fails."""
        cseq = self.send("BYE")
        request = await other.socket.request("BYE", self.call_id)
        other.socket.send(reply(request, 200, "OK"), request.source)
        answer = await self.socket.response(self.call_id, cseq, *range(200, 700))
        assert answer.code == 200, answer.start


@dataclass
class Phone:
    """A phone with one extension. Several may share a socket."""

    socket: Socket
    extension: str
    password: str
    server: tuple[str, int]
    call_id: str = field(default_factory=lambda: secrets.token_hex(8))
    cseq: int = 0
    claimed: tuple[str, int] | None = None
    """The address in the Contact, when it is not the real one (a phone behind a NAT)."""

    @property
    def contact(self) -> str:
        ip, port = self.claimed or self.socket.address
        return f"<sip:{self.extension}@{ip}:{port}>"

    async def send_register(self, authorization: str = "", *, to: str = "", expires: int = 300) -> Message:
        self.cseq += 1
        ip, port = self.socket.address
        aor = f"<sip:{to or self.extension}@{self.server[0]}>"
        headers = [
            ("Via", f"SIP/2.0/UDP {ip}:{port};branch={branch()};rport"),
            ("Max-Forwards", "70"),
            ("From", f"{aor};tag={secrets.token_hex(4)}"),
            ("To", aor),
            ("Call-ID", self.call_id),
            ("CSeq", f"{self.cseq} REGISTER"),
            ("Contact", self.contact),
            ("Expires", str(expires)),
        ]
        if authorization:
            headers.append(("Authorization", authorization))
        self.socket.send(build(f"REGISTER sip:{self.server[0]} SIP/2.0", headers), self.server)
        return await self.socket.response(self.call_id, f"{self.cseq} REGISTER", *range(200, 700))

    def authorization(self, challenge: Message) -> str:
        """Digest credentials for a challenge with qop=auth (RFC 2617)."""
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', challenge.get("www-authenticate").removeprefix("Digest ")))
        uri, cnonce, count = f"sip:{self.server[0]}", secrets.token_hex(4), "00000001"
        ha1 = _md5(f"{self.extension}:{fields['realm']}:{self.password}")
        ha2 = _md5(f"REGISTER:{uri}")
        response = _md5(f"{ha1}:{fields['nonce']}:{count}:{cnonce}:auth:{ha2}")
        return (
            f'Digest username="{self.extension}", realm="{fields["realm"]}", nonce="{fields["nonce"]}", uri="{uri}", '
            f'response="{response}", algorithm=MD5, qop=auth, nc={count}, cnonce="{cnonce}"'
        )

    async def register(self, *, to: str = "", expires: int = 300) -> Message:
        """Register with one challenge; returns the last answer."""
        challenge = await self.send_register(to=to, expires=expires)
        if challenge.code != 401:
            return challenge
        return await self.send_register(self.authorization(challenge), to=to, expires=expires)

    async def ringing(self, call_id: str, *, within: float = ANSWER_S) -> Message:
        """Wait until this phone is called, and ring; returns the INVITE."""
        ours = f"sip:{self.extension}@"
        invite = await self.socket.expect(
            lambda m: m.method == "INVITE" and m.call_id == call_id and m.target.startswith(ours), within=within
        )
        self.socket.send(reply(invite, 180, "Ringing", tag=self.extension, contact=self.contact), invite.source)
        return invite

    def answer(self, invite: Message) -> Dialog:
        """Pick up. The ACK comes once the caller has sent it."""
        self.socket.send(reply(invite, 200, "OK", tag=self.extension, contact=self.contact), invite.source)
        return Dialog(
            socket=self.socket,
            call_id=invite.call_id,
            local=f"{invite.get('to')};tag={self.extension}",
            remote=invite.get("from"),
            target=uri_of(invite.get("contact")),
            routes=invite.all("record-route"),
            hop=invite.source,
        )

    def acknowledge_cancel(self, invite: Message, cancel: Message) -> None:
        """Stop ringing because the caller gave up."""
        self.socket.send(reply(cancel, 200, "OK", tag=self.extension), cancel.source)
        self.socket.send(reply(invite, 487, "Request Terminated", tag=self.extension), invite.source)

    async def refuse(self, invite: Message, code: int = 486) -> None:
        self.socket.send(reply(invite, code, "Busy Here", tag=self.extension), invite.source)
        await self.socket.request("ACK", invite.call_id)


class Call:
    """A call that a carrier places."""

    def __init__(
        self, socket: Socket, server: tuple[str, int], number: str, *, call_id: str = "", extra: dict[str, str]
    ):
        self.socket, self.server, self.number, self.extra = socket, server, number, extra
        self.call_id = call_id or secrets.token_hex(10)
        self.local = f"<sip:+4930123456@carrier.example>;tag={secrets.token_hex(4)}"
        self.branch = branch()

    def _request(self, method: str, *, to: str = "", via_branch: str = "") -> str:
        ip, port = self.socket.address
        headers = [
            ("Via", f"SIP/2.0/UDP {ip}:{port};branch={via_branch or self.branch};rport"),
            ("Max-Forwards", "70"),
            ("From", self.local),
            ("To", to or f"<sip:{self.number}@{self.server[0]}>"),
            ("Call-ID", self.call_id),
            ("CSeq", f"1 {method}"),
            ("Contact", f"<sip:carrier@{ip}:{port}>"),
            *self.extra.items(),
        ]
        return build(f"{method} sip:{self.number}@{self.server[0]}:{self.server[1]} SIP/2.0", headers)

    def raw_invite(self) -> str:
        return self._request("INVITE")

    def invite(self) -> None:
        self.socket.send(self._request("INVITE"), self.server)

    def cancel(self) -> None:
        self.socket.send(self._request("CANCEL"), self.server)

    async def response(self, *codes: int, within: float = ANSWER_S) -> Message:
        return await self.socket.response(self.call_id, "1 INVITE", *codes, within=within)

    async def final(self, *, within: float = ANSWER_S) -> Message:
        """The final answer; a refusal is acknowledged."""
        message = await self.response(*range(200, 700), within=within)
        if message.code >= 300:
            self.socket.send(self._request("ACK", to=message.get("to")), self.server)
        return message

    async def answered(self, *, within: float = ANSWER_S) -> Dialog:
        """Wait for the 200 and acknowledge it. Raises: AssertionError when the call was refused."""
        ok = await self.final(within=within)
        assert ok.code == 200, ok.start
        dialog = Dialog(
            socket=self.socket,
            call_id=self.call_id,
            local=self.local,
            remote=ok.get("to"),
            target=uri_of(ok.get("contact")),
            routes=list(reversed(ok.all("record-route"))),
            hop=self.server,
        )
        dialog.send("ACK", cseq=1)
        return dialog


async def options(socket: Socket, server: tuple[str, int], *, to_tag: str = "") -> Message:
    """Ask a softswitch whether it takes calls; with `to_tag`, within a call that does not exist."""
    ip, port = socket.address
    call_id = secrets.token_hex(8)
    headers = [
        ("Via", f"SIP/2.0/UDP {ip}:{port};branch={branch()};rport"),
        ("Max-Forwards", "70"),
        ("From", f"<sip:probe@{ip}>;tag=1"),
        ("To", f"<sip:{server[0]}>" + (f";tag={to_tag}" if to_tag else "")),
        ("Call-ID", call_id),
        ("CSeq", "1 OPTIONS"),
    ]
    socket.send(build(f"OPTIONS sip:{server[0]}:{server[1]} SIP/2.0", headers), server)
    return await socket.response(call_id, "1 OPTIONS", *range(200, 700))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
