"""One agent: the client's session, the phone, and what of both goes into the diary.

The session decides (`callcenter.session.client`); this class carries its decisions to connections and phone, and
brings it the events of both.
"""

import logging
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

from callcenter.directory import Agent as Person
from callcenter.session.client import (
    Action,
    AtDoor,
    CallEvent,
    ClientSession,
    Connect,
    HasSignedIn,
    Lost,
    NotAdmitted,
    RegisterPhone,
    Released,
    Send,
    SignedOut,
)
from callcenter.session.errors import FrameError
from callcenter.session.messages import decode_server, encode
from callcenter.sip.errors import ParseError
from callcenter.sip.timers import Scheduler, Timer
from callcenter.sip.uri import parse_uri

from .phone import CallEndCause, Phone
from .timeline import Diary, Event

WAKE_GRID: Final = 0.05
"""Seconds: clients look at their clocks only at multiples of this."""

log = logging.getLogger(__name__)


class Wire(Protocol):
    """The connection to one city."""

    def connect(self, after: float) -> None:
        """Drop what there is, and open a new connection in `after` seconds."""

    def send(self, *texts: str) -> None:
        """Send frames without waiting, in one packet if they are short; lost without an open connection."""

    def close(self) -> None:
        """Drop what there is."""


@dataclass(frozen=True, slots=True)
class Clocks:
    """`now`: CLOCK_BOOTTIME in seconds, which goes on while a machine sleeps. `wall`: CLOCK_REALTIME in seconds."""

    now: Callable[[], float]
    wall: Callable[[], float]
    scheduler: Scheduler


@dataclass(slots=True)
class Tally:
    """What happened to all agents of a process, for the statistics."""

    events: Counter[str] = field(default_factory=Counter)
    bad_frames: int = 0


class Agent:
    """Owner of one client session, one phone, and a wire to each city. Set `phone` and `wires` before `start`."""

    def __init__(self, person: Person, session: ClientSession, *, clocks: Clocks, diary: Diary, tally: Tally) -> None:
        self.person = person
        self.session = session
        self.phone: Phone | None = None
        self.wires: dict[str, Wire] = {}
        self.talking = False
        self._clocks = clocks
        self._diary = diary
        self._tally = tally
        self._timer: Timer | None = None
        self._timer_at = 0.0
        self._vanished = False

    @property
    def signed_in_at(self) -> str | None:
        """The city where this agent works now."""
        return self.session.signed_in_at

    def start(self) -> None:
        """Connect to every city and sign in."""
        self._carry_out(self.session.start(self._clocks.now(), self._clocks.wall()))

    def press(self, state: Literal["available", "break"]) -> None:
        """The agent presses a button on the desktop."""
        self._carry_out(self.session.press(state, self._clocks.now()))

    def go_home(self) -> None:
        """Sign out."""
        self._carry_out(self.session.sign_out(self._clocks.now()))

    def vanish(self) -> None:
        """End without a word to anybody: the desktop's power is gone."""
        if self.signed_in_at is not None:
            self._note("out", self.signed_in_at, cause="Restarted")
        self._vanished = True
        self.close(unregister=False)

    def close(self, *, unregister: bool) -> None:
        """Drop phone and connections."""
        if self._timer is not None:
            self._timer.cancel()
        if self.phone is not None:
            self.phone.close(unregister=unregister)
        for wire in self.wires.values():
            wire.close()

    # -- what connections tell (ConnectionOwner) ---------------------------------------------------------------------

    def on_open(self, site: str) -> None:
        """The connection to `site` is open."""
        self._carry_out(self.session.connected(site, self._clocks.now()))

    def on_closed(self, site: str) -> None:
        """The connection to `site` is gone."""
        self._carry_out(self.session.disconnected(site, self._clocks.now()))

    def on_text(self, site: str, text: str) -> None:
        """A frame from `site`."""
        try:
            frame = decode_server(text)
        except FrameError as error:
            self._tally.bad_frames += 1
            log.warning("%s: frame from %s ignored: %s", self.person.account, site, error)
            return
        self._carry_out(self.session.frame(site, frame, self._clocks.now()))

    # -- what the phone tells (PhoneOwner) ---------------------------------------------------------------------------

    def on_phone_registered(self, site: str) -> None:
        """The phone is registered at `site`."""
        self._note("registered", site)

    def on_call(self, site: str, call: str) -> None:
        """A call was answered."""
        self.talking = True
        self._note("call", site, call=call)
        self._carry_out(self.session.phone(busy=True, now=self._clocks.now()))

    def on_call_ended(self, site: str, call: str, cause: CallEndCause) -> None:
        """The call is over."""
        self.talking = False
        self._note("call-ended", site, call=call, cause=cause)
        self._carry_out(self.session.phone(busy=False, now=self._clocks.now()))

    # -- what the session wants --------------------------------------------------------------------------------------

    def _carry_out(self, actions: list[Action]) -> None:
        if self._vanished:
            return  # the phone may still have something to say of its last call
        unsent: dict[str, list[str]] = {}
        for action in actions:
            match action:
                case Send(site, frame):
                    unsent.setdefault(site, []).append(encode(frame))
                case Connect(site, after):
                    self.wires[site].send(*unsent.pop(site, ()))
                    self.wires[site].connect(after)
                case RegisterPhone(site, line):
                    self._register(site, line.extension, line.registrar, line.realm, line.password)
                case HasSignedIn(site, cause, gap):
                    self._note("signed-in", site, cause=cause, gap=None if gap is None else round(gap, 6))
                    if action.guest:
                        self._note("guest", site)
                case Released(site, to):
                    self._note("released", site, to=to)
                case Lost(site, reason):
                    self._note("lost", site, cause=reason)
                case SignedOut(site, reason):
                    self._note("out", site, cause=reason)
                case AtDoor(_, reason):
                    self._tally.events[f"at-door:{reason}"] += 1
                case NotAdmitted(site, reason, message):
                    self._tally.events[f"not-admitted:{reason}"] += 1
                    log.debug("%s: %s says no: %s: %s", self.person.account, site, reason, message)
                case CallEvent():
                    pass  # the desktop would show it; the phone is the one who knows
        for site, texts in unsent.items():
            self.wires[site].send(*texts)
        self._wake_at(self.session.wake_at)

    def _register(self, site: str, extension: str, registrar: str, realm: str, password: str) -> None:
        if self.phone is None:
            return
        try:
            address = parse_uri(f"sip:{registrar}").address
        except ParseError as error:
            self._tally.bad_frames += 1
            log.warning("%s: %s names no usable registrar: %s", self.person.account, site, error)
            return
        self.phone.register(site, extension=extension, registrar=address, realm=realm, password=password)

    def _note(self, event: Event, site: str, **details: Any) -> None:
        self._tally.events[event] += 1
        self._diary.note(self.person.account, self.person.group, event, site, **details)

    def _wake_at(self, moment: float) -> None:
        # Many clients that wake up in one moment cost far less than each in its own; a little late does no harm.
        moment = math.ceil(moment / WAKE_GRID) * WAKE_GRID if moment != math.inf else moment
        # A timer that comes too early does no harm, so pings, which only put it off, never move it.
        if self._timer is not None:
            if moment >= self._timer_at:
                return
            self._timer.cancel()
            self._timer = None
        if moment != math.inf:
            self._timer_at = moment
            self._timer = self._clocks.scheduler.call_later(max(0.0, moment - self._clocks.now()), self._tick)

    def _tick(self) -> None:
        self._timer = None
        self._carry_out(self.session.tick(self._clocks.now()))
