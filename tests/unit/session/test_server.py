"""The CTI's end of the session protocol, one rule at a time: doors, offers, leases, releases."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, TypeVar

import pytest

from callcenter.session import tickets
from callcenter.session.delay import Kept
from callcenter.session.door import parse_map
from callcenter.session.events import Activity, Badge, Close, Gone, Member, MoveMade, Out, Reply, Started
from callcenter.session.lease import Timing
from callcenter.session.messages import (
    Beat,
    CarriedState,
    ClientFrame,
    Denied,
    Ended,
    Hello,
    Moved,
    Offer,
    PhoneLine,
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
from callcenter.session.placements import UNCONFIRMED_AFTER, Drain, Placement, Together
from callcenter.session.server import (
    CROWD,
    RELEASES_A_TICK,
    SILENT_AFTER,
    TICK,
    TOLD_IN_A_CROWD,
    SessionServer,
)
from callcenter.session.tickets import Ticket
from callcenter.session.window import WINDOW

GROUP = "callcenter/x"
SECRET = b"secret of the system"
WALL = 1_000_000.0
S = 1.5
FORCED = Drain(max_talk=0.0, max_wrapup=0.0, on_deadline="Force")
EAST, WEST, OUT, IN = {"east": "0-99"}, {"west": "0-99"}, {"east>west": "0-99"}, {"west>east": "0-99"}

F = TypeVar("F")


@dataclass
class Desk:
    """A Desk whose answers the tests choose: account aN sits in bucket N."""

    carrying: dict[str, CarriedState] = field(default_factory=dict)
    begins: list[tuple[str, CarriedState | None]] = field(default_factory=list)
    groups: dict[str, str] = field(default_factory=dict)
    """Accounts that are of another group than GROUP."""

    def member(self, account: str) -> Member | None:
        group = self.groups.get(account, GROUP)
        return Member(account, group, int(account[1:]) % 100) if account.startswith("a") else None

    def line(self, mac: str) -> PhoneLine | None:
        return None if mac == "unknown" else PhoneLine("510001", "198.18.0.11:30560", "callcenter", "secret")

    def sign_in(self, member: Member, mac: str, carried: CarriedState | None, now: float) -> Badge:
        self.begins.append((member.account, carried))
        return Badge(100_000, "V1", "510001", "break" if carried == "break" else "available")

    def carried(self, account: str) -> CarriedState:
        return self.carrying.get(account, "available")


class Cti:
    """A session server in east with its clock, as the tests talk to it."""

    def __init__(self, rate: float = inf, **more: Any) -> None:
        self.now = 100.0
        self.desk = Desk()
        self.revision = 0
        self.server = SessionServer(
            site="east",
            boot="b1",
            secret=SECRET,
            desk=self.desk,
            timing=Timing(S, 0.5),
            now=self.now,
            wall=WALL,
            rate=rate,
            **more,
        )

    def place(self, map_: dict[str, str], group: str = GROUP, **more: Any) -> list[Out]:
        self.revision += 1
        placement = Placement(self.revision, parse_map(map_), **more)
        answers, outs = self.server.place({group: placement}, confirmed=True, now=self.now)
        assert answers[group].accepted
        return outs

    def frame(self, conn: int, frame: ClientFrame) -> list[Out]:
        return self.server.frame(conn, frame, self.now)

    def later(self, seconds: float) -> list[Out]:
        """Let time pass tick by tick; nobody answers pings."""
        outs: list[Out] = []
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(until, self.now + TICK)
            outs += self.server.tick(self.now)
        return outs

    def living(self, seconds: float, step: float = TICK) -> list[Out]:
        """Let time pass, `step` by `step`, while every client answers its pings at once."""
        seen: list[Out] = []
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(until, self.now + step)
            for out in self.server.tick(self.now):
                seen.append(out)
                if isinstance(out, Reply) and isinstance(out.frame, Ping):
                    seen += self.frame(out.conn, Pong(out.frame.session, out.frame.n))
        return seen

    def hello(self, conn: int, account: str, instance: str = "") -> list[Out]:
        return self.frame(conn, Hello(account, instance or f"i-{account}", "02:00", "primary"))

    def ask(
        self, conn: int, *, ticket: str | None = None, wait: bool = False, state: CarriedState | None = None
    ) -> list[Out]:
        return self.frame(conn, SignIn(1, ticket, wait, state))

    def sign_in(self, conn: int, account: str, instance: str = "") -> str:
        """Connect, ask, answer the first ping; returns the session."""
        self.hello(conn, account, instance)
        outs = self.ask(conn)
        offer = only(outs, Offer)
        assert only(self.frame(conn, Pong(offer.session, 1)), SignedIn).session == offer.session
        return offer.session


def frames(outs: Iterable[Out], kind: type[F]) -> list[F]:
    return [out.frame for out in outs if isinstance(out, Reply) and isinstance(out.frame, kind)]


def only(outs: Iterable[Out], kind: type[F]) -> F:
    found = frames(outs, kind)
    assert len(found) == 1, f"expected one {kind.__name__} in {outs}"
    return found[0]


def facts(outs: Iterable[Out], kind: type[F]) -> list[F]:
    return [out for out in outs if isinstance(out, kind)]


def ticket(account: str = "a1", *, revision: int = 1, instance: str = "", **change: Any) -> str:
    """A ticket from west to east, as west's CTI would have signed it."""
    fields: dict[str, Any] = {
        "account": account,
        "instance": instance or f"i-{account}",
        "group": GROUP,
        "bucket": 1,
        "from_": "west",
        "to": "east",
        "revision": revision,
        "issued_at": WALL,
        "expires_at": WALL + 60,
        "id": f"w.{account}.{revision}",
        "state": "break",
    }
    return tickets.sign(Ticket(**(fields | change)), SECRET)


@pytest.fixture
def cti() -> Cti:
    return Cti()


# ---- hello


def test_a_welcome_tells_lease_home_and_phone(cti: Cti) -> None:
    cti.place(WEST)
    welcome = only(cti.hello(1, "a1"), Welcome)
    assert (welcome.site, welcome.boot, welcome.lease, welcome.ping, welcome.home) == ("east", "b1", S, 0.5, "west")
    assert welcome.phone.extension == "510001"


