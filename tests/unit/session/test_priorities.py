"""By priority: what the engine says of groups reaches those who stand at an open door, and nobody starves there."""

from itertools import count
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callcenter.session.door import parse_map
from callcenter.session.events import Badge, Member, Out, Reply
from callcenter.session.fence import Fence
from callcenter.session.guests import LOOK_EVERY
from callcenter.session.lease import DRIFT, Timing
from callcenter.session.loans import ANSWER_WITHIN, LOAN
from callcenter.session.messages import CarriedState, Hello, Offer, PhoneLine, SignIn, Withdraw
from callcenter.session.pacing import BURST_SECONDS
from callcenter.session.placements import Placement
from callcenter.session.priorities import USUAL, Priorities, PriorityBook
from callcenter.session.server import TICK, SessionServer
from callcenter.session.turns import EVERY

SALES, HELP, PROBE = "callcenter/sales", "callcenter/help", "tandem-probe/east"
RATE = 20.0


class Desk:
    """Account `sales-7` is of group `callcenter/sales`; `probe-1` is a test agent."""

    def member(self, account: str) -> Member:
        name, _, number = account.partition("-")
        return Member(account, PROBE if name == "probe" else f"callcenter/{name}", int(number) % 100)

    def line(self, mac: str) -> PhoneLine:
        return PhoneLine("510001", "198.18.0.11:30560", "callcenter", "secret")

    def sign_in(self, member: Member, mac: str, carried: CarriedState | None, now: float) -> Badge:
        return Badge(100_000, "V1", "510001", "available")

    def carried(self, account: str) -> CarriedState:
        return "available"


class Peak:
    """East's CTI at a slow rate. Nobody answers pings: only who is let in, and when, is of interest."""

    def __init__(self, rate: float = RATE, **more: Any) -> None:
        self.now = 100.0
        self.server = SessionServer(
            site="east",
            boot="b1",
            secret=b"secret!!",
            desk=Desk(),
            timing=Timing(1.5, 0.5),
            now=self.now,
            wall=1_000_000.0,
            rate=rate,
            **more,
        )
        self.revision = 0
        self.conns: dict[str, int] = {}
        self.numbers = count(1)
        self.came: list[str] = []
        """Who was let in, in order."""

    def place(self, map_: dict[str, str], *groups: str) -> None:
        self.revision += 1
        placement = Placement(self.revision, parse_map(map_))
        self.take(self.server.place(dict.fromkeys(groups, placement), confirmed=True, now=self.now)[1])

    def say(self, as_of: int, **priorities: int) -> None:
        of = {f"callcenter/{name}": priority for name, priority in priorities.items()}
        self.server.set_priorities(Priorities(of, as_of))

    def knock(self, *accounts: str) -> None:
        for account in accounts:
            conn = self.conns[account] = next(self.numbers)
            self.take(self.server.frame(conn, Hello(account, f"i-{account}", "02:00", "primary"), self.now))
            self.take(self.server.frame(conn, SignIn(1, None, True, None), self.now))

    def withdraw(self, account: str) -> None:
        self.take(self.server.frame(self.conns[account], Withdraw(1), self.now))

    def gone(self, account: str) -> None:
        self.take(self.server.disconnected(self.conns[account], self.now))

    def take(self, outs: list[Out]) -> None:
        account_of = {conn: account for account, conn in self.conns.items()}
        self.came += [account_of[out.conn] for out in outs if isinstance(out, Reply) and isinstance(out.frame, Offer)]

    def later(self, seconds: float) -> list[str]:
        """Let time pass tick by tick. Returns who was let in meanwhile."""
        known, until = len(self.came), self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(until, self.now + TICK)
            self.take(self.server.tick(self.now))
        return self.came[known:]


def people(group: str, number: int) -> list[str]:
    return [f"{group}-{n}" for n in range(number)]


@pytest.fixture
def full() -> Peak:
    """The burst is used up: from now on everybody waits for their turn."""
    peak = Peak()
    peak.place({"east": "0-99"}, SALES, HELP)
    peak.knock(*people("sales", 2))
    assert len(peak.came) == 2
    return peak


def test_the_more_important_group_comes_first_and_within_it_who_came_first(full: Peak) -> None:
    full.say(7, help=200)
    full.knock("sales-10", "sales-11", "help-1", "help-2", "sales-12", "help-3")
    assert full.later(1.0) == ["help-1", "help-2", "help-3", "sales-10", "sales-11", "sales-12"]


