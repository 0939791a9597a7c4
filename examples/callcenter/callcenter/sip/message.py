"""SIP messages: parsed and serialized by hand, because a process plays a thousand phones on half a core.

Header names are kept in lower case and in their long form; values of one name keep their order, which is all that
RFC 3261 section 7.3.1 asks for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from .errors import ParseError

Address = tuple[str, int]
"""An IPv4 address and a UDP port."""

MAX_DATAGRAM: Final = 65_535
"""Bytes; more cannot come in one UDP datagram."""

SIP_VERSION: Final = "SIP/2.0"

MAGIC_COOKIE: Final = "z9hG4bK"
"""Start of every branch that is unique by itself (RFC 3261 section 8.1.1.7)."""

_COMPACT: Final = {
    "b": "referred-by",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}
"""Compact header names (RFC 3261 section 7.3.3 and the registry)."""

_WIRE_NAMES: dict[str, str] = {"call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate"}
"""Names whose usual spelling is not capitalized words; the others are added as they are first written."""

_MANDATORY: Final = ("via", "from", "to", "call-id", "cseq")

REASONS: Final = {
    100: "Trying",
    180: "Ringing",
    182: "Queued",
    200: "OK",
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist",
    482: "Loop Detected",
    486: "Busy Here",
    487: "Request Terminated",
    488: "Not Acceptable Here",
    500: "Server Internal Error",
    501: "Not Implemented",
    503: "Service Unavailable",
    603: "Decline",
}
"""Reason phrases of the statuses that this package or its tests send."""


class Headers:
    """The headers of one message. Names passed in are lower case and long, e.g. `call-id`."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, list[str]] | None = None) -> None:
        self._values: dict[str, list[str]] = {} if values is None else values

    def get(self, name: str) -> str | None:
        """The first value of `name`, or None."""
        values = self._values.get(name)
        return values[0] if values else None

    def require(self, name: str) -> str:
        """The first value of `name`. Raises: ParseError when the message has none."""
        values = self._values.get(name)
        if not values:
            raise ParseError(f"no {name} header")
        return values[0]

    def lines(self, name: str) -> list[str]:
        """Every header line of `name`, as received."""
        return list(self._values.get(name, ()))

    def items_of(self, name: str) -> list[str]:
        """Every element of a list header (Via, Route, Contact ...): lines and commas are equal there."""
        return [item for line in self._values.get(name, ()) for item in split_list(line)]

    def set(self, name: str, value: str) -> None:
        """Make `value` the only one of `name`."""
        self._values[name] = [value]

    def add(self, name: str, value: str) -> None:
        """Append one header line."""
        self._values.setdefault(name, []).append(value)

    def extend(self, name: str, values: list[str]) -> None:
        """Append header lines in order; nothing when there are none."""
        if values:
            self._values.setdefault(name, []).extend(values)

    def remove(self, name: str) -> None:
        """Drop every value of `name`."""
        self._values.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return bool(self._values.get(name))

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for name, values in self._values.items():
            for value in values:
                yield name, value

    def copy(self) -> "Headers":
        """An independent copy."""
        return Headers({name: list(values) for name, values in self._values.items()})


@dataclass(slots=True, frozen=True)
class CSeq:
    """Sequence number and method of the request that a message belongs to."""

    number: int
    method: str


@dataclass(slots=True)
class Message:
    """What requests and responses have in common."""

    headers: Headers = field(default_factory=Headers)
    body: bytes = b""

    @property
    def call_id(self) -> str:
        """Raises: ParseError when there is none (a parsed message always has one)."""
        return self.headers.require("call-id")

    @property
    def cseq(self) -> CSeq:
        """Raises: ParseError when it is missing or malformed (a parsed message's is neither)."""
        return parse_cseq(self.headers.require("cseq"))

    @property
    def branch(self) -> str:
        """The branch of the topmost Via, or an empty string (RFC 2543 senders)."""
        # Several Vias may share a line; branches hold no commas.
        return parameter(self.headers.require("via").partition(",")[0], "branch") or ""

    @property
    def from_tag(self) -> str | None:
        """The tag of From."""
        return parameter(self.headers.require("from"), "tag")

    @property
    def to_tag(self) -> str | None:
        """The tag of To: there is one as soon as a dialog or a final answer exists."""
        return parameter(self.headers.require("to"), "tag")

    def _serialize(self, start_line: str) -> bytes:
        lines = [start_line]
        names = _WIRE_NAMES
        for name, value in self.headers:
            if name == "content-length":
                continue
            wire = names.get(name)
            if wire is None:
                wire = names[name] = "-".join(part.capitalize() for part in name.split("-"))
            lines.append(f"{wire}: {value}")
        lines.append(f"Content-Length: {len(self.body)}\r\n\r\n")
        return "\r\n".join(lines).encode("utf-8", "surrogateescape") + self.body


@dataclass(slots=True)
class Request(Message):
    """A SIP request. `uri` is the Request-URI as text."""

    method: str = ""
    uri: str = ""

    def serialize(self) -> bytes:
        """The request as it goes onto the wire."""
        return self._serialize(f"{self.method} {self.uri} {SIP_VERSION}")


