"""The agent's end of the session protocol: one client instance with a connection to each city.

`ClientSession` decides; its driver owns sockets, phone and clock:

    client = ClientSession("agent0001", instance, ["east", "west"], home="east", mac=mac, jitter=rng.random)
    actions = client.start(now, wall)                      # then, as things happen:
    actions = client.connected("east", now)                # the WebSocket is open
    actions = client.frame("east", decode_server(text), now)
    actions = client.disconnected("east", now)             # closed, failed, or not open after CONNECT_TIMEOUT
    actions = client.tick(now)                             # when now >= client.wake_at (may be called at any time)

Every call returns the actions to carry out, in order. `now` is CLOCK_BOOTTIME in seconds (it goes on while the machine
sleeps), `wall` is CLOCK_REALTIME. The driver delivers nothing from a connection that a `Connect` has replaced.

The rules that the promises rest on (docs/session-protocol.md):

- It answers pings only for the session it holds or the offer it asked for, and counts itself out S * 1.01 after its
  last answer (`lease.gone_by`).
- It asks a city for a session only when no other city can still count one: `_Link.shadow` is the moment from which
  this is sure. Only that city's own word (`release`, `ended`) shortens it.
- One sign-in is outstanding at a time. Standing at a door is not outstanding; an unanswered sign-in is waited out.
- An instance that has just started waits S * 1.01: an earlier instance may have died a moment ago.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal

from callcenter.session.actions import (
    Action,
    AtDoor,
    CallEvent,
    Connect,
    HasSignedIn,
    Lost,
    NotAdmitted,
    RegisterPhone,
    Released,
    Send,
    SignedOut,
    SignInCause,
)
from callcenter.session.lease import DEFAULT_LEASE, gone_by
from callcenter.session.messages import (
    AgentButton,
    Beat,
    Call,
    CarriedState,
    Denied,
    Ended,
    Hello,
    Moved,
    Offer,
    Other,
    PhoneLine,
    Ping,
    Pong,
    Refused,
    Register,
    Release,
    ServerFrame,
    SignedIn,
    SignIn,
    SignOut,
    Wait,
    Welcome,
    Withdraw,
)
from callcenter.session.tickets import TICKET_LIFE

__all__ = [
    "CONNECT_TIMEOUT",
    "Action",
    "AtDoor",
    "CallEvent",
    "ClientSession",
    "Connect",
    "HasSignedIn",
    "Lost",
    "NotAdmitted",
    "RegisterPhone",
    "Released",
    "Send",
    "SignInCause",
    "SignedOut",
]

CONNECT_TIMEOUT: Final = 2.0
"""Seconds the driver gives an attempt to connect before it calls `disconnected`."""

WELCOME_TIMEOUT: Final = 2.0
"""Seconds from an open connection to the CTI's welcome."""

DEFAULT_BEAT: Final = 4.0
"""Seconds between two heartbeats on a connection without a session."""

BEAT_LEASES: Final = 1.5
"""Leases between two heartbeats at least: a CTI that pings rarely, having many clients, hears of them rarely too."""

SILENT_BEATS: Final = 2.5
"""A connection without a session counts as dead after this many beat intervals without any frame."""

QUIET_GRACE: Final = 1.0
"""Seconds, or a lease if that is longer, that a connection gets to say anything at all after a session or a sign-in on
it ended by silence.

A city that is only slow is asked again on the connection that is open; a thousand new ones would make it slower still.
And if it is dead, or its CTI stands still, thousands have to sign in elsewhere first: a client that has a session there
gives it once or twice as long again, as the dice fall. Ten thousand connections that were replaced within half a lease
took as much processor time as the sign-ins that they were in the way of. If it thaws, the old connection is as good as
a new one. Who stands at a door has no such time: the city that fell silent may be the one that would let it in.
"""

RECONNECT_FIRST: Final = 0.2
RECONNECT_MOST: Final = 5.0
"""Seconds before the first and before a late attempt to reconnect; doubled each time, with 50-100 % jitter."""

ASK_AGAIN_FIRST: Final = 0.2
ASK_AGAIN_MOST: Final = 3.0
"""Seconds before a city that said no is asked again; doubled each time, with 50-100 % jitter."""

PHONE_GONE_AFTER: Final = 45.0
"""Seconds without a city after which its softswitch may have forgotten the phone: registrations last 360 s, and are
renewed every 180 s at the latest. Who comes home without a phone would be rung in vain."""

SOON: Final = 0.01
"""Seconds until a deadline that has passed already is looked at again."""

