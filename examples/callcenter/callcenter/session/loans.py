"""Loans: an agent who cannot reach home works in another city as its guest, and home knows it.

A loan is a lease, the other way round from a session's: home (the lender) promises that it admits no other client of
this account; the other city (the borrower) may hold a session of this one client until the loan ends.

    lender:    lent until (receipt of the newest borrow or renew)              + LOAN * 1.01
    borrower:  may hold a session until (sending of the newest one answered)   + LOAN

The borrower's moment is never after the lender's, so nobody needs to reach anybody for a loan to end. Only the
borrower's word (`returned`) ends it sooner, and the one client that it is for: that client asks at home only when no
other city can count a session of it (`callcenter.session.client`), so its sign-in there is that word as well.

Each loan has an ID of its own, so a frame that is late, lost or repeated means nothing it should not mean.

`Lender` and `Borrower` know one other city each; with several, `callcenter.session.guests` has a pair of them for each.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Final, Generic, TypeVar

from callcenter.session.lease import DRIFT
from callcenter.session.loan_frames import Borrow, Lent, Loan, Renew, Renewed, Who

LOAN: Final = 30.0
"""Seconds of a loan: for so long a guest works on while the cities cannot reach each other."""

RENEW_EVERY: Final = 2.0
"""Seconds between two renewals."""

ANSWER_WITHIN: Final = 0.5
"""Seconds for which a borrower accepts the answer to a `Borrow`, and after which it asks again."""

PEER_FRESH: Final = 3.0
"""Seconds after which a city that said nothing is out of reach: it is asked for nobody, and nobody is sent there."""

HOME_STABLE: Final = 5.0
"""Seconds for which a guest must have had its connection home without a break before it is sent home."""

FLAPS_WITHIN: Final = 60.0
HOME_STABLE_MOST: Final = 80.0
"""Who is a guest again within FLAPS_WITHIN seconds must have had home for twice as long, up to this."""


@dataclass(slots=True)
class _Lent:
    id: str
    """Empty: known from the disk only; the borrower's next renewal says which it is."""
    instance: str
    until: float


@dataclass(slots=True)
class _Wish:
    """A request that waits until the disk has the account."""

    n: str
    account: str
    instance: str


