"""SIP messages as far as a test call needs them: reading, writing, answering, and digest credentials (RFC 2617)."""

import hashlib
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

COOKIE: Final = "z9hG4bK"
"""Begins every branch, by RFC 3261."""

_COMPACT: Final = {"v": "via", "f": "from", "t": "to", "i": "call-id", "m": "contact", "l": "content-length"}
_ADDRESS: Final = re.compile(r"<[^>]*>[^,]*")
_FIELD: Final = re.compile(r'(\w+)\s*=\s*(?:"([^"]*)"|([^",\s]+))')

Header = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """A request or a response. Headers keep order and repetition; their names are in lower case."""

    start: str
    headers: tuple[Header, ...]

    @property
    def method(self) -> str:
        """Of a request; "" of a response."""
        return "" if self.start.startswith("SIP/2.0 ") else self.start.partition(" ")[0]

    @property
    def uri(self) -> str:
        """What a request is for."""
        return self.start.split(" ")[1]

    @property
    def code(self) -> int:
        """Of a response; 0 of a request."""
        return int(self.start[8:11]) if self.start.startswith("SIP/2.0 ") else 0

    @property
    def reason(self) -> str:
        return self.start[12:]

    @property
    def call_id(self) -> str:
        return self.first("call-id")

    @property
    def cseq(self) -> str:
        return self.first("cseq")

    def first(self, name: str) -> str:
        """The first header of that name, or ""."""
        return next((value for key, value in self.headers if key == name), "")

    def every(self, name: str) -> tuple[str, ...]:
        return tuple(value for key, value in self.headers if key == name)

    def addresses(self, name: str) -> list[str]:
        """The entries of a header like Record-Route, in order, however many lines they are spread over."""
        return [found.strip() for value in self.every(name) for found in _ADDRESS.findall(value)]


def read(datagram: bytes) -> Message | None:
    """The message in a datagram; None for anything else."""
    head, end, _ = datagram.partition(b"\r\n\r\n")
    first, *lines = head.decode(errors="replace").split("\r\n")
    words = first.split(" ", 2)
    is_response = words[0] == "SIP/2.0"
    if not end or len(words) < 3 or (is_response and not (len(words[1]) == 3 and words[1].isdecimal())):
        return None
    if not is_response and words[2] != "SIP/2.0":
        return None
    headers = [(name.strip().lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    return Message(first, tuple((_COMPACT.get(name, name), value) for name, value in headers))


def write(start: str, headers: Iterable[Header], body: str = "") -> bytes:
    lines = [start, *(f"{name}: {value}" for name, value in headers), f"Content-Length: {len(body.encode())}", "", body]
    return "\r\n".join(lines).encode()


def answer(request: Message, status: str, *, tag: str = "", more: Iterable[Header] = (), body: str = "") -> bytes:
    """The response to a request, like `200 OK`. `tag`: of our end of the dialog."""
    to = request.first("to")
    if tag and ";tag=" not in to:
        to += f";tag={tag}"
    headers = [
        *(("Via", via) for via in request.every("via")),
        *(("Record-Route", route) for route in request.every("record-route")),
        ("From", request.first("from")),
        ("To", to),
        ("Call-ID", request.call_id),
        ("CSeq", request.cseq),
        *more,
    ]
    return write(f"SIP/2.0 {status}", headers, body)


def uri_in(address: str) -> str:
    """The URI in `"Anna" <sip:a@b;x>;tag=1` or `sip:a@b;tag=1`."""
    found = re.search(r"<([^>]+)>", address)
    return found[1] if found else address.partition(";")[0].strip()


def user_in(uri: str) -> str:
    """The user part of a SIP URI; "" when it has none."""
    rest = uri.partition(":")[2]
    return rest.partition("@")[0] if "@" in rest else ""


@dataclass(slots=True)
class Challenge:
    """What a softswitch wants proved; good for several requests. Only MD5, with qop=auth or none."""

    realm: str
    nonce: str
    qop: bool
    opaque: str
    uses: int = 0

    @classmethod
    def of(cls, header: str) -> Self | None:
        """From WWW-Authenticate or Proxy-Authenticate; None when that is not asked in a way we can answer."""
        scheme, _, rest = header.strip().partition(" ")
        fields = {name.lower(): quoted or plain for name, quoted, plain in _FIELD.findall(rest)}
        if scheme.lower() != "digest" or fields.get("algorithm", "MD5").upper() != "MD5" or "nonce" not in fields:
            return None
        offered = [word.strip() for word in fields["qop"].split(",")] if "qop" in fields else []
        if offered and "auth" not in offered:
            return None
        return cls(fields.get("realm", ""), fields["nonce"], bool(offered), fields.get("opaque", ""))

    def credentials(self, user: str, password: str, method: str, uri: str) -> str:
        """The value of Authorization for one request."""
        self.uses += 1
        ha1, ha2 = _md5(f"{user}:{self.realm}:{password}"), _md5(f"{method}:{uri}")
        count, cnonce = f"{self.uses:08x}", secrets.token_hex(4)
        proof = f"{self.nonce}:{count}:{cnonce}:auth" if self.qop else self.nonce
        fields = [
            *(f'username="{user}"', f'realm="{self.realm}"', f'nonce="{self.nonce}"', f'uri="{uri}"'),
            *(f'response="{_md5(f"{ha1}:{proof}:{ha2}")}"', "algorithm=MD5"),
        ]
        if self.qop:
            fields += ["qop=auth", f"nc={count}", f'cnonce="{cnonce}"']
        if self.opaque:
            fields.append(f'opaque="{self.opaque}"')
        return "Digest " + ", ".join(fields)


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