DOOR_PATIENCE: Final = 2.0
"""Leases that a client stands at one door before it asks at the other one, if it can reach it."""

# ---- state


@dataclass(slots=True)
class _Link:
    """One connection, and what this client knows about the city behind it."""

    up: bool = False
    welcome: Welcome | None = None
    boot: str = ""
    """Of the CTI that welcomed us last."""
    phone: PhoneLine | None = None
    heard_at: float = 0.0
    quiet_until: float | None = None
    """Fell silent at a moment when it should have spoken: not asked before it speaks, given up then."""
    spared_until: float = 0.0
    """Given up then instead, while this client has a session elsewhere."""
    beat_at: float = inf
    beats: int = 0
    failures: int = 0
    ok_since: float = 0.0
    """Since when the connection has been as it is, good or not."""
    no: int = 0
    ask_after: float = 0.0
    """This city said no: it is not asked again before then."""
    last_session: str = ""
    session_until: float = 0.0
    """Until then this city may count a session whose ping was answered."""
    ask_until: float = 0.0
    """Until then this city may still act on a sign-in that was given up unanswered."""

    @property
    def good(self) -> bool:
        """Whether the city behind it can be asked."""
        return self.welcome is not None and self.quiet_until is None

    @property
    def shadow(self) -> float:
        """From then on no session of this client can be alive here."""
        return max(self.session_until, self.ask_until)


@dataclass(slots=True)
class _Held:
    """The session that this client answers for."""

    site: str
    session: str
    lease: float
    answered: float
    with_ticket: bool
    confirmed: bool = False

    @property
    def until(self) -> float:
        return gone_by(self.answered, self.lease)


@dataclass(slots=True)
class _Ask:
    """The one sign-in under way."""

    site: str
    seq: int
    lease: float
    deadline: float
    """asked, offered: when it is given up. door: when patience ends."""
    with_ticket: bool
    phase: Literal["asked", "door", "offered"] = "asked"
    reason: str = ""
    session: str = ""


@dataclass(slots=True)
class _Ticket:
    to: str
    text: str
    until: float


