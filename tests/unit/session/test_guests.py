"""The guest door: strays of the other city come in, ours are lent, and everybody goes home in a quiet moment."""

from collections.abc import Iterable
from typing import Any, TypeVar

import pytest

from callcenter.session import tickets
from callcenter.session.door import parse_map
from callcenter.session.events import Activity, Gone, MoveMade, Out, Reply, Say
from callcenter.session.guests import LEND_AFTER, LOOK_EVERY, REASONS_A_LOOK
from callcenter.session.loan_frames import Borrow, Lent, LoanFrame, Renew, Renewed, Returned, Who
from callcenter.session.loans import ANSWER_WITHIN, HOME_STABLE, LOAN, PEER_FRESH
from callcenter.session.messages import Ended, Moved, Offer, Other, Pong, Refused, Release, SignedIn, Wait
from callcenter.session.placements import UNCONFIRMED_AFTER, Placement
from callcenter.session.server import TICK
from callcenter.session.window import WINDOW
from tests.unit.session.test_server import (
    EAST,
    GROUP,
    IN,
    OUT,
    SECRET,
    WALL,
    WEST,
    Cti,
    S,
    facts,
    frames,
    only,
    ticket,
)

F = TypeVar("F")


def said(outs: Iterable[Out], kind: type[F]) -> list[F]:
    return [out.frame for out in outs if isinstance(out, Say) and isinstance(out.frame, kind)]


class East(Cti):
    """East's server with west as its peer. `peer` is what west says."""

    def __init__(self, capacity: int = 10, **more: Any) -> None:
        super().__init__(peers=["west"], **more)
        self.server.set_guest_capacity(capacity, self.now)
        self.hear()

    def place(self, map_: dict[str, str], group: str = GROUP, **more: Any) -> list[Out]:
        """The engine's word; the first one was a while ago."""
        first = self.server.book.get(GROUP) is None
        outs = super().place(map_, group, **more)
        if first:
            self.now += LEND_AFTER
            self.hear()
        return outs

    def hear(self) -> None:
        self.server.arrived_at_peer("west", "w1", 0, self.now)

    def peer(self, frame: LoanFrame) -> list[Out]:
        return self.server.peer_said("west", frame, self.now)

    def stray(self, conn: int, account: str, instance: str = "") -> Borrow:
        """An agent of west's, who cannot reach it, comes to our door. Returns what west is asked."""
        self.hello(conn, account, instance)
        assert only(self.ask(conn, wait=True), Wait).reason == "PlacedElsewhere"
        return said(self.living(TICK), Borrow)[0]

    def guest(self, conn: int, account: str, loan: str = "w.l1", instance: str = "") -> str:
        """West agrees; the guest answers the first ping. Returns the session."""
        request = self.stray(conn, account, instance)
        offer = only(self.peer(Lent(request.n, {account: loan}, {})), Offer)
        shown = only(self.frame(conn, Pong(offer.session, 1)), SignedIn)
        assert shown.guest
        return shown.session

    def home_is_back(self, conn: int) -> None:
        self.frame(conn, Other("west", ok=True, since=0.0))

    def connected(self, seconds: float) -> list[Out]:
        """Time passes, guests answer their pings, west is heard and renews every loan."""
        seen: list[Out] = []
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.hear()
            outs = self.living(min(0.5, until - self.now))
            for renewal in said(outs, Renew):
                outs += self.peer(Renewed(renewal.n, ()))
            seen += outs
        return seen


@pytest.fixture
def west_owns() -> East:
    """East's door is closed to the group; it takes ten guests."""
    cti = East()
    cti.place(WEST)
    return cti


@pytest.fixture
def east_owns() -> East:
    cti = East()
    cti.place(EAST)
    return cti


def lend(cti: East, account: str = "a1", instance: str = "", n: str = "w1.1") -> Lent:
    return said(cti.peer(Borrow(n, ((account, instance or f"i-{account}"),))), Lent)[0]


# ---- strays