@pytest.mark.parametrize(("map_", "home"), [(EAST, "east"), (OUT, "east"), (IN, "west")])
def test_home_is_where_a_client_without_ticket_should_ask(cti: Cti, map_: dict[str, str], home: str) -> None:
    cti.place(map_)
    assert only(cti.hello(1, "a1"), Welcome).home == home


def test_before_any_map_home_is_unknown(cti: Cti) -> None:
    assert only(cti.hello(1, "a1"), Welcome).home is None


def test_the_first_frame_must_be_hello_and_only_the_first(cti: Cti) -> None:
    outs = cti.frame(1, Beat(1))
    assert only(outs, Denied).reason == "HelloFirst"
    assert facts(outs, Close) == [Close(1)]
    cti.hello(2, "a1")
    assert only(cti.hello(2, "a1"), Denied).reason == "HelloTwice"


def test_a_new_connection_of_the_same_client_replaces_the_old_one(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    outs = cti.hello(2, "a1")
    assert facts(outs, Close) == [Close(1)]
    assert [gone.reason for gone in facts(outs, Gone)] == ["Disconnected"]
    assert cti.server.count(GROUP).connections == 1
    assert cti.server.disconnected(1, cti.now) == []


# ---- the door


@pytest.mark.parametrize(
    ("map_", "wait", "answer"),
    [
        pytest.param(EAST, False, Offer, id="open"),
        pytest.param(OUT, False, ("west", True), id="leaving-gives-a-ticket"),
        pytest.param(OUT, True, ("west", True), id="leaving-does-not-let-wait"),
        pytest.param(IN, False, ("west", False), id="without-a-ticket-back-to-the-old-city"),
        pytest.param(IN, True, "PlacedElsewhere", id="without-a-ticket-and-without-the-old-city"),
        pytest.param(WEST, False, ("west", False), id="closed"),
        pytest.param(WEST, True, "PlacedElsewhere", id="closed-and-nowhere-else-to-go"),
    ],
)
def test_what_a_fresh_sign_in_gets(cti: Cti, map_: dict[str, str], wait: bool, answer: Any) -> None:
    cti.place(map_)
    cti.hello(1, "a1")
    outs = cti.ask(1, wait=wait)
    if isinstance(answer, tuple):
        release = only(outs, Release)
        assert (release.seq, release.session) == (1, None)
        assert (release.to, release.ticket is not None) == answer
    elif isinstance(answer, str):
        assert only(outs, Wait).reason == answer
        assert cti.server.count(GROUP).waiting == 1
    else:
        assert only(outs, Offer).seq == 1
        assert only(outs, Ping).n == 1


def test_a_released_client_enters_by_its_ticket_with_what_it_carried(cti: Cti) -> None:
    cti.place(IN)
    cti.hello(1, "a1")
    offer = only(cti.ask(1, ticket=ticket()), Offer)
    outs = cti.frame(1, Pong(offer.session, 1))
    assert only(outs, SignedIn).state == "break"
    assert facts(outs, Started)[0].from_ == "west"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({"instance": "another"}, "TicketForAnother", id="another-instance"),
        pytest.param({"to": "north"}, "TicketForAnother", id="another-city"),
    ],
)
def test_a_wrong_ticket_is_refused_where_only_tickets_admit(cti: Cti, change: dict[str, Any], reason: str) -> None:
    cti.place(IN)
    cti.hello(1, "a1")
    assert only(cti.ask(1, ticket=ticket(**change)), Refused).reason == reason
    cti.place(EAST)
    assert frames(cti.ask(1, ticket=ticket(**change)), Offer), "an open door asks for no ticket"


def test_a_ticket_is_used_up_by_the_session_not_by_the_offer(cti: Cti) -> None:
    cti.place(IN)
    cti.hello(1, "a1")
    only(cti.ask(1, ticket=ticket()), Offer)
    cti.server.disconnected(1, cti.now)
    cti.hello(2, "a1")
    offer = only(cti.ask(2, ticket=ticket()), Offer)
    cti.frame(2, Pong(offer.session, 1))
    cti.hello(3, "a1", "another start of the client")
    copied = ticket(instance="another start of the client")
    assert only(cti.ask(3, ticket=copied), Refused).reason == "TicketUsed"


@pytest.mark.parametrize("wall", [WALL - 3600, WALL + 3600], ids=["behind-ours", "ahead-of-ours"])
def test_a_ticket_admits_whatever_the_other_citys_wall_clock_says(cti: Cti, wall: float) -> None:
    cti.place(IN)
    cti.hello(1, "a1")
    assert frames(cti.ask(1, ticket=ticket(issued_at=wall, expires_at=wall + 60)), Offer)


def test_a_used_ticket_is_refused_however_long_ago_that_was(cti: Cti) -> None:
    cti.place(IN)
    for conn, instance in ((1, "first"), (2, "second")):
        cti.hello(conn, "a1", instance)
        text = ticket(instance=instance, id=f"w.{instance}")
        offer = only(cti.ask(conn, ticket=text), Offer)
        cti.frame(conn, Pong(offer.session, 1))
    cti.living(3600.0, step=0.5)
    outs = cti.ask(1, ticket=ticket(instance="first", id="w.first"))
    assert only(outs, Refused).reason == "TicketUsed"
    assert cti.server.valid("a1", cti.now), "the other device works on"


def test_a_ticket_that_a_restarted_cti_has_forgotten_admits_its_own_client_alone_and_to_one_session() -> None:
    """Its own client is let in again under the same order without any ticket, so nobody gains anything."""
    before, after = Cti(), Cti()
    for cti in (before, after):  # the second is a new process, which its engine tells the same
        cti.place(IN)
        cti.hello(1, "a1")
        cti.frame(1, Pong(only(cti.ask(1, ticket=ticket()), Offer).session, 1))
        assert cti.server.valid("a1", cti.now)
    after.hello(2, "a1", "another start of the client")
    assert only(after.ask(2, ticket=ticket()), Refused).reason == "TicketForAnother"
    outs = after.hello(3, "a1")  # a copy of the client, if there could be one
    assert [gone.reason for gone in facts(outs, Gone)] == ["Disconnected"]
    after.frame(3, Pong(only(after.ask(3, ticket=ticket()), Offer).session, 1))
    assert after.server.count(GROUP).signed_in == 1


