"""The CTI's end of the session protocol: connections, sign-ins, leases, doors, releases.

`SessionServer` decides; its driver owns sockets and clock, and its `Desk` knows phones, numbers and agent states:

    outs = server.frame(conn, decode_client(text), now)    # conn: the driver's number for a connection
    outs = server.disconnected(conn, now)
    outs = server.tick(now)                                # every TICK seconds
    answers, outs = server.place({group: placement}, confirmed=True, now=now)
    outs = server.set_activity(account, Activity.CALL, now)

Every call returns what to send and what has happened, in order. `now` is CLOCK_BOOTTIME in seconds.

The rules that the promises rest on (docs/session-protocol.md):

- A session is valid until S after the sending time of its newest answered ping, and this is checked whenever it is
  used. A session past that is over, whatever arrives later.
- An offer becomes a session only when its first ping is answered within S, and only if its door has not changed.
- An account has at most one session here; a release says that it has none.

Guests of other cities and agents lent to them are the business of `callcenter.session.guests`.
"""

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Mapping
from math import ceil, inf
from typing import Final, Literal

from callcenter.session import tickets
from callcenter.session.admission import Admission
from callcenter.session.delay import Delay, Kept
from callcenter.session.door import Door
from callcenter.session.errors import TicketError
from callcenter.session.events import (
    Activity,
    Button,
    Close,
    Desk,
    Gone,
    MoveMade,
    Out,
    Reply,
    Started,
)
from callcenter.session.fence import Fence
from callcenter.session.guests import GuestDoor, Steps
from callcenter.session.lease import Timing, valid_until
from callcenter.session.loan_frames import LoanFrame
from callcenter.session.messages import (
    PROTOCOL_VERSION,
    AgentButton,
    Beat,
    CarriedState,
    ClientFrame,
    Denied,
    Ended,
    Hello,
    Moved,
    Offer,
    Other,
    Ping,
    Pong,
    Refused,
    Release,
    SignedIn,
    SignIn,
    SignOut,
    Wait,
    Welcome,
    Withdraw,
)
from callcenter.session.move_paces import MovePaces
from callcenter.session.pacing import TokenBucket
from callcenter.session.pings import PingRing
from callcenter.session.placements import UNCONFIRMED_AFTER, PlaceAnswer, Placement, PlacementBook
from callcenter.session.priorities import Priorities, PriorityBook
from callcenter.session.seats import (
    Conn,
    Evidence,
    Group,
    GroupCount,
    KeptSoFar,
    Knock,
    ReleaseRecord,
    Said,
    Seat,
    SeatView,
    Session,
    Tables,
)
from callcenter.session.silence import Silence
from callcenter.session.tickets import TICKET_LIFE, Ticket, TicketBook
from callcenter.session.window import ReleaseWindow

TICK: Final = 0.02
"""Seconds between two calls of `tick` while somebody is being released or let in, or a little more."""

IDLE_TICK: Final = 0.1
"""Seconds between two calls of `tick` at other times: pings go out in ten bursts a second, which costs both ends far
less than fifty."""

RELEASES_A_TICK: Final = 16
"""Agents released in one tick at most, so that pings and calls do not wait behind them; see also `ReleaseWindow`."""

ENTRIES_A_TICK: Final = 500
"""Agents let in from the paced queue in one tick at most, for the same reason."""

SILENT_AFTER: Final = 30.0
"""Seconds without any frame after which a connection without a session is closed; clients beat far more often."""

TOLD_AFTER: Final = 0.2
"""Seconds after which somebody in the moving queue is told to wait: most are let in before, and save that word. A
client waits a lease for an answer, a deep probe a second. Who was told to wait at a shut door needs no second word for
a lease, half of a client's patience: when a lost city's agents are let in, all of them stand there."""

CROWD: Final = 100
"""From so many at the door on, all are told to wait later, at a shut door as well. They are a lost city's agents,
before long its buckets are ours, and as many words are in the way of letting them in."""

TOLD_IN_A_CROWD: Final = 0.7
"""Share of a lease after which they are told. A client that has heard nothing for a lease gives its sign-in up."""

STANDBY_SLACK: Final = 0.02
"""Seconds by which a connection may seem to be younger than its client's gap: that is counted at the client."""

GUESTS: Final = "guests"
"""By this name, which no group can have, the fence knows words about the number of guests."""

HEARD_IN_SILENCE: Final = (Pong, Other, AgentButton, SignOut)
"""Frames that ask for no answer: what they tell counts, whoever is kept silent."""

MOST_CITIES: Final = 16
"""Cities of which one client's word is kept; a client that names more invents them."""