@dataclass(slots=True)
class ClientSession:
    """State machine of one client instance. See the module's docstring for how to drive it.

    Args:
        account: Domain account. instance: random ID of this client start.
        sites: The cities, exactly those that the driver can connect to. home: where to sign in first.
        mac: The phone's MAC. jitter: returns the next number in [0, 1).
        beat: Seconds between heartbeats on a connection without a session, or more by the CTIs' lease.
        lease: S until a CTI tells otherwise.
    """

    account: str
    instance: str
    sites: Sequence[str]
    home: str
    mac: str
    jitter: Callable[[], float]
    beat: float = DEFAULT_BEAT
    lease: float = DEFAULT_LEASE
    wake_at: float = field(default=inf, init=False)
    """Call `tick` no later than this (`now`'s clock)."""

    _wall_offset: float = field(default=0.0, init=False)
    _links: dict[str, _Link] = field(default_factory=dict, init=False)
    _wanted: bool = field(default=True, init=False)
    _goal: str = field(default="", init=False)
    _held: _Held | None = field(default=None, init=False)
    _ask: _Ask | None = field(default=None, init=False)
    _ticket: _Ticket | None = field(default=None, init=False)
    _seq: int = field(default=0, init=False)
    _started_at: float = field(default=0.0, init=False)
    _settled_at: float = field(default=inf, init=False)
    _out_site: str | None = field(default=None, init=False)
    _out_since: float = field(default=0.0, init=False)
    _carried: CarriedState | None = field(default=None, init=False)
    _on_break: bool = field(default=False, init=False)
    _phone_busy: bool = field(default=False, init=False)
    _carried_call: bool = field(default=False, init=False)
    _wraps_up: bool = field(default=False, init=False)
    _to_report: Moved | None = field(default=None, init=False)
    """How long the way here took. It goes with the next pong: when thousands come in at once, reports can wait."""

    def __post_init__(self) -> None:
        if self.home not in self.sites:
            raise ValueError(f"home {self.home!r} is none of the sites {list(self.sites)}")
        self._goal = self.home

    # ---- what is known from outside

    @property
    def signed_in_at(self) -> str | None:
        """The site whose session this client holds and that has confirmed it."""
        return self._held.site if self._held is not None and self._held.confirmed else None

    @property
    def answering_for(self) -> str | None:
        """The session ID for which this client would answer a ping now."""
        return self._held.session if self._held is not None else None

    # ---- events

    def start(self, now: float, wall: float) -> list[Action]:
        """Begin: connect to every city."""
        self._wall_offset = wall - now
        self._started_at = now
        self._settled_at = gone_by(now, self.lease)
        out: list[Action] = []
        for site in self.sites:
            self._links[site] = _Link(ok_since=now)
            out.append(Connect(site, 0.0))
        return self._done(now, out)

    def connected(self, site: str, now: float) -> list[Action]:
        """The connection to `site` is open."""
        out = self._due(now)
        link = self._links[site]
        link.up, link.welcome, link.heard_at, link.beat_at, link.quiet_until = True, None, now, inf, None
        role: Literal["primary", "standby"] = "primary" if site == self._goal else "standby"
        out.append(Send(site, Hello(self.account, self.instance, self.mac, role)))
        return self._done(now, out)

    def disconnected(self, site: str, now: float) -> list[Action]:
        """The connection to `site` is gone, or could not be opened."""
        out = self._due(now)
        self._drop(site, now, out, "Disconnected")
        return self._done(now, out)

    def frame(self, site: str, frame: ServerFrame, now: float) -> list[Action]:
        """A frame arrived from `site`."""
        link = self._links[site]
        held = self._held
        if (
            type(frame) is Ping
            and held is not None
            and held.site == site
            and held.session == frame.session
            and now < held.until
        ):
            # The common case by far. `wake_at` may stay too early: a tick too many does no harm.
            link.heard_at = held.answered = now
            link.session_until = held.until
            pong = Send(site, Pong(frame.session, frame.n))
            if (report := self._to_report) is not None:
                self._to_report = None
                if report.session == held.session:
                    return [pong, Send(site, report)]
            return [pong]
        out = self._due(now)
        if not link.up:
            return self._done(now, out)  # dropped a moment ago by this very event's deadline
        link.heard_at = now
        if link.quiet_until is not None:
            link.quiet_until = None
            self._note_link(site, now, out)
        match frame:
            case Ping():
                self._on_first_ping(site, frame, now, out)
            case Welcome():
                self._on_welcome(site, frame, now, out)
            case Offer():
                self._on_offer(site, frame, now)
            case SignedIn():
                self._on_signed_in(site, frame, now, out)
            case Release():
                self._on_release(site, frame, now, out)
            case Wait():
                self._on_wait(site, frame, now, out)
            case Refused():
                self._on_refused(site, frame, now, out)
            case Ended():
                self._on_ended(site, frame, out)
            case Call():
                if self._holds(site, frame.session):
                    self._wraps_up = frame.event == "wrapup" or (self._wraps_up and frame.event == "ended")
                    out.append(CallEvent(site, frame.call, frame.event))
            case Register():
                if link.phone is not None:
                    out.append(RegisterPhone(site, link.phone))
            case Denied():
                link.failures = 10  # waiting a little will not help: come back slowly
                out.append(NotAdmitted(site, frame.reason, frame.message))
            case Beat():
                pass
        return self._done(now, out)

    def tick(self, now: float) -> list[Action]:
        """Time has passed."""
        return self._done(now, self._due(now))

    def press(self, state: Literal["available", "break"], now: float) -> list[Action]:
        """The agent presses a button."""
        out = self._due(now)
        self._on_break = state == "break"
        self._wraps_up = False
        # During a call that was brought along it is told with that call's end, for which a CTI would take it.
        if self._held is not None and self._held.confirmed and not self._carried_call:
            out.append(Send(self._held.site, AgentButton(self._held.session, state)))
        return self._done(now, out)

    def phone(self, busy: bool, now: float) -> list[Action]:
        """The phone entered or left a call. Matters when a call outlives the session in which it began."""
        out = self._due(now)
        if self._phone_busy and not busy and self._wanted and self.signed_in_at is None:
            self._wraps_up = True  # no city hears of this end, so the next one is told to begin with after-call work
        self._phone_busy = busy
        self._end_carried_call(out)
        return self._done(now, out)

    def sign_out(self, now: float) -> list[Action]:
        """The agent goes home."""
        out = self._due(now)
        self._wanted = False
        self._out_site = None
        self._leave_door(out)
        held, self._held = self._held, None
        if held is not None:
            out.append(Send(held.site, SignOut(held.session)))
            out.append(SignedOut(held.site, "SignedOut"))
            self._links[held.site].beat_at = now + self.beat
        return self._done(now, out)

    def sign_in(self, now: float) -> list[Action]:
        """The agent is back."""
        out = self._due(now)
        self._wanted = True
        return self._done(now, out)

    # ---- frames

    def _on_welcome(self, site: str, frame: Welcome, now: float, out: list[Action]) -> None:
        link = self._links[site]
        # A new CTI may mean a new softswitch, which has forgotten every phone: after a power-off both are.
        reborn = link.boot not in ("", frame.boot)
        long_gone = link.boot != "" and now - link.ok_since >= PHONE_GONE_AFTER
        link.welcome, link.failures, link.boot = frame, 0, frame.boot
        link.beat_at = now + self.beat
        if frame.lease > self.lease:
            self.lease = frame.lease
            self.beat = max(self.beat, BEAT_LEASES * frame.lease)
            # The earlier instance, if there was one, had the longer lease too.
            self._settled_at = max(self._settled_at, gone_by(self._started_at, frame.lease))
        if frame.phone != link.phone or reborn or long_gone:
            link.phone = frame.phone
            out.append(RegisterPhone(site, frame.phone))
        if frame.home in self._links and self._held is None and self._ticket is None:
            self._goal = frame.home
        self._note_link(site, now, out)
        for other in self.sites:
            if other != site:
                out.append(Send(site, self._evidence(other, now)))

    def _on_offer(self, site: str, frame: Offer, now: float) -> None:
        ask = self._asked(site, frame.seq)
        if ask is not None and ask.phase != "offered":
            ask.phase, ask.session, ask.lease = "offered", frame.session, frame.lease
            ask.deadline = gone_by(now, frame.lease)

    def _on_first_ping(self, site: str, frame: Ping, now: float, out: list[Action]) -> None:
        ask = self._ask
        if ask is None or ask.site != site or ask.phase != "offered" or ask.session != frame.session:
            return  # never answer for a session that was given up
        self._ask = None
        self._held = _Held(site, ask.session, ask.lease, now, ask.with_ticket)
        link = self._links[site]
        link.last_session, link.session_until, link.beat_at = ask.session, self._held.until, inf
        out.append(Send(site, Pong(frame.session, frame.n)))

    def _on_signed_in(self, site: str, frame: SignedIn, now: float, out: list[Action]) -> None:
        held = self._held
        if held is None or not self._holds(site, frame.session) or held.confirmed:
            return
        held.confirmed = True
        self._goal, self._ticket, self._carried = site, None, None
        self._carried_call = frame.state == "talking"
        self._wraps_up = frame.state == "wrapup"
        for link in self._links.values():
            link.no = 0
        gap = None if self._out_site is None else now - self._out_since
        moved_from = self._out_site if self._out_site != site else None
        cause: SignInCause = "ticket" if held.with_ticket else "fresh" if moved_from is None else "failover"
        badge = (frame.number, frame.virtual_id, frame.extension, frame.state)
        out.append(HasSignedIn(site, cause, gap, *badge, guest=frame.guest))
        if moved_from is not None and gap is not None:
            wall = self._wall_offset
            self._to_report = Moved(held.session, moved_from, gap, self._out_since + wall, now + wall)
        self._out_site = None
        self._end_carried_call(out)

    def _on_release(self, site: str, frame: Release, now: float, out: list[Action]) -> None:
        link = self._links[site]
        if frame.session is not None and self._holds(site, frame.session):
            held, self._held = self._held, None
            if held is not None and held.confirmed:
                out.append(Released(site, frame.to))
                self._out_site, self._out_since = site, now
                if frame.to in self._links:
                    # What it said before this session was of another map. Who is only sent on at a door does wait:
                    # two cities that each hold the other one's map would send it to and fro.
                    self._links[frame.to].ask_after = 0.0
        elif frame.seq is not None and self._asked(site, frame.seq) is not None:
            self._ask = None
            self._say_no(link, now)
        else:
            return  # an answer to something given up; it was waited out instead
        # The one word that shortens a shadow: the CTI holds no session of this client any more.
        link.session_until = link.ask_until = 0.0
        link.beat_at = now + self.beat
        self._ticket = _Ticket(frame.to, frame.ticket, now + TICKET_LIFE) if frame.ticket is not None else None
        self._carried = frame.state
        if frame.to in self._links:
            self._goal = frame.to

    def _on_wait(self, site: str, frame: Wait, now: float, out: list[Action]) -> None:
        ask = self._asked(site, frame.seq)
        if ask is None or ask.phase == "offered":
            return
        if ask.phase == "asked" or ask.reason != frame.reason:
            out.append(AtDoor(site, frame.reason))
        ask.phase, ask.reason, ask.deadline = "door", frame.reason, now + DOOR_PATIENCE * ask.lease

    def _on_refused(self, site: str, frame: Refused, now: float, out: list[Action]) -> None:
        if self._asked(site, frame.seq) is None:
            return
        self._ask = None
        self._ticket = None  # if it came with one, that one admits nobody
        self._say_no(self._links[site], now)
        out.append(NotAdmitted(site, frame.reason, frame.message))

    def _on_ended(self, site: str, frame: Ended, out: list[Action]) -> None:
        link = self._links[site]
        if frame.session == link.last_session:
            link.session_until = 0.0
        if not self._holds(site, frame.session):
            return
        held, self._held = self._held, None
        link.beat_at = link.heard_at + self.beat
        if frame.reason == "Replaced":
            # Another device took the account. Fighting for it would go on for ever.
            self._wanted, self._out_site = False, None
            out.append(SignedOut(site, frame.reason))
        elif held is not None and held.confirmed:
            self._out(held)
            out.append(Lost(site, frame.reason))

    # ---- time

    def _due(self, now: float) -> list[Action]:
        """Everything whose time has come. Runs before each event, so that no event finds a session past its lease."""
        out: list[Action] = []
        held, ask = self._held, self._ask
        if self._ticket is not None and now >= self._ticket.until:
            self._ticket = None
        if held is not None and now >= held.until:
            self._fall_silent(held.site, now, out)
        if ask is not None and ask.phase != "door" and now >= ask.deadline:
            self._fall_silent(ask.site, now, out)
        for site, link in self._links.items():
            if not link.up or (self._held is not None and self._held.site == site):
                continue
            if now >= self._patience_ends(link):
                self._drop(site, now, out, "Silent")
            elif now >= link.beat_at:
                link.beats += 1
                link.beat_at = now + self.beat
                out.append(Send(site, Beat(link.beats)))
        return out

    def _done(self, now: float, out: list[Action]) -> list[Action]:
        self._seek(now, out)
        self.wake_at = self._next_deadline(now)
        return out

    def _next_deadline(self, now: float) -> float:
        times = []
        if self._held is not None:
            times.append(self._held.until)
        if self._ask is not None and (self._ask.phase != "door" or self._ask.deadline > now):
            times.append(self._ask.deadline)
        seeking = self._wanted and self._held is None and (self._ask is None or self._ask.phase == "door")
        if seeking:
            times.append(self._settled_at)
        for site, link in self._links.items():
            if link.up and not (self._held is not None and self._held.site == site):
                # It may have ended already: with the session that this client had elsewhere, a moment ago.
                times += (link.beat_at, max(self._patience_ends(link), now + SOON))
            if seeking:
                times += (link.shadow, link.ask_after)
        return min((t for t in times if t > now), default=inf)

    def _patience_ends(self, link: _Link) -> float:
        """When a connection without a session is given up, if it goes on saying nothing."""
        if link.quiet_until is not None:
            return link.quiet_until if self._held is None else link.spared_until
        return link.heard_at + (WELCOME_TIMEOUT if link.welcome is None else SILENT_BEATS * self.beat)

    # ---- choosing where to ask

    def _seek(self, now: float, out: list[Action]) -> None:
        """Ask for a session where that is allowed and makes sense."""
        ask = self._ask
        if not self._wanted or self._held is not None or now < self._settled_at:
            return
        if ask is not None and ask.phase != "door":
            return
        ready = [site for site in self._preference() if self._may_ask(site, now)]
        if ask is None:
            if ready:
                self._sign_in_at(ready[0], now, out)
            return
        if ask.site != self._goal and self._goal in ready:
            target: str | None = self._goal  # standing at the other city's door, home can be asked again
        elif now >= ask.deadline and ask.reason != "Paced":
            # A closed door may stay closed while the other one has opened. A place in a moving queue is kept.
            target = next((site for site in ready if site != ask.site), None)
        else:
            target = None
        if target is not None:
            left = ask.site
            self._leave_door(out)
            self._say_no(self._links[left], now)
            self._sign_in_at(target, now, out)

    def _preference(self) -> list[str]:
        return [self._goal, *(site for site in self.sites if site != self._goal)]

    def _may_ask(self, site: str, now: float) -> bool:
        link = self._links[site]
        if not link.good or now < link.ask_after:
            return False
        # The lease rule: no other city can still count a session of this client.
        return all(now >= other.shadow for name, other in self._links.items() if name != site)

    def _sign_in_at(self, site: str, now: float, out: list[Action]) -> None:
        self._seq += 1
        ticket = self._ticket.text if self._ticket is not None and self._ticket.to == site else None
        if site == self._goal:
            stand = not any(link.good for name, link in self._links.items() if name != site)
        else:
            stand = not self._links[self._goal].good
        deadline = gone_by(now, self.lease)
        self._ask = _Ask(site, self._seq, self.lease, deadline, with_ticket=ticket is not None)
        out.append(Send(site, SignIn(self._seq, ticket, stand, self._state_to_carry())))

    def _state_to_carry(self) -> CarriedState | None:
        if self._phone_busy:
            return "talking"
        if self._carried is not None:
            return self._carried
        if self._on_break:
            return "break"
        return "wrapup" if self._wraps_up else None

    # ---- small steps

    def _holds(self, site: str, session: str) -> bool:
        return self._held is not None and self._held.site == site and self._held.session == session

    def _asked(self, site: str, seq: int) -> _Ask | None:
        ask = self._ask
        return ask if ask is not None and ask.site == site and ask.seq == seq else None

    def _out(self, held: _Held) -> None:
        """Out of service, counted from the last ping that was answered: nothing later is known to have worked."""
        if self._wanted:
            self._out_site, self._out_since = held.site, held.answered

    def _end_carried_call(self, out: list[Action]) -> None:
        if self._carried_call and not self._phone_busy and self._held is not None and self._held.confirmed:
            # The CTI took the agent as Talking on our word, so it needs our word that the call is over.
            then: Literal["available", "break"] = "break" if self._on_break else "available"
            out.append(Send(self._held.site, AgentButton(self._held.session, "available", then)))
            self._carried_call, self._wraps_up = False, True

    def _leave_door(self, out: list[Action]) -> None:
        ask = self._ask
        if ask is None:
            return
        if ask.phase != "door":
            self._links[ask.site].ask_until = ask.deadline
        if self._links[ask.site].welcome is not None:
            out.append(Send(ask.site, Withdraw(ask.seq)))
        self._ask = None

    def _give_up(self, site: str, out: list[Action], reason: str) -> None:
        """Give up the session or the sign-in at `site`; its shadow stays."""
        if self._held is not None and self._held.site == site:
            held, self._held = self._held, None
            if held.confirmed:
                self._out(held)
                out.append(Lost(site, reason))
        if self._ask is not None and self._ask.site == site:
            if self._ask.phase != "door":
                self._links[site].ask_until = self._ask.deadline
            self._ask = None

    def _fall_silent(self, site: str, now: float, out: list[Action]) -> None:
        """Pings or an answer did not come in time: ask the connection whether it lives, and nothing else."""
        self._give_up(site, out, "Silent")
        link = self._links[site]
        was_good = link.good
        grace = max(QUIET_GRACE, self.lease)
        link.quiet_until, link.beat_at = now + grace, now
        link.spared_until = link.quiet_until + grace * (1.0 + self.jitter())
        if was_good:
            self._note_link(site, now, out)

    def _drop(self, site: str, now: float, out: list[Action], reason: str) -> None:
        """Give up the connection to `site` and what hung on it, and connect again."""
        self._give_up(site, out, reason)
        link = self._links[site]
        after = self._backoff(RECONNECT_FIRST, RECONNECT_MOST, link.failures)
        was_good = link.good
        link.up, link.welcome, link.beat_at, link.quiet_until = False, None, inf, None
        link.failures += 1
        if was_good:
            self._note_link(site, now, out)
        out.append(Connect(site, after))

    def _note_link(self, site: str, now: float, out: list[Action]) -> None:
        """The connection to `site` has become good, or is not any more: tell the other cities."""
        self._links[site].ok_since = now
        for name, link in self._links.items():
            if name != site and link.good:
                out.append(Send(name, self._evidence(site, now)))

    def _evidence(self, site: str, now: float) -> Other:
        link = self._links[site]
        return Other(site, link.good, round(now - link.ok_since, 3))

    def _say_no(self, link: _Link, now: float) -> None:
        link.ask_until = 0.0
        link.ask_after = now + self._backoff(ASK_AGAIN_FIRST, ASK_AGAIN_MOST, link.no)
        link.no += 1

    def _backoff(self, first: float, most: float, times: int) -> float:
        return float(min(most, first * 2 ** min(times, 16))) * (0.5 + 0.5 * self.jitter())
