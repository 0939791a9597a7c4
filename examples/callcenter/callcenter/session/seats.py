"""The tables behind a CTI's sessions: connections, offers and sessions, agents, and groups with their counts.

`Tables` keeps them consistent with each other and the counts up to date with every change; it decides nothing.
"""

from collections import deque
from dataclasses import dataclass, field
from math import inf

from callcenter.session.delay import Kept
from callcenter.session.events import Activity, Member
from callcenter.session.messages import CarriedState, SignIn
from callcenter.session.pacing import TokenBucket
from callcenter.session.tickets import Ticket
from callcenter.session.turns import Turns


@dataclass(frozen=True, slots=True)
class Said:
    """A client's word about its connection to a city: good or not, and since when (`now`'s clock)."""

    ok: bool
    since: float


@dataclass(slots=True, eq=False)
class Conn:
    """One client connection that said hello."""

    id: int
    seat: "Seat"
    instance: str
    mac: str
    heard_at: float
    opened_at: float
    session: "Session | None" = None
    """The session or the offer that lives on this connection."""
    evidence: dict[str, Said] = field(default_factory=dict)
    """By city, the client's latest word."""


@dataclass(slots=True, eq=False)
class Session:
    """An offer, and once its first ping is answered a session."""

    id: str
    conn: Conn
    ticket: Ticket | None
    carried: CarriedState | None
    valid_until: float
    real: bool = False
    n: int = 0
    pings: deque[tuple[int, float]] = field(default_factory=deque)
    """(n, sending time) of pings not answered yet, oldest first."""
    began_at: float = inf
    """When the offer became a session (`now`'s clock)."""
    door_seconds: float = 0.0
    """How long the client had asked when it was offered, and why it stood: what `Delay` shows."""
    door_reason: str = ""
    reported: bool = False
    """Whether the client has told its gap."""
    as_guest: bool = False
    asked_at: float = 0.0
    came_home: bool = False
    """By a ticket from a city where the agent was a guest."""


@dataclass(slots=True, eq=False)
class Knock:
    """A sign-in that is being decided, or stands at the door for `reason`."""

    conn: Conn
    frame: SignIn
    ticket: Ticket | None
    asked_at: float
    reason: str = ""
    stood_for: str = ""
    """The reason for which it stood before it came into the moving queue, if any."""
    told: str = ""
    """What the client was told last; empty: nothing yet."""
    tell_at: float = inf
    """When the client is told to wait, if it still stands then (`now`'s clock)."""


@dataclass(slots=True, eq=False)
class KeptSoFar:
    """What has kept an agent of a leaving bucket. `since`: when the bucket began to leave (`now`'s clock)."""

    since: float
    call: float = 0.0
    wrapup: float = 0.0

    def spent(self, activity: Activity, begun: float, now: float) -> None:
        """The agent did this from `begun` until `now`; what was before the bucket began to leave does not count."""
        seconds = max(0.0, now - max(begun, self.since))
        if activity is Activity.CALL:
            self.call += seconds
        elif activity is Activity.WRAPUP:
            self.wrapup += seconds

    def until(self, now: float) -> Kept:
        """The whole, at the release."""
        turn = max(0.0, now - self.since - self.call - self.wrapup)
        return Kept(round(self.call, 3), round(self.wrapup, 3), round(turn, 3))


@dataclass(frozen=True, slots=True)
class ReleaseRecord:
    """The last time this CTI let an agent go: to which site, when (`now`'s clock), at which revision."""

    to: str
    at: float
    revision: int


@dataclass(slots=True, eq=False)
class Seat:
    """Everything about one account here, for as long as the process lives."""

    member: Member
    conns: dict[int, Conn] = field(default_factory=dict)
    session: Session | None = None
    offer: Session | None = None
    knock: Knock | None = None
    activity: Activity = Activity.IDLE
    activity_since: float = 0.0
    kept: KeptSoFar | None = None
    lingers: bool = False
    """The session is gone without a release, but its call is not over: the agent may come back to finish it here."""
    released: ReleaseRecord | None = None
    let_in: tuple[str, int] | None = None
    """Which client instance last entered by ticket, and since which revision its bucket had been where it was."""


@dataclass(slots=True)
class GroupCount:
    """Counts of one group. `buckets`: sessions per bucket, `lingering`: calls that outlived theirs; without zeros."""

    signed_in: int = 0
    waiting: int = 0
    connections: int = 0
    buckets: dict[int, int] = field(default_factory=dict)
    lingering: dict[int, int] = field(default_factory=dict)
    lent: dict[int, int] = field(default_factory=dict)
    """Agents lent to a city other than the one to which their bucket is on its way."""
    released: int = 0
    """Agents let go by moves since the process started."""
    staying: tuple[str, ...] = ()
    """Accounts in leaving buckets who are still busy although the longest call should have ended, by name."""

    @property
    def occupied(self) -> dict[int, int]:
        """Agents per bucket who are here or may come back here: while there is one, the bucket has not left."""
        return {
            bucket: self.in_bucket(bucket)
            for bucket in sorted(self.buckets.keys() | self.lingering.keys() | self.lent.keys())
        }

    def in_bucket(self, bucket: int) -> int:
        """What `occupied` says of one bucket."""
        return self.buckets.get(bucket, 0) + self.lingering.get(bucket, 0) + self.lent.get(bucket, 0)

    @property
    def standby(self) -> int:
        """Connections without a session."""
        return self.connections - self.signed_in