def test_a_restarted_cti_turns_tickets_away_that_are_older_than_the_order_it_knows() -> None:
    cti = Cti()
    cti.revision = 1  # it was down while the order was withdrawn and given again
    cti.place(IN)
    cti.hello(1, "a1")
    assert only(cti.ask(1, ticket=ticket(revision=1)), Release).to == "west"


@pytest.mark.parametrize("shown", [None, "used", "forged"])
def test_who_was_let_in_comes_in_again_without_the_old_city(cti: Cti, shown: str | None) -> None:
    cti.place(IN)
    cti.hello(1, "a1")
    offer = only(cti.ask(1, ticket=ticket()), Offer)
    cti.frame(1, Pong(offer.session, 1))
    cti.server.disconnected(1, cti.now)
    cti.hello(2, "a1")
    texts = {None: None, "used": ticket(), "forged": "x.y"}
    offer = only(cti.ask(2, ticket=texts[shown]), Offer)
    cti.frame(2, Pong(offer.session, 1))
    moved = Moved(offer.session, "west", 0.02, WALL, WALL + 0.02)
    assert [move.cause for move in facts(cti.frame(2, moved), MoveMade)] == ["Move"]


def test_who_was_let_in_under_an_earlier_order_needs_a_ticket_again(cti: Cti) -> None:
    cti.place(IN)
    cti.hello(1, "a1")
    offer = only(cti.ask(1, ticket=ticket()), Offer)
    cti.frame(1, Pong(offer.session, 1))
    cti.server.disconnected(1, cti.now)
    cti.place(WEST)
    cti.place(IN)
    cti.hello(2, "a1")
    assert only(cti.ask(2), Release).to == "west"
    cti.hello(3, "a1", "another start of the client")
    assert only(cti.ask(3), Release).to == "west"


@pytest.mark.parametrize("before", [WEST, IN])
def test_a_ticket_ahead_of_the_map_waits_for_it(cti: Cti, before: dict[str, str]) -> None:
    cti.place(before)
    cti.hello(1, "a1")
    assert only(cti.ask(1, ticket=ticket(revision=2)), Wait).reason == "PlacementBehind"
    assert only(cti.place(IN), Offer).seq == 1


def test_a_ticket_of_an_order_that_was_withdrawn_in_between_admits_nobody(cti: Cti) -> None:
    cti.place(IN)
    cti.place(WEST)
    cti.place(IN)
    cti.hello(1, "a1")
    assert only(cti.ask(1, ticket=ticket(revision=1)), Release).to == "west"
    assert frames(cti.ask(1, ticket=ticket(revision=3)), Offer)


def test_a_ticket_outlives_a_later_wave_of_the_same_move(cti: Cti) -> None:
    cti.place({"west>east": "0-49", "west": "50-99"})
    cti.place(IN)
    cti.hello(1, "a1")
    assert frames(cti.ask(1, ticket=ticket(revision=1)), Offer)


def test_an_aborted_moves_ticket_leads_back(cti: Cti) -> None:
    cti.place(IN)
    cti.place(WEST)
    cti.hello(1, "a1")
    release = only(cti.ask(1, ticket=ticket(revision=1)), Release)
    assert (release.to, release.ticket) == ("west", None)


def test_a_newer_sign_in_takes_the_place_of_an_older_one(cti: Cti) -> None:
    cti.place(EAST)
    cti.hello(1, "a1")
    first = only(cti.ask(1), Offer)
    second = only(cti.ask(1), Offer)
    assert cti.frame(1, Pong(first.session, 1)) == []
    assert frames(cti.frame(1, Pong(second.session, 1)), SignedIn)


def test_another_device_at_the_same_door_is_told(cti: Cti) -> None:
    cti.place(WEST)
    cti.hello(1, "a1", "phone")
    cti.hello(2, "a1", "laptop")
    cti.ask(1, wait=True)
    outs = cti.ask(2, wait=True)
    assert [
        (out.conn, out.frame.reason) for out in outs if isinstance(out, Reply) and isinstance(out.frame, Refused)
    ] == [(1, "OtherDevice")]
    assert cti.server.count(GROUP).waiting == 1


def test_whoever_leaves_the_door_gets_nothing_when_it_opens(cti: Cti) -> None:
    cti.place(WEST)
    cti.hello(1, "a1")
    cti.ask(1, wait=True)
    cti.frame(1, Withdraw(1))
    assert cti.server.count(GROUP).waiting == 0
    assert frames(cti.place(EAST), Offer) == []


# ---- the boot


def test_nobody_enters_before_the_map_is_confirmed(cti: Cti) -> None:
    cti.hello(1, "a1")
    assert only(cti.ask(1), Wait).reason == "NoPlacement"
    cti.server.book.adopt(GROUP, Placement(1, parse_map(EAST)))
    cti.hello(2, "a2")
    assert only(cti.ask(2), Wait).reason == "Unconfirmed"
    assert only(cti.ask(2, ticket=ticket("a2")), Wait).reason == "Unconfirmed"
    outs = cti.place(EAST)
    assert len(frames(outs, Offer)) == 2


def test_after_a_while_without_an_engine_the_map_on_disk_opens_the_door(cti: Cti) -> None:
    cti.server.book.adopt(GROUP, Placement(1, parse_map(EAST)))
    cti.hello(1, "a1")
    cti.ask(1)
    assert frames(cti.later(UNCONFIRMED_AFTER - 0.1), Offer) == []
    assert frames(cti.later(0.2), Offer) != []


def test_a_process_that_stood_still_counts_as_restarted(cti: Cti) -> None:
    cti.place(EAST)
    session = cti.sign_in(1, "a1")
    cti.now += 2 * S
    outs = cti.server.restart("b2", cti.now)
    assert only(outs, Ended) == Ended(session, "Lapsed")
    assert cti.server.boot == "b2"
    assert only(cti.ask(1), Wait).reason == "Unconfirmed"


# ---- leases


