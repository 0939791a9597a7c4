"""A software phone: registered in every city at once, one call at a time.

It answers after a short ring and talks until the caller hangs up, for as long as the caller said (`X-Tandem-Talk`); in
some calls the agent hangs up first. A call whose goodbye does not come in time was cut, and the phone says so.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from callcenter.sip.call import Call, CallEnd, EndKind, IncomingCall
from callcenter.sip.message import Address, Request, Response
from callcenter.sip.reason import error_cause
from callcenter.sip.registration import Registration, RegistrationWindow
from callcenter.sip.sdp import describe
from callcenter.sip.server_transaction import InviteServerTransaction
from callcenter.sip.stack import SipStack
from callcenter.sip.timers import Timer

MEDIA_PORT: Final = 9
"""The discard port: these phones carry no sound."""

CallEndCause = Literal["caller", "agent", "cut"]


@dataclass(frozen=True, slots=True)
class Manners:
    """How an agent handles the phone. Times in seconds; ranges are drawn from uniformly.

    `hangs_up`: share of calls that the agent ends before the caller would. `grace`: how long after the announced end of
    the talk a call counts as alive; longer than a softswitch needs to come back, for the caller repeats its goodbye.
    """

    ring_after: float = 0.1
    answer_after: tuple[float, float] = (0.3, 0.8)
    hangs_up: float = 0.2
    grace: float = 10.0


@dataclass(frozen=True, slots=True)
class Socket:
    """A SIP stack that phones share, and the window that their registrations share."""

    stack: SipStack
    window: RegistrationWindow


@dataclass(slots=True)
class PhoneCounters:
    """What all phones of a process did."""

    answered: int = 0
    busy: int = 0
    registration_failures: Counter[int] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)


class PhoneOwner(Protocol):
    """The agent at the phone."""

    def on_phone_registered(self, site: str) -> None:
        """The phone can be reached from `site`'s softswitch from now on."""

    def on_call(self, site: str, call: str) -> None:
        """The agent talks. `call`: the carrier's ID of the call, or its Call-ID."""

    def on_call_ended(self, site: str, call: str, cause: CallEndCause) -> None:
        """The agent talks no more."""


class Phone:
    """One agent's phone.

    Args:
        sockets: Per city the stack that this phone uses there.
    """

    def __init__(
        self,
        sockets: Mapping[str, Socket],
        owner: PhoneOwner,
        *,
        manners: Manners,
        rng: random.Random,
        counters: PhoneCounters,
    ) -> None:
        self.manners = manners
        self.rng = rng
        self.counters = counters
        self.call: _PhoneCall | None = None
        self._sockets = sockets
        self._owner = owner
        self._lines: dict[str, _Line] = {}

    @property
    def owner(self) -> PhoneOwner:
        """The agent."""
        return self._owner

    def register(self, site: str, *, extension: str, registrar: Address, realm: str, password: str) -> None:
        """Register at `site`'s softswitch now, and keep registered; replaces what was registered there.

        Raises: ValueError when another phone of this socket has the extension.
        """
        line = self._lines.get(site)
        if line is None or not line.is_for(extension, registrar, password):
            if line is not None:
                line.close(unregister=True)
            line = self._lines[site] = _Line(
                self, site, self._sockets[site], extension, registrar, realm=realm, password=password
            )
        line.registration.register()

    def registered_at(self, site: str) -> bool:
        """Whether `site`'s softswitch holds this phone's contact, as far as the phone knows."""
        line = self._lines.get(site)
        return line is not None and line.registration.registered

    def close(self, *, unregister: bool) -> None:
        """Hang up and take no more calls."""
        if self.call is not None:
            self.call.hang_up()
        for line in self._lines.values():
            line.close(unregister=unregister)


