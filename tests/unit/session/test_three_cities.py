"""The guest door and the release window of a CTI with two other cities: east's, whose peers are west and north."""

from collections.abc import Iterable
from typing import Any

import pytest

from callcenter.session.events import Out, Say
from callcenter.session.guests import LEND_AFTER
from callcenter.session.loan_frames import Borrow, Lent, LoanFrame, Renew, Renewed, Returned, Who
from callcenter.session.loans import ANSWER_WITHIN, HOME_STABLE, LOAN, RENEW_EVERY
from callcenter.session.messages import Offer, Other, Pong, Release, SignedIn, Wait
from callcenter.session.server import TICK
from callcenter.session.window import WINDOW
from tests.unit.session.test_server import EAST, GROUP, WEST, Cti, frames, only

NORTH = {"north": "0-99"}
WORDS = {"west": "w1", "north": "n1"}


def said(outs: Iterable[Out], kind: type[Any]) -> list[tuple[str, Any]]:
    """To which city, and what."""
    return [(out.to, out.frame) for out in outs if isinstance(out, Say) and isinstance(out.frame, kind)]


class East(Cti):
    def __init__(self, map_: dict[str, str], capacity: int = 10, **more: Any) -> None:
        super().__init__(peers=["west", "north"], **more)
        self.server.set_guest_capacity(capacity, self.now)
        self.place(map_)
        self.now += LEND_AFTER
        self.hear("west", "north")

    def hear(self, *cities: str) -> None:
        for city in cities:
            self.server.arrived_at_peer(city, WORDS[city], 0, self.now)

    def peer(self, city: str, frame: LoanFrame) -> list[Out]:
        return self.server.peer_said(city, frame, self.now)

    def stray(self, conn: int, account: str, instance: str = "") -> tuple[str, Borrow]:
        """An agent who cannot reach home stands here. Returns which city is asked, and what."""
        self.hello(conn, account, instance)
        self.ask(conn, wait=True)
        ((city, request),) = said(self.living(TICK), Borrow)
        return city, request

    def guest(self, conn: int, account: str, loan: str, instance: str = "") -> str:
        """Home agrees; the guest answers the first ping. Returns the session."""
        city, request = self.stray(conn, account, instance)
        offer = only(self.peer(city, Lent(request.n, {account: loan}, {})), Offer)
        assert only(self.frame(conn, Pong(offer.session, 1)), SignedIn).guest
        return offer.session

    def lend(self, city: str, account: str = "a1", instance: str = "i-a1") -> Lent:
        ((to, answer),) = said(self.peer(city, Borrow(f"{city}.1", ((account, instance),))), Lent)
        assert to == city
        assert isinstance(answer, Lent)
        return answer

    def other_device(self, conn: int = 9) -> str:
        """What another device of a1's gets at the door: `Offer`, or why it waits."""
        self.hello(conn, "a1", "desk")
        outs = self.ask(conn)
        return "Offer" if frames(outs, Offer) else only(outs, Wait).reason


MIXED = {"west": "0-49", "north": "50-99"}


@pytest.fixture
def visited() -> East:
    """East has a guest of west's, a10, and one of north's, a60."""
    cti = East(MIXED)
    cti.guest(1, "a10", "w.l1")
    cti.guest(2, "a60", "n.l1")
    return cti


@pytest.fixture
def east() -> East:
    return East(EAST)


# ---- guests here


def test_each_stray_is_asked_for_at_its_own_home() -> None:
    cti = East(MIXED)
    assert cti.stray(1, "a10")[0] == "west"
    assert cti.stray(2, "a60")[0] == "north"


def test_guests_of_all_cities_share_the_places() -> None:
    cti = East(MIXED, capacity=2)
    cti.guest(1, "a10", "w.l1")
    _, request = cti.stray(2, "a60")  # not answered yet: this place is taken, too
    cti.hello(3, "a11")
    assert only(cti.ask(3, wait=True), Wait).reason == "GuestsFull"
    assert said(cti.living(ANSWER_WITHIN - 2 * TICK), Borrow) == []
    cti.peer("north", Lent(request.n, {}, {"a60": "SessionAlive"}))
    assert [city for city, _ in said(cti.living(0.2), Borrow)] == ["west"], "a60's place is free again"


