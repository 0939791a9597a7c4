"""Calls and agents together: who rings, what a call does to an agent, and what a release does to calls."""

from dataclasses import asdict
from typing import Literal

import pytest

from callcenter.cti.agents import NOT_TAKEN_PAUSE
from callcenter.cti.calls import DEFAULT_RING, PEER_PAUSE, RELAY_MEMORY, RING_GRACE
from callcenter.cti.centre import PEER_FRESH
from callcenter.cti.control import group_json
from callcenter.cti.distribution import PeerGroup
from callcenter.session.messages import AgentButton, Hello, Register, Release, SignIn, SignOut
from tests.unit.cti.centre import GROUP, OTHER, WALL, WRAPUP, Office


@pytest.fixture
def office() -> Office:
    return Office()


def peer(office: Office, idle: int, staff: int, group: str = GROUP) -> None:
    office.apply(office.centre.peer_report({group: PeerGroup(idle, staff)}, office.now))


# ---- a call's life


def test_a_call_from_ringing_to_ready(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    assert office.words() == [("ring", "c1", office.extension(0))]
    assert office.states(0) == ["ringing"]
    office.switch("answered", "c1", ext=office.extension(0))
    assert office.states(0) == ["talking"]
    office.later(5.0)
    office.switch("ended", "c1", ext=office.extension(0), by="caller")
    assert office.states(0) == ["wrapup"]
    office.later(WRAPUP - 0.05)
    assert office.states(0) == ["wrapup"]
    office.later(0.1)
    assert office.states(0) == ["available"]
    assert office.shown(0) == ["ringing", "talking", "ended", "wrapup", "ready"]


def test_a_ring_carries_where_the_call_sleeps(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    assert office.to_switch == [{"a": "ring", "i": 1, "l": 7, "callid": "c1", "ext": office.extension(0)}]


def test_the_longest_idle_agent_rings_first(office: Office) -> None:
    office.sign_in(2, 0, 1)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(2))
    office.switch("ended", "c1", ext=office.extension(2))
    office.later(WRAPUP + 0.1)
    for n in range(3):
        office.call(f"d{n}")
    assert [extension for _, _, extension in office.words()[1:]] == [office.extension(n) for n in (0, 1, 2)]


def test_the_oldest_call_is_first_by_its_age_not_by_its_arrival(office: Office) -> None:
    office.call("young", age=1)
    office.call("old", age=30)
    office.call("middle", age=5)
    office.sign_in(0, 1)
    assert [call for _, call, _ in office.words()] == ["old", "middle"]


def test_calls_ring_agents_of_their_own_group_only(office: Office) -> None:
    office.sign_in(0)
    office.call("c1", group=OTHER)
    assert office.words() == []
    office.sign_in(20)
    assert office.words() == [("ring", "c1", office.extension(20))]


def test_an_agent_whose_caller_gave_up_keeps_the_place_in_the_line(office: Office) -> None:
    office.sign_in(0, 1)
    office.call("c1")
    office.switch("cancel", "c1")
    assert office.states(0, 1) == ["available", "available"]
    office.call("c2")
    assert office.words()[-1] == ("ring", "c2", office.extension(0))


def test_a_phone_that_does_not_take_a_call_is_left_alone_for_a_while(office: Office) -> None:
    office.sign_in(0, 1)
    office.call("c1")
    office.switch("failed", "c1", ext=office.extension(0), code=486)
    assert office.words() == [("ring", "c1", office.extension(0)), ("ring", "c1", office.extension(1))]
    assert office.states(0, 1) == ["break", "ringing"]
    assert office.book.carried(office.account(0)) == "available", "the agent did not ask for a break"
    office.later(NOT_TAKEN_PAUSE + 0.1)
    assert office.states(0) == ["available"]


def test_a_call_that_failed_is_rung_where_it_sleeps_now(office: Office) -> None:
    office.sign_in(0, 1)
    office.call("c1")
    office.switch("failed", "c1", ext=office.extension(0), code=486)
    assert [word["i"] for word in office.to_switch] == [1, 2]


def test_a_break_during_a_call_begins_when_the_call_is_over(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    session = office.signed_in(0).session
    office.apply(office.centre.client_frame(0, AgentButton(session, "break"), office.now))
    assert office.states(0) == ["talking"]
    office.switch("ended", "c1", ext=office.extension(0))
    office.later(WRAPUP + 0.1)
    assert office.states(0) == ["break"]


def test_the_agent_can_cut_wrap_up_short(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    office.switch("ended", "c1", ext=office.extension(0))
    session = office.signed_in(0).session
    office.apply(office.centre.client_frame(0, AgentButton(session, "available"), office.now))
    assert office.states(0) == ["available"]
    office.call("c2")
    office.later(WRAPUP + 0.1)
    assert office.states(0) == ["ringing"], "the old wrap-up's timer must not free an agent who rings"


# ---- calls and sessions


def test_no_call_is_offered_to_a_session_that_has_lapsed(office: Office) -> None:
    office.sign_in(0, 1)
    office.silent.add(0)
    office.later(1.4)
    office.now += 0.12  # the lease ran out just now; no tick has noticed yet
    office.call("c1")
    assert office.words() == [("ring", "c1", office.extension(1))]


def test_a_call_outlives_its_session_and_the_agent_is_talking_again(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    office.leave(0)
    assert office.states(0) == ["out"]
    assert office.centre.agents.states(GROUP)["talking"] == 0
    office.sign_in(0)
    assert office.signed_in(0).state == "talking"
    office.call("c2")
    assert len(office.words()) == 1, "no other call until this one has ended"
    office.switch("ended", "c1", ext=office.extension(0))
    office.later(WRAPUP + 0.1)
    assert office.words() == [("ring", "c2", office.extension(0))]


def test_a_call_that_ended_while_nobody_was_signed_in_is_over(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    office.leave(0)
    office.switch("ended", "c1", ext=office.extension(0))
    office.sign_in(0)
    assert office.signed_in(0).state == "available"


@pytest.mark.parametrize("end", ["cancel", "failed"])
def test_a_ring_that_outlived_its_session_leaves_nobody_talking(office: Office, end: str) -> None:
    office.sign_in(0)
    office.call("c1")
    office.leave(0)
    office.sign_in(0)
    assert office.states(0) == ["talking"]
    office.switch(end, "c1", ext=office.extension(0), code=408)
    office.later(NOT_TAKEN_PAUSE + 0.1)
    assert office.states(0)[0] in ("available", "ringing")


def test_a_second_device_takes_over_agent_and_call(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    agent = office.directory.agents[0]
    for frame in (Hello(agent.account, "another device", agent.mac, "primary"), SignIn(1, None, False, None)):
        office.apply(office.centre.client_frame(77, frame, office.now))
    assert office.signed_in(77).state == "talking"
    assert office.states(0) == ["talking"]
    office.switch("ended", "c1", ext=office.extension(0))
    assert office.shown(77) == ["ended", "wrapup"]
    office.later(WRAPUP + 0.1)
    assert office.states(0) == ["available"]


def carried_call_over(office: Office, then: Literal["available", "break"] | None) -> None:
    word = AgentButton(office.signed_in(0).session, "available", then)
    office.apply(office.centre.client_frame(0, word, office.now))


@pytest.mark.parametrize("then", [pytest.param(None, id="an-older-client"), "available"])
def test_a_call_of_the_other_citys_ends_on_the_agents_word(
    office: Office, then: Literal["available", "break"] | None
) -> None:
    office.sign_in(0, state="talking")
    office.call("c1")
    assert office.words() == []
    carried_call_over(office, then)
    assert office.states(0) == ["wrapup"]
    office.later(WRAPUP + 0.1)
    assert office.words() == [("ring", "c1", office.extension(0))]


def test_a_break_asked_for_in_a_call_of_the_other_citys_follows_its_wrap_up(office: Office) -> None:
    office.sign_in(0, state="talking")
    carried_call_over(office, "break")
    assert office.states(0) == ["wrapup"]
    office.call("c1")
    office.later(WRAPUP + 0.1)
    assert office.states(0) == ["break"]
    assert office.words() == []


@pytest.mark.parametrize("first", ["softswitch", "client", "wrap-up"])
@pytest.mark.parametrize("then", ["available", "break"])
def test_a_call_of_this_city_that_outlived_its_session_is_wrapped_up_whoever_tells_its_end_first(
    office: Office, first: str, then: Literal["available", "break"]
) -> None:
    office.sign_in(0)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    office.leave(0)
    office.sign_in(0, state="talking")
    if first == "client":
        carried_call_over(office, then)
        assert office.states(0) == ["talking"]
    office.switch("ended", "c1", ext=office.extension(0))
    if first == "softswitch":
        carried_call_over(office, then)
    assert office.states(0) == ["wrapup"]
    office.later(WRAPUP + 0.1)
    if first == "wrap-up":
        carried_call_over(office, then)
    assert office.states(0) == [then]


def test_agents_on_a_break_stay_on_it_when_they_arrive(office: Office) -> None:
    office.sign_in(0, state="break")
    assert office.signed_in(0).state == "break"
    office.call("c1")
    assert office.words() == []


# ---- a move


def test_a_talking_agent_moves_after_wrap_up_and_gets_no_other_call(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    office.place({"east>west": "0-99"})
    office.call("c2")
    office.later(3.0)
    office.switch("ended", "c1", ext=office.extension(0))
    office.later(WRAPUP - 0.1)
    assert not [frame for _, frame in office.frames if isinstance(frame, Release)]
    office.later(0.2)
    releases = [frame for _, frame in office.frames if isinstance(frame, Release)]
    assert [(release.to, release.state) for release in releases] == [("west", "available")]
    assert [call for _, call, _ in office.words()] == ["c1"]


def test_a_ringing_agent_is_not_released(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    office.place({"east>west": "0-99"})
    office.later(1.0)
    assert not [frame for _, frame in office.frames if isinstance(frame, Release)]
    office.switch("cancel", "c1")
    assert [frame.to for _, frame in office.frames if isinstance(frame, Release)] == ["west"]


def test_who_leaves_counts_no_more_as_staff_or_idle(office: Office) -> None:
    office.sign_in(0, 1, 2)
    report = office.centre.idle_report(office.now)[GROUP]
    assert (report["available"], report["signed_in"]) == (3, 3)
    office.call("c1")
    office.switch("answered", "c1", ext=office.extension(0))
    office.place({"east>west": "0-99"})
    report = office.centre.idle_report(office.now)[GROUP]
    assert (report["available"], report["signed_in"]) == (0, 0)
    assert office.centre.server.count(GROUP).signed_in == 3


# ---- the other city


def test_calls_go_to_the_peer_as_many_as_it_has_idle(office: Office) -> None:
    office.sign_in(0)
    office.call("c0")
    peer(office, idle=2, staff=5)
    for n in range(1, 5):
        office.call(f"c{n}")
    assert [(action, call) for action, call, _ in office.words()] == [("ring", "c0"), ("peer", "c1"), ("peer", "c2")]
    peer(office, idle=2, staff=5)  # said before our calls arrived there
    assert office.words() == []
    office.later(RELAY_MEMORY + 0.3)
    assert [(action, call) for action, call, _ in office.words()] == [("peer", "c3"), ("peer", "c4")]


def test_a_peer_that_is_silent_gets_nothing(office: Office) -> None:
    peer(office, idle=2, staff=5)
    office.later(PEER_FRESH + 0.1)
    office.call("c1")
    office.later(1.0)
    assert office.words() == []


def test_without_agents_here_calls_wait_there(office: Office) -> None:
    office.call("c1")
    assert office.words() == []
    peer(office, idle=0, staff=5)
    assert office.words() == [("peer", "c1", None)]


def test_when_the_last_agent_leaves_the_waiting_calls_follow(office: Office) -> None:
    office.sign_in(0)
    office.call("c0")
    office.switch("answered", "c0", ext=office.extension(0))
    peer(office, idle=0, staff=5)
    office.call("c1")
    office.call("c2", hop=1)
    office.words()
    session = office.signed_in(0).session
    office.apply(office.centre.client_frame(0, SignOut(session), office.now))
    assert sorted(office.words()) == [("peer", "c1", None), ("reject", "c2", None)]


def test_a_call_that_the_peer_gave_back_is_not_sent_there_again_at_once(office: Office) -> None:
    peer(office, idle=3, staff=5)
    office.call("c1")
    office.switch("failed", "c1", ext="", code=503)
    office.later(1.0)
    assert office.words() == [("peer", "c1", None)]
    for _ in range(5):
        office.later(0.5)
        peer(office, idle=3, staff=5)
    assert office.words() == [("peer", "c1", None)]
    assert office.now > 100 + PEER_PAUSE


def test_a_call_with_the_peer_takes_no_agent_here(office: Office) -> None:
    peer(office, idle=3, staff=5)
    office.call("c1")
    office.switch("answered", "c1", ext="")
    office.sign_in(0)
    office.switch("ended", "c1", ext="", by="agent")
    assert office.states(0) == ["available"]


# ---- the line to the softswitch


def hello(office: Office, *calls: dict[str, object], boot: str = "k1") -> None:
    office.switch("hello", boot=boot, uptime=5, calls=list(calls))


def listed(
    call: str, state: str, ext: str = "", queued_ago: float = 0.0, hop: int = 0, **more: object
) -> dict[str, object]:
    return {
        "callid": call, "state": state, "i": 5, "l": 6, "group": GROUP, "hop": hop, "ext": ext,
        "queued_at": WALL - queued_ago, **more,
    }  # fmt: skip


def test_a_fresh_cti_takes_over_what_is_there(office: Office) -> None:
    hello(
        office,
        listed("young", "waiting"),
        listed("old", "waiting", queued_ago=60),
        listed("talks", "talking", office.extension(0)),
        listed("away", "peer"),
        listed("theirs", "talking", ""),
    )
    assert [waiting.id for waiting in office.centre.calls.queue(GROUP)] == ["old", "young"]
    office.sign_in(0, 1)
    assert office.signed_in(0).state == "talking"
    assert office.words() == [("ring", "old", office.extension(1))]
    office.switch("ended", "talks", ext=office.extension(0))
    office.later(WRAPUP + 0.1)
    assert office.words() == [("ring", "young", office.extension(0))]


def test_what_is_not_listed_any_more_is_over(office: Office) -> None:
    hello(office)
    office.sign_in(0, 1)
    for n in range(3):
        office.call(f"c{n}")
    office.switch("answered", "c0", ext=office.extension(0))
    hello(office, listed("c2", "waiting"))
    assert office.states(0, 1) == ["wrapup", "ringing"]
    assert office.words()[-1][:2] == ("ring", "c2")


def test_what_happened_meanwhile_is_made_up_for(office: Office) -> None:
    hello(office)
    office.sign_in(0, 1)
    office.call("rings")
    office.call("rang")
    office.words()
    hello(office, listed("rings", "talking", office.extension(0)), listed("rang", "waiting"))
    assert office.states(0, 1) == ["talking", "ringing"]
    assert office.words() == [("ring", "rang", office.extension(1))], "the word that was lost is said again"


def test_a_hello_that_tells_nothing_new_changes_nothing(office: Office) -> None:
    hello(office)
    office.sign_in(0, 1)
    office.call("rings")
    office.call("talks")
    office.switch("answered", "talks", ext=office.extension(1))
    office.words()
    hello(office, listed("rings", "ringing", office.extension(0)), listed("talks", "talking", office.extension(1)))
    assert office.states(0, 1) == ["ringing", "talking"]
    assert office.words() == []


def ask(office: Office) -> str:
    """The CTI asks for a list; its number."""
    return str(office.centre.calls.list_request()["n"])


def test_a_list_repairs_what_was_lost_before_it_was_asked_for(office: Office) -> None:
    hello(office)
    office.sign_in(0, 1)
    office.call("ring-lost")  # our word never arrived there
    office.words()
    n = ask(office)
    office.switch(
        "hello", boot="k1", uptime=5, n=n, calls=[listed("ring-lost", "waiting"), listed("call-lost", "waiting")]
    )
    assert sorted(office.words()) == [
        ("ring", "call-lost", office.extension(0)),
        ("ring", "ring-lost", office.extension(1)),
    ]


def test_a_list_knows_nothing_of_what_was_said_after_it_was_asked_for(office: Office) -> None:
    hello(office)
    office.call("c1")
    n = ask(office)
    office.sign_in(0, 1)  # c1 rings at once
    assert office.words() == [("ring", "c1", office.extension(0))]
    office.switch("hello", boot="k1", uptime=5, n=n, calls=[listed("c1", "waiting")])
    assert office.words() == []
    assert office.states(0, 1) == ["ringing", "available"]


def test_a_list_that_another_cti_has_asked_for_is_not_ours(office: Office) -> None:
    hello(office)
    office.sign_in(0)
    office.switch("hello", boot="k1", uptime=5, n="another.7", calls=[listed("c1", "waiting")])
    assert office.words() == []


# ---- ghosts: an agent kept for a call of which nobody knows anything


RINGS_MOST = DEFAULT_RING + RING_GRACE


def lists(office: Office, *calls: dict[str, object]) -> None:
    """Five seconds have passed, and the softswitch says what there is."""
    office.later(5.0)
    office.switch("hello", boot="k1", uptime=5, n=ask(office), calls=list(calls))


def test_an_agent_whose_call_the_softswitch_does_not_list_is_free(office: Office) -> None:
    office.sign_in(0)
    office.call("ghost")
    assert office.states(0) == ["ringing"]
    lists(office)
    assert office.states(0) == ["available"]


def test_an_agent_whose_call_is_listed_as_ringing_for_ever_is_free_when_no_phone_can_be_ringing(office: Office) -> None:
    office.sign_in(0)
    office.call("ghost")
    for _ in range(2):
        lists(office, listed("ghost", "ringing", office.extension(0)))
    assert office.states(0) == ["ringing"], "it may be"
    office.later(RINGS_MOST - 10.0 + 0.1)
    assert office.states(0) == ["available"]
    assert office.shown(0)[-1] == "ended"
    for _ in range(3):
        lists(office, listed("ghost", "ringing", office.extension(0)))
        assert office.states(0) == ["available"], "a list is no news of a phone"
    office.call("real")
    assert office.words()[-1] == ("ring", "real", office.extension(0))


def test_a_call_that_was_given_up_as_unheard_of_and_is_real_goes_on(office: Office) -> None:
    office.sign_in(0, 1)
    office.call("c1")
    office.call("c2")
    office.later(RINGS_MOST + 0.1)
    assert office.states(0, 1) == ["available", "available"]
    office.switch("answered", "c1", ext=office.extension(0))
    office.switch("failed", "c2", ext=office.extension(1), code=408)
    assert office.states(0, 1) == ["talking", "ringing"]
    office.switch("ended", "c1")
    office.later(WRAPUP + 0.1)
    assert office.states(0) == ["available"]


def test_a_ring_that_is_heard_of_in_time_is_not_taken_back(office: Office) -> None:
    office.sign_in(0)
    office.call("c1")
    office.later(RINGS_MOST - 0.5)
    office.switch("answered", "c1", ext=office.extension(0))
    office.later(RINGS_MOST)
    assert office.states(0) == ["talking"]


def test_a_call_that_the_softswitch_cannot_wake_costs_agents_next_to_nothing(office: Office) -> None:
    """It is listed as waiting whatever we say; whoever is rung for it is kept for nothing until the next list."""
    office.sign_in(0)
    office.call("ghost")
    kept = 0
    for _ in range(24):
        kept += office.states(0) == ["ringing"]
        lists(office, listed("ghost", "waiting"))
    assert kept <= 6, "of 24 lists, two minutes"
    office.call("real")
    assert office.words()[-1][:2] == ("ring", "real")


def test_a_list_that_names_another_phone_frees_the_one_that_does_not_ring(office: Office) -> None:
    hello(office)
    office.sign_in(0, 1)
    office.call("c1")
    hello(office, listed("c1", "ringing", office.extension(1)))
    assert office.states(0, 1) == ["available", "ringing"]


def test_the_end_of_a_ghost_takes_no_agent_out_of_a_call(office: Office) -> None:
    hello(office)
    office.sign_in(0)
    office.call("real")
    office.switch("answered", "real", ext=office.extension(0))
    hello(office, listed("real", "talking", office.extension(0)), listed("ghost", "ringing", office.extension(0)))
    hello(office, listed("real", "talking", office.extension(0)))
    assert office.states(0) == ["talking"]
    office.switch("ended", "real")
    assert office.states(0) == ["wrapup"]


@pytest.mark.parametrize(("boot", "told"), [("k1", 0), ("k2", 2)])
def test_phones_are_registered_again_when_the_softswitch_has_restarted(office: Office, boot: str, told: int) -> None:
    hello(office)
    office.sign_in(0, 1)
    hello(office, boot=boot)
    assert len([frame for _, frame in office.frames if isinstance(frame, Register)]) == told


@pytest.mark.parametrize(
    "event",
    [
        {"e": "call", "callid": "c1"},
        {"e": "call", "callid": "c1", "group": GROUP, "i": "x", "l": 1},
        {"e": "ended"},
        {"e": "singing"},
        {},
    ],
)
def test_what_makes_no_sense_is_refused_without_harm(office: Office, event: dict[str, object]) -> None:
    office.sign_in(0)
    with pytest.raises((KeyError, TypeError, ValueError)):
        office.centre.switch_event(event, office.now)
    office.call("c9")
    assert office.words() == [("ring", "c9", office.extension(0))]


@pytest.mark.parametrize("e", ["cancel", "ended", "answered"])
def test_words_about_unknown_calls_do_no_harm(office: Office, e: str) -> None:
    office.sign_in(0)
    office.switch(e, "nobody-knows", ext="")
    assert office.states(0) == ["available"]


# ---- what becomes of calls, for those who count


def tally(office: Office) -> dict[str, int]:
    return {name: n for name, n in asdict(office.centre.calls.tally(GROUP)).items() if n}


def answered(office: Office, call: str = "c1") -> None:
    office.call(call)
    office.switch("answered", call, ext=office.extension(0))


@pytest.mark.parametrize(
    ("by", "counted"),
    [("caller", "hung_up"), ("agent", "hung_up"), ("timeout", "cut"), ("", "cut")],
)
def test_a_call_that_neither_party_ended_was_cut(office: Office, by: str, counted: str) -> None:
    office.sign_in(0)
    answered(office)
    office.switch("ended", "c1", ext=office.extension(0), by=by)
    assert tally(office) == {"answered": 1, counted: 1}


def test_a_caller_who_gives_up_before_an_answer_is_counted_waiting_or_ringing(office: Office) -> None:
    office.call("c1")
    office.switch("cancel", "c1")
    office.sign_in(0)
    office.call("c2")
    office.switch("cancel", "c2")
    answered(office, "c3")
    office.switch("cancel", "c3")  # late: it was answered, and its end is told apart
    assert tally(office) == {"answered": 1, "abandoned": 2}


def test_talks_that_a_softswitch_forgot_by_a_restart_were_cut(office: Office) -> None:
    office.sign_in(0)
    hello(office, boot="k1")
    answered(office)
    hello(office, boot="k2")
    assert tally(office) == {"answered": 1, "cut": 1}


def test_how_a_talk_ended_of_whose_end_nothing_was_heard_is_unknown(office: Office) -> None:
    office.sign_in(0)
    hello(office, boot="k1")
    answered(office)
    hello(office, boot="k1")
    assert tally(office) == {"answered": 1, "unheard": 1}


def test_a_call_with_the_other_city_counts_there(office: Office) -> None:
    peer(office, idle=1, staff=1)
    office.call("c1")
    assert [word for word, *_ in office.words()] == ["peer"]
    office.switch("answered", "c1", ext="")
    office.switch("ended", "c1", ext="", by="caller")
    assert tally(office) == {}


def test_a_call_counts_as_taken_once_whether_its_word_comes_twice_or_not_at_all(office: Office) -> None:
    office.sign_in(0, 1)
    hello(office, boot="k1")
    answered(office)
    office.switch("answered", "c1", ext=office.extension(0))
    assert tally(office) == {"answered": 1}
    office.call("c2")
    hello(
        office,
        listed("c1", "talking", office.extension(0)),
        listed("c2", "talking", office.extension(1)),
        boot="k1",
    )
    assert tally(office) == {"answered": 2}
    shown = group_json(office.centre, GROUP)
    assert (shown["calls_answered"], shown["calls"]["answered"]) == (2, 2)