class Lender:
    """Which of our agents work in the other city. `now`: CLOCK_BOOTTIME, seconds.

    Args:
        boot: Of this process; names its loans. born: when it started.
        lent: Accounts that its disk says may be lent; None: the disk says nothing, so anybody may be.
        keeps: Whether a loan must be on the disk before it is given.
    """

    def __init__(self, boot: str, born: float, *, lent: Iterable[str] | None, keeps: bool) -> None:
        self._boot = boot
        self._born = born
        self._knows = lent is not None
        self._sure = not lent and self._knows
        until = born + LOAN * (1 + DRIFT)
        self._lent = {account: _Lent("", "", until) for account in lent or ()}
        self._kept = set(self._lent)
        self._keeps = keeps
        self._kept_some = self._knows
        self._wishes: list[_Wish] = []
        self._writing: set[str] = set()
        self._ids = 0
        self._question = ""
        self._asked_at = -inf

    # ---- the door

    def knows(self, now: float) -> bool:
        """Whether nobody can be lent of whom this life knows nothing."""
        return self._knows or now >= self._born + LOAN * (1 + DRIFT)

    def why_shut(self, account: str, instance: str, now: float) -> str | None:
        """Why this client may not come in at home, or None: LoansUnknown, LentOut."""
        if not self.knows(now):
            return "LoansUnknown"
        lent = self._lent.get(account)
        if lent is None or now >= lent.until or lent.instance == instance:
            return None
        return "LentOut"

    def is_lent(self, account: str, now: float) -> bool:
        """Whether this agent is lent."""
        lent = self._lent.get(account)
        return lent is not None and now < lent.until

    def lent(self, now: float) -> list[str]:
        """Accounts that are lent."""
        return [account for account, lent in self._lent.items() if now < lent.until]

    # ---- loans

    def lend(self, n: str, account: str, instance: str, now: float) -> str | None:
        """Lend an agent who holds no session here; "" while the disk does not have it yet: `kept` names it later.

        Returns: The loan's ID. None: lent for another client of the agent's, or that may be.
        """
        lent = self._lent.get(account)
        if not self._knows:
            return None  # what the disk is told now would be taken for the whole truth by our next life
        if lent is not None and now < lent.until and lent.instance != instance:
            return None
        if self._keeps and account not in self._kept:
            self._wishes.append(_Wish(n, account, instance))
            return ""
        if lent is None or now >= lent.until:
            self._ids += 1
            lent = self._lent[account] = _Lent(f"{self._boot}.l{self._ids}", instance, 0.0)
        lent.until = now + LOAN * (1 + DRIFT)
        return lent.id

    def renew(self, frame: Renew, now: float) -> tuple[Renewed, list[str]]:
        """The borrower holds on to these. Returns: The answer, and accounts that turn out not to be lent after all."""
        gone = tuple(loan[0] for loan in frame.loans if not self._renew(loan, now))
        free: list[str] = []
        if frame.re is not None and frame.re == self._question:
            # All that it holds, and nothing that an earlier life of ours has promised can come on top of it any more.
            self._knows = self._sure = True
            free = [account for account, lent in self._lent.items() if not lent.id]
            for account in free:
                del self._lent[account]
        return Renewed(frame.n, gone), free

    def _renew(self, loan: Loan, now: float) -> bool:
        id_, account, instance = loan
        lent = self._lent.get(account)
        if lent is None and not self._knows:
            lent = self._lent[account] = _Lent("", "", inf)
        if lent is None or now >= lent.until:
            return False
        if not lent.id:
            lent.id, lent.instance = id_, instance
        if lent.id != id_:
            return False
        lent.until = now + LOAN * (1 + DRIFT)
        return True

    def returned(self, loans: Iterable[str]) -> list[str]:
        """These loans are over. Returns: Their accounts."""
        over = set(loans)
        back = [account for account, lent in self._lent.items() if lent.id in over]
        for account in back:
            del self._lent[account]
        return back

    def home(self, account: str) -> None:
        """The agent has signed in at home."""
        self._lent.pop(account, None)

    def lapsed(self, now: float) -> list[str]:
        """Accounts whose loan has run out; it is forgotten."""
        over = [account for account, lent in self._lent.items() if now >= lent.until]
        for account in over:
            del self._lent[account]
        return over

    # ---- after a start

    @property
    def is_sure(self) -> bool:
        """Whether it is known who is lent, and nobody need be asked."""
        return self._sure

    def question(self, now: float) -> Who | None:
        """What to ask the borrower now, if anything.

        Not before it has given up what it asked of our earlier life: an answer to that would come on top of the list.
        """
        waits_until = max(self._asked_at, self._born) + ANSWER_WITHIN * (1 + DRIFT)
        if self._sure or now < waits_until:
            return None
        if now >= self._born + LOAN * (1 + DRIFT):
            self._knows = self._sure = True
            return None
        self._question, self._asked_at = f"{self._boot}.q{now:.3f}", now
        return Who(self._question)

    # ---- the disk

    @property
    def keeps(self) -> bool:
        """Whether the disk may be written: what it says is the whole truth for our next life."""
        return self._keeps and self._knows

    @property
    def must_keep(self) -> bool:
        """Whether the disk should be written: somebody is to be lent, or it does not say yet that nobody is."""
        return self.keeps and (bool(self._wishes) or not self._kept_some)

    def begin_keeping(self) -> frozenset[str]:
        """The accounts to write to the disk now. From here on only these may be lent."""
        self._writing = {wish.account for wish in self._wishes} | self._lent.keys()
        self._kept &= self._writing
        return frozenset(self._writing)

    def kept(self) -> list[tuple[str, str, str]]:
        """The disk has what `begin_keeping` said. Returns: Requests (n, account, instance) to decide about again."""
        self._kept, self._writing, self._kept_some = self._writing, set(), True
        wishes, self._wishes = self._wishes, []
        return [(wish.n, wish.account, wish.instance) for wish in wishes]

    def not_kept(self) -> None:
        """The disk could not be written: nobody is lent by these requests."""
        self._writing = set()
        self._wishes.clear()


