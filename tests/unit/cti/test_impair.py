"""A drill's silence: chosen idle agents find this city lost, and nobody else notices anything."""

from typing import Any

import pytest

from callcenter.cti.errors import RequestError
from callcenter.cti.wire import read_impairment
from callcenter.session.loan_frames import Borrow, Lent
from callcenter.session.messages import AgentButton, Beat, Hello, Other, Pong, SignIn, Wait, Welcome
from callcenter.session.silence import LONGEST, REMEMBERED
from tests.unit.cti.centre import GROUP, OTHER, Office

DRILL = "callcenter/monthly/20261201-020000"
TTL = 3.0
LEASE = 1.5
AGENTS = (0, 1, 2, 3, 4, 5)


class Drilled(Office):
    """Six agents of one group, signed in at east, who all reach west."""

    def __init__(self, *agents: int) -> None:
        super().__init__(peers=["west"])
        self.agents = agents or AGENTS
        self.sign_in(*self.agents)
        self.reach(*self.agents)

    def reach(self, *agents: int, ok: bool = True) -> None:
        for n in agents:
            self.apply(self.centre.client_frame(n, Other("west", ok, 0.0), self.now))

    def impair(self, share: int = 100, *, ttl: float = TTL, drill: str = DRILL, group: str = GROUP) -> int:
        shares = {group: share} if share else {}
        chosen, effects = self.centre.impair(drill, shares, ["west"], ttl, self.now)
        self.apply(effects)
        return chosen.get(group, 0)

    def mute(self) -> list[int]:
        """Who hears nothing: those whom no ping reaches any more."""
        before = len(self.frames)
        self.later(0.6)
        spoken_to = {conn for conn, _ in self.frames[before:]}
        return [n for n in self.agents if n not in spoken_to]

    def valid(self) -> list[int]:
        return [n for n in self.agents if self.centre.server.valid(self.account(n), self.now)]


def heard(office: Office, n: int, since: int) -> list[Any]:
    return [frame for conn, frame in office.frames[since:] if conn == n]


def test_silenced_agents_hear_nothing_and_lapse_as_if_the_city_were_lost() -> None:
    office = Drilled()
    assert office.impair() == len(AGENTS)
    since = len(office.frames)
    office.later(LEASE + 0.1)
    assert (office.valid(), office.frames[since:]) == ([], [])


def test_everybody_else_notices_nothing() -> None:
    office = Drilled()
    office.sign_in(20)  # of another group
    assert office.impair(50) == 3
    quiet = office.mute()
    assert len(quiet) == 3
    office.later(LEASE)
    assert office.valid() == [n for n in AGENTS if n not in quiet]
    assert office.centre.server.valid(office.account(20), office.now)


@pytest.mark.parametrize("state", ["ringing", "talking", "wrapup", "break", "carried-break", "pause"])
def test_only_agents_who_wait_for_calls_are_chosen(state: str) -> None:
    office = Drilled(0)
    match state:
        case "carried-break":
            office.apply(office.centre.client_frame(0, AgentButton(office.signed_in(0).session, "break"), office.now))
        case "break":
            office.apply(office.centre.client_frame(0, AgentButton(office.signed_in(0).session, "break"), office.now))
        case _:
            office.call("c1")
    if state in ("talking", "wrapup"):
        office.switch("answered", "c1", ext=office.extension(0))
    if state == "wrapup":
        office.switch("ended", "c1", by="caller")
    if state == "pause":
        office.switch("failed", "c1", ext=office.extension(0), code=408)
    assert office.book.state(office.account(0)) != "available"
    assert office.impair() == 0
    assert office.mute() == []


def test_nobody_is_chosen_who_does_not_say_that_the_other_city_is_reached() -> None:
    office = Drilled()
    office.reach(0, 1, ok=False)
    assert office.impair() == len(AGENTS) - 2
    assert {0, 1}.isdisjoint(office.mute())