def test_each_home_hears_of_its_own_loans_only(visited: East) -> None:
    assert [(city, frame.loans) for city, frame in said(visited.living(RENEW_EVERY + 0.2), Renew)][-2:] == [
        ("west", (("w.l1", "a10", "i-a10"),)),
        ("north", (("n.l1", "a60", "i-a60"),)),
    ]
    (to, answer) = said(visited.peer("north", Who("n2.q1")), Renew)[0]
    assert (to, answer.loans) == ("north", (("n.l1", "a60", "i-a60"),))


def test_a_city_ends_none_but_its_own_loans(visited: East) -> None:
    visited.peer("north", Renewed("any", ("w.l1",)))
    assert visited.server.valid("a10", visited.now)
    visited.peer("west", Renewed("any", ("w.l1",)))
    assert not visited.server.valid("a10", visited.now)
    assert visited.server.valid("a60", visited.now)


def test_a_home_that_is_silent_costs_only_its_own_guests(visited: East) -> None:
    for _ in range(int(LOAN) + 1):
        visited.hear("north")
        for city, renewal in said(visited.living(1.0), Renew):
            if city == "north":
                visited.peer("north", Renewed(renewal.n, ()))
    assert not visited.server.valid("a10", visited.now)
    assert visited.server.valid("a60", visited.now)


def test_a_guest_goes_home_when_that_city_is_heard_and_reached(visited: East) -> None:
    for conn, home in ((1, "west"), (2, "north")):
        visited.frame(conn, Other(home, ok=True, since=0.0))
    released: list[Release] = []
    for _ in range(int(HOME_STABLE) + 1):
        visited.hear("north")
        released += frames(visited.living(1.0), Release)
    assert [release.to for release in released] == ["north"], "west is silent"


def test_who_stands_here_when_another_city_becomes_its_home_is_asked_for_there_or_sent_there() -> None:
    """West is lost, and north has its agents: one of them reaches north as well, one does not."""
    cti = East(WEST)
    _, request = cti.stray(1, "a1")
    cti.hello(2, "a2")
    cti.ask(2, wait=True)
    cti.frame(2, Other("north", ok=True, since=60.0))
    outs = cti.place(NORTH) + cti.living(TICK)
    assert only(outs, Release).to == "north"
    assert [(city, borrow.wanted) for city, borrow in said(outs, Borrow) if city == "north"] == [
        ("north", (("a1", "i-a1"),))
    ]
    outs = cti.peer("west", Lent(request.n, {"a1": "w.l1"}, {}))
    assert frames(outs, Offer) == [], "a late word of who is its home no more"
    assert said(outs, Returned) == [("west", Returned(("w.l1",)))]


def test_a_city_that_is_no_peer_means_nothing(east: East) -> None:
    assert east.server.peer_said("south", Borrow("s.1", (("a1", "i-a1"),)), east.now) == []


# ---- agents of ours elsewhere


def test_one_client_may_be_lent_to_both_and_others_wait_until_both_loans_are_over(east: East) -> None:
    """It works in one of them: that is its own rule. If its host has died, the next one need not wait for that."""
    first, second = east.lend("west").loans["a1"], east.lend("north").loans["a1"]
    assert east.other_device() == "LentOut"
    east.peer("north", Returned((second,)))
    assert frames(east.later(0.2), Offer) == []
    outs = east.peer("west", Returned((first,)))
    assert [type(out.frame) for out in outs if hasattr(out, "frame")][:1] == [Offer]


def test_another_client_is_not_lent_to_one_while_the_other_has_the_first(east: East) -> None:
    loan = east.lend("west").loans["a1"]
    assert east.lend("north", instance="desk").refused == {"a1": "LentOut"}
    east.peer("west", Returned((loan,)))
    assert east.lend("north", instance="desk").loans.keys() == {"a1"}


def test_the_lent_client_itself_is_home_at_once_and_all_its_loans_are_over(east: East) -> None:
    east.lend("west")
    east.lend("north")
    east.sign_in(1, "a1", "i-a1")
    assert not east.server.guests.is_lent("a1", east.now)


def test_nobody_is_lent_to_one_city_on_the_way_to_another(east: East) -> None:
    """On another device the agent may have arrived there, with a ticket: no session of it is counted here any more."""
    east.place({"east>north": "0-99"})
    assert east.lend("west").refused == {"a1": "PlacedElsewhere"}
    assert east.lend("north").loans.keys() == {"a1"}