def test_a_stray_is_asked_for_at_home_and_comes_in_as_a_guest(west_owns: East) -> None:
    request = west_owns.stray(1, "a1")
    assert request.wanted == (("a1", "i-a1"),)
    assert west_owns.server.count(GROUP).waiting == 1
    offer = only(west_owns.peer(Lent(request.n, {"a1": "w.l1"}, {})), Offer)
    only(west_owns.frame(1, Pong(offer.session, 1)), SignedIn)
    assert west_owns.server.may_take_call("a1", west_owns.now), "guests take calls as others do"
    assert west_owns.server.guests.count(GROUP) == 1
    assert west_owns.server.count(GROUP).waiting == 0
    seen = west_owns.server.view("a1", west_owns.now)
    assert seen is not None
    assert (seen.guest, seen.lent) == (True, False)
    moved = Moved(offer.session, "west", 2.8, WALL, WALL + 2.8)
    assert [move.cause for move in facts(west_owns.frame(1, moved), MoveMade)] == ["Guest"]


def test_a_floor_is_asked_for_in_one_word(west_owns: East) -> None:
    for n in range(5):
        west_owns.hello(n, f"a{n}")
        west_owns.ask(n, wait=True)
    assert west_owns.server.is_moving, "the next tick is near"
    request = said(west_owns.later(TICK), Borrow)[0]
    assert len(request.wanted) == 5
    outs = west_owns.peer(Lent(request.n, {f"a{n}": f"w.l{n}" for n in range(5)}, {}))
    assert len(frames(outs, Offer)) == 5


def test_strays_of_a_city_that_is_silent_hurry_nobody(west_owns: East) -> None:
    """All its agents come at once when it is lost, and each look goes through all of them."""
    west_owns.later(PEER_FRESH + 0.2)
    west_owns.hello(1, "a1")
    assert only(west_owns.ask(1, wait=True), Wait).reason == "PeerUnreachable"
    assert not west_owns.server.is_moving
    west_owns.hear()
    assert said(west_owns.later(LOOK_EVERY + TICK), Borrow)[0].wanted == (("a1", "i-a1"),)


def test_whoever_can_reach_home_is_no_stray(west_owns: East) -> None:
    west_owns.hello(1, "a1")
    assert only(west_owns.ask(1, wait=False), Release).to == "west"
    assert said(west_owns.later(1.0), Borrow) == []


@pytest.mark.parametrize("map_", [WEST, {"west>east": "0-99"}, {"west>north": "0-99"}])
def test_the_door_to_guests_is_the_door_of_the_peers_agents(map_: dict[str, str]) -> None:
    cti = East()
    cti.place(map_)
    assert cti.stray(1, "a1").wanted


def test_a_third_citys_agents_are_not_asked_for(west_owns: East) -> None:
    west_owns.place({"north": "0-99"})
    west_owns.hello(1, "a1")
    assert only(west_owns.ask(1, wait=True), Wait).reason == "PlacedElsewhere"
    assert said(west_owns.later(1.0), Borrow) == []


def test_why_a_stray_waits_is_said(west_owns: East) -> None:
    request = west_owns.stray(1, "a1")
    outs = west_owns.peer(Lent(request.n, {}, {"a1": "SessionAlive"}))
    assert only(outs, Wait).reason == "NoRelease"
    outs = west_owns.later(PEER_FRESH + 0.2)
    assert [wait.reason for wait in frames(outs, Wait)] == ["PeerUnreachable"]
    west_owns.hear()
    outs = west_owns.later(ANSWER_WITHIN + 0.15)
    assert said(outs, Borrow)[0].wanted == (("a1", "i-a1"),)


def test_a_full_house_takes_the_next_one_when_a_guest_has_left() -> None:
    cti = East(capacity=1)
    cti.place(WEST)
    cti.guest(1, "a1")
    cti.hello(2, "a2")
    assert only(cti.ask(2, wait=True), Wait).reason == "GuestsFull"
    assert said(cti.later(0.3), Borrow) == []
    cti.server.disconnected(1, cti.now)
    outs = cti.later(0.15)
    assert said(outs, Returned) == [Returned(("w.l1",))]
    assert said(outs, Borrow)[0].wanted == (("a2", "i-a2"),)


def test_more_room_is_used_at_once() -> None:
    cti = East(capacity=0)
    cti.place(WEST)
    cti.hello(1, "a1")
    assert only(cti.ask(1, wait=True), Wait).reason == "PlacedElsewhere"
    assert said(cti.later(1.0), Borrow) == []
    cti.server.set_guest_capacity(1, cti.now)
    cti.hear()
    assert said(cti.later(TICK), Borrow)[0].wanted == (("a1", "i-a1"),)


