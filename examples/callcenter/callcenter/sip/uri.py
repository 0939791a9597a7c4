"""SIP URIs and the headers that carry them (From, To, Contact, Route)."""

from dataclasses import dataclass, field
from typing import Final

from .errors import ParseError
from .message import Address

DEFAULT_PORT: Final = 5060
"""UDP port of a SIP URI that names none (RFC 3261 section 19.1.2)."""


@dataclass(slots=True, frozen=True)
class SipUri:
    """`sip:user@host:port;parameters`. Hosts are IPv4 addresses here: nothing in this package resolves names."""

    user: str
    host: str
    port: int | None = None
    parameters: tuple[tuple[str, str], ...] = ()

    @property
    def address(self) -> Address:
        """Where a request to this URI is sent."""
        return (self.host, self.port or DEFAULT_PORT)

    def has(self, parameter: str) -> bool:
        """Whether the URI has this parameter, e.g. `lr`."""
        return any(name == parameter for name, _ in self.parameters)

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port is not None else ""
        tail = "".join(f";{name}={value}" if value else f";{name}" for name, value in self.parameters)
        return f"sip:{user}{self.host}{port}{tail}"


@dataclass(slots=True, frozen=True)
class NameAddr:
    """`"Display" <uri>;parameters`."""

    uri: str
    display: str = ""
    parameters: dict[str, str] = field(default_factory=dict)


def parse_uri(text: str) -> SipUri:
    """Parse a `sip:` URI; headers after `?` are dropped. Raises: ParseError."""
    scheme, colon, rest = text.strip().partition(":")
    if not colon or scheme.lower() != "sip":
        raise ParseError(f"not a sip URI: {text[:80]!r}")
    rest = rest.partition("?")[0]
    # The user part may hold a semicolon, so it is cut off before parameters are looked for.
    user, at, rest = rest.rpartition("@") if "@" in rest else ("", "", rest)
    host_port, *parameter_texts = rest.split(";")
    host, colon, port_text = host_port.partition(":")
    port: int | None = None
    if colon:
        if not (port_text.isascii() and port_text.isdigit()) or not 0 < int(port_text[:6]) < 65536:
            raise ParseError(f"malformed port in {text[:80]!r}")
        port = int(port_text)
    if not host or any(char.isspace() or char in '<>",' for char in host + user) or (at and not user):
        raise ParseError(f"malformed sip URI {text[:80]!r}")
    parameters = []
    for parameter_text in parameter_texts:
        name, _, value = parameter_text.partition("=")
        if name:
            parameters.append((name.lower(), value))
    return SipUri(user.partition(":")[0], host, port, tuple(parameters))


def parse_name_addr(value: str) -> NameAddr:
    """Parse the value of From, To, Contact, Route or Record-Route (one element). Raises: ParseError."""
    value = value.strip()
    if value == "*":
        return NameAddr("*")
    display = ""
    if value.startswith('"'):
        end = _end_of_quoted(value)
        display = value[1:end].replace('\\"', '"').replace("\\\\", "\\")
        value = value[end + 1 :].lstrip()
    start = value.find("<")
    if start >= 0:
        end = value.find(">", start)
        if end < 0:
            raise ParseError(f"unclosed angle bracket in {value[:80]!r}")
        display = display or value[:start].strip()
        uri, rest = value[start + 1 : end], value[end + 1 :]
    else:
        # Without brackets every parameter is the header's (RFC 3261 section 20.10).
        uri, _, rest = value.partition(";")
        rest = ";" + rest
    uri = uri.strip()
    if not uri:
        raise ParseError("an address without a URI")
    parameters: dict[str, str] = {}
    for part in rest.split(";")[1:]:
        name, _, content = part.partition("=")
        if name.strip():
            parameters[name.strip().lower()] = content.strip().strip('"')
    return NameAddr(uri, display, parameters)


def _end_of_quoted(value: str) -> int:
    position = 1
    while position < len(value):
        if value[position] == "\\":
            position += 2
            continue
        if value[position] == '"':
            return position
        position += 1
    raise ParseError(f"unclosed quotation mark in {value[:80]!r}")
