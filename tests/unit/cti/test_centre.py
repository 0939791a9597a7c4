"""Counts, sequence numbers and moves: what the control port shows of a CTI."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callcenter.cti.agents import AgentBook
from callcenter.cti.control import group_json
from callcenter.session.events import Activity
from callcenter.session.messages import AgentButton, CarriedState, Hello, Moved, Release, SignIn, SignOut
from callcenter.session.placements import Drain
from tests.unit.cti.centre import GROUP, OTHER, WRAPUP, Office, a_directory


def test_only_the_groups_that_changed_get_a_new_number() -> None:
    office = Office()
    before = dict(office.centre.group_seq)
    office.sign_in(0)
    assert office.centre.group_seq[GROUP] > before[GROUP]
    assert office.centre.group_seq[OTHER] == before[OTHER]
    assert office.centre.seq == office.centre.group_seq[GROUP]


def test_nothing_new_no_new_number() -> None:
    office = Office()
    office.sign_in(0, 1)
    seq = office.centre.seq
    office.later(3.0)  # six rounds of pings
    assert office.centre.seq == seq


def test_a_group_as_the_contract_shows_it() -> None:
    office = Office()
    office.sign_in(0, 1, 2, 3, state=None)
    office.sign_in(4, state="break")
    office.call("c1")
    office.call("c2")
    office.switch("answered", "c1", ext=office.extension(0))
    office.call("c3", group=OTHER)
    shown = group_json(office.centre, GROUP)
    assert shown | {"buckets": {}} == {
        "revision": 1, "confirmed": True, "signed_in": 5, "available": 2, "ringing": 1, "talking": 1, "wrapup": 0,
        "on_break": 1, "waiting": 0, "guests": 0, "standby": 0, "calls_waiting": 0, "buckets": {},
        "calls": {"answered": 1, "hung_up": 0, "cut": 0, "unheard": 0, "abandoned": 0, "refused": 0},
        "staying": (), "priority": 100, "released": 0, "calls_answered": 1, "calls_unanswered": 0,
    }  # fmt: skip
    assert sum(shown["buckets"].values()) == 5
    assert group_json(office.centre, OTHER)["calls_waiting"] == 1


@pytest.mark.parametrize("asks_first", [False, True])
def test_who_is_sent_on_in_a_call_takes_it_along_whatever_a_new_desktop_knows_of_it(asks_first: bool) -> None:
    office = Office()
    office.sign_in(0)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    office.leave(0)
    agent, again = office.directory.agents[0], 50
    office.silent.add(again)
    office.apply(office.centre.client_frame(again, Hello(agent.account, "new", agent.mac, "primary"), office.now))
    ask = SignIn(1, None, wait=False, state=None)
    if asks_first:
        office.apply(office.centre.client_frame(again, ask, office.now))
    office.place({"east>west": "0-99"}, drain=Drain(0.0, 0.0, "Force"))
    if not asks_first:
        office.apply(office.centre.client_frame(again, ask, office.now))
    (release,) = [frame for conn, frame in office.frames if conn == again and isinstance(frame, Release)]
    assert (release.to, release.state) == ("west", "talking")


def test_moves_are_numbered() -> None:
    office = Office()
    office.sign_in(0, 1)
    for n in (0, 1):
        moved = Moved(office.signed_in(n).session, "west", 0.01, 5.0, 5.01)
        office.apply(office.centre.client_frame(n, moved, office.now))
    assert [(move.seq, move.move.member.account) for move in office.centre.moves] == [
        (1, office.account(0)),
        (2, office.account(1)),
    ]


HAPPENINGS = ["in", "leave", "out", "break", "back", "call", "answer", "end", "cancel", "fail", "time", "away", "home"]
STEPS = st.lists(st.tuples(st.sampled_from(HAPPENINGS), st.integers(0, 4)), max_size=60)


@settings(max_examples=150, deadline=None, database=None)
@given(STEPS)
def test_counts_kept_by_change_equal_counts_made_anew(steps: list[tuple[str, int]]) -> None:
    """Whatever happens in whatever order: the running counts are those of the agents one by one."""
    office = Office()
    calls = 0
    for what, n in steps:
        seated = office.centre.server.conn_of(office.account(n))
        match what:
            case "in":
                office.sign_in(n)
            case "leave":
                office.leave(n)
            case "out" if seated:
                office.apply(office.centre.client_frame(n, SignOut(seated[1]), office.now))
            case "break" if seated:
                office.apply(office.centre.client_frame(n, AgentButton(seated[1], "break"), office.now))
            case "back" if seated:
                office.apply(office.centre.client_frame(n, AgentButton(seated[1], "available"), office.now))
            case "call":
                calls += 1
                office.call(f"c{calls}")
            case "answer" | "end" | "cancel" | "fail":
                call = office.book.call_of(office.account(n))
                event = {"answer": "answered", "end": "ended", "cancel": "cancel", "fail": "failed"}[what]
                if call is not None:
                    office.switch(event, call, ext=office.extension(n), code=486)
            case "time":
                office.later(1.1)
            case "away":
                office.place({"east>west": "0-49", "east": "50-99"})
            case "home":
                office.place({"east": "0-99"})
    states = Counter(office.book.state(office.account(n)) for n in range(20))
    states.pop("out", None)
    assert +office.book.states(GROUP) == states
    shown = group_json(office.centre, GROUP)
    assert shown["signed_in"] == sum(states.values())
    views = (office.centre.server.view(office.account(n), office.now) for n in range(20))
    lingering = sum(view is not None and not view.session and view.activity != Activity.IDLE for view in views)
    assert sum(shown["buckets"].values()) == shown["signed_in"] + lingering
    idle = {account for account, _ in office.book.idle(GROUP)}
    assert idle == {office.account(n) for n in range(20) if office.book.state(office.account(n)) == "available"}
    assert sum(office.book.idle_buckets(GROUP).values()) == states["available"]
    assert not (states["available"] and shown["calls_waiting"] and office.centre.idle(GROUP)), (
        "a call waits beside an idle agent"
    )


def test_numbers_come_from_the_citys_pool_and_stay_with_the_agent() -> None:
    office = Office()
    office.sign_in(0, 1)
    first = office.signed_in(0).number
    office.leave(0)
    office.sign_in(0)
    assert office.signed_in(0).number == first
    assert office.signed_in(1).number != first
    assert 100_000 <= first <= 199_999


def test_a_phone_of_another_desk_is_rung_by_its_own_extension() -> None:
    """MAC <-> extension: whoever sits at a desk works with that desk's phone."""
    directory = a_directory()
    book = AgentBook(directory, site="west", system="hotel", registrar="198.18.0.12:30560", wrapup=1.0)
    member = book.member(directory.agents[0].account.upper())
    assert member is not None
    assert member.account == directory.agents[0].account
    badge = book.sign_in(member, directory.agents[7].mac, None, 0.0)
    assert badge.extension == directory.agents[7].extensions["west"]
    assert book.by_extension(badge.extension) == member.account
    assert book.line("02:ff:ff:ff:ff:ff") is None
    assert book.member("nobody") is None
    assert book.member(directory.agents[25].account) is None, "an agent of another system"


@pytest.mark.parametrize(
    ("carried", "states"), [("wrapup", ["wrapup"]), ("break", ["break"]), ("talking", ["talking"])]
)
def test_what_was_carried_along_goes_on(carried: CarriedState, states: list[str]) -> None:
    office = Office()
    office.sign_in(0, state=carried)
    assert office.states(0) == states
    assert office.book.carried(office.account(0)) == carried
    if carried == "wrapup":
        office.later(WRAPUP + 0.1)
        assert office.states(0) == ["available"]
