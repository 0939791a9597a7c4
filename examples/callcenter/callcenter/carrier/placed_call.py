"""One call's way: over its routes until somebody answers, through its talk, to its end."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from callcenter.sip.call import Call, CallEnd, CallState, EndKind, OutgoingCall, make_invite
from callcenter.sip.errors import ParseError
from callcenter.sip.message import Address, Request, Response
from callcenter.sip.sdp import describe
from callcenter.sip.stack import SipStack
from callcenter.sip.timers import Timer
from callcenter.sip.uri import parse_name_addr, parse_uri

from .call_log import CallLog, CallRecord
from .fate import Fate, Outcome, end_of_answered, tries_next_route
from .routes import Route

NO_RESPONSE: Final = 2.0
"""Seconds without any response until a call goes to its next route."""

ASK_AGAIN: Final = 5.0
"""Seconds after which a waiting call makes sure that it is still known: a softswitch that was restarted within a second
loses no OPTIONS, but every call that waited in it."""

MEDIA_PORT: Final = 9
"""The discard port: this carrier's calls carry no sound."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all calls share. `wall` is CLOCK_REALTIME in seconds."""

    stack: SipStack
    log: CallLog
    wall: Callable[[], float]


class PlacedCall:
    """A call listener that goes from route to route.

    Args:
        routes: In the order in which they are tried; at least one.
        on_done: Called once, when the call has its final fate.
    """

    def __init__(
        self,
        around: Surroundings,
        record: CallRecord,
        routes: Sequence[Route],
        *,
        patience: float,
        on_done: Callable[["PlacedCall"], None],
    ) -> None:
        self.record = record
        self._around = around
        self._remaining = list(routes)
        self._on_done = on_done
        self._started_at = around.stack.scheduler.time()
        self._route: Route | None = None
        self._leg: OutgoingCall | None = None
        self._done = False
        self._no_response: Timer | None = None
        self._ask_again: Timer | None = None
        self._talk_timers: list[Timer] = []
        self._patience = around.stack.scheduler.call_later(patience, self._out_of_patience)

    def start(self) -> None:
        """Try the first route."""
        self._try_next(408)

    @property
    def waiting_at(self) -> Address | None:
        """The target where this call waits for an answer; None when it does not wait."""
        if self._done or self.record.answered_at is not None or self._route is None:
            return None
        return self._route.target

    def target_lost(self) -> None:
        """The target where this call waits answers no OPTIONS any more."""
        if self.waiting_at is not None:
            self._leave_leg()
            self._try_next(408)

    def hang_up(self) -> None:
        """End the call now: the carrier closes."""
        if self._leg is not None and self._leg.state is CallState.TALKING:
            self._leg.hangup()
        elif self.waiting_at is not None:
            self._leave_leg()
            self._finish(Outcome(Fate.ABANDONED, "carrier", 487))

    # -- routes ------------------------------------------------------------------------------------------------------

    def _try_next(self, code: int) -> None:
        if not self._remaining:
            last = self._route.name if self._route is not None else ""
            self._finish(Outcome(Fate.REFUSED, f"softswitch-{last}", code))
            return
        route = self._route = self._remaining.pop(0)
        stack, record = self._around.stack, self.record
        record.routes_tried.append(route.name)
        record.fate = Fate.ACTIVE
        self._around.log.changed(record)
        host, port = route.target
        age = stack.scheduler.time() - self._started_at
        invite = make_invite(
            stack,
            uri=f"sip:{record.number}@{host}:{port}",
            from_user=record.caller,
            body=describe((stack.local[0], MEDIA_PORT), session=record.seq),
            headers={
                # Each attempt is a call of its own to SIP; these two say that it is the same caller all along.
                "x-tandem-call": record.id,
                "x-tandem-age": str(int(age)),
                "x-tandem-talk": f"{record.talk:.3f}",
            },
        )
        self._no_response = stack.scheduler.call_later(NO_RESPONSE, self._nobody_there)
        self._leg = OutgoingCall(stack, self, invite, route.target, record.caller)

    def _nobody_there(self) -> None:
        self._leave_leg()
        self._try_next(408)

    def _leave_leg(self) -> None:
        """Give up the present attempt; whatever still comes of it is dealt with by `OutgoingCall.cancel`."""
        leg, self._leg = self._leg, None
        self._stop_asking()
        if leg is not None:
            leg.cancel()

    def _stop_asking(self) -> None:
        for timer in (self._no_response, self._ask_again):
            if timer is not None:
                timer.cancel()
        self._no_response = self._ask_again = None

    def _still_known(self) -> None:
        if self._leg is not None and self._leg.state is CallState.EARLY:
            self._no_response = self._around.stack.scheduler.call_later(NO_RESPONSE, self._nobody_there)
            self._leg.ask_again()

    def _out_of_patience(self) -> None:
        self._leave_leg()
        self._finish(Outcome(Fate.ABANDONED, "carrier", 487))

    # -- what the present leg tells (CallListener) -------------------------------------------------------------------

    def on_progress(self, call: Call, response: Response) -> None:
        """A provisional response: somebody is there."""
        if call is not self._leg:
            return
        self._stop_asking()
        self._ask_again = self._around.stack.scheduler.call_later(ASK_AGAIN, self._still_known)
        if response.status == 182 and self.record.fate is not Fate.QUEUED:
            self.record.fate = Fate.QUEUED
            if self.record.queued_at is None:
                self.record.queued_at = self._around.wall()
            self._around.log.changed(self.record)

    def on_answered(self, call: Call, message: Response | Request) -> None:
        """An agent took the call."""
        if call is not self._leg:
            return
        self._stop_asking()
        self._patience.cancel()
        record = self.record
        record.fate, record.answered_at = Fate.ACTIVE, self._around.wall()
        record.agent = _contact_user(message)
        self._around.log.changed(record)
        later = self._around.stack.scheduler.call_later
        self._talk_timers = [later(record.talk / 2, self._verify), later(record.talk, self._say_goodbye)]

    def on_ended(self, call: Call, end: CallEnd) -> None:
        """The present leg is over."""
        if call is not self._leg or self._route is None:
            return
        self._stop_asking()
        if self.record.answered_at is not None:
            self._finish(end_of_answered(end, self._route.name))
        elif end.kind in (EndKind.REFUSED, EndKind.TIMEOUT, EndKind.FAILED) and tries_next_route(end.code):
            self._try_next(end.code)
        else:
            self._finish(Outcome(Fate.REFUSED, f"softswitch-{self._route.name}", end.code))

    # -- talking -----------------------------------------------------------------------------------------------------

    def _verify(self) -> None:
        if self._leg is not None and self._leg.state is CallState.TALKING:
            self._leg.probe(self._verified)

    def _verified(self, status: int) -> None:
        # 481 and 408 end the dialog (RFC 5057). Anything else says that somebody still knows the call.
        if status in (404, 408, 481) and self._leg is not None and self._leg.state is CallState.TALKING:
            self._leg.give_up(status)

    def _say_goodbye(self) -> None:
        if self._leg is not None and self._leg.state is CallState.TALKING:
            self._leg.hangup()

    def _finish(self, outcome: Outcome) -> None:
        if self._done:
            return
        self._done = True
        self._patience.cancel()
        for timer in self._talk_timers:
            timer.cancel()
        self._around.log.ended(self.record, outcome, self._around.wall())
        self._on_done(self)


def _contact_user(message: Response | Request) -> str | None:
    try:
        return parse_uri(parse_name_addr(message.headers.require("contact")).uri).user or None
    except ParseError:
        return None
