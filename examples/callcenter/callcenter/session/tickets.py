"""Tickets: the releasing CTI's signed word that one client instance may sign in at the other city.

A ticket is `base64url(json).base64url(hmac-sha256)`, signed with the secret that the CTIs of one system share. It is
bound to account and client instance, valid once, and expires; the CTI that takes it remembers it until then.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Any, Final, get_args

from callcenter.session.delay import Kept
from callcenter.session.errors import TicketError
from callcenter.session.messages import CarriedState

TICKET_LIFE: Final = 60.0
"""Seconds a ticket can be used. Past it the client asks its old city again and gets a new one."""

CLOCK_SKEW: Final = 5.0
"""Seconds by which the wall clocks of two cities may differ without making a ticket useless."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the releasing CTI says. `issued_at` and `expires_at` are CLOCK_REALTIME seconds."""

    account: str
    instance: str
    group: str
    bucket: int
    from_: str
    to: str
    revision: int
    issued_at: float
    expires_at: float
    id: str
    state: CarriedState
    kept: Kept | None = None
    """What the release waited for; admits nobody and refuses nobody, and an older CTI does not write it."""


_TYPES: Final[dict[str, type | tuple[type, ...]]] = {
    "account": str,
    "instance": str,
    "group": str,
    "bucket": int,
    "from": str,
    "to": str,
    "revision": int,
    "issued_at": (int, float),
    "expires_at": (int, float),
    "id": str,
    "state": str,
}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _mac(payload: bytes, secret: bytes) -> bytes:
    return hmac.digest(secret, payload, hashlib.sha256)


def sign(ticket: Ticket, secret: bytes) -> str:
    """Write a ticket as the text that travels through the client."""
    body: dict[str, Any] = {name: getattr(ticket, "from_" if name == "from" else name) for name in _TYPES}
    if ticket.kept is not None:
        body["kept"] = asdict(ticket.kept)
    payload = json.dumps(body, separators=(",", ":")).encode()
    return f"{_b64(payload)}.{_b64(_mac(payload, secret))}"


def verify(text: str, secret: bytes) -> Ticket:
    """Read a ticket and check that it was signed with `secret`.

    Says nothing about expiry, owner or earlier use: `TicketBook.take` does.
    Raises: TicketError (TicketForged).
    """
    payload_text, dot, mac_text = text.partition(".")
    try:
        payload, mac = _unb64(payload_text), _unb64(mac_text)
    except (binascii.Error, ValueError) as e:
        raise TicketError("TicketForged", "the ticket is not base64url.base64url") from e
    if not dot or not hmac.compare_digest(mac, _mac(payload, secret)):
        raise TicketError(
            "TicketForged", "the ticket's signature does not match: is TANDEM_TICKET_SECRET the same in both cities?"
        )
    return _read(payload)


def _read(payload: bytes) -> Ticket:
    try:
        body: Any = json.loads(payload)
    except ValueError as e:
        raise TicketError("TicketForged", "the ticket holds no JSON") from e
    if not isinstance(body, dict):
        raise TicketError("TicketForged", "the ticket holds no JSON object")
    for name, kind in _TYPES.items():
        if not isinstance(body.get(name), kind) or isinstance(body[name], bool):
            raise TicketError("TicketForged", f"the ticket's {name} is missing or of the wrong type")
    if body["state"] not in get_args(CarriedState):
        raise TicketError("TicketForged", f"the ticket's state is {body['state']!r}")
    values = {("from_" if name == "from" else name): body[name] for name in _TYPES}
    return Ticket(**values, kept=_read_kept(body.get("kept")))


def _read_kept(found: Any) -> Kept | None:
    """What the release waited for; None where it is not said as this version says it."""
    names = ("call", "wrapup", "turn")
    if not isinstance(found, dict) or not all(type(found.get(name)) in (int, float) for name in names):
        return None
    return Kept(*(float(found[name]) for name in names))


class TicketBook:
    """The tickets that one CTI has taken, kept until they expire: a ticket admits once."""

    def __init__(self) -> None:
        self._used: dict[str, float] = {}

    def check(self, ticket: Ticket, *, account: str, instance: str, site: str, wall: float) -> None:
        """Raise TicketError unless `ticket` would admit this client instance at `site` now (`wall`: CLOCK_REALTIME)."""
        if ticket.account != account or ticket.instance != instance:
            raise TicketError("TicketForAnother", f"the ticket was made for another client than {account}/{instance}")
        if ticket.to != site:
            raise TicketError("TicketForAnother", f"the ticket is for {ticket.to}, this is {site}")
        if wall > ticket.expires_at + CLOCK_SKEW:
            raise TicketError("TicketExpired", f"the ticket expired {wall - ticket.expires_at:.0f} s ago")
        if ticket.id in self._used:
            raise TicketError("TicketUsed", "the ticket was used before")

    def use(self, ticket: Ticket, wall: float) -> None:
        """Remember that `ticket` has admitted somebody."""
        self._used[ticket.id] = ticket.expires_at + CLOCK_SKEW
        # Tickets arrive roughly in the order of their expiry, so the old ones stand in front.
        for used, expires in list(self._used.items())[:8]:
            if expires < wall:
                del self._used[used]
