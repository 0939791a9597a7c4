"""Client transactions over UDP (RFC 3261 section 17.1, RFC 6026): repeat a request until it is answered.

One timer runs at a time: it is set to the earlier of the next retransmission and the transaction's end, which halves
the timers a thousand phones need.
"""

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from .message import Address, Headers, Request, Response
from .timers import T1, T2, T4, TIMER_D, TRANSACTION_TIMEOUT, Scheduler, Timer

Outlet = Callable[[bytes, Address], None]
"""Puts one datagram onto the wire; never raises, loss is part of UDP."""


class ClientUser(Protocol):
    """Whoever sent the request."""

    def on_response(self, response: Response) -> None:
        """A provisional or final response; for INVITE also every retransmitted 2xx."""

    def on_timeout(self) -> None:
        """No final response came (INVITE: no response at all) within the transaction's time."""


class ClientState(Enum):
    """States of figures 5 and 6, with RFC 6026's ACCEPTED."""

    CALLING = auto()
    PROCEEDING = auto()
    COMPLETED = auto()
    ACCEPTED = auto()
    TERMINATED = auto()


class ClientTransaction:
    """What the INVITE and the non-INVITE transaction have in common: one request, one destination, one timer."""

    def __init__(
        self,
        request: Request,
        destination: Address,
        user: ClientUser,
        *,
        send: Outlet,
        scheduler: Scheduler,
        on_terminated: Callable[[], None],
        timeout: float = TRANSACTION_TIMEOUT,
    ) -> None:
        self.request = request
        self.destination = destination
        self.state = ClientState.CALLING
        self._user = user
        self._send = send
        self._scheduler = scheduler
        self._on_terminated = on_terminated
        self._wire = request.serialize()
        self._interval = T1
        self._deadline = scheduler.time() + timeout
        self._timer: Timer | None = None

    def start(self) -> None:
        """Send the request for the first time."""
        self._send(self._wire, self.destination)
        self._arm(min(self._interval, self._deadline - self._scheduler.time()))

    def abandon(self) -> None:
        """Forget the transaction without telling its user."""
        self._terminate()

    def _arm(self, delay: float) -> None:
        self._disarm()
        self._timer = self._scheduler.call_later(delay, self._on_timer)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _on_timer(self) -> None:
        raise NotImplementedError

    def _retransmit_or_time_out(self, next_interval: float, *, quiet: bool = False) -> None:
        left = self._deadline - self._scheduler.time()
        if left <= 1e-6:
            self._terminate()
            self._user.on_timeout()
            return
        if not quiet:
            self._send(self._wire, self.destination)
        self._interval = next_interval
        self._arm(min(next_interval, left))

    def _terminate(self) -> None:
        self._disarm()
        if self.state is not ClientState.TERMINATED:
            self.state = ClientState.TERMINATED
            self._on_terminated()


class NonInviteClientTransaction(ClientTransaction):
    """Figure 6: timers E, F and K."""

    def receive(self, response: Response) -> None:
        """Take a response that was matched to this transaction."""
        if self.state not in (ClientState.CALLING, ClientState.PROCEEDING):
            return
        if response.status < 200:
            self.state = ClientState.PROCEEDING
            self._user.on_response(response)
            return
        self.state = ClientState.COMPLETED
        self._arm(T4)
        self._user.on_response(response)

    def _on_timer(self) -> None:
        if self.state is ClientState.COMPLETED:
            self._terminate()
            return
        in_proceeding = self.state is ClientState.PROCEEDING
        self._retransmit_or_time_out(T2 if in_proceeding else min(self._interval * 2, T2))


class InviteClientTransaction(ClientTransaction):
    """Figure 5 with RFC 6026: timers A, B, D and M. It acknowledges failures itself; a 2xx is left to its user."""

    def __init__(
        self,
        request: Request,
        destination: Address,
        user: ClientUser,
        *,
        send: Outlet,
        scheduler: Scheduler,
        on_terminated: Callable[[], None],
        timeout: float = TRANSACTION_TIMEOUT,
    ) -> None:
        super().__init__(
            request,
            destination,
            user,
            send=send,
            scheduler=scheduler,
            on_terminated=on_terminated,
            timeout=timeout,
        )
        self._ack: bytes | None = None
        self._quiet = False

    def stop_retransmitting(self) -> None:
        """Send the INVITE no more, but stay until timer B: an answer under way still has to be dealt with."""
        if self.state is ClientState.CALLING:
            self._quiet = True

    def ask_again(self) -> None:
        """Send the INVITE once more although somebody has answered provisionally.

        A server that knows it repeats its latest answer (RFC 3261 section 17.2.1); one that was restarted and has
        forgotten it takes it as new. RFC 3261's client would wait for ever in the second case.
        """
        if self.state is ClientState.PROCEEDING:
            self._send(self._wire, self.destination)

    def receive(self, response: Response) -> None:
        """Take a response that was matched to this transaction."""
        if self.state in (ClientState.CALLING, ClientState.PROCEEDING):
            if response.status < 200:
                # From here on the call may wait as long as its user likes: timer B is over.
                self.state = ClientState.PROCEEDING
                self._disarm()
            elif response.status < 300:
                self.state = ClientState.ACCEPTED
                self._arm(TRANSACTION_TIMEOUT)
            else:
                self.state = ClientState.COMPLETED
                self._ack = make_failure_ack(self.request, response).serialize()
                self._send(self._ack, self.destination)
                self._arm(TIMER_D)
            self._user.on_response(response)
        elif self.state is ClientState.COMPLETED:
            if response.status >= 300 and self._ack is not None:
                self._send(self._ack, self.destination)
        elif self.state is ClientState.ACCEPTED and 200 <= response.status < 300:
            self._user.on_response(response)

    def _on_timer(self) -> None:
        if self.state is ClientState.CALLING:
            self._retransmit_or_time_out(self._interval * 2, quiet=self._quiet)
        else:
            self._terminate()


def make_failure_ack(invite: Request, response: Response) -> Request:
    """The ACK for a non-2xx final response: same branch, same CSeq number (RFC 3261 section 17.1.1.3)."""
    headers = Headers()
    headers.set("via", invite.headers.require("via"))
    headers.extend("route", invite.headers.lines("route"))
    headers.set("max-forwards", "70")
    headers.set("from", invite.headers.require("from"))
    headers.set("to", response.headers.require("to"))
    headers.set("call-id", invite.call_id)
    headers.set("cseq", f"{invite.cseq.number} ACK")
    return Request(headers, b"", "ACK", invite.uri)


def make_cancel(invite: Request) -> Request:
    """The CANCEL for a pending INVITE: same branch, same CSeq number (RFC 3261 section 9.1)."""
    headers = Headers()
    headers.set("via", invite.headers.require("via"))
    headers.extend("route", invite.headers.lines("route"))
    headers.set("max-forwards", "70")
    headers.set("from", invite.headers.require("from"))
    headers.set("to", invite.headers.require("to"))
    headers.set("call-id", invite.call_id)
    headers.set("cseq", f"{invite.cseq.number} CANCEL")
    return Request(headers, b"", "CANCEL", invite.uri)