@pytest.mark.parametrize(("host", "waits"), [("west", True), ("north", False)])
def test_a_bucket_waits_for_a_guest_elsewhere_than_where_it_goes(east: East, host: str, waits: bool) -> None:
    east.lend(host)
    east.place({"east>north": "0-99"})
    assert east.server.count(GROUP).occupied == ({1: 1} if waits else {})
    east.hello(9, "a1", "desk")
    outs = east.ask(9)
    if waits:
        assert only(outs, Wait).reason == "LentOut"
    else:
        assert only(outs, Release).to == "north", "north ends its guest's session before it lets another device in"


def test_an_agent_lent_twice_is_one_agent(east: East) -> None:
    east.lend("west")
    east.lend("north")
    east.place({"east>south": "0-99"})
    assert east.server.count(GROUP).occupied == {1: 1}


# ---- after a start


def started(lent: frozenset[str] | None) -> tuple[East, dict[str, str]]:
    """A new life of east's, and what it asks each city."""
    cti = East(EAST, lent=lent, keeps=True)
    questions = {city: frame.n for city, frame in said(cti.later(ANSWER_WITHIN + 0.2), Who)}
    assert questions.keys() == {"west", "north"}
    return cti, questions


def test_a_new_life_without_a_disk_admits_and_lends_nobody_before_both_cities_have_answered() -> None:
    cti, questions = started(None)
    assert cti.other_device() == "LoansUnknown"
    cti.peer("west", Renew("w1.1", (), questions["west"]))
    assert frames(cti.later(0.2), Offer) == []
    assert cti.lend("west", "a2", "i-a2").refused == {"a2": "LoansUnknown"}
    assert not cti.server.guests.must_keep, "the disk would say that nobody is lent"
    question = said(cti.later(ANSWER_WITHIN + 0.2), Who)
    assert {city for city, _ in question} == {"north"}
    cti.peer("north", Renew("n1.1", (), question[-1][1].n))
    assert len(frames(cti.later(0.2), Offer)) == 1


def test_whom_the_disk_names_waits_for_both_cities_and_the_others_for_none() -> None:
    cti, questions = started(frozenset({"a1"}))
    cti.sign_in(1, "a2")
    assert cti.other_device() == "LentOut"
    assert frames(cti.peer("west", Renew("w1.1", (), questions["west"])), Offer) == []
    assert len(frames(cti.peer("north", Renew("n1.1", (), questions["north"])), Offer)) == 1


def test_whom_one_city_names_stays_lent_there() -> None:
    cti, questions = started(frozenset({"a1"}))
    cti.peer("west", Renew("w1.1", (("b0.l1", "a1", "i-a1"),), questions["west"]))
    cti.peer("north", Renew("n1.1", (), questions["north"]))
    assert cti.other_device() == "LentOut"
    cti.peer("west", Returned(("b0.l1",)))
    assert cti.server.conn_of("a1") is None
    assert not cti.server.guests.is_lent("a1", cti.now)


def test_the_disk_has_the_agents_lent_to_either_city() -> None:
    cti = East(EAST, lent=frozenset(), keeps=True)
    for city, account in (("west", "a1"), ("north", "a2")):
        assert said(cti.peer(city, Borrow(f"{city}.1", ((account, f"i-{account}"),))), Lent) == []
    assert cti.server.guests.must_keep
    assert cti.server.guests.begin_keeping() == {"a1", "a2"}
    answers = said(cti.server.loans_kept(cti.now), Lent)
    assert [(city, set(answer.loans)) for city, answer in answers] == [("west", {"a1"}), ("north", {"a2"})]
    assert not cti.server.guests.must_keep


# ---- releases


def test_releases_keep_the_time_of_each_city_that_takes_them_in(east: East) -> None:
    """West's arrivals make room for those on their way to west, and for nobody on the way to north."""
    for n in range(200):
        east.sign_in(n, f"a{n}")
    east.place({"east>west": "0-99"})
    released = [release.to for _ in range(10) for release in frames(heard(east, 0, 0), Release)]
    assert released == ["west"] * WINDOW
    east.place({"east>north": "0-99"})
    released = [release.to for _ in range(10) for release in frames(heard(east, 0, 0), Release)]
    assert released == ["north"] * WINDOW, "nobody of these was on the way yet"
    assert frames(heard(east, 25, 0), Release) == []
    assert len(frames(heard(east, 25, 10), Release)) == 10


def heard(cti: East, west: int, north: int) -> list[Out]:
    cti.server.arrived_at_peer("west", "w1", west, cti.now)
    cti.server.arrived_at_peer("north", "n1", north, cti.now)
    return cti.later(TICK)