class _Line:
    """The phone's registration and extension in one city (InviteHandler, RegistrationListener)."""

    def __init__(
        self,
        phone: Phone,
        site: str,
        socket: Socket,
        extension: str,
        registrar: Address,
        *,
        realm: str,
        password: str,
    ) -> None:
        self.site = site
        self.extension = extension
        self._phone = phone
        self._stack = socket.stack
        self._password = password
        self._stack.add_user(extension, self)
        self.registration = Registration(
            socket.stack,
            user=extension,
            password=password,
            registrar=registrar,
            realm=realm,
            window=socket.window,
            listener=self,
        )

    def is_for(self, extension: str, registrar: Address, password: str) -> bool:
        return (self.extension, self.registration.registrar, self._password) == (extension, registrar, password)

    def close(self, *, unregister: bool) -> None:
        self.registration.stop(unregister=unregister)
        self._stack.remove_user(self.extension)

    def on_invite(self, transaction: InviteServerTransaction) -> None:
        if self._phone.call is not None:
            self._phone.counters.busy += 1
            self._stack.refuse(transaction, 486)
            return
        self._phone.call = _PhoneCall(self._phone, self.site, self._stack, transaction, self.extension)

    def on_registered(self, registration: Registration, *, fresh: bool) -> None:
        if fresh:
            self._phone.owner.on_phone_registered(self.site)

    def on_registration_failed(self, registration: Registration, code: int) -> None:
        self._phone.counters.registration_failures[code] += 1


class _PhoneCall:
    """One call on the phone (CallListener). The phone is free as soon as the agent has hung up."""

    def __init__(
        self, phone: Phone, site: str, stack: SipStack, transaction: InviteServerTransaction, extension: str
    ) -> None:
        self._phone = phone
        self._site = site
        self._stack = stack
        self._talking = False
        self._hung_up = False
        invite = transaction.request
        self.id = invite.headers.get("x-tandem-call") or invite.call_id
        self._talk = _seconds(invite.headers.get("x-tandem-talk"))
        self._call = IncomingCall(stack, self, transaction, extension)
        manners = phone.manners
        self._timers: list[Timer] = []
        self._later(manners.ring_after, self._call.ring)
        self._later(manners.ring_after + phone.rng.uniform(*manners.answer_after), self._answer)

    def hang_up(self) -> None:
        """End the call in whatever state it is."""
        if self._talking:
            self._hang_up()
        else:
            self._call.reject(480)

    def _later(self, delay: float, action: Callable[[], object]) -> None:
        self._timers.append(self._stack.scheduler.call_later(delay, action))

    def _answer(self) -> None:
        self._call.answer(describe((self._stack.local[0], MEDIA_PORT), session=1))
        self._talking = True
        self._phone.counters.answered += 1
        self._phone.owner.on_call(self._site, self.id)
        if self._talk is None:
            return
        manners, rng = self._phone.manners, self._phone.rng
        if rng.random() < manners.hangs_up:
            self._later(self._talk * rng.uniform(0.5, 0.95), self._hang_up)
        self._later(self._talk + manners.grace, self._found_cut)

    def _hang_up(self) -> None:
        self._hung_up = True
        self._call.hangup()
        self._over("agent")

    def _found_cut(self) -> None:
        self._call.give_up(408)

    def on_progress(self, call: Call, response: Response) -> None:
        """Only outgoing calls see provisional responses (CallListener)."""

    def on_answered(self, call: Call, message: Response | Request) -> None:
        """The caller's ACK (CallListener)."""

    def on_ended(self, call: Call, end: CallEnd) -> None:
        """The call is over for SIP (CallListener)."""
        if not self._hung_up:
            said_goodbye = end.kind is EndKind.REMOTE_BYE and error_cause(end.reason) is None
            self._over("caller" if said_goodbye else "cut")

    def _over(self, cause: CallEndCause) -> None:
        for timer in self._timers:
            timer.cancel()
        if self._phone.call is self:
            self._phone.call = None
        if self._talking:
            self._talking = False
            self._phone.counters.ended[cause] += 1
            self._phone.owner.on_call_ended(self._site, self.id, cause)


def _seconds(text: str | None) -> float | None:
    """A header's number of seconds; None for what is none, or not within an hour."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 < value < 3600 else None
