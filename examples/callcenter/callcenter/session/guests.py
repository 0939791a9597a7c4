"""The guest door: takes in agents of another city who cannot reach it, and lends ours to other cities.

`GuestDoor` joins the loans (`callcenter.session.loans`) to a session server's tables. It decides who is asked for,
who comes in, who is sent home and when; the server does the rest by the `Steps` it hands over.

With three cities one agent may be lent to both others, though only for one and the same client: that one is in one
place by its own rule (`callcenter.session.client`), and every other one waits until both loans are over. So a stray
whose host dies need not wait for the end of its loan there before the next city takes it in.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from callcenter.session.door import Door
from callcenter.session.events import Activity, Member, Out, Reply, Say
from callcenter.session.loan_frames import Borrow, Lent, LoanFrame, Renew, Renewed, Returned, Who
from callcenter.session.loans import Borrower, Guest, Lender
from callcenter.session.messages import Refused
from callcenter.session.placements import PlacementBook
from callcenter.session.seats import Conn, Knock, Seat, Session, Tables

LOOK_EVERY: Final = 0.1
"""Seconds between two looks at guests and strays, unless a stray has just come."""

HOMEWARD_A_LOOK: Final = 16
"""Guests sent home in one look at most."""

LEND_AFTER: Final = 2.0
"""Seconds for which a group's doors must have been open, after a start, before its agents are lent: they are on their
way back to them, and whoever reaches home is no stray."""

REASONS_A_LOOK: Final = 16
"""Strays who are told in one look that they wait for another reason now. When a city dies, all its agents stand at the
other one's door for one, and the word that lets them in must not wait behind that."""


@dataclass(frozen=True, slots=True)
class Steps:
    """What the guest door asks of its server.

    `decide`: about a sign-in at the door, anew. `decide_all`: about everybody who stands at a shut one, the most
    important groups first. `enter`: one that home has agreed to. `stand`: let it wait. `end`: a session. `send`: an
    agent to a site, with a ticket; False: not now. `turn_away`: a sign-in to another city. `member`: who an account is.
    `why_counted`: what stands against calling an account released here, or None.
    """

    decide: Callable[[Knock, float, list[Out]], None]
    decide_all: Callable[[float, list[Out]], None]
    enter: Callable[[Knock, float, list[Out]], None]
    stand: Callable[[Knock, str, list[Out]], None]
    end: Callable[[Session, str, list[Out]], None]
    send: Callable[[Seat, str, float, list[Out]], bool]
    turn_away: Callable[[Knock, str, float, list[Out]], None]
    member: Callable[[str], Member | None]
    why_counted: Callable[[str, float], str | None]


