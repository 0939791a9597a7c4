"""The Via header: where responses to a request go (RFC 3261 section 18.2, RFC 3581)."""

from dataclasses import dataclass

from .errors import ParseError
from .message import Address, Request, parameter
from .uri import DEFAULT_PORT


@dataclass(slots=True, frozen=True)
class Via:
    """The parts of one Via value that we need."""

    host: str
    port: int
    branch: str
    rport: bool


def parse_via(value: str) -> Via:
    """Parse one Via element. Raises: ParseError."""
    head = value.partition(";")[0].split()
    if len(head) != 2 or not head[0].upper().startswith("SIP/2.0/"):
        raise ParseError(f"malformed Via {value[:80]!r}")
    host, colon, port_text = head[1].partition(":")
    port = DEFAULT_PORT
    if colon:
        if not (port_text.isascii() and port_text.isdigit()) or not 0 < int(port_text[:6]) < 65536:
            raise ParseError(f"malformed port in Via {value[:80]!r}")
        port = int(port_text)
    if not host:
        raise ParseError(f"malformed Via {value[:80]!r}")
    return Via(host, port, parameter(value, "branch") or "", parameter(value, "rport") is not None)


def take_source(request: Request, source: Address) -> Address:
    """Note in the topmost Via where a request came from.

    Returns: Where its responses go: to the source address, and to the source port when the sender asked for it by
        `rport`, else to the port that it named.
    Raises: ParseError when the topmost Via is malformed.
    """
    elements = request.headers.items_of("via")
    if not elements:
        raise ParseError("an empty Via")
    top = elements[0]
    via = parse_via(top)
    kept = [part for part in top.split(";") if part.partition("=")[0].strip().lower() not in ("rport", "received")]
    if via.rport:
        kept.append(f"rport={source[1]}")
    if via.rport or via.host != source[0]:
        kept.append(f"received={source[0]}")
    request.headers.remove("via")
    request.headers.extend("via", [";".join(kept), *elements[1:]])
    return (source[0], source[1] if via.rport else via.port)