def test_who_has_left_the_door_is_not_let_in_by_a_late_answer(west_owns: East) -> None:
    request = west_owns.stray(1, "a1")
    west_owns.server.disconnected(1, west_owns.now)
    outs = west_owns.peer(Lent(request.n, {"a1": "w.l1"}, {}))
    assert frames(outs, Offer) == []
    assert said(outs, Returned) == [Returned(("w.l1",))]


def test_a_cti_that_stood_still_lets_in_no_guest_before_its_map_is_confirmed_again(west_owns: East) -> None:
    request = west_owns.stray(1, "a1")
    west_owns.server.restart("b2", west_owns.now)
    outs = west_owns.peer(Lent(request.n, {"a1": "w.l1"}, {}))
    assert frames(outs, Offer) == []
    assert said(outs, Returned) == [Returned(("w.l1",))]
    assert said(west_owns.living(1.0), Borrow) == [], "nobody is asked for who could not come in"
    asked = said([*west_owns.place(WEST), *west_owns.living(0.2)], Borrow)[0]
    assert len(frames(west_owns.peer(Lent(asked.n, {"a1": "w.l2"}, {})), Offer)) == 1


def test_a_guest_whose_session_is_over_is_given_back_and_asked_for_anew(west_owns: East) -> None:
    west_owns.guest(1, "a1")
    west_owns.server.disconnected(1, west_owns.now)
    request = west_owns.stray(2, "a1")
    assert request.wanted == (("a1", "i-a1"),)
    assert west_owns.server.guests.count(GROUP) == 0


def test_the_door_opens_to_a_stray_who_waits_when_the_bucket_becomes_ours(west_owns: East) -> None:
    west_owns.stray(1, "a1")
    assert frames(west_owns.place(EAST), Offer)
    assert west_owns.server.guests.count(GROUP) == 0


# ---- a guest's session


def test_a_guests_session_ends_with_its_loan(west_owns: East) -> None:
    west_owns.guest(1, "a1")
    asked_at = west_owns.now
    west_owns.living(LOAN - 0.2)  # nobody renews
    assert west_owns.server.valid("a1", west_owns.now)
    assert not west_owns.server.valid("a1", asked_at + LOAN)
    outs = west_owns.living(0.3)
    assert [gone.reason for gone in facts(outs, Gone)] == ["Lapsed"]


def test_renewed_loans_go_on(west_owns: East) -> None:
    west_owns.guest(1, "a1")
    outs = west_owns.connected(2 * LOAN)
    assert facts(outs, Gone) == []
    assert west_owns.server.valid("a1", west_owns.now)


def test_a_guest_whom_home_does_not_count_as_lent_is_out(west_owns: East) -> None:
    session = west_owns.guest(1, "a1")
    renewal = said(west_owns.living(2.0), Renew)[0]
    outs = west_owns.peer(Renewed(renewal.n, ("w.l1",)))
    assert only(outs, Ended) == Ended(session, "Lapsed")
    assert not west_owns.server.valid("a1", west_owns.now)


def test_another_device_of_a_guest_ends_the_first_one_before_home_is_asked(west_owns: East) -> None:
    """With the second one's loan home would admit that one, while the first still works here."""
    first = west_owns.guest(1, "a1", instance="laptop")
    west_owns.hello(2, "a1", "phone")
    outs = west_owns.ask(2, wait=True)
    assert only(outs, Ended) == Ended(first, "Replaced")
    assert said(outs, Returned) == [Returned(("w.l1",))]
    assert not west_owns.server.valid("a1", west_owns.now)
    assert said(west_owns.later(TICK), Borrow)[0].wanted == (("a1", "phone"),)


def test_the_bucket_comes_to_us_and_its_guests_are_ordinary_agents(west_owns: East) -> None:
    west_owns.guest(1, "a1")
    outs = west_owns.place(EAST)
    assert said(outs, Returned) == [], "west may not have this map yet"
    assert west_owns.server.guests.count(GROUP) == 0
    west_owns.living(2 * LOAN)
    assert west_owns.server.valid("a1", west_owns.now)
    west_owns.home_is_back(1)
    assert frames(west_owns.living(2 * HOME_STABLE), Release) == []


# ---- going home


