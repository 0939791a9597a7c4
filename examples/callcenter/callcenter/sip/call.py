"""Calls: one INVITE dialog from its first message to its last, seen from the caller's or the called side.

A call tells its listener what happens and never calls back after `on_ended`. Late answers to a cancelled call are
acknowledged and hung up here, so that no listener has to think of them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Protocol

from .client_transaction import InviteClientTransaction, make_cancel
from .dialog import Dialog
from .errors import ParseError, StateError
from .message import Address, Headers, Request, Response
from .server_transaction import InviteServerTransaction, ServerTransaction, make_response
from .stack import ALLOW, SipStack
from .timers import T1, T2, TRANSACTION_TIMEOUT, Timer


class CallState(Enum):
    """Where a call is. EARLY: a provisional response was seen or sent."""

    CALLING = auto()
    EARLY = auto()
    CANCELLING = auto()
    TALKING = auto()
    ENDING = auto()
    ENDED = auto()


class EndKind(Enum):
    """How a call ended."""

    REFUSED = auto()
    """A final failure to the INVITE, ours or theirs."""
    TIMEOUT = auto()
    """Nobody answered the INVITE at all."""
    CANCELLED = auto()
    """The caller gave up before the answer."""
    LOCAL_BYE = auto()
    """We hung up, and the other side agreed."""
    REMOTE_BYE = auto()
    """The other side hung up."""
    FAILED = auto()
    """The dialog broke: no ACK, or a request inside it was refused or not answered."""


@dataclass(slots=True, frozen=True)
class CallEnd:
    """The end of a call. `reason` and `user_agent` are headers of the message that ended it, where there was one."""

    kind: EndKind
    code: int = 0
    reason: str | None = None
    user_agent: str | None = None


class CallListener(Protocol):
    """Whoever made or took a call."""

    def on_progress(self, call: "Call", response: Response) -> None:
        """Outgoing only: a provisional response."""

    def on_answered(self, call: "Call", message: Response | Request) -> None:
        """Outgoing: the 2xx, acknowledged already. Incoming: the ACK of our 2xx."""

    def on_ended(self, call: "Call", end: CallEnd) -> None:
        """The last word."""


class Call:
    """What both directions share: in-dialog requests, BYE, repeated 2xx."""

    def __init__(self, stack: SipStack, listener: CallListener, call_id: str, local_tag: str, user: str) -> None:
        self.state = CallState.CALLING
        self.call_id = call_id
        self.local_tag = local_tag
        self.dialog: Dialog | None = None
        self._stack = stack
        self._listener = listener
        self._user = user
        self._body = b""
        self._answer: bytes | None = None
        self._answer_destination: Address = ("", 0)
        self._answer_interval = T1
        self._answer_deadline = 0.0
        self._answer_timer: Timer | None = None

    # -- what a user of the call can do ------------------------------------------------------------------------------

    def hangup(self, *, reason: str | None = None) -> None:
        """Send BYE; `on_ended` follows when it is answered. Raises: StateError unless the call is answered.

        Args:
            reason: Value of a Reason header (RFC 3326).
        """
        if self.dialog is None or self.state is not CallState.TALKING:
            raise StateError(f"BYE in state {self.state.name}")
        self._stop_answer()
        self.state = CallState.ENDING
        bye = self.dialog.request("BYE")
        bye.headers.remove("contact")
        if reason is not None:
            bye.headers.set("reason", reason)
        self._stack.request(bye, self.dialog.next_hop(), _Answered(self._on_bye_result))

    def probe(self, on_result: Callable[[int], None]) -> None:
        """Ask the other end by an in-dialog OPTIONS whether it still knows this call.

        Args:
            on_result: Gets the final status; 408 when there was none. Not called after the call's end.
        Raises: StateError unless the call is answered.
        """
        if self.dialog is None or self.state is not CallState.TALKING:
            raise StateError(f"OPTIONS in state {self.state.name}")

        def result(status: int) -> None:
            if self.state is not CallState.ENDED:
                on_result(status)

        self._stack.request(self.dialog.request("OPTIONS"), self.dialog.next_hop(), _Answered(result))

    def give_up(self, code: int) -> None:
        """End a call that is known to be broken: BYE as a courtesy, `on_ended(FAILED, code)` at once.

        A BYE of the other side still gets its 200 for as long as it may be repeated: it may have been under way for
        longer than we cared to wait, and whoever sent it has hung up in good order.
        """
        if self.state is CallState.TALKING:
            self.hangup(reason=f'SIP;cause={code};text="call lost"')
        self._end(CallEnd(EndKind.FAILED, code), keep_for=TRANSACTION_TIMEOUT)

    # -- requests of the dialog --------------------------------------------------------------------------------------

    def on_request(self, transaction: ServerTransaction) -> None:
        """A request inside the dialog (DialogUser)."""
        request = transaction.request
        if (
            self.dialog is None
            or not self.dialog.belongs(request)
            or (self.state is CallState.ENDED and request.method != "BYE")
        ):
            self._stack.refuse(transaction, 481)
        elif not self.dialog.in_order(request):
            self._stack.refuse(transaction, 500)
        elif request.method == "BYE":
            self._stack.refuse(transaction, 200)
            self._on_bye(request)
        elif request.method == "OPTIONS":
            self._stack.refuse(transaction, 200)
        elif request.method == "INVITE" and isinstance(transaction, InviteServerTransaction):
            self.dialog.refresh_target(request)
            self._accept(transaction, {})
        elif request.method == "UPDATE":
            self.dialog.refresh_target(request)
            transaction.respond(self._dialog_response(request, 200))
        else:
            self._stack.refuse(transaction, 405)

    def on_ack(self, ack: Request) -> None:
        """The ACK of a 2xx that we sent (DialogUser)."""
        self._stop_answer()

    def _on_bye(self, request: Request) -> None:
        if self.state is CallState.ENDING:
            # Both hung up at once: our BYE will find no dialog, and that is no failure.
            self._end(CallEnd(EndKind.LOCAL_BYE, 200))
            return
        self._end(CallEnd(EndKind.REMOTE_BYE, 200, request.headers.get("reason"), request.headers.get("user-agent")))

    def _on_bye_result(self, status: int) -> None:
        if 200 <= status < 300:
            self._end(CallEnd(EndKind.LOCAL_BYE, status))
        else:
            self._end(CallEnd(EndKind.FAILED, status))

    # -- 2xx and their repetition ------------------------------------------------------------------------------------

    def _dialog_response(self, request: Request, status: int) -> Response:
        response = make_response(request, status, to_tag=self.local_tag)
        response.headers.extend("record-route", request.headers.lines("record-route"))
        response.headers.set("contact", self._stack.contact(self._user))
        response.headers.set("allow", ALLOW)
        return response

    def _accept(self, transaction: InviteServerTransaction, extra: dict[str, str]) -> None:
        """Answer an INVITE with 200 and repeat that until it is acknowledged (RFC 3261 section 13.3.1.4)."""
        response = self._dialog_response(transaction.request, 200)
        for name, value in extra.items():
            response.headers.set(name, value)
        if self._body:
            response.headers.set("content-type", "application/sdp")
            response.body = self._body
        transaction.respond(response)
        self._answer = response.serialize()
        self._answer_destination = transaction.destination
        self._answer_interval = T1
        self._answer_deadline = self._stack.scheduler.time() + TRANSACTION_TIMEOUT
        self._arm_answer(T1)

    def _arm_answer(self, delay: float) -> None:
        if self._answer_timer is not None:
            self._answer_timer.cancel()
        self._answer_timer = self._stack.scheduler.call_later(delay, self._repeat_answer)

    def _repeat_answer(self) -> None:
        left = self._answer_deadline - self._stack.scheduler.time()
        if self._answer is None:
            return
        if left <= 1e-6:
            self._answer = None
            self.give_up(408)
            return
        self._stack.repeat(self._answer, self._answer_destination)
        self._answer_interval = min(self._answer_interval * 2, T2)
        self._arm_answer(min(self._answer_interval, left))

    def _stop_answer(self) -> None:
        self._answer = None
        if self._answer_timer is not None:
            self._answer_timer.cancel()
            self._answer_timer = None

    def _end(self, end: CallEnd, *, keep_for: float = 0.0) -> None:
        """`keep_for`: seconds for which the stack still hands us this dialog's requests."""
        if self.state is CallState.ENDED:
            return
        self.state = CallState.ENDED
        self._stop_answer()
        if keep_for:
            self._stack.scheduler.call_later(keep_for, self._forget)
        else:
            self._forget()
        self._listener.on_ended(self, end)

    def _forget(self) -> None:
        self._stack.remove_dialog(self.call_id, self.local_tag)


