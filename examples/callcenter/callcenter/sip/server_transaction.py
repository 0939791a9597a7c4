"""Server transactions over UDP (RFC 3261 section 17.2, RFC 6026): answer once, repeat when asked."""

from collections.abc import Callable
from enum import Enum, auto

from .client_transaction import Outlet
from .errors import StateError
from .message import REASONS, Address, Headers, Request, Response
from .timers import T1, T2, T4, TRANSACTION_TIMEOUT, Scheduler, Timer


class ServerState(Enum):
    """States of figures 7 and 8, with RFC 6026's ACCEPTED."""

    PROCEEDING = auto()
    COMPLETED = auto()
    ACCEPTED = auto()
    CONFIRMED = auto()
    TERMINATED = auto()


class ServerTransaction:
    """One request that came in, and the answers given to it."""

    def __init__(
        self,
        request: Request,
        destination: Address,
        *,
        send: Outlet,
        scheduler: Scheduler,
        on_terminated: Callable[[], None],
    ) -> None:
        self.request = request
        self.destination = destination
        self.state = ServerState.PROCEEDING
        self._send = send
        self._scheduler = scheduler
        self._on_terminated = on_terminated
        self._timer: Timer | None = None
        self._last: bytes | None = None

    def respond(self, response: Response) -> None:
        """Send a provisional or the one final response. Raises: StateError after a final one."""
        raise NotImplementedError

    def retransmitted(self) -> None:
        """The same request came again."""
        if self._last is not None and self.state in (ServerState.PROCEEDING, ServerState.COMPLETED):
            self._send(self._last, self.destination)

    def _transmit(self, response: Response) -> None:
        self._last = response.serialize()
        self._send(self._last, self.destination)

    def _arm(self, delay: float, callback: Callable[[], None]) -> None:
        self._disarm()
        self._timer = self._scheduler.call_later(delay, callback)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _terminate(self) -> None:
        self._disarm()
        if self.state is not ServerState.TERMINATED:
            self.state = ServerState.TERMINATED
            self._on_terminated()


class NonInviteServerTransaction(ServerTransaction):
    """Figure 8: timer J."""

    def respond(self, response: Response) -> None:
        if self.state is not ServerState.PROCEEDING:
            raise StateError(f"a second final response to {self.request.method}")
        self._transmit(response)
        if response.status >= 200:
            self.state = ServerState.COMPLETED
            self._arm(TRANSACTION_TIMEOUT, self._terminate)


class InviteServerTransaction(ServerTransaction):
    """Figure 7 with RFC 6026: timers G, H, I and L. Repeating a 2xx until its ACK is the dialog's work."""

    def __init__(
        self,
        request: Request,
        destination: Address,
        *,
        send: Outlet,
        scheduler: Scheduler,
        on_terminated: Callable[[], None],
    ) -> None:
        super().__init__(request, destination, send=send, scheduler=scheduler, on_terminated=on_terminated)
        self._interval = T1
        self._deadline = 0.0

    def respond(self, response: Response) -> None:
        if self.state is not ServerState.PROCEEDING:
            raise StateError("a second final response to INVITE")
        self._transmit(response)
        if response.status < 200:
            return
        if response.status < 300:
            self.state = ServerState.ACCEPTED
            self._arm(TRANSACTION_TIMEOUT, self._terminate)
            return
        self.state = ServerState.COMPLETED
        self._deadline = self._scheduler.time() + TRANSACTION_TIMEOUT
        self._arm(self._interval, self._repeat_failure)

    def acknowledged(self) -> None:
        """The ACK of a non-2xx final response came."""
        if self.state is ServerState.COMPLETED:
            self.state = ServerState.CONFIRMED
            self._arm(T4, self._terminate)

    def _repeat_failure(self) -> None:
        left = self._deadline - self._scheduler.time()
        if left <= 1e-6 or self._last is None:
            self._terminate()
            return
        self._send(self._last, self.destination)
        self._interval = min(self._interval * 2, T2)
        self._arm(min(self._interval, left), self._repeat_failure)


def make_response(request: Request, status: int, *, to_tag: str | None = None, reason: str | None = None) -> Response:
    """A response to `request` with the headers that RFC 3261 section 8.2.6 copies.

    Args:
        to_tag: Added to To unless the request's To has one already; leave it out only for 100.
    """
    headers = Headers()
    headers.extend("via", request.headers.lines("via"))
    headers.set("from", request.headers.require("from"))
    to = request.headers.require("to")
    if to_tag is not None and request.to_tag is None:
        to = f"{to};tag={to_tag}"
    headers.set("to", to)
    headers.set("call-id", request.call_id)
    headers.set("cseq", request.headers.require("cseq"))
    return Response(headers, b"", status, reason or REASONS.get(status, "Unknown"))