def test_without_a_word_everybody_is_as_important_as_everybody_else(full: Peak) -> None:
    full.knock("sales-10", "help-1", "sales-11")
    assert full.later(1.0) == ["sales-10", "help-1", "sales-11"]


def test_who_waits_already_is_ranked_anew(full: Peak) -> None:
    full.knock("sales-10", "sales-11", "help-1", "help-2")
    full.say(7, help=200)
    assert full.later(0.06) == ["help-1"]
    full.say(8, help=50)
    assert full.later(1.0) == ["sales-10", "sales-11", "help-2"]


def test_an_older_reading_changes_nothing_and_a_group_left_out_stays_as_it_is(full: Peak) -> None:
    full.say(7, help=200, sales=10)
    full.say(6, help=1)
    full.say(9, sales=20)
    full.knock("sales-10", "help-1")
    assert (full.server.priorities.of(HELP), full.server.priorities.of(SALES)) == (200, 20)
    assert full.later(1.0) == ["help-1", "sales-10"]


def test_doors_that_open_together_let_the_most_important_in_first() -> None:
    """What accrued in a quiet moment is theirs, too: a failover opens many doors in one push."""
    peak = Peak(rate=200.0)
    peak.place({"west": "0-99"}, SALES, HELP)
    peak.knock(*people("sales", 20), *people("help", 20))
    assert peak.came == []
    peak.say(7, help=200)
    peak.place({"east": "0-99"}, SALES, HELP)
    assert peak.came == people("help", 11)


def test_one_place_in_five_is_for_who_has_waited_longest(full: Peak) -> None:
    full.say(7, help=200)
    full.knock(*people("sales", 12)[2:], *people("help", 8))
    came = full.later(0.55)
    assert [who.partition("-")[0] for who in came][:10] == (["help"] * 4 + ["sales"]) * 2


def test_nobody_starves_while_more_important_ones_come_without_end(full: Peak) -> None:
    full.say(7, help=1000)
    full.knock("sales-10", "sales-11")
    newcomers = (f"help-{n}" for n in count())
    for _ in range(2 * EVERY + 2):
        full.knock(next(newcomers), next(newcomers))
        full.later(1 / RATE)
    assert {"sales-10", "sales-11"} <= set(full.came)


def test_a_test_agent_waits_as_an_agent_of_a_group_that_says_nothing(full: Peak) -> None:
    full.say(7, help=USUAL + 1, sales=USUAL - 1)
    full.knock("sales-10", "probe-1", "help-1")
    assert full.later(1.0) == ["help-1", "probe-1", "sales-10"]


def test_a_test_agent_is_not_kept_out_by_a_peak(full: Peak) -> None:
    full.say(7, help=1000)
    full.knock("probe-1")
    newcomers = (f"help-{n}" for n in count())
    for _ in range(EVERY + 1):
        full.knock(next(newcomers), next(newcomers))
        full.later(0.05)
    assert "probe-1" in full.came


def test_who_withdrew_or_is_gone_takes_nobodys_place(full: Peak) -> None:
    full.say(7, help=200)
    full.knock("help-1", "help-2", "help-3", "sales-10")
    full.withdraw("help-1")
    full.gone("help-2")
    assert full.server.count(HELP).waiting == 1
    assert full.later(1.0) == ["help-3", "sales-10"]
    assert not full.server.is_moving


def test_a_door_that_shut_meanwhile_keeps_its_own_out_and_nobody_else(full: Peak) -> None:
    full.say(7, help=200)
    full.knock("help-1", "help-2", "sales-10")
    full.place({"west": "0-99"}, HELP)
    assert full.later(1.0) == ["sales-10"]
    full.place({"east": "0-99"}, HELP)
    assert full.came[-2:] == ["help-1", "help-2"]


def test_a_cti_that_starts_without_its_engine_goes_by_what_it_kept() -> None:
    peak = Peak(rate=200.0, priorities={HELP: 200})
    for group in (SALES, HELP):
        peak.server.book.adopt(group, Placement(1, parse_map({"east": "0-99"})))
    peak.knock(*people("sales", 20), *people("help", 20))
    assert peak.later(9.9) == []
    assert peak.later(0.2)[:11] == people("help", 11)