T = TypeVar("T")


@dataclass(slots=True)
class Guest:
    """An agent of the other city's who works here, or is about to."""

    loan: str
    account: str
    instance: str
    group: str
    until: float
    stays: float = HOME_STABLE
    """Seconds for which it must have had its connection home before it is sent there."""


@dataclass(slots=True)
class _Ask(Generic[T]):
    """Somebody at the door whom we may take in if home agrees. `token`: who stands there."""

    account: str
    instance: str
    group: str
    token: T
    n: str = ""
    sent_at: float = -inf
    again_at: float = -inf
    reason: str = "PlacedElsewhere"


@dataclass(slots=True)
class _Homecoming:
    at: float
    stayed: float


class Borrower(Generic[T]):
    """Whom of the other city's agents we have as guests. `capacity`: how many at most. `now`: CLOCK_BOOTTIME, seconds.

    `elsewhere`: places of these that guests from further cities have, or may have in a moment.

    Args: boot: Of this process; names its requests.
    """

    def __init__(self, boot: str) -> None:
        self.capacity = self.elsewhere = 0
        self._boot = boot
        self._guests: dict[str, Guest] = {}
        self._asks: dict[str, _Ask[T]] = {}
        self._renewals: dict[str, tuple[float, frozenset[str]]] = {}
        self._renewed_at = -inf
        self._heard_at = -inf
        self._over: dict[str, float] = {}
        """Loans that we gave back, and until when home may still name them."""
        self._homecomings: dict[str, _Homecoming] = {}
        self._ids = 0
        self._has_fresh = False

    def __len__(self) -> int:
        return len(self._guests)

    def __iter__(self) -> Iterator[Guest]:
        return iter(list(self._guests.values()))

    def guest(self, account: str) -> Guest | None:
        """This agent's loan, whether or not it has run out."""
        return self._guests.get(account)

    def has(self, account: str, instance: str, now: float) -> bool:
        """Whether a session of this client may begin here as a guest's."""
        guest = self._guests.get(account)
        return guest is not None and guest.instance == instance and now < guest.until

    def count(self, group: str) -> int:
        """Guests of one group."""
        return sum(1 for guest in self._guests.values() if guest.group == group)

    # ---- the other city

    def heard(self, now: float) -> None:
        """The other city has said something."""
        self._heard_at = now

    def reaches_peer(self, now: float) -> bool:
        """Whether the other city was heard of lately."""
        return now <= self._heard_at + PEER_FRESH

    # ---- asking

    @property
    def is_asking(self) -> bool:
        """Whether somebody has come to the door who is to be asked for at once.

        Not while the other city is silent: when it is lost, all its agents come, and a look goes through all of them.
        """
        return self._has_fresh

    def ask(self, account: str, instance: str, group: str, token: T, now: float) -> str:
        """Somebody stands at the door. Returns: Why the client waits there, as far as is known."""
        ask = self._asks.get(account)
        if ask is None or ask.token is not token:
            if not self.capacity:
                return "PlacedElsewhere"
            ask = self._asks[account] = _Ask(account, instance, group, token)
            self._has_fresh = self._has_fresh or self.reaches_peer(now)
        if not self.reaches_peer(now):
            return "PeerUnreachable"
        return "GuestsFull" if len(self._guests) + self.elsewhere >= self.capacity else ask.reason

    def taken(self, now: float) -> int:
        """Places that our guests have, or will have if home agrees."""
        return len(self._guests) + sum(1 for ask in self._asks.values() if ask.sent_at + ANSWER_WITHIN > now)

    def waiting(self) -> list[tuple[str, T]]:
        """Those whom we may take in: account, and the token they were asked with."""
        return [(ask.account, ask.token) for ask in self._asks.values()]

    def forget(self, account: str) -> None:
        """Nobody stands at the door for this account any more."""
        self._asks.pop(account, None)

    def requests(self, now: float) -> tuple[Borrow | None, dict[str, str]]:
        """What to ask home for now, as many as there is room for; and why each of those who wait does so."""
        due = []
        reasons = {}
        self._has_fresh = False
        room = self.capacity - self.elsewhere - self.taken(now)
        for ask in self._asks.values():
            if not self.reaches_peer(now):
                reasons[ask.account] = "PeerUnreachable"
            elif ask.sent_at + ANSWER_WITHIN > now or now < ask.again_at:
                reasons[ask.account] = ask.reason
            elif room <= 0:
                reasons[ask.account] = "GuestsFull"
            else:
                room -= 1
                reasons[ask.account] = ask.reason
                due.append(ask)
        if not due:
            return None, reasons
        self._ids += 1
        n = f"{self._boot}.{self._ids}"
        for ask in due:
            ask.n, ask.sent_at = n, now
        return Borrow(n, tuple((ask.account, ask.instance) for ask in due)), reasons

    def lent(self, frame: Lent, now: float) -> tuple[list[T], list[str]]:
        """Home has answered. Returns: The tokens of those who may come in; loans that nobody here waits for."""
        come, unwanted = [], []
        for account, loan in frame.loans.items():
            ask = self._asks.get(account)
            mine = ask is not None and ask.n == frame.n and now < ask.sent_at + ANSWER_WITHIN
            if ask is not None and mine and loan not in self._over:
                del self._asks[account]
                home = self._homecomings.get(account)
                stays = HOME_STABLE
                if home is not None and now < home.at + FLAPS_WITHIN:
                    stays = min(home.stayed * 2, HOME_STABLE_MOST)
                until = ask.sent_at + LOAN
                self._guests[account] = Guest(loan, account, ask.instance, ask.group, until, stays)
                come.append(ask.token)
            elif (guest := self._guests.get(account)) is None or guest.loan != loan:
                # Home names the same loan again to whoever asks for the same client: once given back, it is never used.
                self._over[loan] = now + 2 * LOAN
                unwanted.append(loan)
        for account in frame.refused:
            ask = self._asks.get(account)
            if ask is not None and ask.n == frame.n:
                ask.reason, ask.sent_at, ask.again_at = "NoRelease", now - ANSWER_WITHIN, now + ANSWER_WITHIN
        return come, unwanted

    # ---- holding

    def renewal(self, now: float, *, re: str | None = None) -> Renew | None:
        """The list of all loans, when it is due or was asked for."""
        if re is None and (not self._guests or now < self._renewed_at + RENEW_EVERY):
            return None
        self._renewed_at = now
        self._ids += 1
        n = f"{self._boot}.{self._ids}"
        self._renewals[n] = (now, frozenset(guest.loan for guest in self._guests.values()))
        while len(self._renewals) > 2 * LOAN / RENEW_EVERY:
            del self._renewals[next(iter(self._renewals))]
        return Renew(n, tuple((g.loan, g.account, g.instance) for g in self._guests.values()), re)

    def renewed(self, frame: Renewed) -> list[str]:
        """Home has answered a renewal. Returns: Accounts that home does not count as lent any more."""
        sent_at, named = self._renewals.pop(frame.n, (-inf, frozenset()))
        gone = set(frame.gone)
        lost = []
        for guest in self._guests.values():
            if guest.loan in gone:
                lost.append(guest.account)
            elif guest.loan in named:
                guest.until = max(guest.until, sent_at + LOAN)
        return lost

    def end(self, account: str, now: float, *, homeward: bool = False) -> str | None:
        """The guest is none any more. Returns: The loan to give back, if there was one."""
        guest = self._guests.pop(account, None)
        if guest is None:
            return None
        self._over = {loan: until for loan, until in self._over.items() if now < until}
        self._over[guest.loan] = now + 2 * LOAN
        if homeward:
            self._homecomings = {name: home for name, home in self._homecomings.items() if now < home.at + FLAPS_WITHIN}
            self._homecomings[account] = _Homecoming(now, guest.stays)
        return guest.loan