class SessionServer:
    """State machine of one CTI process. See the module's docstring for how to drive it.

    Args:
        site: This city. boot: random ID of this process start. secret: what the CTIs of this system sign tickets with.
        desk: The rest of the CTI. timing: lease and ping. rate: sign-ins a second at most.
        now: When the process started. wall: CLOCK_REALTIME at that moment, for what is
            written into tickets; nothing depends on it.
        peers: The other cities of this system, for guests.
        lent: Accounts that may be lent to one of them, as the disk says; None: the disk says nothing.
        keeps: Whether the driver keeps the accounts on its disk before they are lent (`guests.must_keep`).
        priorities: By group, as the disk says.
    """

    def __init__(
        self,
        *,
        site: str,
        boot: str,
        secret: bytes,
        desk: Desk,
        timing: Timing,
        now: float,
        wall: float,
        rate: float = inf,
        peers: Iterable[str] = (),
        lent: Iterable[str] | None = (),
        keeps: bool = False,
        priorities: Mapping[str, int] | None = None,
    ) -> None:
        self.site = site
        self.boot = boot
        self.timing = timing
        self.book = PlacementBook(site, now)
        self._fence = Fence()
        self.priorities = PriorityBook(self._fence, priorities)
        self._t = Tables()
        self._secret = secret
        self._desk = desk
        self._wall_offset = wall - now
        self._entries = Admission(rate, timing.lease, IDLE_TICK)
        self._ring: PingRing[Session] = PingRing(timing.ping)
        self._lapses: list[tuple[float, int, Session]] = []
        self._untold: list[tuple[float, int, Knock]] = []
        """Those who stand and are to be told to wait: when, and who."""
        self._used = TicketBook()
        self._windows: defaultdict[str, ReleaseWindow] = defaultdict(ReleaseWindow)
        """By city: those who are on their way there."""
        self._paces = MovePaces()
        self._silence = Silence()
        self._ids = 0
        self._unconfirmed_due = True
        self._swept_at = now
        steps = Steps(
            decide=self._decide,
            decide_all=self._decide_all,
            enter=self._enter,
            stand=self._stand,
            end=self._end,
            send=self._send_away,
            turn_away=self._turn_away,
            member=desk.member,
            why_counted=self._why_counted,
        )
        self.guests = GuestDoor(peers, self.book, self._t, steps, boot=boot, now=now, lent=lent, keeps=keeps)

    # ---- what others may ask

    @property
    def is_moving(self) -> bool:
        """Whether agents are being released or let in, a few in each tick, or asked for."""
        if self._t.paced or self.guests.is_asking:
            return True
        # Asked after every frame, so without a generator.
        for group in self._t.groups.values():  # noqa: SIM110
            if group.leaving:
                return True
        return False

    @property
    def sign_in_rate(self) -> float:
        """Sign-ins a second that this process bears now; `inf`: as many as come."""
        return self._entries.rate

    @property
    def has_changed(self) -> bool:
        """Whether `take_changed` would name any group."""
        return bool(self._t.changed)

    def take_changed(self) -> set[str]:
        """Names of the groups whose counts or placement have changed since the last call."""
        changed, self._t.changed = self._t.changed, set()
        return changed

    def valid(self, account: str, now: float) -> bool:
        """Whether this agent has a session here that is alive at `now`."""
        seat = self._t.seats.get(account)
        return seat is not None and seat.session is not None and now < seat.session.valid_until

    def may_take_call(self, account: str, now: float) -> bool:
        """Whether a call may be offered to this agent: a valid session, not about to leave, not kept silent."""
        if not self.valid(account, now):
            return False
        seat = self._t.seats[account]
        return not self._leaving(seat) and not self._silent(seat, now) and not self._goes_home(seat, now)

    def _goes_home(self, seat: Seat, now: float) -> bool:
        """Whether this is a guest who is sent home with the next look; one who has to wait for that takes calls."""
        home = self.guests.homeward(seat, now)
        return home is not None and self._windows[home].has_room(now)

    def conn_of(self, account: str) -> tuple[int, str] | None:
        """Connection and session ID of this agent's session, if there is one."""
        seat = self._t.seats.get(account)
        if seat is None or seat.session is None:
            return None
        return seat.session.conn.id, seat.session.id

    def count(self, group: str) -> GroupCount:
        """The group's counts; zeros for one that was never heard of."""
        known = self._t.groups.get(group)
        return known.count if known is not None else GroupCount()

    def connections(self) -> list[int]:
        """All connections that have said hello."""
        return list(self._t.conns)

    def view(self, account: str, now: float) -> SeatView | None:
        """What is known here about one agent, or None: never heard of."""
        seat = self._t.seats.get(account)
        if seat is None:
            return None
        session = seat.session if self.valid(account, now) else None
        return SeatView(
            member=seat.member,
            session=session.id if session is not None else None,
            instance=session.conn.instance if session is not None else None,
            valid_for=session.valid_until - now if session is not None else None,
            offered=seat.offer is not None and now < seat.offer.valid_until,
            at_door=(seat.knock.reason or "Paced") if seat.knock is not None else None,
            activity=seat.activity,
            released=seat.released,
            guest=session is not None and self.guests.is_guest(account),
            lent=self.guests.is_lent(account, now),
        )

    def release_query(self, account: str, now: float) -> tuple[bool, str]:
        """Whether this CTI counts no session of this account and has none on offer, and why it thinks so."""
        seat = self._t.seats.get(account)
        if seat is not None and self._silent(seat, now):
            return False, "Silenced"
        if self.valid(account, now):
            return False, "SessionAlive"
        if seat is not None and seat.offer is not None and now < seat.offer.valid_until:
            return False, "OfferOutstanding"
        if self.guests.is_lent(account, now):
            return True, "Lent"
        return True, "Released" if seat is not None and seat.released is not None else "NoSession"

    def _why_counted(self, account: str, now: float) -> str | None:
        """What stands against calling this account released here, or None."""
        if self._desk.member(account) is None:
            return "UnknownAccount"
        released, reason = self.release_query(account, now)
        return None if released else reason

    def evidence(self, now: float) -> list[Evidence]:
        """What every client says of each of its other connections, latest word of each."""
        return [
            Evidence(conn.id, conn.seat.member, site, said.ok, now - said.since)
            for conn in self._t.conns.values()
            for site, said in conn.evidence.items()
        ]

    # ---- silence

    def impair(
        self,
        drill: str,
        shares: Mapping[str, int],
        to: Collection[str],
        ttl: float,
        available: Callable[[str], bool],
        now: float,
    ) -> dict[str, int]:
        """Keep some idle agents silent: they get no ping, no answer, no call, and count themselves out.

        The first word of a drill chooses them, those after it say that it goes on. Buckets are chosen whole, those in
        which nobody is busy: who shares one with a call would have to wait for its end at the other city's door.

        Args:
            shares: Group -> percent of its idle agents. Empty: the drill is over.
            to: Cities that each of them must say that it reaches.
            ttl: Seconds from now. available: whether an account waits for calls.
        Returns: How many were chosen, by group; nobody of a drill that is over.
        """
        self._silence.lapse(now)
        if not shares:
            self._silence.end(drill)
        elif self._silence.knows(drill):
            self._silence.renew(drill, ttl, now)
        elif not self._silence.is_over(drill):
            chosen = {group: self._choose(group, share, to, available, now) for group, share in shares.items()}
            self._silence.begin(drill, chosen, ttl, now)
        return self._silence.counts(drill)

    def keeps_silent(self, drill: str) -> bool:
        """Whether this drill's silence goes on."""
        return self._silence.knows(drill)

    def withholds(self, conn_id: int, now: float) -> bool:
        """Whether nothing is said on this connection: its agent is kept silent."""
        conn = self._t.conns.get(conn_id)
        return conn is not None and self._silent(conn.seat, now)

    def silenced(self, group: str, now: float) -> int:
        """Agents of a group who have a session and are offered no call because they are kept silent."""
        seats = (self._t.seats[account] for account in self._silence.accounts_of(group))
        return sum(1 for seat in seats if seat.session is not None and self._silent(seat, now))

    def _choose(
        self, name: str, share: int, to: Collection[str], available: Callable[[str], bool], now: float
    ) -> list[str]:
        group = self._t.groups.get(name)
        by_bucket: dict[int, list[str]] = {}
        for seat in group.seated if group is not None else ():
            if self._may_be_silenced(seat, to, now) and available(seat.member.account):
                by_bucket.setdefault(seat.member.bucket, []).append(seat.member.account)
        wanted = ceil(sum(map(len, by_bucket.values())) * share / 100)
        chosen: list[str] = []
        for bucket, accounts in sorted(by_bucket.items()):
            if group is None or group.count.in_bucket(bucket) > len(accounts):
                continue
            if len(chosen) < wanted and (not chosen or len(chosen) + len(accounts) <= wanted):
                chosen += accounts
        return chosen

    def _may_be_silenced(self, seat: Seat, to: Collection[str], now: float) -> bool:
        """Whether this agent, if nothing were heard of this city, would sign in at another one and break nothing."""
        session, account = seat.session, seat.member.account
        if session is None or now >= session.valid_until or seat.activity is not Activity.IDLE or seat.member.is_test:
            return False
        if seat.offer is not None or seat.knock is not None or self._silence.covers(account, now):
            return False
        if self._door(seat) is not Door.OPEN or self.guests.is_guest(account) or self.guests.is_lent(account, now):
            return False
        said = session.conn.evidence
        return bool(to) and all(site in said and said[site].ok for site in to)

    def _silent(self, seat: Seat, now: float) -> bool:
        """Whether nothing is said to this agent.

        No longer than the bucket is this city's: when it has gone elsewhere the agent has its door there. On its way,
        while somebody else is still here, the other city opens no door: then this one lets the agent go with a ticket.
        """
        if not self._silence.covers(seat.member.account, now):
            return False
        match self._door(seat):
            case Door.OPEN:
                return True
            case Door.LEAVING:
                return not self._t.group_of(seat).count.in_bucket(seat.member.bucket)
            case _:
                return False

    # ---- connections and frames

    def frame(self, conn_id: int, frame: ClientFrame, now: float) -> list[Out]:
        """A frame arrived on a connection."""
        out: list[Out] = []
        conn = self._t.conns.get(conn_id)
        if conn is None:
            if isinstance(frame, Hello):
                self._on_hello(conn_id, frame, now, out)
            else:
                out += [Reply(conn_id, Denied("HelloFirst", "the first frame must be hello")), Close(conn_id)]
            return out
        conn.heard_at = now
        if type(frame) not in HEARD_IN_SILENCE and self._silent(conn.seat, now):
            return out
        match frame:
            case Pong():
                self._on_pong(conn, frame, now, out)
            case Beat():
                out.append(Reply(conn_id, frame))
            case SignIn():
                self._on_sign_in(conn, frame, now, out)
            case Withdraw():
                self._on_withdraw(conn, frame)
            case SignOut():
                if (session := self._session_on(conn, frame.session, now, out)) is not None:
                    self._end(session, "SignedOut", out)
            case AgentButton():
                if self._session_on(conn, frame.session, now, out) is not None:
                    out.append(Button(conn.seat.member, frame.state, frame.then))
            case Moved():
                self._on_moved(conn, frame, now, out)
            case Other():
                if frame.site in conn.evidence or len(conn.evidence) < MOST_CITIES:
                    conn.evidence[frame.site] = Said(frame.ok, now - frame.since)
            case Hello():
                out += [Reply(conn_id, Denied("HelloTwice", "this connection has said hello before")), Close(conn_id)]
        return out

    def disconnected(self, conn_id: int, now: float) -> list[Out]:
        """A connection is gone. Nobody can answer for its session any more, so that ends now."""
        out: list[Out] = []
        conn = self._t.conns.get(conn_id)
        if conn is not None:
            self._drop(conn, out)
        return out

    def _drop(self, conn: Conn, out: list[Out]) -> None:
        seat = conn.seat
        if conn.session is not None:
            if conn.session.real:
                self._end(conn.session, "Disconnected", out, tell=False)
            else:
                self._t.cancel_offer(seat)
        if seat.knock is not None and seat.knock.conn is conn:
            self._t.leave_door(seat)
        self._t.close(conn)

    def _on_hello(self, conn_id: int, hello: Hello, now: float, out: list[Out]) -> None:
        member = self._desk.member(hello.account)
        line = self._desk.line(hello.mac)
        if hello.v != PROTOCOL_VERSION:
            self._deny(conn_id, "WrongVersion", f"this CTI speaks version {PROTOCOL_VERSION}, not {hello.v}", out)
        elif member is None:
            self._deny(conn_id, "UnknownAccount", f"no agent {hello.account!r} in this system's directory", out)
        elif line is None:
            self._deny(conn_id, "UnknownPhone", f"no phone with MAC {hello.mac!r} in the directory", out)
        elif not self._silent(seat := self._t.seat(member), now):
            for old in [c for c in seat.conns.values() if c.instance == hello.instance]:
                self._drop(old, out)  # the client has given it up, or it would not connect again
                out.append(Close(old.id))
            self._t.open(Conn(conn_id, seat, hello.instance, hello.mac, now, opened_at=now))
            place = None if self.book.why_shut(member.group, now) else self.book.place(member.group, member.bucket)
            home = place.owner if place is not None else None
            timing = self.timing
            out.append(Reply(conn_id, Welcome(self.site, self.boot, timing.lease, timing.ping, home, line)))

    def _deny(self, conn_id: int, reason: str, message: str, out: list[Out]) -> None:
        out += [Reply(conn_id, Denied(reason, message)), Close(conn_id)]

    def _on_moved(self, conn: Conn, frame: Moved, now: float, out: list[Out]) -> None:
        session = self._session_on(conn, frame.session, now, out)
        if session is None or session.reported:
            return
        session.reported = True
        cause: Literal["Move", "Failover", "Guest"]
        if session.as_guest or session.came_home:
            cause = "Guest"
        else:
            cause = "Move" if session.ticket is not None or self._was_let_in(conn) else "Failover"
        kept = session.ticket.kept if session.ticket is not None else None
        standby = conn.opened_at <= session.began_at - frame.gap + STANDBY_SLACK
        delay = Delay(kept, round(session.door_seconds, 3), session.door_reason, standby)
        moments = (frame.gap, frame.released_at, frame.signed_in_at)
        out.append(MoveMade(conn.seat.member, frame.from_, *moments, cause, delay))

    # ---- the door

    def _on_sign_in(self, conn: Conn, frame: SignIn, now: float, out: list[Out]) -> None:
        seat = conn.seat
        if conn.session is not None and conn.session.real:
            self._end(conn.session, "Replaced", out, tell=False)  # it would not ask if it still answered for that one
        # One sign-in of a seat at a time: a newer one takes the place of whatever came before it.
        if seat.knock is not None and seat.knock.conn is not conn:
            message = "another device has asked for a session of this account"
            out.append(Reply(seat.knock.conn.id, Refused(seat.knock.frame.seq, "OtherDevice", message)))
        self._t.cancel_offer(seat)
        self._t.leave_door(seat)
        ticket: Ticket | None = None
        if frame.ticket is not None:
            try:
                ticket = tickets.verify(frame.ticket, self._secret)
                self._used.check(ticket, account=seat.member.account, instance=conn.instance, site=self.site)
            except TicketError as e:
                if self._door(seat) is Door.TICKET_ONLY and not self._was_let_in(conn):
                    out.append(Reply(conn.id, Refused(frame.seq, e.reason, str(e))))
                    return
                ticket = None  # this door asks for none
        self._decide(Knock(conn, frame, ticket, now), now, out)

    def _decide(self, knock: Knock, now: float, out: list[Out]) -> None:
        """Decide about one sign-in by the door as it is now: let in, send elsewhere, or let stand."""
        seat = knock.conn.seat
        if seat.member.is_test:
            self._enter(knock, now, out)  # in turn with everybody: it asks whether this CTI signs in at all
            return
        group, bucket = seat.member.group, seat.member.bucket
        shut = self.book.why_shut(group, now)
        held, place = self.book.get(group), self.book.place(group, bucket)
        if shut is not None or held is None or place is None:
            self._stand(knock, shut or "NoPlacement", out)
            return
        ahead = knock.ticket is not None and knock.ticket.revision > held.revision
        match self._door(seat):
            case Door.OPEN:
                self._enter(knock, now, out)
            case Door.LEAVING if self._finishes_here(seat, now):
                self._enter(knock, now, out)
            case Door.LEAVING:
                to = place.to or place.site
                if (shut := self.guests.why_not_on(knock.conn, to, now)) is not None:
                    self._stand(knock, shut, out)
                else:
                    self._turn_away(knock, to, now, out, with_ticket=True)
            case Door.TICKET_ONLY | Door.CLOSED if ahead:
                self._stand(knock, "PlacementBehind", out)
            case Door.TICKET_ONLY if self._was_let_in(knock.conn):
                self._enter(knock, now, out)
            case Door.TICKET_ONLY if knock.ticket is not None:
                if knock.ticket.revision < self.book.since(group, bucket)[0]:
                    # Written under an earlier order, which was withdrawn in between: the old city took it back.
                    self._turn_away(knock, place.owner, now, out)
                else:
                    self._enter(knock, now, out)
            case Door.TICKET_ONLY | Door.CLOSED if knock.frame.wait:
                self.guests.ask(knock, place.owner, now, out)
            case Door.TICKET_ONLY | Door.CLOSED:
                self._turn_away(knock, place.owner, now, out)

    def _stand(self, knock: Knock, reason: str, out: list[Out]) -> None:
        """Let a sign-in stand at the door, and say why if that is news; in a crowd, if it lasts."""
        knock.reason = reason
        if not knock.told and self._is_crowded:
            self._tell_at(knock, self._told_in_a_crowd_at(knock))
        elif knock.told != reason:
            self._tell(knock, reason, out)
        self._t.stand(knock)

    @property
    def _is_crowded(self) -> bool:
        return self._t.standing >= CROWD

    def _told_in_a_crowd_at(self, knock: Knock) -> float:
        return knock.asked_at + TOLD_IN_A_CROWD * self.timing.lease

    def _tell_at(self, knock: Knock, moment: float) -> None:
        if knock.tell_at != moment:
            knock.tell_at = moment
            self._ids += 1
            heapq.heappush(self._untold, (moment, self._ids, knock))

    @staticmethod
    def _tell(knock: Knock, reason: str, out: list[Out]) -> None:
        knock.reason = knock.told = reason
        knock.tell_at = inf
        out.append(Reply(knock.conn.id, Wait(knock.frame.seq, reason)))

    def _on_withdraw(self, conn: Conn, frame: Withdraw) -> None:
        seat = conn.seat
        if seat.knock is not None and seat.knock.conn is conn and seat.knock.frame.seq == frame.seq:
            self._t.leave_door(seat)
        elif seat.offer is not None and seat.offer.conn is conn:
            self._t.cancel_offer(seat)

    def _turn_away(self, knock: Knock, to: str, now: float, out: list[Out], *, with_ticket: bool = False) -> None:
        """Answer a sign-in with a release: this CTI holds no session of this agent; sign in at `to`."""
        seat = knock.conn.seat
        self._t.leave_door(seat)
        if seat.session is not None:
            # Another device, or an earlier connection. What a release says must be true.
            self._end(seat.session, "Replaced", out)
        carried = knock.frame.state or self._desk.carried(seat.member.account)
        ticket = self._send_on(seat, knock.conn.instance, to, carried, now) if with_ticket else None
        out.append(Reply(knock.conn.id, Release(knock.frame.seq, None, to, ticket, carried)))

    def _send_on(self, seat: Seat, instance: str, to: str, carried: CarriedState, now: float) -> str:
        """The ticket of an agent without a session here, who does not come back for a call that is still on."""
        self._t.linger(seat, False)
        return self._ticket(seat, instance, to, carried, now)

    def _enter(self, knock: Knock, now: float, out: list[Out]) -> None:
        """The door is open for this one: in at once, or in turn when others are ahead or the rate is reached.

        A placement's pace holds back the releases in the old city, not the entries here: those who enter may just as
        well be the survivors of a lost city, and these wait for nothing but this CTI's own rate.
        """
        if (shut := self.guests.why_shut(knock.conn, now)) is not None:
            self._stand(knock, shut, out)
        elif self._t.paced or not self._entries.take(now):
            self._queue(knock, now)
        else:
            self._offer(knock, now, out)

    def _queue(self, knock: Knock, now: float) -> None:
        """Let a sign-in stand in the moving queue, and say so only if it lasts."""
        if knock.reason:
            knock.stood_for, knock.reason = knock.reason, ""
        moment = now + TOLD_AFTER
        if knock.told:
            moment = max(moment, knock.asked_at + self.timing.lease)
        elif self._is_crowded and not knock.conn.seat.member.is_test:
            moment = max(moment, self._told_in_a_crowd_at(knock))
        self._tell_at(knock, moment)
        self._t.stand(knock, paced=self._priority(knock))

    def _tell_due(self, now: float, out: list[Out]) -> None:
        """Tell those to wait who have stood for a while."""
        while self._untold and self._untold[0][0] <= now:
            moment, _, knock = heapq.heappop(self._untold)
            if knock.conn.seat.knock is knock and knock.tell_at == moment:
                self._tell(knock, knock.reason or "Paced", out)

    def _admit_paced(self, now: float, out: list[Out]) -> None:
        """Let in from the moving queue what the rate allows."""
        paced = self._t.paced
        for _ in range(min(len(paced), ENTRIES_A_TICK)):
            knock = paced.next()
            if not self._would_enter(knock, now):
                paced.leave(knock)  # the door has shut meanwhile
                self._decide(knock, now, out)
            elif self._entries.take(now, waiting=True):
                paced.let_in(knock)
                self._offer(knock, now, out)
            else:
                return

    def _priority(self, knock: Knock) -> int:
        return self.priorities.of(knock.conn.seat.member.group)

    def _would_enter(self, knock: Knock, now: float) -> bool:
        seat = knock.conn.seat
        if seat.member.is_test:
            return True
        if self.book.why_shut(seat.member.group, now) is not None:
            return False
        return self._lets_in(knock.conn, now, has_ticket=knock.ticket is not None)

    def _lets_in(self, conn: Conn, now: float, *, has_ticket: bool) -> bool:
        """Whether a sign-in that was once let in would be let in again by the door as it is now."""
        if self.guests.why_shut(conn, now) is not None:
            return False
        match self._door(conn.seat):
            case Door.OPEN:
                return True
            case Door.LEAVING:
                return self._finishes_here(conn.seat, now)
            case Door.TICKET_ONLY:
                return has_ticket or self._was_let_in(conn) or self.guests.lets_in(conn, now)
            case Door.CLOSED:
                return self.guests.lets_in(conn, now)

    def _finishes_here(self, seat: Seat, now: float) -> bool:
        """Whether a busy agent of a leaving bucket comes in again to finish what outlived its session.

        Only while the bucket counts it: a bucket that was said to be empty may be the other city's by now. And not when
        its time is up: it would be released again at once.
        """
        counted = seat.lingers or seat.session is not None
        return counted and seat.activity is not Activity.IDLE and not self._overdue(seat, now)

    def _was_let_in(self, conn: Conn) -> bool:
        """Whether this client instance has entered by ticket under the order that still stands.

        The old city has let it go then and takes it back only under a newer order, so if its session here is lost, it
        may come in again without asking there: that city may be gone by now.
        """
        seat = conn.seat
        if seat.let_in is None:
            return False
        return seat.let_in == (conn.instance, self.book.since(seat.member.group, seat.member.bucket)[0])

    # ---- offers and sessions

    def _offer(self, knock: Knock, now: float, out: list[Out]) -> None:
        conn = knock.conn
        self._t.leave_door(conn.seat)
        self._ids += 1
        carried = knock.ticket.state if knock.ticket is not None else knock.frame.state
        until = self.guests.cap(conn, valid_until(now, self.timing.lease))
        offer = Session(f"{self.boot}.{self._ids}", conn, knock.ticket, carried, until, asked_at=knock.asked_at)
        offer.door_seconds, offer.door_reason = now - knock.asked_at, knock.reason or knock.stood_for
        self._t.offer(offer)
        heapq.heappush(self._lapses, (until, self._ids, offer))
        out.append(Reply(conn.id, Offer(knock.frame.seq, offer.id, self.timing.lease, self.timing.ping)))
        self._ping(offer, now, out)

    def _ping(self, session: Session, now: float, out: list[Out]) -> None:
        session.n += 1
        session.pings.append((session.n, now))
        out.append(Reply(session.conn.id, Ping(session.id, session.n)))

    def _on_pong(self, conn: Conn, frame: Pong, now: float, out: list[Out]) -> None:
        session = self._t.sessions.get(frame.session)
        if session is None or session.conn is not conn:
            return  # ended meanwhile; the client was told
        if now >= session.valid_until:
            self._lapse(session, out)
            return
        sent: float | None = None
        while session.pings and session.pings[0][0] <= frame.n:
            n, at = session.pings.popleft()
            sent = at if n == frame.n else sent
        if sent is None:
            return  # answered before, or never sent
        until = self.guests.cap(conn, valid_until(sent, self.timing.lease))
        session.valid_until = max(session.valid_until, until)
        if not session.real and self._offer_stands(session, now, out):
            self._begin(session, now, out)

    def _begin(self, session: Session, now: float, out: list[Out]) -> None:
        """The first ping is answered: the offer becomes a session."""
        conn = session.conn
        seat = conn.seat
        if seat.session is not None:
            self._end(seat.session, "Replaced", out)
        if session.ticket is not None:
            since = self.book.since(seat.member.group, seat.member.bucket)[0]
            self._used.use(session.ticket, since)
            seat.let_in = (conn.instance, since)
            # A move's ticket is older than the map that opens the door; this bucket has been ours all along.
            session.came_home = self._door(seat) is Door.OPEN and session.ticket.revision >= since
        self.guests.began(session, now)
        self._t.seat_session(session)
        session.began_at = now
        self._ring.add(session)
        badge = self._desk.sign_in(seat.member, conn.mac, session.carried, now)
        came_from = session.ticket.from_ if session.ticket else None
        out.append(Started(seat.member, session.id, conn.id, came_from, now - session.asked_at))
        badge_shown = (badge.number, badge.virtual_id, badge.extension, badge.state)
        out.append(Reply(conn.id, SignedIn(session.id, *badge_shown, guest=session.as_guest)))
        if self._leaving(seat):
            self._t.group_of(seat).leaving.append(seat)

    def _end(self, session: Session, reason: str, out: list[Out], *, tell: bool = True) -> None:
        self._unseat(session)
        seat = session.conn.seat
        self._t.linger(seat, seat.activity is not Activity.IDLE)
        out.append(Gone(session.conn.seat.member, session.id, reason))
        if tell:
            out.append(Reply(session.conn.id, Ended(session.id, reason)))

    def _unseat(self, session: Session) -> None:
        self._t.unseat_session(session)
        self._ring.remove(session)

    def _lapse(self, session: Session, out: list[Out]) -> None:
        if session.real:
            self._end(session, "Lapsed", out)
        else:
            self._t.cancel_offer(session.conn.seat)

    def _lapse_due(self, now: float, out: list[Out]) -> None:
        while self._lapses and self._lapses[0][0] <= now:
            _, order, session = heapq.heappop(self._lapses)
            if session.id not in self._t.sessions:
                continue  # ended meanwhile
            if session.valid_until <= now:
                self._lapse(session, out)
            else:  # renewed since: look again when the newer lease ends
                heapq.heappush(self._lapses, (session.valid_until, order, session))

    def _session_on(self, conn: Conn, session_id: str, now: float, out: list[Out]) -> Session | None:
        """The valid session `session_id` of this connection, if it is one."""
        session = conn.session
        if session is None or session.id != session_id or not session.real:
            return None
        if now >= session.valid_until:
            self._lapse(session, out)
            return None
        return session

    # ---- releases

    def arrived_at_peer(self, peer: str, boot: str, total: int, now: float) -> None:
        """Another CTI says how many agents have come in there with a ticket of ours since it started as `boot`."""
        self._windows[peer].arrived(boot, total, now)
        self.guests.heard(peer, now)

    def peer_said(self, peer: str, frame: LoanFrame, now: float) -> list[Out]:
        """Another CTI speaks of guests."""
        out: list[Out] = []
        self.guests.said(peer, frame, now, out)
        return out

    def loans_kept(self, now: float) -> list[Out]:
        """The disk has what `guests.begin_keeping` said."""
        out: list[Out] = []
        self.guests.kept(now, out)
        return out

    def set_guest_capacity(self, capacity: int, now: float, *, as_of: int = 0) -> list[Out]:
        """How many guests this city takes, as the store had it at revision `as_of`; 0: as the disk has it."""
        out: list[Out] = []
        if self._fence.passes(GUESTS, as_of) and capacity != self.guests.capacity:
            self.guests.set_capacity(capacity)
            self._decide_all(now, out)
        return out

    def set_activity(self, account: str, activity: Activity, now: float) -> list[Out]:
        """The agent has begun or finished something that may keep the agent here."""
        out: list[Out] = []
        member = self._desk.member(account)
        if member is None:
            return out
        seat = self._t.seat(member)
        if seat.activity is not activity:
            if self._leaving(seat):
                self._kept(seat).spent(seat.activity, seat.activity_since, now)
            seat.activity, seat.activity_since = activity, now
        if activity is Activity.IDLE:
            self._t.linger(seat, False)
        if activity is Activity.IDLE and seat.session is not None and self._leaving(seat):
            group = self._t.group_of(seat)
            group.leaving.append(seat)
            self._release_some(group, now, 1, out)
        return out

    def _release_in_turn(self, now: float, out: list[Out]) -> None:
        """Release this tick's share. The group with most left goes next, so that none is gone while others wait."""
        leaving = [group for group in self._t.groups.values() if group.leaving]
        for _ in range(RELEASES_A_TICK):
            if not leaving:
                return
            group = max(leaving, key=lambda group: len(group.leaving))
            if not self._release_some(group, now, 1, out) or not group.leaving:
                leaving.remove(group)
        for group in leaving:  # this tick's share is used up
            if group.release_pace is not None:
                group.release_pace.comes_back()

    def _release_some(self, group: Group, now: float, most: int, out: list[Out]) -> int:
        """Release up to `most` of the leaving; returns how many were."""
        released = 0
        while group.leaving and released < most:
            seat = group.leaving[0]
            if not self._can_release(seat, now):
                group.leaving.popleft()  # the busy come back through set_activity or their deadline
                continue
            if not self._windows[self._bound_for(seat)].has_room(now):
                break
            pace = group.release_pace
            if pace is not None and not pace.take(now, waiting=pace.waited_for(now)):
                break
            group.leaving.popleft()
            self._release(seat, now, out)
            released += 1
        return released

    def _can_release(self, seat: Seat, now: float) -> bool:
        if seat.session is None or now >= seat.session.valid_until or not self._leaving(seat):
            return False
        return seat.activity is Activity.IDLE or self._overdue(seat, now)

    def _overdue(self, seat: Seat, now: float) -> bool:
        """Whether a busy agent's time to finish is up and the placement says Force."""
        placement = self.book.get(seat.member.group)
        if placement is None or placement.drain.on_deadline != "Force":
            return False
        drain = placement.drain
        _, leaving_since = self.book.since(seat.member.group, seat.member.bucket)
        if seat.activity is Activity.CALL:
            return drain.max_talk is not None and now >= leaving_since + drain.max_talk
        since = max(leaving_since, seat.activity_since)
        return drain.max_wrapup is not None and now >= since + drain.max_wrapup

    def _release(self, seat: Seat, now: float, out: list[Out]) -> None:
        """Release an agent to the bucket's new site."""
        self._t.group_of(seat).count.released += 1
        self._release_to(seat, self._bound_for(seat), now, out)

    def _bound_for(self, seat: Seat) -> str:
        """Where the leaving bucket of this seat goes."""
        place = self.book.place(seat.member.group, seat.member.bucket)
        assert place is not None
        assert place.to is not None
        return place.to

    def _release_to(self, seat: Seat, to: str, now: float, out: list[Out]) -> None:
        """End a session by a release: ticket in hand, the agent goes to another site."""
        session = seat.session
        assert session is not None
        carried = self._desk.carried(seat.member.account)
        kept: Kept | None = None
        if self._leaving(seat):
            so_far = self._kept(seat)
            so_far.spent(seat.activity, seat.activity_since, now)
            kept = so_far.until(now)
        ticket = self._ticket(seat, session.conn.instance, to, carried, now, kept)
        self._unseat(session)
        self._windows[to].released(now)
        out.append(Gone(seat.member, session.id, "Released", to))
        out.append(Reply(session.conn.id, Release(None, session.id, to, ticket, carried)))

    def _send_away(self, seat: Seat, to: str, now: float, out: list[Out]) -> bool:
        """Release an agent who is no part of any move, if the other city keeps up with those on their way to it."""
        if not self._windows[to].has_room(now):
            return False
        self._release_to(seat, to, now, out)
        return True

    def _kept(self, seat: Seat) -> KeptSoFar:
        """What has kept this agent since the bucket began to leave."""
        since = self.book.since(seat.member.group, seat.member.bucket)[1]
        if seat.kept is None or seat.kept.since != since:
            seat.kept = KeptSoFar(since)
        return seat.kept

    def _ticket(
        self, seat: Seat, instance: str, to: str, carried: CarriedState, now: float, kept: Kept | None = None
    ) -> str:
        member = seat.member
        placement = self.book.get(member.group)
        assert placement is not None
        self._ids += 1
        seat.released = ReleaseRecord(to, now, placement.revision)
        wall = now + self._wall_offset
        ticket = Ticket(
            account=member.account,
            instance=instance,
            group=member.group,
            bucket=member.bucket,
            from_=self.site,
            to=to,
            revision=placement.revision,
            issued_at=wall,
            expires_at=wall + TICKET_LIFE,
            id=f"{self.boot}.t{self._ids}",
            state=carried,
            kept=kept,
        )
        return tickets.sign(ticket, self._secret)

    # ---- placements

    def adopt(self, name: str, placement: Placement) -> None:
        """Hold what the disk or the operator's ConfigMap says, unconfirmed, and count who may be lent by it."""
        self.book.adopt(name, placement)
        self.guests.placed(name, self.book.boot_at)

    def place(
        self, placements: Mapping[str, Placement], *, confirmed: bool, now: float
    ) -> tuple[dict[str, PlaceAnswer], list[Out]]:
        """Take what the engine pushed. The caller has compared the push's boot ID with `boot`."""
        out: list[Out] = []
        answers = {}
        for name in self._by_priority(placements):
            answers[name] = self.book.take(name, placements[name], confirmed=confirmed, now=now)
            if answers[name].accepted:
                self._apply(name, placements[name], now, out)
        self._paces.forget_all_but(held.together.move for held in self.book.all().values() if held.together)
        return answers, out

    def set_priorities(self, priorities: Priorities) -> None:
        """Take what the engine says of groups' priorities: who waits already is ranked anew."""
        changed = self.priorities.take(priorities)
        self._t.changed |= changed
        for knock in self._t.paced if changed else ():
            if knock.conn.seat.member.group in changed:
                self._t.paced.rank(knock, self._priority(knock))

    def _by_priority(self, groups: Iterable[str]) -> list[str]:
        """Doors open in this order: what the rate lets in at once are the most important ones."""
        return sorted(groups, key=lambda group: -self.priorities.of(group))

    def _apply(self, name: str, placement: Placement, now: float, out: list[Out]) -> None:
        """Act on a placement now held: withdraw offers, list who must leave, ask again who may come in."""
        group = self._t.group(name)
        self._t.changed.add(name)
        if placement.together is not None:
            group.release_pace = self._paces.of(placement.together, placement.revision)
        elif placement.pace is None:
            group.release_pace = None
        elif group.release_pace is None or group.release_pace.rate != placement.pace:
            group.release_pace = TokenBucket(placement.pace)
        group.leaving = deque(seat for seat in group.seated if self._leaving(seat))
        self.guests.placed(name, now)
        for seat in list(group.offered):
            if seat.offer is not None:
                self._offer_stands(seat.offer, now, out)
        self._decide_again(group, now, out)

    def _offer_stands(self, offer: Session, now: float, out: list[Out]) -> bool:
        """Whether the door would still let this agent in; else the offer is withdrawn.

        The map may be another one by now, and a call that was to be finished here may be over.
        """
        seat = offer.conn.seat
        place = self.book.place(seat.member.group, seat.member.bucket)
        if seat.member.is_test or place is None or self._lets_in(offer.conn, now, has_ticket=offer.ticket is not None):
            return True
        self._t.cancel_offer(seat)
        if seat.session is not None:
            # Of another device, or of an earlier connection. What a release says must be true, as in `_turn_away`.
            self._end(seat.session, "Replaced", out)
        carried = offer.carried or self._desk.carried(seat.member.account)
        if place.to is not None and self._leaving(seat):
            to, ticket = place.to, self._send_on(seat, offer.conn.instance, place.to, carried, now)
        else:
            to, ticket = place.owner, None
        out.append(Reply(offer.conn.id, Release(None, offer.id, to, ticket, carried)))
        return False

    def _decide_all(self, now: float, out: list[Out]) -> None:
        for name in self._by_priority(self._t.groups):
            self._decide_again(self._t.groups[name], now, out)

    def _decide_again(self, group: Group, now: float, out: list[Out]) -> None:
        for seat in list(group.at_door):
            if seat.knock is not None:
                self._decide(seat.knock, now, out)

    def restart(self, boot: str, now: float) -> list[Out]:
        """The process was away for longer than a lease: new boot ID, doors shut until confirmed again."""
        out: list[Out] = []
        self.boot = boot
        self.book.restart(now)
        self._fence.restart()
        self._silence.forget()
        self._unconfirmed_due = True
        self._lapse_due(now, out)
        for group in self._t.groups.values():
            for offer in [seat.offer for seat in group.offered if seat.offer is not None]:
                self._t.cancel_offer(offer.conn.seat)
                out.append(Reply(offer.conn.id, Ended(offer.id, "Lapsed")))
        self._t.changed |= set(self._t.groups)
        return out

    # ---- time

    def tick(self, now: float) -> list[Out]:
        """Time has passed: lapses, pings, entries and releases that are due."""
        out: list[Out] = []
        self._entries.tick(now)
        self._lapse_due(now, out)
        for session in self._ring.due(now):
            self._ping(session, now, out)
        if self._unconfirmed_due and now >= self.book.boot_at + UNCONFIRMED_AFTER:
            self._unconfirmed_due = False
            self._decide_all(now, out)
        self._admit_paced(now, out)
        self._tell_due(now, out)
        self._release_in_turn(now, out)
        self.guests.tick(now, out)
        if now >= self._swept_at + 1.0:
            self._swept_at = now
            self._sweep(now, out)
        return out

    def _sweep(self, now: float, out: list[Out]) -> None:
        """Once a second: connections that fell silent, and busy agents of leaving buckets whose time is up."""
        self._silence.lapse(now)
        for conn in self._t.conns.values():
            if conn.session is None and now >= conn.heard_at + SILENT_AFTER:
                out.append(Close(conn.id))
        for group in self._t.groups.values():
            busy = [seat for seat in group.seated if seat.activity is not Activity.IDLE and self._leaving(seat)]
            group.leaving.extend(seat for seat in busy if self._overdue(seat, now))
            for seat in [seat for seat in group.lingering if self._leaving(seat) and self._overdue(seat, now)]:
                self._t.linger(seat, False)  # its agent may not come back, and would be sent on
            self._note_staying(group, busy, now)

    def _note_staying(self, group: Group, busy: Iterable[Seat], now: float) -> None:
        """Note by name who is still here after the longest call of a move should have ended."""
        placement = self.book.get(group.name)
        limit = placement.drain.max_talk if placement is not None else None
        staying: tuple[str, ...] = ()
        if limit is not None:
            late = [
                seat
                for seat in (*busy, *filter(self._leaving, group.lingering))
                if self._leaves_for(seat, now) >= limit
            ]
            staying = tuple(sorted(seat.member.account for seat in late))
        if staying != group.count.staying:
            group.count.staying = staying
            self._t.changed.add(group.name)

    # ---- small steps

    def _door(self, seat: Seat) -> Door:
        return self.book.door(seat.member.group, seat.member.bucket)

    def _leaves_for(self, seat: Seat, now: float) -> float:
        """Seconds for which this seat's bucket has been leaving."""
        return now - self.book.since(seat.member.group, seat.member.bucket)[1]

    def _leaving(self, seat: Seat) -> bool:
        return self._door(seat) is Door.LEAVING
