"""Tickets: the releasing CTI's signed word that one client instance may sign in at the other city.

A ticket is `base64url(json).base64url(hmac-sha256)`, signed with the secret that the CTIs of one system share. It is
bound to account and client instance, to one city and to the order under which it was written, and valid once.

No two clocks have to agree for it. The CTI that takes it asks whether its order still stands (`SessionServer._decide`
compares revisions); how old it is, only the client that holds it can tell, by the clock that ran since it came.
"""

import base64
import binascii
import hashlib
import hmac
import json
from dataclasses import asdict, dataclass
from typing import Any, Final, get_args

from callcenter.compact import to_json
from callcenter.session.delay import Kept
from callcenter.session.errors import TicketError
from callcenter.session.messages import CarriedState

TICKET_LIFE: Final = 60.0
"""Seconds for which a client shows a ticket, by its own clock. Past it, it asks its old city again and gets a new one.

A city that missed an abort would take the ticket of a device that slept meanwhile, while the agent works on another
device at the old city.
"""

MOST_OF_ONE: Final = 16
"""Used tickets that are remembered of one agent at most. Under one order an agent seldom uses more than one: who has
been let in needs no other to come in again."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """What the releasing CTI says. `issued_at` and `expires_at` are CLOCK_REALTIME seconds.

    Nobody goes by these two any more: cities' clocks may be hours apart. An older CTI reads them.
    """

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
    payload = to_json(body).encode()
    return f"{_b64(payload)}.{_b64(_mac(payload, secret))}"


def verify(text: str, secret: bytes) -> Ticket:
    """Read a ticket and check that it was signed with `secret`.

    Says nothing about owner or earlier use: `TicketBook.check` does.
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
    """The tickets that one CTI has taken: each admits once.

    One is remembered until the order is known to be another than that under which it was taken; the revision refuses it
    from then on. A process that has just started remembers none, and need not (docs/session-protocol.md, Tickets).
    """

    def __init__(self) -> None:
        self._used: dict[str, tuple[tuple[int, str], ...]] = {}
        """By account: revision and ID of each, in order of use."""

    def check(self, ticket: Ticket, *, account: str, instance: str, site: str) -> None:
        """Raise TicketError unless `ticket` would admit this client instance at `site`, if its order stands."""
        if ticket.account != account or ticket.instance != instance:
            raise TicketError("TicketForAnother", f"the ticket was made for another client than {account}/{instance}")
        if ticket.to != site:
            raise TicketError("TicketForAnother", f"the ticket is for {ticket.to}, this is {site}")
        if (ticket.revision, ticket.id) in self._used.get(account, ()):
            raise TicketError("TicketUsed", "the ticket was used before")

    def use(self, ticket: Ticket, since: int) -> None:
        """Remember that `ticket` has admitted somebody. `since`: the revision from which on tickets may do so now."""
        standing = [used for used in self._used.get(ticket.account, ()) if used[0] >= since]
        self._used[ticket.account] = (*standing[1 - MOST_OF_ONE :], (ticket.revision, ticket.id))