def test_a_guest_goes_home_when_home_is_back_and_stable(west_owns: East) -> None:
    session = west_owns.guest(1, "a1")
    west_owns.frame(1, Other("west", ok=False, since=3.0))
    assert frames(west_owns.connected(2 * HOME_STABLE), Release) == []
    west_owns.home_is_back(1)
    assert frames(west_owns.connected(HOME_STABLE - 0.1), Release) == []
    outs = west_owns.connected(0.3)
    release = only(outs, Release)
    assert (release.session, release.to) == (session, "west")
    signed = tickets.verify(release.ticket or "", SECRET)
    assert (signed.account, signed.instance, signed.from_, signed.to) == ("a1", "i-a1", "east", "west")
    assert said(outs, Returned) == [Returned(("w.l1",))]
    assert west_owns.server.guests.count(GROUP) == 0


def test_a_flapping_connection_home_brings_nobody_home(west_owns: East) -> None:
    west_owns.guest(1, "a1")
    for _ in range(5):
        west_owns.home_is_back(1)
        assert frames(west_owns.connected(HOME_STABLE - 1.0), Release) == []
        west_owns.frame(1, Other("west", ok=False, since=0.0))
        assert frames(west_owns.connected(1.0), Release) == []


@pytest.mark.parametrize("elsewhere", [True, False])
def test_only_what_a_guest_says_of_its_home_counts_for_the_way_there(west_owns: East, elsewhere: bool) -> None:
    """With more than two cities it says how it reaches each of them."""
    west_owns.guest(1, "a1")
    west_owns.frame(1, Other("west", ok=not elsewhere, since=0.0))
    west_owns.frame(1, Other("north", ok=elsewhere, since=60.0))
    assert len(frames(west_owns.connected(HOME_STABLE + 0.2), Release)) == (not elsewhere)


@pytest.mark.parametrize("activity", [Activity.CALL, Activity.WRAPUP])
def test_nobody_goes_home_in_the_middle_of_something(west_owns: East, activity: Activity) -> None:
    west_owns.guest(1, "a1")
    west_owns.home_is_back(1)
    west_owns.server.set_activity("a1", activity, west_owns.now)
    assert frames(west_owns.connected(3 * HOME_STABLE), Release) == []
    west_owns.server.set_activity("a1", Activity.IDLE, west_owns.now)
    assert len(frames(west_owns.connected(0.2), Release)) == 1


def test_whoever_can_go_home_gets_no_further_call(west_owns: East) -> None:
    """Else nobody would ever be idle, as long as callers wait."""
    west_owns.guest(1, "a1")
    west_owns.home_is_back(1)
    west_owns.server.set_activity("a1", Activity.CALL, west_owns.now)
    west_owns.connected(HOME_STABLE - 0.1)
    assert west_owns.server.may_take_call("a1", west_owns.now)
    west_owns.connected(0.2)
    assert not west_owns.server.may_take_call("a1", west_owns.now)
    west_owns.server.set_activity("a1", Activity.IDLE, west_owns.now)
    assert not west_owns.server.may_take_call("a1", west_owns.now)
    assert len(frames(west_owns.connected(0.2), Release)) == 1


def test_nobody_goes_home_while_the_bucket_is_on_its_way_here(west_owns: East) -> None:
    west_owns.guest(1, "a1")
    west_owns.place(IN)
    west_owns.home_is_back(1)
    assert frames(west_owns.connected(3 * HOME_STABLE), Release) == []
    west_owns.place(WEST)
    assert len(frames(west_owns.connected(0.2), Release)) == 1


# ---- three cities of one system


def test_a_guest_whose_bucket_leaves_for_a_third_city_goes_home_which_sends_it_on(west_owns: East) -> None:
    """The bucket waits for it, and would wait for ever."""
    west_owns.guest(1, "a1")
    west_owns.place({"west>north": "0-99"})
    west_owns.frame(1, Other("north", ok=True, since=60.0))
    assert frames(west_owns.connected(3 * HOME_STABLE), Release) == []
    west_owns.home_is_back(1)
    assert only(west_owns.connected(HOME_STABLE + 0.2), Release).to == "west"