def test_nobody_is_chosen_in_whose_bucket_somebody_is_busy() -> None:
    """Both cities' doors stay shut to a bucket on its way as long as a call of it goes on."""
    office = Drilled()
    seats, count = office.centre.server._t.seats, office.centre.server._t.groups[GROUP].count
    shared = seats[office.account(1)].member.bucket
    count.buckets[shared] += 1  # somebody of this bucket has a session here and is none of those who may be chosen
    assert office.impair() == len(AGENTS) - 1
    assert 1 not in office.mute()


def test_no_call_is_given_to_a_silenced_agent_and_callers_are_not_kept_for_one() -> None:
    office = Drilled(0, 1)
    assert office.impair(50) == 1
    office.call("c1")
    office.call("c2")
    assert [word[0] for word in office.words()] == ["ring"]
    assert office.centre.idle_report(office.now)[GROUP]["available"] == 0


def test_a_waiting_call_rings_who_hears_the_city_again() -> None:
    office = Drilled(0)
    office.impair()
    office.call("c1")
    assert office.words() == []
    office.impair(0)
    assert [word[0] for word in office.words()] == ["ring"]


def test_a_silenced_agent_is_answered_nothing_on_an_old_or_a_new_connection() -> None:
    office = Drilled()
    office.impair()
    since = len(office.frames)
    agent = office.directory.agents[0]
    seat = office.centre.server._t.seats[agent.account]
    before = (seat.session, seat.offer, seat.knock, set(seat.conns))
    office.apply(office.centre.client_frame(0, Beat(1), office.now))
    office.apply(office.centre.client_frame(0, SignIn(9, None, True, None), office.now))
    office.apply(office.centre.client_frame(77, Hello(agent.account, "i0", agent.mac, "primary"), office.now))
    assert office.frames[since:] == []
    assert (seat.session, seat.offer, seat.knock, set(seat.conns)) == before, "what is not heard changes nothing"


def test_what_a_silenced_agent_tells_still_counts() -> None:
    office = Drilled()
    office.impair()
    office.apply(office.centre.client_frame(0, AgentButton(office.signed_in(0).session, "break"), office.now))
    assert office.states(0) == ["break"]
    assert office.mute() == list(AGENTS)


def test_release_answers_are_withheld() -> None:
    office = Drilled()
    office.impair()
    office.later(2.1)  # a CTI that has just started lends nobody
    server, account = office.centre.server, office.account(0)
    assert server.release_query(account, office.now) == (False, "Silenced")
    effects = office.centre.peer_loans("west", Borrow("b.1", ((account, "i0"),)), office.now)
    answers = [said.frame for said in effects.to_peers if isinstance(said.frame, Lent)]
    assert answers == [Lent("b.1", {}, {account: "Silenced"})]
    office.impair(0)
    assert server.release_query(account, office.now) == (True, "NoSession")


def test_without_a_word_in_time_the_agents_are_answered_again() -> None:
    office = Drilled()
    office.impair(ttl=1.0)
    office.later(1.1)
    assert office.valid() == list(AGENTS)  # the lease was longer: nobody is out
    assert office.mute() == []


def test_words_in_time_go_on_and_choose_nobody() -> None:
    office = Drilled(0, 1)
    office.impair(50)
    first = office.mute()
    for _ in range(4):
        office.later(2.0)
        assert office.impair(100) == 1
    assert [n for n in office.agents if n not in office.valid()] == first


def test_a_drill_that_is_over_begins_no_more() -> None:
    office = Drilled()
    office.impair()
    office.impair(0)
    assert office.impair() == 0  # a late word
    assert office.mute() == []
    for number in range(REMEMBERED - 1):
        office.impair(0, drill=f"callcenter/another/{number}")
    assert office.impair() == 0


def test_nobody_is_kept_silent_for_longer_than_a_minute() -> None:
    office = Drilled()
    office.impair()
    for _ in range(int(LONGEST / 2)):
        office.later(2.0)
        office.impair()
    office.later(1.5)
    assert not office.centre.server.keeps_silent(DRILL)
    assert office.impair() == 0
    since = len(office.frames)
    agent = office.directory.agents[0]
    office.apply(office.centre.client_frame(78, Hello(agent.account, "i0", agent.mac, "primary"), office.now))
    assert isinstance(heard(office, 78, since)[0], Welcome)