class OutgoingCall(Call):
    """A call that we place."""

    def __init__(
        self, stack: SipStack, listener: CallListener, invite: Request, destination: Address, user: str
    ) -> None:
        super().__init__(stack, listener, invite.call_id, invite.from_tag or "", user)
        self._body = invite.body
        self._destination = destination
        self._cancel_sent = False
        stack.add_dialog(self.call_id, self.local_tag, self)
        self._transaction: InviteClientTransaction = stack.invite(invite, destination, self)

    def cancel(self) -> None:
        """Give up. `on_ended` follows with CANCELLED; harmless on a call that ended.

        CANCEL may be sent only after a provisional response (RFC 3261 section 9.1); until then the INVITE is just not
        repeated any more. Raises: StateError when the call was answered already.
        """
        if self.state in (CallState.TALKING, CallState.ENDING):
            raise StateError("CANCEL of an answered call")
        if self.state is CallState.EARLY:
            self._send_cancel()
        if self.state is CallState.CALLING:
            self._transaction.stop_retransmitting()
        if self.state is not CallState.ENDED:
            self.state = CallState.CANCELLING

    def ask_again(self) -> None:
        """While the call waits: make sure that the other side still knows it; `on_progress` follows if it does.

        Raises: StateError unless the call waits for its answer after a provisional response.
        """
        if self.state is not CallState.EARLY:
            raise StateError(f"INVITE again in state {self.state.name}")
        self._transaction.ask_again()

    def on_response(self, response: Response) -> None:
        """A response to our INVITE (ClientUser)."""
        if response.status < 200:
            self._on_provisional(response)
        elif response.status < 300:
            self._on_success(response)
        elif self.state is CallState.CANCELLING:
            self._end(CallEnd(EndKind.CANCELLED, response.status))
        else:
            self._end(
                CallEnd(
                    EndKind.REFUSED,
                    response.status,
                    response.headers.get("reason"),
                    response.headers.get("server") or response.headers.get("user-agent"),
                )
            )

    def on_timeout(self) -> None:
        """Timer B (ClientUser)."""
        kind = EndKind.CANCELLED if self.state is CallState.CANCELLING else EndKind.TIMEOUT
        self._end(CallEnd(kind, 408))

    def _on_provisional(self, response: Response) -> None:
        if self.state is CallState.CANCELLING:
            self._send_cancel()
            return
        if self.state is CallState.CALLING:
            self.state = CallState.EARLY
        self._listener.on_progress(self, response)

    def _send_cancel(self) -> None:
        if self._cancel_sent:
            return
        self._cancel_sent = True
        self._stack.cancel(make_cancel(self._transaction.request), self._destination, _Answered(lambda _: None))
        # The other side may never send its 487 (section 9.1): then the call ends without it.
        self._stack.scheduler.call_later(TRANSACTION_TIMEOUT, self._cancel_unanswered)

    def _cancel_unanswered(self) -> None:
        if self.state is CallState.CANCELLING:
            self._transaction.abandon()
            self._end(CallEnd(EndKind.CANCELLED, 408))

    def _on_success(self, response: Response) -> None:
        invite = self._transaction.request
        if self.dialog is not None and response.to_tag == self.dialog.remote_tag:
            self._acknowledge(self.dialog)
            return
        try:
            dialog = Dialog.of_answer(invite, response, contact=self._stack.contact(self._user))
            dialog.next_hop()
        except ParseError:
            # An answer nobody can talk back to: there is no dialog to say BYE in.
            self._end(CallEnd(EndKind.FAILED, 400))
            return
        self._acknowledge(dialog)
        if self.dialog is not None or self.state in (CallState.CANCELLING, CallState.ENDED):
            # A second answer of a forked call, or one that crossed our CANCEL.
            bye = dialog.request("BYE")
            self._stack.request(bye, dialog.next_hop(), _Answered(lambda _: None))
            if self.dialog is None:
                self._end(CallEnd(EndKind.CANCELLED, 487))
            return
        self.dialog = dialog
        self.state = CallState.TALKING
        self._listener.on_answered(self, response)

    def _acknowledge(self, dialog: Dialog) -> None:
        ack = dialog.request("ACK", cseq=self._transaction.request.cseq.number)
        self._stack.send_ack(ack, dialog.next_hop())