def test_a_guest_whose_bucket_has_gone_to_a_third_city_goes_there(west_owns: East) -> None:
    """West has failed, and is not heard any more; north has its buckets."""
    session = west_owns.guest(1, "a1")
    west_owns.place({"north": "0-99"})
    west_owns.home_is_back(1)
    assert frames(west_owns.living(HOME_STABLE + 0.2), Release) == [], "west is home no more"
    west_owns.frame(1, Other("north", ok=True, since=0.0))
    assert frames(west_owns.living(HOME_STABLE - 0.1), Release) == []
    west_owns.server.set_activity("a1", Activity.CALL, west_owns.now)
    assert frames(west_owns.living(1.0), Release) == []
    west_owns.server.set_activity("a1", Activity.IDLE, west_owns.now)
    outs = west_owns.living(0.2)
    release = only(outs, Release)
    assert (release.session, release.to) == (session, "north")
    assert tickets.verify(release.ticket or "", SECRET).to == "north"
    assert said(outs, Returned) == [Returned(("w.l1",))]


PAST_WEST = {"east>north": "0-99"}


def test_nobody_is_sent_on_to_a_third_city_beside_its_guest_in_the_second(east_owns: East) -> None:
    loan = lend(east_owns, "a1", "laptop").loans["a1"]
    east_owns.place(PAST_WEST)
    east_owns.hello(1, "a1", "desk")
    outs = east_owns.ask(1)
    assert only(outs, Wait).reason == "LentOut"
    assert frames(outs, Release) == []
    release = only(east_owns.peer(Returned((loan,))), Release)
    assert (release.to, release.ticket is not None) == ("north", True)


def test_the_lent_client_itself_is_sent_on(east_owns: East) -> None:
    lend(east_owns, "a1", "laptop")
    east_owns.place(PAST_WEST)
    east_owns.hello(1, "a1", "laptop")
    assert only(east_owns.ask(1), Release).to == "north"


def test_where_the_second_city_is_the_next_one_nobody_waits(east_owns: East) -> None:
    """That city's CTI has the guest, and decides between the two devices."""
    lend(east_owns, "a1", "laptop")
    east_owns.place(OUT)
    east_owns.hello(1, "a1", "desk")
    assert only(east_owns.ask(1), Release).to == "west"


def test_a_new_life_without_a_disk_lets_no_bucket_go_to_a_third_city_before_it_has_asked() -> None:
    cti = East(lent=None)
    cti.place(PAST_WEST)
    cti.hello(1, "a1")
    assert only(cti.ask(1), Wait).reason == "LoansUnknown"
    assert len(cti.server.count(GROUP).occupied) == 100, "any of them may have a guest in west"
    question = said(cti.later(ANSWER_WITHIN + 0.2), Who)[-1]
    outs = cti.peer(Renew("w1.4", (("b0.l3", "a7", "laptop"),), question.n)) + cti.later(0.15)
    assert only(outs, Release).to == "north"
    assert cti.server.count(GROUP).occupied == {7: 1}


def test_nobody_is_sent_to_a_city_that_we_cannot_hear(west_owns: East) -> None:
    west_owns.guest(1, "a1")
    west_owns.home_is_back(1)
    assert frames(west_owns.living(2 * HOME_STABLE), Release) == []


def test_guests_go_home_no_faster_than_they_arrive_there() -> None:
    cti = East(capacity=100)
    cti.place(WEST)
    for n in range(60):
        cti.guest(n, f"a{n}", f"w.l{n}")
    for n in range(60):
        cti.home_is_back(n)
    assert frames(cti.connected(HOME_STABLE - 0.05), Release) == []
    assert len(frames(cti.living(0.5), Release)) == WINDOW
    waiting = [n for n in range(60) if cti.server.valid(f"a{n}", cti.now)]
    assert all(cti.server.may_take_call(f"a{n}", cti.now) for n in waiting), "who has to wait can work meanwhile"
    cti.server.arrived_at_peer("west", "w1", 15, cti.now)
    assert not any(cti.server.may_take_call(f"a{n}", cti.now) for n in waiting)
    assert len(frames(cti.living(0.15), Release)) == 15