def test_a_session_lapses_one_lease_after_the_sending_of_its_newest_answered_ping(cti: Cti) -> None:
    cti.place(EAST)
    session = cti.sign_in(1, "a1")
    began = cti.now
    cti.later(0.6)
    assert cti.server.valid("a1", began + S - 0.001)
    assert not cti.server.valid("a1", began + S)
    cti.now = began + 1.0
    cti.frame(1, Pong(session, 2))  # sent within the first 0.5 s, answered late
    assert cti.server.valid("a1", began + S)
    assert not cti.server.valid("a1", began + 0.5 + S + TICK)


def test_what_has_lapsed_is_over_whatever_arrives_later(cti: Cti) -> None:
    cti.place(EAST)
    session = cti.sign_in(1, "a1")
    cti.later(1.0)
    cti.now += 0.6
    outs = cti.frame(1, Pong(session, 2))
    assert only(outs, Ended) == Ended(session, "Lapsed")
    assert not cti.server.valid("a1", cti.now)
    assert cti.frame(1, Pong(session, 3)) == []


def test_an_unanswered_session_is_noticed_by_itself(cti: Cti) -> None:
    cti.place(EAST)
    session = cti.sign_in(1, "a1")
    outs = cti.later(S + TICK)
    assert only(outs, Ended) == Ended(session, "Lapsed")
    assert facts(outs, Gone)[0].reason == "Lapsed"
    assert cti.server.count(GROUP).signed_in == 0
    assert cti.server.count(GROUP).buckets == {}