class GuestDoor:
    """Guests here and agents of ours who are guests elsewhere. `peers`: the other cities.

    Args:
        boot, now: Of this process, and when it started. lent, keeps: see `Lender`.
    """

    def __init__(
        self,
        peers: Iterable[str],
        book: PlacementBook,
        tables: Tables,
        steps: Steps,
        *,
        boot: str,
        now: float,
        lent: Iterable[str] | None,
        keeps: bool,
    ) -> None:
        accounts = None if lent is None else frozenset(lent)
        # The disk does not say to whom: until each city has answered, any of them may have these.
        self._lenders = {peer: Lender(boot, now, lent=accounts, keeps=keeps) for peer in peers}
        self._borrowers: dict[str, Borrower[Knock]] = {peer: Borrower(boot) for peer in self._lenders}
        self._book = book
        self._t = tables
        self._do = steps
        self._shut = not self._is_sure
        self._looked_at = float("-inf")
        self._kept_capacity = self._writing_capacity = -1
        self.capacity = 0
        """Guests at most, from wherever."""

    # ---- what others may ask

    @property
    def is_asking(self) -> bool:
        """Whether the next tick has something to ask of another city."""
        return any(borrower.is_asking for borrower in self._borrowers.values())

    def count(self, group: str) -> int:
        """Guests of one group."""
        return sum(borrower.count(group) for borrower in self._borrowers.values())

    def is_guest(self, account: str) -> bool:
        """Whether this agent is here as a guest, or about to be."""
        return self._guest(account) is not None

    def is_lent(self, account: str, now: float) -> bool:
        """Whether this agent of ours works in another city."""
        return any(lender.is_lent(account, now) for lender in self._lenders.values())

    def homeward(self, seat: Seat, now: float) -> str | None:
        """Where this guest would be sent but for what it is doing; None: it is no guest, or stays."""
        guest = self._guest(seat.member.account)
        return None if guest is None else self._way_home(guest, seat, now)

    def _guest(self, account: str) -> Guest | None:
        for borrower in self._borrowers.values():
            if (guest := borrower.guest(account)) is not None:
                return guest
        return None

    @property
    def _is_sure(self) -> bool:
        return all(lender.is_sure for lender in self._lenders.values())

    # ---- what the server asks

    def why_shut(self, conn: Conn, now: float) -> str | None:
        """Why this client may not come in although its door is open, or None: LoansUnknown, LentOut."""
        if conn.seat.member.is_test:
            return None  # never lent to anybody
        return self._promised(conn.seat.member.account, conn.instance, now)

    def why_not_on(self, conn: Conn, to: str, now: float) -> str | None:
        """Why this client of a leaving bucket is not sent on to `to`, or None: LoansUnknown, LentOut.

        A city knows of no loan of ours but its own, and would let it in beside another one's guest.
        """
        if conn.seat.member.is_test:
            return None
        return self._promised(conn.seat.member.account, conn.instance, now, but=to)

    def _promised(self, account: str, instance: str, now: float, *, but: str = "") -> str | None:
        """Why this client may not come in by what we have promised the other cities (all, or all but one), or None."""
        for site, lender in self._lenders.items():
            if site != but and (shut := lender.why_shut(account, instance, now)) is not None:
                return shut
        return None

    def lets_in(self, conn: Conn, now: float) -> bool:
        """Whether this client may come in as a guest: home has said so, and not too long ago."""
        account = conn.seat.member.account
        return any(borrower.has(account, conn.instance, now) for borrower in self._borrowers.values())

    def cap(self, conn: Conn, until: float) -> float:
        """The end of a session that would last to `until`: a guest's ends with its loan."""
        guest = self._guest(conn.seat.member.account)
        return until if guest is None or guest.instance != conn.instance else min(until, guest.until)

    def ask(self, knock: Knock, home: str, now: float, out: list[Out]) -> None:
        """Somebody who belongs to `home` and cannot reach it stands at our door: ask there."""
        seat = knock.conn.seat
        if home not in self._borrowers:
            self._do.stand(knock, "PlacedElsewhere", out)
            return
        if len(self._borrowers) > 1 and (said := knock.conn.evidence.get(home)) is not None and said.ok:
            # It came when its home was another city, which it has lost. Of two cities it would know by itself.
            self._do.turn_away(knock, home, now, out)
            return
        if seat.session is not None:
            # Home lends to one client. Another device's session here ends before it is asked for this one.
            self._do.end(seat.session, "Replaced", out)
        self._end_if_unused(seat.member.account, now, out)
        member = seat.member
        reason = self._borrower_of(home, now).ask(member.account, knock.conn.instance, member.group, knock, now)
        self._do.stand(knock, reason, out)

    def began(self, session: Session, now: float) -> None:
        """A session is real."""
        account = session.conn.seat.member.account
        for lender in self._lenders.values():
            lender.home(account)
        session.as_guest = (guest := self._guest(account)) is not None and (guest.instance == session.conn.instance)
        self._recount(session.conn.seat.member.group, now)

    def placed(self, group: str, now: float) -> None:
        """A new map is held: guests whose bucket is ours now are guests no more."""
        for borrower in self._borrowers.values():
            for guest in borrower:
                if guest.group == group and self._door(guest.account) is Door.OPEN:
                    # Not given back: home may not have this map yet, and would open its door to another device.
                    borrower.end(guest.account, now)
        self._recount(group, now)

    def set_capacity(self, capacity: int) -> None:
        """How many guests this city takes. Those who are here stay."""
        self.capacity = capacity
        for borrower in self._borrowers.values():
            borrower.capacity = capacity

    def _borrower_of(self, home: str, now: float) -> Borrower[Knock]:
        """The borrower of agents from `home`, told how many places the others' guests take."""
        borrower = self._borrowers[home]
        borrower.elsewhere = sum(other.taken(now) for other in self._borrowers.values() if other is not borrower)
        return borrower

    # ---- the other cities

    def heard(self, site: str, now: float) -> None:
        """Another city has said something."""
        if site in self._borrowers:
            self._borrowers[site].heard(now)

    def said(self, site: str, frame: LoanFrame, now: float, out: list[Out]) -> None:
        """Another city speaks of loans. What one says of another one's loans means nothing here."""
        if site not in self._lenders:
            return
        lender, borrower = self._lenders[site], self._borrowers[site]
        borrower.heard(now)
        match frame:
            case Borrow(n, wanted):
                self._lend(site, n, wanted, now, out)
            case Lent():
                self._take_in(site, frame, now, out)
            case Renew():
                answer, free = lender.renew(frame, now)
                out.append(Say(site, answer))
                self._freed(free, now, out)
            case Renewed():
                for account in borrower.renewed(frame):
                    self._lost(account, now, out)
            case Returned(loans):
                self._freed(lender.returned(loans), now, out)
            case Who(n):
                if (list_ := borrower.renewal(now, re=n)) is not None:
                    out.append(Say(site, list_))

    # ---- lending

    def _lend(self, site: str, n: str, wanted: Iterable[tuple[str, str]], now: float, out: list[Out]) -> None:
        lender = self._lenders[site]
        loans: dict[str, str] = {}
        refused: dict[str, str] = {}
        for account, instance in wanted:
            why = (
                self._why_not_ours_to_lend(account, site, now)
                or self._do.why_counted(account, now)
                or self._at_our_door(account, instance)
                or self._promised(account, instance, now, but=site)
            )
            if why is not None:
                refused[account] = why
                continue
            loan = lender.lend(n, account, instance, now)
            if loan is None:
                refused[account] = lender.why_shut(account, instance, now) or "LoansUnknown"
            elif loan:
                loans[account] = loan
                self._clear_door(account, out)
                self._recount_of(account, now)
        if loans or refused:
            out.append(Say(site, Lent(n, loans, refused)))

    def _clear_door(self, account: str, out: list[Out]) -> None:
        """Its own client stands here and was lent at its own request: it has gone there, or has come back meanwhile.

        Who has gone hears nothing of this. Who has come back knocks again; silently struck off, it would wait for ever.
        """
        seat = self._t.seats.get(account)
        if seat is not None and seat.knock is not None:
            message = "this client has asked the other city to take it in; ask again if you are here"
            out.append(Reply(seat.knock.conn.id, Refused(seat.knock.frame.seq, "Lent", message)))
            self._t.leave_door(seat)

    def _why_not_ours_to_lend(self, account: str, to: str, now: float) -> str | None:
        """NoPlacement, Unconfirmed: we do not know whose agent it is. Starting: it may be on its way back to us.

        PlacedElsewhere: it is a third city's, whose door is open to it and which knows of no loan of ours; or it is on
        its way there, and may have arrived on another device.
        """
        member = self._do.member(account)
        if member is None:
            return None  # `why_counted` says so
        shut = self._book.why_shut(member.group, now)
        if shut is None and now < self._book.open_since(member.group) + LEND_AFTER:
            shut = "Starting"
        place = self._book.place(member.group, member.bucket)
        if shut is None and place is not None and not {place.site, place.to} <= {self._book.site, to, None}:
            shut = "PlacedElsewhere"
        return shut

    def _at_our_door(self, account: str, instance: str) -> str | None:
        seat = self._t.seats.get(account)
        if seat is not None and seat.knock is not None and seat.knock.conn.instance != instance:
            return "OtherDevice"
        return None

    def _freed(self, accounts: Iterable[str], now: float, out: list[Out]) -> None:
        """These are lent no more: let in who waits for that."""
        for account in accounts:
            self._recount_of(account, now)
            seat = self._t.seats.get(account)
            if seat is not None and seat.knock is not None and seat.knock.reason == "LentOut":
                self._do.decide(seat.knock, now, out)

    def _recount_of(self, account: str, now: float) -> None:
        member = self._do.member(account)
        if member is not None:
            self._recount(member.group, now)

    def _recount(self, group: str, now: float) -> None:
        """Buckets on their way to one city have not left while one of their agents is lent to another."""
        count = self._t.group(group).count
        # What our last life has lent the disk may not say: each bucket may have one.
        lent = {
            bucket: 1
            for site, lender in self._lenders.items()
            if not lender.knows(now)
            for bucket in self._leaving_past(site, group)
        }
        counted = set()
        for site, lender in self._lenders.items():
            for member in map(self._do.member, lender.lent(now)):
                if member is None or member.group != group or member.account in counted:
                    continue
                place = self._book.place(group, member.bucket)
                if place is not None and place.to not in (None, site):
                    counted.add(member.account)
                    lent[member.bucket] = lent.get(member.bucket, 0) + 1
        if lent != count.lent:
            count.lent = lent
            self._t.changed.add(group)

    def _leaving_past(self, site: str, group: str) -> list[int]:
        """Buckets on their way from here to another city than `site`."""
        placement = self._book.get(group)
        places = placement.places if placement is not None else ()
        return [
            bucket
            for bucket, place in enumerate(places)
            if place.site == self._book.site and place.to not in (None, site)
        ]

    # ---- the disk: one file for all cities, so it is written only when the truth about each of them is known

    @property
    def must_keep(self) -> bool:
        """Whether `begin_keeping` has something to write."""
        lenders = self._lenders.values()
        if not lenders or not all(lender.keeps for lender in lenders):
            return False
        return any(lender.must_keep for lender in lenders) or self._kept_capacity != self.capacity

    def begin_keeping(self) -> frozenset[str]:
        """Accounts to write to the disk, and `capacity` beside them, before any more are lent."""
        self._writing_capacity = self.capacity
        return frozenset().union(*(lender.begin_keeping() for lender in self._lenders.values()))

    def kept(self, now: float, out: list[Out]) -> None:
        """They are written."""
        self._kept_capacity = self._writing_capacity
        for site, lender in self._lenders.items():
            wishes: dict[str, list[tuple[str, str]]] = {}
            for n, account, instance in lender.kept():
                wishes.setdefault(n, []).append((account, instance))
            for n, wanted in wishes.items():
                self._lend(site, n, wanted, now, out)

    def not_kept(self) -> None:
        """They could not be written."""
        for lender in self._lenders.values():
            lender.not_kept()

    # ---- guests

    def _take_in(self, home: str, frame: Lent, now: float, out: list[Out]) -> None:
        come, unwanted = self._borrowers[home].lent(frame, now)
        if unwanted:
            out.append(Say(home, Returned(tuple(unwanted))))
        for knock in come:
            if self._still_asks(knock, home, now):
                self._t.changed.add(knock.conn.seat.member.group)
                self._do.enter(knock, now, out)
            self._end_if_unused(knock.conn.seat.member.account, now, out)
        for account in frame.refused:
            seat = self._t.seats.get(account)
            if seat is not None and seat.knock is not None and self._still_asks(seat.knock, home, now):
                self.ask(seat.knock, home, now, out)

    def _still_asks(self, knock: Knock, home: str, now: float) -> bool:
        """Whether this sign-in still stands where only a guest from `home` may come in.

        Not in a life whose map nobody has confirmed yet: it may have been another's bucket for long.
        """
        seat = knock.conn.seat
        if self._book.why_shut(seat.member.group, now) is not None:
            return False
        if seat.knock is not knock or self._door(seat.member.account) not in (Door.CLOSED, Door.TICKET_ONLY):
            return False
        place = self._book.place(seat.member.group, seat.member.bucket)
        return place is not None and place.site == home

    def _door(self, account: str) -> Door:
        member = self._t.seats[account].member
        return self._book.door(member.group, member.bucket)

    def _end_if_unused(self, account: str, now: float, out: list[Out]) -> None:
        """Give a loan back as soon as nothing lives by it: the next sign-in asks home again."""
        guest = self._guest(account)
        if guest is not None and not self._lives(guest):
            self._give_back(account, now, out)

    def _lives(self, guest: Guest) -> bool:
        seat = self._t.seats[guest.account]
        knock = seat.knock if seat.knock in self._t.paced else None
        held = (seat.session, seat.offer, knock)
        return any(one is not None and one.conn.instance == guest.instance for one in held)

    def _give_back(self, account: str, now: float, out: list[Out], *, homeward: bool = False) -> None:
        self._t.changed.add(self._t.seats[account].member.group)
        for site, borrower in self._borrowers.items():
            if (loan := borrower.end(account, now, homeward=homeward)) is not None:
                out.append(Say(site, Returned((loan,))))

    def _lost(self, account: str, now: float, out: list[Out]) -> None:
        """Home does not count this agent as lent: whatever lives here by that loan is over."""
        seat = self._t.seats[account]
        if seat.session is not None:
            self._do.end(seat.session, "Lapsed", out)
        self._t.cancel_offer(seat)
        knock = seat.knock
        self._give_back(account, now, out)
        if knock is not None and knock in self._t.paced:
            self._do.decide(knock, now, out)

    # ---- time

    def tick(self, now: float, out: list[Out]) -> None:
        """Ask home, renew, send home who can go."""
        if not self._lenders or (now < self._looked_at + LOOK_EVERY and not self.is_asking):
            return
        self._looked_at = now
        for guest in self._guests():
            self._end_if_unused(guest.account, now, out)
        told = 0
        for home in self._borrowers:
            told = self._ask_home(home, now, told, out)
        self._send_home(now, out)
        for lender in self._lenders.values():
            self._freed(lender.lapsed(now), now, out)
        if self._shut and self._is_sure:
            self._shut = False
            for group in self._t.groups.values():
                self._recount(group.name, now)
            self._do.decide_all(now, out)

    def _guests(self) -> list[Guest]:
        return [guest for borrower in self._borrowers.values() for guest in borrower]

    def _ask_home(self, home: str, now: float, told: int, out: list[Out]) -> int:
        """Say to one city what is due. `told`: strays told of another reason in this look; returns the new number."""
        borrower = self._borrower_of(home, now)
        for account, knock in borrower.waiting():
            if not self._still_asks(knock, home, now):
                borrower.forget(account)
        borrow, reasons = borrower.requests(now)
        for account, reason in reasons.items():
            standing = self._t.seats[account].knock
            if standing is not None and standing.reason != reason and told < REASONS_A_LOOK:
                self._do.stand(standing, reason, out)
                told += 1
        words = (borrow, borrower.renewal(now), self._lenders[home].question(now))
        out += [Say(home, word) for word in words if word is not None]
        return told

    def _send_home(self, now: float, out: list[Out]) -> None:
        """Release the guests who can reach home again, in a quiet moment each, as in a planned move."""
        sent = 0
        for guest in self._guests():
            if sent == HOMEWARD_A_LOOK:
                return
            seat = self._t.seats[guest.account]
            if seat.activity is Activity.IDLE and (home := self._way_home(guest, seat, now)) is not None:
                if not self._do.send(seat, home, now, out):
                    return
                self._give_back(guest.account, now, out, homeward=True)
                sent += 1

    def _home_of(self, guest: Guest, seat: Seat) -> str | None:
        """Where to send a guest; None: nowhere, its bucket is on its way here anyhow.

        Not always the city that has lent it: its bucket may have gone to a third one since. If it is on its way there,
        it waits for the guest, and the old city sends the guest on.
        """
        place = self._book.place(guest.group, seat.member.bucket)
        return None if place is None or self._book.site in (place.site, place.to) else place.site

    def _way_home(self, guest: Guest, seat: Seat, now: float) -> str | None:
        """`_home_of`, if the guest has had the way there for long enough."""
        home, session = self._home_of(guest, seat), seat.session
        if home is None or session is None or not session.as_guest or now >= session.valid_until:
            return None
        if home in self._borrowers and not self._borrowers[home].reaches_peer(now):
            return None
        said = session.conn.evidence.get(home)
        return home if said is not None and said.ok and now - said.since >= guest.stays else None
