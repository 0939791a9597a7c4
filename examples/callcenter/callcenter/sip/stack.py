"""One SIP endpoint shared by any number of users: transactions below, calls and users above, wire and clock handed in.

Incoming responses find their transaction by branch and method; incoming requests find their transaction the same way,
else their call by Call-ID and our tag, else a user by the user part of the Request-URI.
"""

import random
from dataclasses import dataclass
from typing import Final, Protocol

from .client_transaction import (
    ClientUser,
    InviteClientTransaction,
    NonInviteClientTransaction,
    Outlet,
)
from .errors import ParseError
from .message import MAGIC_COOKIE, Address, Request, Response, parse
from .server_transaction import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    ServerState,
    ServerTransaction,
    make_response,
)
from .timers import TRANSACTION_TIMEOUT, Scheduler
from .uri import parse_uri
from .via import parse_via, take_source

ALLOW: Final = "INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE"
"""Methods that a user of this package understands."""

_ServerKey = tuple[str, str, str]
_ClientKey = tuple[str, str]


class DialogUser(Protocol):
    """A call: whoever takes requests of one dialog."""

    def on_request(self, transaction: ServerTransaction) -> None:
        """A request inside the dialog; the call answers it."""

    def on_ack(self, ack: Request) -> None:
        """The ACK of a 2xx that we sent."""


class InviteHandler(Protocol):
    """A user of the endpoint: somebody who can be called."""

    def on_invite(self, transaction: InviteServerTransaction) -> None:
        """A new call for this user. Raises: ParseError when the INVITE is unusable; the stack answers 400."""


class CancelTarget(Protocol):
    """A call that is not answered yet."""

    def on_cancel(self) -> None:
        """The caller gave up."""


@dataclass(slots=True)
class Counters:
    """What came in and was not simply served, since the start."""

    received: int = 0
    sent: int = 0
    malformed: int = 0
    repeated: int = 0
    stray: int = 0