@dataclass(slots=True)
class Response(Message):
    """A SIP response."""

    status: int = 0
    reason: str = ""

    def serialize(self) -> bytes:
        """The response as it goes onto the wire."""
        return self._serialize(f"{SIP_VERSION} {self.status} {self.reason}")


def parse(data: bytes) -> Request | Response:
    """Parse one datagram.

    Returns: A request or response that has Via, From, To, Call-ID and CSeq, a CSeq method that fits the request's, and
        a body cut to Content-Length.
    Raises: ParseError for everything else.
    """
    head, separator, body = data.partition(b"\r\n\r\n")
    if not separator:
        head, separator, body = data.partition(b"\n\n")
        if not separator:
            raise ParseError("no empty line after the headers")
    text = head.decode("utf-8", "surrogateescape")
    lines = text.replace("\r\n", "\n").split("\n")
    start_line = lines[0]
    headers = Headers(_parse_header_lines(lines))
    for name in _MANDATORY:
        headers.require(name)
    body = _cut_body(headers, body)
    if start_line.startswith(SIP_VERSION + " "):
        status, _, reason = start_line[len(SIP_VERSION) + 1 :].partition(" ")
        if len(status) != 3 or not (status.isascii() and status.isdigit()) or status[0] not in "123456":
            raise ParseError(f"malformed status line {start_line[:80]!r}")
        parse_cseq(headers.require("cseq"))
        return Response(headers, body, int(status), reason)
    parts = start_line.split(" ")
    if len(parts) != 3 or parts[2] != SIP_VERSION or not _is_token(parts[0]) or not parts[1]:
        raise ParseError(f"malformed request line {start_line[:80]!r}")
    method, uri, _ = parts
    if parse_cseq(headers.require("cseq")).method != method:
        raise ParseError("the CSeq method is not the request's")
    return Request(headers, body, method, uri)


def _parse_header_lines(lines: list[str]) -> dict[str, list[str]]:
    values: dict[str, list[str]] = {}
    last: list[str] | None = None
    for line in lines[1:]:
        if line[:1] in (" ", "\t"):
            if last is None:
                raise ParseError("a continuation without a header")
            last[-1] = f"{last[-1]} {line.strip()}"
            continue
        name, colon, value = line.partition(":")
        if not colon:
            raise ParseError(f"header line without a colon: {line[:80]!r}")
        name = name.strip().lower()
        if not _is_token(name):
            raise ParseError(f"malformed header name {name[:80]!r}")
        name = _COMPACT.get(name, name)
        last = values.setdefault(name, [])
        last.append(value.strip())
    return values


def _cut_body(headers: Headers, body: bytes) -> bytes:
    declared = headers.get("content-length")
    if declared is None:
        return body
    if not (declared.isascii() and declared.isdigit()) or len(declared) > 9:
        raise ParseError(f"malformed Content-Length {declared[:80]!r}")
    length = int(declared)
    if length > len(body):
        raise ParseError(f"body of {len(body)} bytes, {length} declared")
    return body[:length]


_TOKEN_EXTRA: Final = str.maketrans("", "", "-.!%*_+`'~")


def _is_token(text: str) -> bool:
    if text.isascii() and text.isalnum():
        return True
    rest = text.translate(_TOKEN_EXTRA)
    return bool(text) and text.isascii() and (not rest or rest.isalnum())


def parse_cseq(value: str) -> CSeq:
    """Parse `4711 INVITE`. Raises: ParseError."""
    parts = value.split()
    if len(parts) != 2 or not (parts[0].isascii() and parts[0].isdigit()) or not _is_token(parts[1]):
        raise ParseError(f"malformed CSeq {value[:80]!r}")
    number = int(parts[0]) if len(parts[0]) <= 10 else 2**32
    if number >= 2**32:
        raise ParseError(f"CSeq out of range: {value[:80]!r}")
    return CSeq(number, parts[1])


def split_list(value: str) -> list[str]:
    """Split a header value at commas that are neither quoted nor inside angle brackets."""
    if "," not in value:
        stripped = value.strip()
        return [stripped] if stripped else []
    items: list[str] = []
    start = 0
    quoted = escaped = bracketed = False
    for position, char in enumerate(value):
        if escaped:
            escaped = False
        elif quoted:
            escaped = char == "\\"
            quoted = char != '"'
        elif char == '"':
            quoted = True
        elif char == "<":
            bracketed = True
        elif char == ">":
            bracketed = False
        elif char == "," and not bracketed:
            items.append(value[start:position].strip())
            start = position + 1
    items.append(value[start:].strip())
    return [item for item in items if item]


def parameter(value: str, name: str) -> str | None:
    """The header parameter `name` of a Via, From, To or Contact value; an empty string for one without a value.

    Parameters inside the angle brackets belong to the URI and are not looked at.
    """
    end = value.rfind(">")
    rest = value[end + 1 :] if end >= 0 else value
    for part in rest.split(";")[1:]:
        key, _, content = part.partition("=")
        if key.strip().lower() == name:
            return content.strip().strip('"')
    return None