def test_a_process_that_counts_as_started_anew_keeps_nobody_silent() -> None:
    office = Drilled()
    office.impair()
    office.apply(office.centre.restart("b2", office.now))
    assert office.centre.server.silenced(GROUP, office.now) == 0
    assert office.impair() == 0


# -- the order to leave, and the other city's door


def test_a_bucket_that_leaves_counts_as_empty_once_its_silent_agents_have_lapsed() -> None:
    office = Drilled()
    office.impair()
    office.later(LEASE + 0.1)
    office.place({"east>west": "0-99"}, (GROUP,))
    assert office.centre.server.count(GROUP).occupied == {}
    assert office.mute() == list(AGENTS)


def test_a_silent_agent_who_is_still_here_when_the_order_comes_is_released_like_the_others() -> None:
    office = Drilled()
    office.impair()
    office.place({"east>west": "0-99"}, (GROUP,))
    office.later(1.0)
    assert office.valid() == []
    released = office.centre.server.count(GROUP).released
    assert released == len(AGENTS)


def test_who_would_wait_for_somebody_of_the_same_bucket_is_answered_and_let_go() -> None:
    office = Drilled(0)
    office.impair()
    office.later(LEASE + 0.1)
    bucket = office.centre.server._t.seats[office.account(0)].member.bucket
    office.centre.server._t.group(GROUP).count.buckets[bucket] = 1  # somebody of the bucket has signed in since
    office.place({"east>west": "0-99"}, (GROUP,))
    since = len(office.frames)
    office.apply(office.centre.client_frame(0, SignIn(9, None, True, None), office.now))
    assert heard(office, 0, since)
    assert not isinstance(heard(office, 0, since)[0], Wait)


def test_a_bucket_that_has_gone_is_silent_no_more() -> None:
    office = Drilled()
    office.impair()
    office.later(LEASE + 0.1)
    office.place({"west": "0-99"}, (GROUP,))
    since = len(office.frames)
    office.apply(office.centre.client_frame(0, Beat(3), office.now))
    assert heard(office, 0, since) == [Beat(3)]


def test_a_lapsed_session_lives_no_more_whatever_is_answered_later() -> None:
    office = Drilled(0)
    session = office.signed_in(0).session
    office.impair()
    office.later(LEASE + 0.1)
    office.impair(0)
    office.apply(office.centre.client_frame(0, Pong(session, 99), office.now))
    assert office.valid() == []


def test_another_group_is_not_touched_by_a_name_that_is_not_its() -> None:
    office = Drilled()
    assert office.impair(group="callcenter/nobody") == 0
    assert office.impair(group=OTHER, drill="callcenter/x/1") == 0


# -- what is asked


GOOD = {"boot": "b1", "drill": DRILL, "ttl": 3, "to": ["west"], "groups": {GROUP: 25}}


def test_a_word_is_read() -> None:
    found = read_impairment(GOOD)
    assert (found.boot, found.drill, found.shares, found.to, found.ttl) == ("b1", DRILL, {GROUP: 25}, ("west",), 3.0)
    assert read_impairment({"boot": "b1", "drill": DRILL, "groups": {}}).shares == {}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"boot": None}, "boot", id="no-boot"),
        pytest.param({"drill": ""}, "drill", id="no-drill"),
        pytest.param({"ttl": 0}, "ttl", id="no-time"),
        pytest.param({"ttl": 11}, "ttl", id="too-long"),
        pytest.param({"ttl": None}, "ttl", id="for-ever"),
        pytest.param({"to": []}, "to", id="nowhere-to-go"),
        pytest.param({"to": "west"}, "to", id="to-as-text"),
        pytest.param({"groups": {GROUP: 0}}, f"groups.{GROUP}", id="nobody"),
        pytest.param({"groups": {GROUP: 101}}, f"groups.{GROUP}", id="more-than-all"),
        pytest.param({"groups": {GROUP: True}}, f"groups.{GROUP}", id="share-as-truth"),
        pytest.param({"groups": None}, "groups", id="no-groups"),
    ],
)
def test_what_cannot_be_meant_is_refused_by_its_field(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestError) as caught:
        read_impairment({**GOOD, **change})
    assert caught.value.field == field