def test_a_guest_needs_no_word_of_the_engine_to_go_home_so_a_hold_keeps_nobody(west_owns: East) -> None:
    """A hold stops what Tandem decides. Nothing is decided here: no map changes, and an engine that is silent, held or
    gone since the guest came is the same to this city (docs/session-protocol.md)."""
    held = west_owns.server.book.get(GROUP)
    west_owns.guest(1, "a1")
    west_owns.connected(120.0)
    west_owns.home_is_back(1)
    assert only(west_owns.connected(HOME_STABLE + 0.2), Release).to == "west"
    assert west_owns.server.book.get(GROUP) is held
    assert said(west_owns.peer(Who("w1.q1")), Renew)[0].loans == (), "the loan is back as well"


# ---- lending


def test_home_lends_whom_it_does_not_count(east_owns: East) -> None:
    east_owns.sign_in(1, "a1")
    assert lend(east_owns) == Lent("w1.1", {}, {"a1": "SessionAlive"})
    east_owns.later(S + TICK)
    answer = lend(east_owns)
    assert answer.loans.keys() == {"a1"}
    assert answer.refused == {}
    assert east_owns.server.release_query("a1", east_owns.now) == (True, "Lent")


def test_what_stands_against_lending_is_named(east_owns: East) -> None:
    assert lend(east_owns, "nobody").refused == {"nobody": "UnknownAccount"}
    east_owns.hello(1, "a1")
    east_owns.ask(1)
    assert lend(east_owns, "a1").refused == {"a1": "OfferOutstanding"}
    lend(east_owns, "a2", "laptop")
    assert lend(east_owns, "a2", "phone").refused == {"a2": "LentOut"}


def test_a_lent_agents_other_device_waits_until_the_guest_is_back(east_owns: East) -> None:
    loan = lend(east_owns, "a1", "laptop").loans["a1"]
    east_owns.hello(1, "a1", "phone")
    assert only(east_owns.ask(1), Wait).reason == "LentOut"
    assert only(east_owns.ask(1, ticket=ticket(instance="phone")), Wait).reason == "LentOut", "by a ticket neither"
    assert frames(east_owns.peer(Returned(("some other",))), Offer) == []
    assert frames(east_owns.peer(Returned((loan,))), Offer) != []


def test_a_lent_agents_other_device_waits_no_longer_than_the_loan(east_owns: East) -> None:
    lend(east_owns, "a1", "laptop")
    east_owns.hello(1, "a1", "phone")
    east_owns.ask(1)
    assert frames(east_owns.later(LOAN), Offer) == []
    assert frames(east_owns.later(LOAN * 0.01 + 0.1), Offer) != []


def test_the_lent_client_itself_comes_home_without_asking_anybody(east_owns: East) -> None:
    """It asks here only when no other city can count it: the borrower may be dead by then."""
    loan = lend(east_owns, "a1").loans["a1"]
    east_owns.sign_in(1, "a1")
    assert not east_owns.server.guests.is_lent("a1", east_owns.now)
    answer = said(east_owns.peer(Renew("w1.5", ((loan, "a1", "i-a1"),))), Renewed)[0]
    assert answer.gone == (loan,)


def test_a_guest_comes_home_by_its_ticket_and_that_is_no_move(east_owns: East) -> None:
    lend(east_owns, "a1")
    east_owns.hello(1, "a1")
    offer = only(east_owns.ask(1, ticket=ticket(revision=7)), Offer)
    east_owns.frame(1, Pong(offer.session, 1))
    moved = Moved(offer.session, "west", 0.02, WALL, WALL + 0.02)
    assert [move.cause for move in facts(east_owns.frame(1, moved), MoveMade)] == ["Guest"]
    assert not east_owns.server.guests.is_lent("a1", east_owns.now)


def test_its_own_sign_in_that_waits_here_is_over_when_a_client_is_lent(east_owns: East) -> None:
    cti = East(rate=1.0)
    cti.place(EAST)
    for n in (2, 3):
        cti.hello(n, f"a{n}")
        cti.ask(n)
    cti.hello(1, "a1")
    assert cti.ask(1) == []
    assert [out.conn for out in cti.later(0.3) if isinstance(out, Reply) and out.frame == Wait(1, "Paced")] == [3, 1]
    assert lend(cti, "a1", "another device").refused == {"a1": "OtherDevice"}
    outs = cti.peer(Borrow("w1.1", (("a1", "i-a1"),)))
    assert said(outs, Lent)[0].loans.keys() == {"a1"}
    assert cti.server.count(GROUP).waiting == 1, "a3 alone"
    # It may have come back here meanwhile, and must not wait for what will never come.
    assert only(outs, Refused).reason == "Lent"