class SipStack:
    """The endpoint.

    Args:
        local: Address that goes into Via and Contact: it must reach this endpoint from the other side.
        send: Puts a datagram on the wire.
        rng: Source of tags, branches and Call-IDs.
        user_agent: Value of the User-Agent and Server headers.
    """

    def __init__(
        self,
        *,
        local: Address,
        send: Outlet,
        scheduler: Scheduler,
        rng: random.Random,
        user_agent: str = "tandem-callcenter",
    ) -> None:
        self.local = local
        self.scheduler = scheduler
        self.rng = rng
        self.counters = Counters()
        self._outlet = send
        self._user_agent = user_agent
        self._via_host = f"{local[0]}:{local[1]}"
        self._clients: dict[_ClientKey, InviteClientTransaction | NonInviteClientTransaction] = {}
        self._servers: dict[_ServerKey, ServerTransaction] = {}
        self._pending: dict[_ServerKey, CancelTarget] = {}
        self._dialogs: dict[tuple[str, str], DialogUser] = {}
        self._users: dict[str, InviteHandler] = {}

    # -- naming ------------------------------------------------------------------------------------------------------

    def token(self) -> str:
        """A new tag, branch suffix or part of a Call-ID: 64 random bits."""
        return f"{self.rng.getrandbits(64):016x}"

    def new_call_id(self) -> str:
        """A Call-ID that nobody else makes."""
        return f"{self.rng.getrandbits(96):024x}@{self.local[0]}"

    def contact(self, user: str) -> str:
        """The Contact value of one of this endpoint's users."""
        return f"<sip:{user}@{self._via_host}>"

    # -- users and calls ---------------------------------------------------------------------------------------------

    def add_user(self, user: str, handler: InviteHandler) -> None:
        """Take calls for `user` (the user part of the Request-URI). Raises: ValueError when the name is taken."""
        if user in self._users:
            raise ValueError(f"user {user} exists already at this endpoint")
        self._users[user] = handler

    def remove_user(self, user: str) -> None:
        """Take no more calls for `user`; its calls go on."""
        self._users.pop(user, None)

    def add_dialog(self, call_id: str, local_tag: str, user: DialogUser) -> None:
        """Give requests of this dialog to `user` from now on."""
        self._dialogs[(call_id, local_tag)] = user

    def remove_dialog(self, call_id: str, local_tag: str) -> None:
        """Answer 481 to requests of this dialog from now on."""
        self._dialogs.pop((call_id, local_tag), None)

    def set_cancel_target(self, transaction: InviteServerTransaction, target: CancelTarget) -> None:
        """Tell `target` when the caller cancels this INVITE."""
        self._pending[_server_key(transaction.request)] = target

    @property
    def dialogs(self) -> int:
        """Calls in progress or being set up."""
        return len(self._dialogs)

    @property
    def transactions(self) -> int:
        """Transactions that have not been forgotten yet."""
        return len(self._clients) + len(self._servers)

    # -- sending -----------------------------------------------------------------------------------------------------

    def request(
        self, request: Request, destination: Address, user: ClientUser, *, timeout: float = TRANSACTION_TIMEOUT
    ) -> NonInviteClientTransaction:
        """Send a request other than INVITE, ACK and CANCEL; Via and User-Agent are added here."""
        self._prepare(request)
        return self._start_non_invite(request, destination, user, timeout)

    def invite(self, request: Request, destination: Address, user: ClientUser) -> InviteClientTransaction:
        """Send an INVITE; Via and User-Agent are added here."""
        self._prepare(request)
        key = (request.branch, "INVITE")
        transaction = InviteClientTransaction(
            request,
            destination,
            user,
            send=self._transmit,
            scheduler=self.scheduler,
            on_terminated=lambda: self._forget_client(key),
        )
        self._clients[key] = transaction
        transaction.start()
        return transaction

    def cancel(self, cancel: Request, destination: Address, user: ClientUser) -> NonInviteClientTransaction:
        """Send a CANCEL, which has its INVITE's Via already."""
        return self._start_non_invite(cancel, destination, user, TRANSACTION_TIMEOUT)

    def send_ack(self, ack: Request, destination: Address) -> None:
        """Send the ACK of a 2xx: outside any transaction, with a branch of its own."""
        self._prepare(ack)
        self._transmit(ack.serialize(), destination)

    def repeat(self, data: bytes, destination: Address) -> None:
        """Send a serialized 2xx once more."""
        self._transmit(data, destination)

    def _prepare(self, request: Request) -> None:
        branch = f"{MAGIC_COOKIE}{self.token()}"
        request.headers.set("via", f"SIP/2.0/UDP {self._via_host};branch={branch};rport")
        request.headers.set("user-agent", self._user_agent)

    def _start_non_invite(
        self, request: Request, destination: Address, user: ClientUser, timeout: float
    ) -> NonInviteClientTransaction:
        key = (request.branch, request.method)
        transaction = NonInviteClientTransaction(
            request,
            destination,
            user,
            send=self._transmit,
            scheduler=self.scheduler,
            on_terminated=lambda: self._forget_client(key),
            timeout=timeout,
        )
        self._clients[key] = transaction
        transaction.start()
        return transaction

    def _transmit(self, data: bytes, destination: Address) -> None:
        self.counters.sent += 1
        self._outlet(data, destination)

    def _forget_client(self, key: _ClientKey) -> None:
        self._clients.pop(key, None)

    # -- receiving ---------------------------------------------------------------------------------------------------

    def receive(self, data: bytes, source: Address) -> None:
        """Take one datagram. Never raises for what is in it: malformed ones are counted and dropped."""
        self.counters.received += 1
        if not data.strip(b"\r\n\x00"):
            return  # keep-alives (RFC 5626 section 3.5.1)
        try:
            message = parse(data)
            if isinstance(message, Response):
                self._on_response(message)
                return
            destination = take_source(message, source)
            key = _server_key(message)
        except ParseError:
            self.counters.malformed += 1
            return
        self._on_request(message, key, destination)

    def _on_response(self, response: Response) -> None:
        transaction = self._clients.get((response.branch, response.cseq.method))
        if transaction is None:
            self.counters.stray += 1
            return
        transaction.receive(response)

    def _on_request(self, request: Request, key: _ServerKey, destination: Address) -> None:
        known = self._servers.get(key)
        if request.method == "ACK":
            self._on_ack(request, known)
            return
        if known is not None:
            self.counters.repeated += 1
            known.retransmitted()
            return
        transaction = self._open_transaction(request, key, destination)
        try:
            self._dispatch(transaction, key)
        except ParseError as error:
            self.counters.malformed += 1
            if transaction.state is ServerState.PROCEEDING:
                self.refuse(transaction, 400, reason=f"Bad Request: {error}"[:120].encode("ascii", "replace").decode())

    def _on_ack(self, ack: Request, known: ServerTransaction | None) -> None:
        if isinstance(known, InviteServerTransaction) and known.state is not ServerState.ACCEPTED:
            known.acknowledged()
            return
        user = self._dialogs.get((ack.call_id, ack.to_tag or ""))
        if user is None:
            self.counters.stray += 1
        else:
            user.on_ack(ack)

    def _open_transaction(self, request: Request, key: _ServerKey, destination: Address) -> ServerTransaction:
        kind = InviteServerTransaction if request.method == "INVITE" else NonInviteServerTransaction
        transaction = kind(
            request,
            destination,
            send=self._transmit,
            scheduler=self.scheduler,
            on_terminated=lambda: self._forget_server(key),
        )
        self._servers[key] = transaction
        return transaction

    def _forget_server(self, key: _ServerKey) -> None:
        self._servers.pop(key, None)
        self._pending.pop(key, None)

    def _dispatch(self, transaction: ServerTransaction, key: _ServerKey) -> None:
        request = transaction.request
        if request.method == "CANCEL":
            self._on_cancel(transaction, key)
            return
        if request.to_tag is not None:
            user = self._dialogs.get((request.call_id, request.to_tag))
            if user is None:
                self.refuse(transaction, 481)
            else:
                user.on_request(transaction)
            return
        called = parse_uri(request.uri).user
        if request.method == "INVITE":
            handler = self._users.get(called)
            if handler is None:
                self.refuse(transaction, 404)
            elif isinstance(transaction, InviteServerTransaction):
                handler.on_invite(transaction)
        elif request.method == "OPTIONS":
            self.refuse(transaction, 404 if called and called not in self._users else 200)
        elif request.method in ("BYE", "UPDATE"):
            self.refuse(transaction, 481)
        else:
            self.refuse(transaction, 405)

    def _on_cancel(self, transaction: ServerTransaction, key: _ServerKey) -> None:
        invite_key = (key[0], key[1], "INVITE")
        if invite_key not in self._servers:
            self.refuse(transaction, 481)
            return
        self.refuse(transaction, 200)
        target = self._pending.pop(invite_key, None)
        if target is not None:
            target.on_cancel()

    def refuse(self, transaction: ServerTransaction, status: int, *, reason: str | None = None) -> None:
        """Answer without a dialog: a refusal, or the plain 200 of OPTIONS and CANCEL."""
        response = make_response(transaction.request, status, to_tag=self.token(), reason=reason)
        response.headers.set("allow", ALLOW)
        response.headers.set("server", self._user_agent)
        transaction.respond(response)


def _server_key(request: Request) -> _ServerKey:
    via = parse_via(request.headers.items_of("via")[0])
    branch = via.branch
    if not branch.startswith(MAGIC_COOKIE):
        # Senders of RFC 2543 days do not make branches unique.
        branch = f"{branch}/{request.call_id}/{request.from_tag}/{request.cseq.number}"
    return (branch, f"{via.host}:{via.port}", "INVITE" if request.method == "ACK" else request.method)