class IncomingCall(Call):
    """A call that comes in. Raises on construction: ParseError when the INVITE cannot make a dialog."""

    def __init__(
        self, stack: SipStack, listener: CallListener, transaction: InviteServerTransaction, user: str
    ) -> None:
        self.invite = transaction.request
        local_tag = stack.token()
        super().__init__(stack, listener, self.invite.call_id, local_tag, user)
        self.dialog = Dialog.of_invite(self.invite, local_tag=local_tag, contact=stack.contact(user))
        self.dialog.next_hop()
        self._transaction = transaction
        stack.add_dialog(self.call_id, local_tag, self)
        stack.set_cancel_target(transaction, self)

    def ring(self) -> None:
        """Send 180. Raises: StateError after an answer."""
        if self.state not in (CallState.CALLING, CallState.EARLY):
            raise StateError(f"180 in state {self.state.name}")
        self.state = CallState.EARLY
        self._transaction.respond(self._dialog_response(self.invite, 180))

    def answer(self, body: bytes = b"", headers: dict[str, str] | None = None) -> None:
        """Send 200 with `body` as SDP; `on_answered` follows with the ACK. Raises: StateError after an answer."""
        if self.state not in (CallState.CALLING, CallState.EARLY):
            raise StateError(f"200 in state {self.state.name}")
        self._body = body
        self.state = CallState.TALKING
        self._accept(self._transaction, headers or {})

    def reject(self, status: int) -> None:
        """Send a final failure. Raises: StateError after an answer."""
        if self.state not in (CallState.CALLING, CallState.EARLY):
            raise StateError(f"{status} in state {self.state.name}")
        self._transaction.respond(self._dialog_response(self.invite, status))
        self._end(CallEnd(EndKind.REFUSED, status))

    def on_cancel(self) -> None:
        """The caller gave up (CancelTarget); too late after an answer."""
        if self.state not in (CallState.CALLING, CallState.EARLY):
            return
        self._transaction.respond(self._dialog_response(self.invite, 487))
        self._end(CallEnd(EndKind.CANCELLED, 487))

    def _on_bye(self, request: Request) -> None:
        if self.state in (CallState.CALLING, CallState.EARLY):
            # BYE may end an early dialog too (section 15); its INVITE still wants an answer.
            self._transaction.respond(self._dialog_response(self.invite, 487))
        super()._on_bye(request)

    def on_ack(self, ack: Request) -> None:
        first = self._answer is not None and ack.cseq.number == self.invite.cseq.number
        super().on_ack(ack)
        if first and self.state is CallState.TALKING:
            self._listener.on_answered(self, ack)


class _Answered:
    """A client transaction's user that only wants the final status."""

    __slots__ = ("_callback",)

    def __init__(self, callback: Callable[[int], None]) -> None:
        self._callback = callback

    def on_response(self, response: Response) -> None:
        if response.status >= 200:
            self._callback(response.status)

    def on_timeout(self) -> None:
        self._callback(408)


def make_invite(
    stack: SipStack,
    *,
    uri: str,
    from_user: str,
    body: bytes = b"",
    headers: dict[str, str] | None = None,
) -> Request:
    """A new INVITE outside any dialog.

    Args:
        uri: Request-URI and To.
        from_user: User part of From and Contact.
        headers: More headers by lower-case name.
    """
    values = Headers()
    values.set("max-forwards", "70")
    values.set("from", f"<sip:{from_user}@{stack.local[0]}>;tag={stack.token()}")
    values.set("to", f"<{uri}>")
    values.set("call-id", stack.new_call_id())
    values.set("cseq", "1 INVITE")
    values.set("contact", stack.contact(from_user))
    values.set("allow", ALLOW)
    for name, value in (headers or {}).items():
        values.set(name, value)
    if body:
        values.set("content-type", "application/sdp")
    return Request(values, body, "INVITE", uri)