def test_a_leaving_buckets_agents_are_lent_and_do_not_keep_it_from_leaving(east_owns: East) -> None:
    east_owns.place(OUT)
    assert lend(east_owns, "a1").loans
    assert east_owns.server.count(GROUP).occupied == {}, "they are where the bucket goes"


def test_a_bucket_on_its_way_to_a_third_city_waits_for_its_lent_agents(east_owns: East) -> None:
    loan = lend(east_owns, "a1").loans["a1"]
    assert east_owns.server.count(GROUP).occupied == {}
    east_owns.place({"east>north": "0-99"})
    assert east_owns.server.count(GROUP).occupied == {1: 1}
    east_owns.peer(Returned((loan,)))
    assert east_owns.server.count(GROUP).occupied == {}


def test_loans_outlast_a_stall_of_the_lender(east_owns: East) -> None:
    lend(east_owns, "a1", "laptop")
    east_owns.now += 10.0
    east_owns.server.restart("b2", east_owns.now)
    east_owns.place(EAST)
    east_owns.hello(1, "a1", "phone")
    assert only(east_owns.ask(1), Wait).reason == "LentOut"


class Reborn(Cti):
    """East's next life: the disk has its map, and its engine has not spoken yet."""

    def __init__(self) -> None:
        super().__init__(peers=["west"], lent=())
        self.server.book.adopt(GROUP, Placement(1, parse_map(EAST)))

    def lend(self, account: str = "a1") -> Lent:
        return said(self.server.peer_said("west", Borrow("w1.1", ((account, f"i-{account}"),)), self.now), Lent)[0]

    def confirm(self) -> None:
        self.revision = 0
        self.place(EAST)


def test_a_new_life_lends_nobody_before_its_map_is_confirmed_and_its_own_agents_have_had_time_to_return() -> None:
    cti = Reborn()
    cti.later(5.0)
    assert cti.lend().refused == {"a1": "Unconfirmed"}
    cti.confirm()
    assert cti.lend().refused == {"a1": "Starting"}, "they come back now"
    cti.later(LEND_AFTER - 2 * TICK)
    assert cti.lend().refused == {"a1": "Starting"}
    cti.later(3 * TICK)
    assert cti.lend().loans.keys() == {"a1"}


def test_a_new_life_whose_engine_is_silent_lends_by_the_map_on_its_disk_once_its_doors_go_by_it() -> None:
    cti = Reborn()
    cti.later(UNCONFIRMED_AFTER - TICK)
    assert cti.lend().refused == {"a1": "Unconfirmed"}
    cti.later(LEND_AFTER)
    assert cti.lend().refused == {"a1": "Starting"}
    cti.later(2 * TICK)
    assert cti.lend().loans.keys() == {"a1"}
    cti.confirm()
    assert cti.lend("a2").loans.keys() == {"a2"}, "the engine is back, and nobody was away"


def test_a_stall_counts_as_a_start(east_owns: East) -> None:
    east_owns.now += 10.0
    east_owns.server.restart("b2", east_owns.now)
    assert lend(east_owns).refused == {"a1": "Unconfirmed"}
    east_owns.place(EAST)
    assert lend(east_owns).refused == {"a1": "Starting"}
    east_owns.now += LEND_AFTER
    assert lend(east_owns).loans.keys() == {"a1"}


@pytest.mark.parametrize("map_", [EAST, OUT])
def test_a_floor_is_lent_at_the_first_request_however_often_the_engine_pushes(
    east_owns: East, map_: dict[str, str]
) -> None:
    """A floor that is cut off has 5 s; home that has been up for long takes nothing of them."""
    for _ in range(3):
        east_owns.later(0.5)
        east_owns.place(map_)
    wanted = tuple((f"a{n}", f"i-a{n}") for n in range(30))
    answer = said(east_owns.peer(Borrow("w1.1", wanted)), Lent)[0]
    assert (len(answer.loans), answer.refused) == (30, {})


def test_a_third_citys_agents_are_not_lent(east_owns: East) -> None:
    east_owns.place({"north": "0-49", "west": "50-99"})
    assert lend(east_owns, "a1").refused == {"a1": "PlacedElsewhere"}
    assert lend(east_owns, "a60").loans.keys() == {"a60"}, "west will have this map in a moment"