@dataclass(slots=True, eq=False)
class Group:
    """One group's seats, by what the server has to do about them."""

    name: str
    count: GroupCount = field(default_factory=GroupCount)
    seated: dict[Seat, None] = field(default_factory=dict)
    """Those with a session."""
    lingering: dict[Seat, None] = field(default_factory=dict)
    """Those whose call has outlived their session."""
    offered: dict[Seat, None] = field(default_factory=dict)
    """Those with an offer."""
    at_door: dict[Seat, None] = field(default_factory=dict)
    """Those whose door is shut."""
    leaving: deque[Seat] = field(default_factory=deque)
    """Those to release as soon as pace and activity allow; checked again when their turn comes."""
    release_pace: TokenBucket | None = None


class Tables:
    """All of a CTI's tables. `changed`: names of groups whose counts changed; whoever reads it empties it."""

    def __init__(self) -> None:
        self.changed: set[str] = set()
        self.conns: dict[int, Conn] = {}
        self.seats: dict[str, Seat] = {}
        self.groups: dict[str, Group] = {}
        self.sessions: dict[str, Session] = {}
        """Offers and sessions by ID."""
        self.paced: Turns[Knock] = Turns()
        """Those whose door is open but not fast enough."""
        self.standing = 0
        """How many stand at a door, open or shut."""

    def group(self, name: str) -> Group:
        """The group's table, made when first asked for."""
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
        return group

    def group_of(self, seat: Seat) -> Group:
        """The table of this seat's group."""
        return self.group(seat.member.group)

    def seat(self, member: Member) -> Seat:
        """The seat of an agent, made when first asked for."""
        seat = self.seats.get(member.account)
        if seat is None:
            seat = self.seats[member.account] = Seat(member)
        return seat

    def _count(self, seat: Seat) -> GroupCount:
        self.changed.add(seat.member.group)
        return self.group_of(seat).count

    # ---- connections

    def open(self, conn: Conn) -> None:
        """Enter a connection."""
        self.conns[conn.id] = conn.seat.conns[conn.id] = conn
        self._count(conn.seat).connections += 1

    def close(self, conn: Conn) -> None:
        """Take a connection out. What lived on it was taken out before."""
        del self.conns[conn.id], conn.seat.conns[conn.id]
        self._count(conn.seat).connections -= 1

    # ---- the door

    def stand(self, knock: Knock, *, paced: int | None = None) -> None:
        """Let a sign-in stand at the door: in the moving queue of an open one, by its priority, or at a shut one."""
        seat = knock.conn.seat
        group = self.group_of(seat)
        if seat.knock is None:
            self._count(seat).waiting += 1
            self.standing += 1
        seat.knock = knock
        if paced is not None:
            group.at_door.pop(seat, None)
            self.paced.join(knock, paced)
        else:
            self.paced.leave(knock)
            group.at_door[seat] = None

    def leave_door(self, seat: Seat) -> None:
        """Nobody of this seat stands at the door any more."""
        if seat.knock is not None:
            self.paced.leave(seat.knock)
            seat.knock = None
            self.group_of(seat).at_door.pop(seat, None)
            self._count(seat).waiting -= 1
            self.standing -= 1

    # ---- offers and sessions

    def offer(self, offer: Session) -> None:
        """Enter an offer."""
        seat = offer.conn.seat
        seat.offer = offer.conn.session = self.sessions[offer.id] = offer
        self.group_of(seat).offered[seat] = None

    def cancel_offer(self, seat: Seat) -> None:
        """Take the seat's offer out, if it has one."""
        offer, seat.offer = seat.offer, None
        if offer is not None:
            if offer.conn.session is offer:
                offer.conn.session = None
            self.sessions.pop(offer.id, None)
            self.group_of(seat).offered.pop(seat, None)

    def seat_session(self, session: Session) -> None:
        """The seat's offer has become its session."""
        seat = session.conn.seat
        group = self.group_of(seat)
        group.offered.pop(seat, None)
        seat.offer, seat.session, session.real = None, session, True
        group.seated[seat] = None
        self.linger(seat, False)
        count = self._count(seat)
        count.signed_in += 1
        _add(count.buckets, seat.member.bucket, 1)

    def unseat_session(self, session: Session) -> Seat:
        """Take a session out; it is valid no more."""
        seat = session.conn.seat
        self.sessions.pop(session.id, None)
        seat.session = None
        if session.conn.session is session:
            session.conn.session = None
        session.valid_until = -inf
        self.group_of(seat).seated.pop(seat, None)
        count = self._count(seat)
        count.signed_in -= 1
        _add(count.buckets, seat.member.bucket, -1)
        return seat

    def linger(self, seat: Seat, lingers: bool) -> None:
        """Note whether a call of this seat has outlived its session."""
        if seat.lingers is not lingers:
            seat.lingers = lingers
            if lingers:
                self.group_of(seat).lingering[seat] = None
            else:
                del self.group_of(seat).lingering[seat]
            _add(self._count(seat).lingering, seat.member.bucket, 1 if lingers else -1)


def _add(counts: dict[int, int], bucket: int, n: int) -> None:
    counts[bucket] = counts.get(bucket, 0) + n
    if not counts[bucket]:
        del counts[bucket]


@dataclass(frozen=True, slots=True)
class SeatView:
    """What is known here about one agent. `valid_for`: seconds left of the lease."""

    member: Member
    session: str | None
    instance: str | None
    valid_for: float | None
    offered: bool
    at_door: str | None
    activity: Activity
    released: ReleaseRecord | None
    guest: bool = False
    """Signed in as a guest of the other city's."""
    lent: bool = False
    """A guest in the other city, as far as home is told."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one client says of its connection to another site, and for how many seconds it has been so."""

    conn: int
    member: Member
    site: str
    ok: bool
    since: float