def test_who_answers_stays(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    outs = cti.living(20.0)
    assert frames(outs, Ended) == []
    assert 39 <= len(frames(outs, Ping)) <= 41


def test_an_offer_is_no_session_until_its_first_ping_is_answered(cti: Cti) -> None:
    cti.place(EAST)
    cti.hello(1, "a1")
    offer = only(cti.ask(1), Offer)
    assert not cti.server.valid("a1", cti.now)
    assert cti.server.release_query("a1", cti.now) == (False, "OfferOutstanding")
    cti.now += S
    assert cti.frame(1, Pong(offer.session, 1)) == []
    assert not cti.server.valid("a1", cti.now)
    assert cti.server.release_query("a1", cti.now) == (True, "NoSession")


@pytest.mark.parametrize("n", [0, 1, 99])
def test_a_pong_counts_only_for_a_ping_that_was_sent_and_not_answered_yet(cti: Cti, n: int) -> None:
    cti.place(EAST)
    session = cti.sign_in(1, "a1")
    began = cti.now
    cti.later(0.6)  # ping 2 is out
    cti.frame(1, Pong(session, n))
    assert not cti.server.valid("a1", began + S)


def test_nobody_answers_for_another_connections_session(cti: Cti) -> None:
    cti.place(EAST)
    session = cti.sign_in(1, "a1")
    cti.hello(2, "a2")
    began = cti.now
    cti.later(0.6)
    assert cti.frame(2, Pong(session, 2)) == []
    assert cti.frame(2, SignOut(session)) == []
    assert not cti.server.valid("a1", began + S)


def test_a_closed_connection_ends_its_session_at_once(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    outs = cti.server.disconnected(1, cti.now)
    assert [gone.reason for gone in facts(outs, Gone)] == ["Disconnected"]
    assert not cti.server.valid("a1", cti.now)
    assert cti.server.count(GROUP).connections == 0


def test_a_second_device_takes_the_session_once_it_answers(cti: Cti) -> None:
    cti.place(EAST)
    first = cti.sign_in(1, "a1", "laptop")
    cti.hello(2, "a1", "phone")
    offer = only(cti.ask(2), Offer)
    assert cti.server.valid("a1", cti.now)
    outs = cti.frame(2, Pong(offer.session, 1))
    assert outs[1] == Reply(1, Ended(first, "Replaced"))
    assert cti.server.conn_of("a1") == (2, offer.session)
    assert cti.server.count(GROUP).signed_in == 1


def test_connections_that_say_nothing_are_closed(cti: Cti) -> None:
    cti.place(EAST)
    cti.hello(1, "a1")
    cti.sign_in(2, "a2")
    assert facts(cti.living(SILENT_AFTER - 1.5), Close) == []
    assert set(facts(cti.living(3.0), Close)) == {Close(1)}


# ---- releases


def test_idle_agents_of_a_leaving_bucket_are_released_with_a_ticket(cti: Cti) -> None:
    cti.place(EAST)
    session = cti.sign_in(1, "a1")
    cti.desk.carrying["a1"] = "break"
    outs = cti.place(OUT)
    assert outs == []  # nobody waits for the release of a thousand others
    release = only(cti.later(TICK), Release)
    assert (release.session, release.seq, release.to, release.state) == (session, None, "west", "break")
    signed = tickets.verify(release.ticket or "", SECRET)
    assert (signed.account, signed.instance, signed.from_, signed.to) == ("a1", "i-a1", "east", "west")
    assert (signed.revision, signed.bucket, signed.state) == (2, 1, "break")
    assert not cti.server.valid("a1", cti.now)
    assert cti.server.release_query("a1", cti.now) == (True, "Released")


def test_a_thousand_are_released_in_small_portions(cti: Cti) -> None:
    cti.place(EAST)
    for n in range(100):
        cti.sign_in(n, f"a{n}")
    cti.place(OUT)
    whole, rest = divmod(100, RELEASES_A_TICK)
    portions = []
    for _ in range(whole + 2):
        portions.append(len(frames(cti.later(TICK), Release)))
    assert portions == [RELEASES_A_TICK] * whole + [rest, 0]


@pytest.mark.parametrize("map_", [OUT, WEST])
def test_an_offer_that_a_new_map_takes_back_is_no_release_of_one_who_is_signed_in_here(
    cti: Cti, map_: dict[str, str]
) -> None:
    """Two devices of one agent: the first one works here, the second one has an offer, and may have answered it. It
    goes to west at once, so the first one's session must be over."""
    cti.place(EAST)
    first = cti.sign_in(1, "a1", "desk")
    cti.hello(2, "a1", "laptop")
    offer = only(cti.ask(2), Offer)
    outs = cti.place(map_)
    assert only(outs, Ended) == Ended(first, "Replaced")
    assert (only(outs, Release).session, only(outs, Release).to) == (offer.session, "west")
    assert not cti.server.valid("a1", cti.now)


def test_releases_keep_the_time_of_the_city_that_takes_them_in(cti: Cti) -> None:
    cti.place(EAST)
    for n in range(100):
        cti.sign_in(n, f"a{n}")
    cti.place(OUT)
    released = 0
    for _ in range(10):
        cti.server.arrived_at_peer("west", "w1", 0, cti.now)
        released += len(frames(cti.later(TICK), Release))
    assert released == WINDOW
    cti.server.arrived_at_peer("west", "w1", 25, cti.now)
    assert len(frames(cti.later(2 * TICK), Release)) == 25


def test_a_pace_is_kept(cti: Cti) -> None:
    cti.place(EAST)
    for n in range(100):
        cti.sign_in(n, f"a{n}")
    cti.place(OUT, pace=20.0)
    assert 18 <= len(frames(cti.living(1.0), Release)) <= 23
    assert 19 <= len(frames(cti.living(1.0), Release)) <= 21


def test_groups_of_one_move_keep_one_pace(cti: Cti) -> None:
    groups = [f"callcenter/g{number}" for number in range(20)]
    for number, group in enumerate(groups):
        cti.place(EAST, group=group)
        for n in range(5):
            account = f"a{100 * number + n}"
            cti.desk.groups[account] = group
            cti.sign_in(100 * number + n, account)
    for group in groups:
        cti.place(OUT, group=group, pace=0.5, together=Together("callcenter/s1", 10.0))
    assert 9 <= len(frames(cti.living(1.0), Release)) <= 12
    assert 9 <= len(frames(cti.living(1.0), Release)) <= 11


def test_a_thousand_agents_of_two_hundred_groups_keep_a_pace_within_five_per_cent(cti: Cti) -> None:
    groups = [f"callcenter/g{number}" for number in range(200)]
    for number, group in enumerate(groups):
        cti.place(EAST, group=group)
        for n in range(5):
            account = f"a{5 * number + n}"
            cti.desk.groups[account] = group
            cti.sign_in(5 * number + n, account)
    for group in groups:
        cti.place(OUT, group=group, pace=0.5, together=Together("callcenter/s1", 100.0))
    began = cti.now
    released = 0
    while released < 1000:
        released += len(frames(cti.living(0.1), Release))
    assert 9.5 <= cti.now - began <= 10.5


@pytest.mark.parametrize("late", [0.1, 0.2])
def test_a_cti_that_is_short_of_a_processor_keeps_the_pace(cti: Cti, late: float) -> None:
    cti.place(EAST)
    for n in range(400):
        cti.sign_in(n, f"a{n}")
    cti.place(OUT, together=Together("callcenter/s1", 100.0))
    began = cti.now
    released = 0
    while cti.now < began + 3.0:
        released += len(frames([*cti.living(late, late), *cti.living(5 * TICK)], Release))
    assert released == pytest.approx(100.0 * (cti.now - began), rel=0.05)


def test_the_newest_word_of_a_moves_pace_counts(cti: Cti) -> None:
    cti.place(EAST)
    cti.place(EAST, group="callcenter/other")
    for n in range(100):
        cti.sign_in(n, f"a{n}")
    cti.place(OUT, together=Together("callcenter/s1", 50.0))
    cti.place(OUT, group="callcenter/other", together=Together("callcenter/s1", 10.0))
    cti.living(0.5)
    assert 9 <= len(frames(cti.living(1.0), Release)) <= 11
    cti.place(EAST)
    cti.place(EAST, group="callcenter/other")
    cti.place(OUT, together=Together("callcenter/s2", 40.0))
    cti.living(0.5)
    assert 38 <= len(frames(cti.living(1.0), Release)) <= 42


def test_busy_agents_are_released_when_they_have_wrapped_up(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.server.set_activity("a1", Activity.CALL, cti.now)
    cti.place(OUT)
    assert frames(cti.living(60.0), Release) == []
    assert cti.server.set_activity("a1", Activity.WRAPUP, cti.now) == []
    assert frames(cti.living(5.0), Release) == []
    assert only(cti.server.set_activity("a1", Activity.IDLE, cti.now), Release).to == "west"


@pytest.mark.parametrize(
    ("activity", "drain", "forced_after"),
    [
        pytest.param(Activity.CALL, Drain(10.0, 5.0, "Force"), 10.0, id="talks-too-long"),
        pytest.param(Activity.WRAPUP, Drain(10.0, 5.0, "Force"), 5.0, id="wraps-up-too-long"),
        pytest.param(Activity.CALL, Drain(10.0, 5.0, "Stay"), None, id="may-stay"),
        pytest.param(Activity.CALL, Drain(None, 5.0, "Force"), None, id="no-limit-to-talk"),
    ],
)
def test_the_deadline_of_a_drain(cti: Cti, activity: Activity, drain: Drain, forced_after: float | None) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.server.set_activity("a1", activity, cti.now)
    cti.place(OUT, drain=drain)
    if forced_after is None:
        assert frames(cti.living(60.0), Release) == []
    else:
        assert frames(cti.living(forced_after - 0.1), Release) == []
        assert len(frames(cti.living(1.3), Release)) == 1


def test_a_later_wave_does_not_extend_an_earlier_ones_deadline(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.server.set_activity("a1", Activity.CALL, cti.now)
    drain = Drain(10.0, 5.0, "Force")
    cti.place({"east>west": "0-49", "east": "50-99"}, drain=drain)
    cti.living(8.0)
    cti.place(OUT, drain=drain)
    assert len(frames(cti.living(3.3), Release)) == 1


def test_an_aborted_move_releases_nobody_more(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.sign_in(2, "a2")
    cti.place(OUT, pace=1.0)
    assert len(frames(cti.living(0.1), Release)) <= 2
    cti.place(EAST, pace=1.0)
    assert frames(cti.living(10.0), Release) == []


def test_agents_about_to_leave_get_no_call(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    assert cti.server.may_take_call("a1", cti.now)
    cti.place(OUT, pace=0.1)
    assert cti.server.valid("a1", cti.now)
    assert not cti.server.may_take_call("a1", cti.now)


def test_sessions_in_a_bucket_that_belongs_elsewhere_go_on(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.place(WEST)
    assert frames(cti.living(10.0), Release) == []
    assert cti.server.may_take_call("a1", cti.now)
    assert cti.server.count(GROUP).buckets == {1: 1}


def test_an_offer_does_not_outlive_its_door(cti: Cti) -> None:
    cti.place(EAST)
    cti.hello(1, "a1")
    offer = only(cti.ask(1), Offer)
    release = only(cti.place(OUT), Release)
    assert (release.session, release.to) == (offer.session, "west")
    assert tickets.verify(release.ticket or "", SECRET).revision == 2
    assert cti.frame(1, Pong(offer.session, 1)) == []
    assert cti.server.count(GROUP).buckets == {}


def lose_in_a_call(cti: Cti) -> None:
    """East's agent a1 is in a call, and its connection is gone."""
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.server.set_activity("a1", Activity.CALL, cti.now)
    cti.server.disconnected(1, cti.now)


def test_a_call_that_outlived_its_session_is_finished_where_it_is(cti: Cti) -> None:
    lose_in_a_call(cti)
    cti.place(OUT)
    cti.sign_in(2, "a1")
    assert frames(cti.living(5.0), Release) == []
    assert frames(cti.server.set_activity("a1", Activity.IDLE, cti.now), Release)


def test_a_bucket_has_not_left_while_a_call_there_has_outlived_its_session(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.server.set_activity("a1", Activity.CALL, cti.now)
    cti.place(OUT)
    cti.server.disconnected(1, cti.now)
    assert (cti.server.count(GROUP).signed_in, cti.server.count(GROUP).occupied) == (0, {1: 1})
    cti.sign_in(2, "a1")
    assert cti.server.count(GROUP).occupied == {1: 1}
    cti.server.disconnected(2, cti.now)
    cti.server.set_activity("a1", Activity.IDLE, cti.now)
    assert cti.server.count(GROUP).occupied == {}


def test_who_has_to_go_in_the_middle_of_a_call_does_not_come_back_for_it(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.server.set_activity("a1", Activity.CALL, cti.now)
    assert only(cti.place(OUT, drain=FORCED) + cti.living(0.5), Release).to == "west"
    assert only(cti.ask(1), Release).ticket is not None
    assert cti.server.count(GROUP).occupied == {}


def test_nor_who_lost_its_session_in_that_call(cti: Cti) -> None:
    lose_in_a_call(cti)
    cti.place(OUT, drain=FORCED)
    assert cti.server.count(GROUP).occupied == {1: 1}
    cti.hello(2, "a1")
    assert only(cti.ask(2), Release).ticket is not None
    assert cti.server.count(GROUP).occupied == {}, "nobody waits for it any more"


def test_a_call_of_which_this_life_counts_no_session_is_not_finished_here(cti: Cti) -> None:
    """The bucket was said to be empty when this CTI started: by now it may be the other city's."""
    cti.place(OUT)
    cti.server.set_activity("a1", Activity.CALL, cti.now)
    assert cti.server.count(GROUP).occupied == {}
    cti.hello(1, "a1")
    assert only(cti.ask(1), Release).ticket is not None


def test_a_call_that_ends_before_its_agent_is_back_is_finished(cti: Cti) -> None:
    lose_in_a_call(cti)
    cti.place(OUT)
    cti.hello(2, "a1")
    offer = only(cti.ask(2), Offer)
    cti.server.set_activity("a1", Activity.IDLE, cti.now)
    assert cti.server.count(GROUP).occupied == {}
    release = only(cti.frame(2, Pong(offer.session, 1)), Release)
    assert (release.session, release.ticket is not None) == (offer.session, True)
    assert cti.server.count(GROUP).occupied == {}, "what was said to be empty stays so"


@pytest.mark.parametrize("another_device", [False, True])
def test_who_is_sent_on_before_a_first_pong_is_not_waited_for(cti: Cti, another_device: bool) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1", "laptop")
    cti.server.set_activity("a1", Activity.CALL, cti.now)
    if not another_device:
        cti.server.disconnected(1, cti.now)
    cti.hello(2, "a1", "desk")
    offer = only(cti.ask(2), Offer)
    assert only(cti.place(OUT, drain=FORCED), Release).ticket is not None
    assert cti.frame(2, Pong(offer.session, 1)) == []
    assert cti.server.count(GROUP).occupied == {}


def test_an_offer_is_withdrawn_whose_call_has_lasted_for_too_long_by_the_first_pong(cti: Cti) -> None:
    lose_in_a_call(cti)
    cti.place(OUT, drain=Drain(max_talk=1.0, max_wrapup=0.0, on_deadline="Force"))
    cti.living(0.98)
    cti.hello(2, "a1")
    offer = only(cti.ask(2), Offer)
    cti.now += 0.05
    assert only(cti.frame(2, Pong(offer.session, 1)), Release).ticket is not None
    assert cti.server.count(GROUP).occupied == {}


def test_a_forced_move_does_not_wait_for_a_call_whose_agent_does_not_come_back(cti: Cti) -> None:
    lose_in_a_call(cti)
    cti.place(OUT, drain=FORCED)
    cti.living(1.1)
    assert cti.server.count(GROUP).occupied == {}


def test_a_new_life_counts_from_its_first_report_on_who_may_be_lent() -> None:
    for lent, occupied in ((["a1"], {1: 1}), (None, dict.fromkeys(range(100), 1))):
        cti = Cti(peers=["west", "north"], lent=lent, keeps=True)
        cti.server.adopt(GROUP, Placement(7, parse_map({"east>north": "0-99"})))
        assert cti.server.count(GROUP).occupied == occupied


def test_an_offer_made_before_a_stall_is_no_session_after_it(cti: Cti) -> None:
    cti.place(EAST)
    cti.hello(1, "a1")
    offer = only(cti.ask(1), Offer)
    assert only(cti.server.restart("b2", cti.now + 0.1), Ended).session == offer.session
    assert cti.frame(1, Pong(offer.session, 1)) == []
    assert not cti.server.valid("a1", cti.now)


def test_who_is_still_busy_after_the_longest_call_is_named_until_gone(cti: Cti) -> None:
    cti.place(EAST)
    for n, activity in ((1, Activity.CALL), (2, Activity.WRAPUP), (3, Activity.CALL), (60, Activity.CALL)):
        cti.sign_in(n, f"a{n}")
        cti.server.set_activity(f"a{n}", activity, cti.now)
    cti.place({"east>west": "0-49", "east": "50-99"}, drain=Drain(max_talk=10.0, max_wrapup=5.0))
    cti.server.disconnected(3, cti.now)  # its call goes on
    cti.living(9.0)
    assert cti.server.count(GROUP).staying == ()
    cti.server.take_changed()
    cti.living(2.5)
    assert cti.server.count(GROUP).staying == ("a1", "a2", "a3")
    assert GROUP in cti.server.take_changed()
    for n in (1, 2, 3):
        cti.server.set_activity(f"a{n}", Activity.IDLE, cti.now)
    cti.living(1.1)
    assert cti.server.count(GROUP).staying == ()


def test_what_a_release_says_is_true_also_with_a_second_device(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1", "laptop")
    cti.place(OUT, pace=0.001)
    cti.hello(2, "a1", "phone")
    outs = cti.ask(2)
    assert only(outs, Ended).reason == "Replaced"
    assert only(outs, Release).ticket is not None
    assert not cti.server.valid("a1", cti.now)


# ---- pace of sign-ins


def test_no_more_sign_ins_than_the_rate_and_in_order() -> None:
    cti = Cti(rate=100.0)
    cti.place(EAST)
    outs: list[Out] = []
    for n in range(60):
        cti.hello(n, f"a{n}")
        outs += cti.ask(n)
    at_once = len(frames(outs, Offer))
    assert at_once == 6
    offered = [out.conn for out in cti.later(0.6) if isinstance(out, Reply) and isinstance(out.frame, Offer)]
    assert offered == list(range(6, 60))


def test_only_who_waits_for_long_is_told_to_wait() -> None:
    cti = Cti(rate=100.0)
    cti.place(EAST)
    for n in range(60):
        cti.hello(n, f"a{n}")
        assert frames(cti.ask(n), Wait) == []
    outs = cti.later(1.0)
    told = [out.conn for out in outs if isinstance(out, Reply) and out.frame == Wait(1, "Paced")]
    let_in = [out.conn for out in outs if isinstance(out, Reply) and isinstance(out.frame, Offer)]
    assert let_in == list(range(6, 60))
    assert told == list(range(told[0], 60))
    assert 20 <= told[0] <= 30, "whoever is let in within two tenths of a second is not told"


def test_who_has_gone_from_the_queue_is_not_told_to_wait() -> None:
    cti = Cti(rate=1.0)
    cti.place(EAST)
    for n in range(3):
        cti.hello(n, f"a{n}")
        cti.ask(n)
    cti.frame(2, Withdraw(1))
    outs = cti.later(0.3)
    assert [out.conn for out in outs if isinstance(out, Reply) and isinstance(out.frame, Wait)] == [1]


def test_who_was_told_to_wait_at_a_shut_door_is_told_of_the_queue_a_lease_after_it_asked() -> None:
    cti = Cti(rate=1.0)
    for n in range(3):
        cti.hello(n, f"a{n}")
        assert only(cti.ask(n, wait=True), Wait).reason == "NoPlacement"
    assert only(cti.place(EAST), Offer)
    since_asked = cti.later(0.5 * cti.server.timing.lease)
    assert frames(since_asked, Wait) == [], "one word was enough: all of a lost city's agents stand there"
    outs = cti.later(0.6 * cti.server.timing.lease)
    told = [out.conn for out in outs if isinstance(out, Reply) and out.frame == Wait(1, "Paced")]
    assert told == [2], "a2 still stands there, half of its patience is over; a1 was let in"
    offer, ping = only(outs, Offer), only(outs, Ping)
    cti.frame(1, Pong(offer.session, ping.n))
    (made,) = facts(cti.frame(1, Moved(offer.session, "west", 3.0, 1.0, 2.0)), MoveMade)
    assert made.delay.door_reason == "NoPlacement"


def a_crowd_at_the_shut_door(*, besides: int) -> tuple[Cti, list[int]]:
    """CROWD clients and some more who want to wait; and who of them was told to at once."""
    cti = Cti(rate=130.0)
    cti.place({"west": "0-99"})
    told = []
    for n in range(CROWD + besides):
        cti.hello(n, f"a{n}")
        told += [n] * len(frames(cti.ask(n, wait=True), Wait))
    return cti, told


def test_a_crowd_at_a_shut_door_is_told_to_wait_before_a_client_gives_up() -> None:
    cti, told = a_crowd_at_the_shut_door(besides=50)
    assert told == list(range(CROWD))
    patience = TOLD_IN_A_CROWD * cti.server.timing.lease
    assert frames(cti.later(patience - 2 * TICK), Wait) == []
    outs = cti.later(4 * TICK)
    late = [out.conn for out in outs if isinstance(out, Reply) and out.frame == Wait(1, "PlacedElsewhere")]
    assert late == list(range(CROWD, CROWD + 50))
    assert frames(cti.later(5 * patience), Wait) == [], "once"


def test_who_is_let_in_out_of_a_crowd_is_never_told_to_wait() -> None:
    cti, _ = a_crowd_at_the_shut_door(besides=50)
    cti.later(0.1)
    outs = [*cti.place(EAST), *cti.later(TOLD_IN_A_CROWD * cti.server.timing.lease - 0.1 - TICK)]
    assert frames(outs, Wait) == []
    outs += (last := cti.later(2 * TICK))
    let_in = {out.conn for out in outs if isinstance(out, Reply) and isinstance(out.frame, Offer)}
    told = {out.conn for out in last if isinstance(out, Reply) and out.frame == Wait(1, "Paced")}
    assert CROWD < len(let_in) < CROWD + 50
    assert told == set(range(CROWD, CROWD + 50)) - let_in


def test_a_test_agent_in_a_crowd_is_told_soon_enough_for_its_probe() -> None:
    cti, _ = a_crowd_at_the_shut_door(besides=0)
    cti.place(EAST)
    cti.desk.groups["a777"] = "tandem-probe/hotel"
    cti.hello(777, "a777")
    assert frames(cti.ask(777), Wait) == []
    told = [out.conn for out in cti.later(0.4) if isinstance(out, Reply) and isinstance(out.frame, Wait)]
    assert 777 in told


def test_a_cti_that_comes_late_lets_in_fewer_until_it_keeps_up_again() -> None:
    cti = Cti(rate=100.0)
    cti.place(EAST)
    for n in range(2000):
        cti.hello(n, f"a{n}")
        cti.ask(n)

    def let_in(seconds: int, step: float) -> int:
        came = 0
        for _ in range(round(seconds / step)):
            cti.now += step
            came += len(frames(cti.server.tick(cti.now), Offer))
        return came

    let_in(1, 0.1)
    assert 90 <= let_in(1, 0.1) <= 110
    let_in(4, 1.0)
    assert let_in(4, 1.0) <= 40
    let_in(12, 0.1)
    assert 90 <= let_in(1, 0.1) <= 110


def test_a_planned_moves_pace_holds_back_no_sign_in() -> None:
    cti = Cti(rate=1000.0)
    cti.place({"west>east": "0-49", "east": "50-99"}, pace=0.1)
    outs: list[Out] = []
    for n in (1, 2, 50, 51):
        cti.hello(n, f"a{n}")
        outs += cti.ask(n, ticket=ticket(f"a{n}") if n < 50 else None)
    assert len(frames(outs, Offer)) == 4


def test_a_door_that_shuts_before_ones_turn_comes_stays_shut() -> None:
    cti = Cti(rate=1.0)
    cti.place(EAST)
    for n in range(5):
        cti.hello(n, f"a{n}")
        cti.ask(n)
    cti.place(OUT)
    outs = cti.later(0.2)
    assert frames(outs, Offer) == []
    assert len(frames(outs, Release)) == 4
    assert cti.server.count(GROUP).waiting == 0


# ---- reports


def test_a_move_is_reported_once_and_by_the_session_that_made_it(cti: Cti) -> None:
    cti.place(IN)
    cti.hello(1, "a1")
    session = only(cti.ask(1, ticket=ticket()), Offer).session
    cti.frame(1, Pong(session, 1))
    moved = Moved(session, "west", 0.02, WALL, WALL + 0.02)
    made = facts(cti.frame(1, moved), MoveMade)
    assert [(move.member.account, move.from_, move.gap, move.cause) for move in made] == [("a1", "west", 0.02, "Move")]
    assert cti.frame(1, moved) == []
    assert cti.frame(1, Moved("another", "west", 0.02, WALL, WALL)) == []


def test_counts_follow_every_change(cti: Cti) -> None:
    cti.place({"east": "0-49", "west": "50-99"})
    cti.sign_in(1, "a1")
    cti.sign_in(2, "a2")
    cti.hello(3, "a60")
    cti.ask(3, wait=True)
    count = cti.server.count(GROUP)
    assert (count.signed_in, count.standby, count.waiting, count.buckets) == (2, 1, 1, {1: 1, 2: 1})
    assert cti.server.take_changed() == {GROUP}
    assert cti.server.take_changed() == set()
    cti.frame(1, SignOut(cti.server.conn_of("a1")[1]))  # type: ignore[index]
    cti.server.disconnected(3, cti.now)
    assert (count.signed_in, count.standby, count.waiting, count.buckets) == (1, 1, 0, {2: 1})
    assert cti.server.take_changed() == {GROUP}


# ---- what a move waited for


def released_ticket(outs: Iterable[Out]) -> Ticket:
    """The ticket of the one release among these."""
    text = only(outs, Release).ticket
    assert text is not None
    return tickets.verify(text, SECRET)


def test_a_ticket_says_how_long_call_and_wrap_up_kept_the_agent_after_the_bucket_left(cti: Cti) -> None:
    cti.place(EAST)
    cti.sign_in(1, "a1")
    cti.server.set_activity("a1", Activity.CALL, cti.now)
    cti.living(3.0)  # before the move: that is no delay of it
    cti.place(OUT)
    cti.living(2.0)
    cti.server.set_activity("a1", Activity.WRAPUP, cti.now)
    cti.living(1.5)
    outs = cti.server.set_activity("a1", Activity.IDLE, cti.now)
    kept = released_ticket(outs).kept
    assert kept is not None
    assert (kept.call, kept.wrapup, kept.turn) == pytest.approx((2.0, 1.5, 0.0), abs=0.05)


def test_who_waits_for_others_waits_for_its_turn(cti: Cti) -> None:
    cti.place(EAST)
    for number in range(3):
        cti.sign_in(number + 1, f"a{number + 1}")
    outs = cti.place(OUT, pace=1.0)
    outs += cti.living(3.0)
    turns = [
        kept.turn
        for frame in frames(outs, Release)
        if frame.ticket and (kept := tickets.verify(frame.ticket, SECRET).kept) is not None
    ]
    assert len(turns) == 3
    assert turns == sorted(turns)
    assert turns[-1] > turns[0] + 1.5


@pytest.mark.parametrize(
    ("gap", "standby"),
    [pytest.param(0.2, True, id="open-before"), pytest.param(30.0, False, id="opened-after-the-release")],
)
def test_a_move_says_whether_the_connection_was_open_before_and_what_the_door_took(
    cti: Cti, gap: float, standby: bool
) -> None:
    cti.place(IN)
    cti.hello(1, "a1")
    cti.later(5.0)
    outs = cti.ask(1, ticket=ticket(revision=cti.revision + 1, kept=Kept(1.0, 2.0, 0.5)))  # ahead of the map: it stands
    assert only(outs, Wait).reason == "PlacementBehind"
    cti.later(0.5)
    outs = cti.place(IN)
    offer, ping = only(outs, Offer), only(outs, Ping)
    cti.frame(1, Pong(offer.session, ping.n))
    (made,) = facts(cti.frame(1, Moved(offer.session, "west", gap, 1.0, 2.0)), MoveMade)
    assert made.delay.kept == Kept(1.0, 2.0, 0.5)
    assert made.delay.door_reason == "PlacementBehind"
    assert made.delay.door_seconds == pytest.approx(0.5, abs=0.05)
    assert made.delay.standby is standby