def test_doors_that_open_when_the_loans_are_known_let_the_most_important_in_first() -> None:
    """A CTI whose disk is new has asked the other city who is lent; whoever came first at its table is no matter."""
    peak = Peak(rate=200.0, peers=["west"], lent=None)
    peak.place({"east": "0-99"}, SALES, HELP)
    peak.say(7, help=200)
    peak.knock(*people("sales", 20), *people("help", 20))
    assert peak.later(LOAN) == []
    assert peak.later(LOAN * DRIFT + ANSWER_WITHIN + 2 * LOOK_EVERY)[:11] == people("help", 11)


STREAM = st.lists(
    st.tuples(
        st.sampled_from(["sales", "help", "desk", "probe"]),
        st.integers(0, 6),  # people who come in this moment
        st.booleans(),  # whether one of those who wait gives up
        st.sampled_from([0.0, 0.02, 0.1, 0.5]),
    ),
    max_size=30,
)


@settings(max_examples=60, deadline=None)
@given(STREAM, st.dictionaries(st.sampled_from(["sales", "help", "desk"]), st.integers(0, 1000)))
def test_never_more_than_the_rate_and_in_the_end_everybody(
    stream: list[tuple[str, int, bool, float]], priorities: dict[str, int]
) -> None:
    peak = Peak()
    peak.place({"east": "0-99"}, SALES, HELP, "callcenter/desk")
    peak.say(1, **priorities)
    began, waiting, number = peak.now, set[str](), count()
    for group, arrivals, gives_up, pause in stream:
        newcomers = [f"{group}-{next(number)}" for _ in range(arrivals)]
        waiting |= set(newcomers)
        peak.knock(*newcomers)
        for account in sorted(waiting - set(peak.came))[:1] if gives_up else ():
            peak.withdraw(account)
            waiting.discard(account)
        peak.later(pause)
        assert len(peak.came) <= 1 + RATE * (BURST_SECONDS + peak.now - began) + 1e-6
    peak.later(len(waiting) / RATE + 0.5)
    assert sorted(peak.came) == sorted(waiting), "each once, and nobody who withdrew"


# ---- the fence


def test_of_two_words_about_a_group_the_newer_reading_counts_in_whatever_order_they_come() -> None:
    words = [Priorities({HELP: 5}, 10), Priorities({HELP: 7}, 12), Priorities({HELP: 6, SALES: 3}, 11)]
    for order in (words, words[::-1], words[1:] + words[:1]):
        book = PriorityBook(Fence())
        for word in order:
            book.take(word)
        assert book.all == {HELP: 7, SALES: 3}


def test_only_what_is_another_number_now_is_news() -> None:
    book = PriorityBook(Fence(), {SALES: 50})
    assert book.take(Priorities({HELP: USUAL, SALES: 50}, 4)) == frozenset()
    assert book.take(Priorities({HELP: 7, SALES: 50}, 4)) == {HELP}
    assert book.take(Priorities({HELP: 8}, 3)) == frozenset()


def test_what_was_kept_and_another_boots_readings_fence_nothing() -> None:
    """The store may be another one by then, and its revisions smaller; a boot refuses what was meant for another."""
    fence = Fence()
    book = PriorityBook(fence, {HELP: 7})
    assert book.take(Priorities({HELP: 8}, 0)) == {HELP}
    book.take(Priorities({HELP: 9}, 500))
    fence.restart()
    assert book.of(HELP) == 9
    assert book.take(Priorities({HELP: 10}, 3)) == {HELP}


def test_the_number_of_guests_goes_by_the_same_fence(full: Peak) -> None:
    for as_of, said, held in ((500, 20, 20), (499, 30, 20), (500, 25, 25), (501, 10, 10)):
        full.server.set_guest_capacity(said, full.now, as_of=as_of)
        assert full.server.guests.capacity == held, as_of
    full.say(7, help=200)
    assert full.server.priorities.of(HELP) == 200, "each thing is fenced by its own readings"
    full.server.restart("b2", full.now)
    full.server.set_guest_capacity(40, full.now, as_of=3)
    assert full.server.guests.capacity == 40, "a new boot may have another store"
    full.say(2, help=300)
    assert full.server.priorities.of(HELP) == 300