def test_with_a_disk_nobody_is_lent_before_it_says_so() -> None:
    cti = East(keeps=True)
    cti.place(EAST)
    assert said(cti.peer(Borrow("w1.1", (("a1", "i-a1"),))), Lent) == []
    assert cti.server.guests.must_keep
    assert cti.server.guests.begin_keeping() == {"a1"}
    answer = said(cti.server.loans_kept(cti.now), Lent)[0]
    assert (answer.n, set(answer.loans)) == ("w1.1", {"a1"})
    assert not cti.server.guests.must_keep


# ---- restarts


def test_a_new_life_that_knows_of_a_loan_asks_and_lets_in_whom_the_borrower_does_not_name() -> None:
    cti = East(lent=["a1", "a2"])
    cti.place(EAST)
    for conn, account in ((1, "a1"), (2, "a2")):
        cti.hello(conn, account)
        assert only(cti.ask(conn), Wait).reason == "LentOut"
    question = said(cti.later(ANSWER_WITHIN + 0.2), Who)[-1]
    outs = cti.peer(Renew("w1.4", (("b0.l3", "a1", "elsewhere"),), question.n))
    assert [out.conn for out in outs if isinstance(out, Reply) and isinstance(out.frame, Offer)] == [2]


def test_a_new_life_without_a_disk_lets_in_nobody_before_it_has_asked() -> None:
    cti = East(lent=None)
    cti.place(EAST)
    cti.hello(1, "a1")
    assert only(cti.ask(1), Wait).reason == "LoansUnknown"
    question = said(cti.later(ANSWER_WITHIN + 0.2), Who)[-1]
    cti.peer(Renew("w1.4", (), question.n))
    assert frames(cti.later(0.15), Offer) != []


def test_the_borrower_answers_with_all_its_guests(west_owns: East) -> None:
    west_owns.guest(1, "a1")
    answer = said(west_owns.peer(Who("w2.q1")), Renew)[0]
    assert (answer.re, answer.loans) == ("w2.q1", (("w.l1", "a1", "i-a1"),))


def test_nobody_is_told_off_for_standing_at_a_door(west_owns: East) -> None:
    west_owns.stray(1, "a1")
    assert frames(west_owns.later(5.0), Refused) == []


def test_a_lost_citys_agents_are_not_told_one_by_one_why_they_wait_before_the_door_opens() -> None:
    cti = East(capacity=1000)
    cti.place(WEST)
    for n in range(200):
        cti.hello(n, f"a{n}")
        cti.ask(n, wait=True)
    assert len(said(cti.later(TICK), Borrow)[0].wanted) == 200
    assert not cti.server.is_moving, "an idle door ticks slowly"
    outs = cti.later(PEER_FRESH)
    news = frames(cti.later(0.5), Wait)
    assert {wait.reason for wait in news} == {"PeerUnreachable"}
    assert len(news) <= 6 * REASONS_A_LOOK
    outs = cti.place(EAST)
    assert len(frames(outs, Offer)) == 200
    assert said(cti.later(1.0), Borrow) == []


def test_who_waits_his_turn_as_a_guest_keeps_his_loan() -> None:
    cti = East(capacity=100, rate=5.0)
    cti.place(WEST)
    strays = 20
    for number in range(strays):
        cti.hello(number, f"a{number}")
        cti.ask(number, wait=True)
    asked = given_back = 0
    let_in: set[int] = set()
    for _ in range(400):
        cti.hear()
        news: list[Out] = list(cti.living(TICK))
        while news:
            out = news.pop(0)
            if isinstance(out, Say) and isinstance(out.frame, Borrow):
                asked += len(out.frame.wanted)
                lent = {account: f"w.{out.frame.n}.{account}" for account, _ in out.frame.wanted}
                news += cti.peer(Lent(out.frame.n, lent, {}))
            elif isinstance(out, Say) and isinstance(out.frame, Returned):
                given_back += len(out.frame.loans)
            elif isinstance(out, Reply) and isinstance(out.frame, Offer):
                let_in.add(out.conn)
                news += cti.frame(out.conn, Pong(out.frame.session, 1))
    assert (asked, given_back, len(let_in)) == (strays, 0, strays)
