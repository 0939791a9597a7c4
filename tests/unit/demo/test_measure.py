"""The figures of a move, from small timelines made by hand."""

from dataclasses import replace

import pytest

from demo.measure import Window, measure, nearest_rank, spread
from demo.timeline import AgentEvent, Call

GROUP = "callcenter/hotel-north-sales"
ACCOUNTS = {"510001": "a1", "510002": "a2", "610001": "a1", "610002": "a2", "610009": "c1"}


def event(account: str, at: float, what: str, site: str, cause: str = "") -> AgentEvent:
    """The agents' own clock starts 1,000 s before the wall clock's zero, so that mixing the two shows."""
    return AgentEvent(at=at, mono=at + 1000, account=account, group=GROUP, event=what, site=site, cause=cause)


def settled(account: str, site: str = "east") -> list[AgentEvent]:
    """An agent who signed in at `site` at second 1, with the phone registered in both cities."""
    return [
        event(account, 1, "signed-in", site, "fresh"),
        event(account, 2, "registered", "east"),
        event(account, 2, "registered", "west"),
    ]


def moved(account: str, out: float, there: float) -> list[AgentEvent]:
    return [event(account, out, "released", "east"), event(account, there, "signed-in", "west", "ticket")]


def call(agent: str, answered: float, ended: float | None, fate: str = "answered", ident: str = "1") -> Call:
    return Call(ident, "8001001", fate, answered - 1, answered, ended, agent)


def window(*accounts: str) -> Window:
    return Window("m", "west", frozenset(accounts), applied_at=99, committed_at=100, until=200)


def test_gap_is_the_agents_own_and_time_to_counts_from_the_commit() -> None:
    events = [*settled("a1"), *moved("a1", 100.5, 100.75), *settled("a2"), *moved("a2", 103.0, 104.0)]

    figures = measure(window("a1", "a2"), events, [], account_of=ACCOUNTS)

    assert [switch.gap for switch in figures.switches] == [0.25, 1.0]
    assert figures.switch_seconds == spread([0.25, 1.0])
    assert figures.time_to == {63.5: 4.0, 93.1: 4.0, 100.0: 4.0}
    assert figures.missing == figures.moved_twice == figures.in_two_places == ()


def test_an_agent_is_there_only_when_the_phone_is() -> None:
    events = [event("a1", 1, "signed-in", "east"), *moved("a1", 101, 102), event("a1", 103.5, "registered", "west")]

    figures = measure(window("a1"), events, [], account_of=ACCOUNTS)

    assert figures.switches[0].gap == 2.5
    assert figures.time_to[100.0] == 3.5


def test_an_agent_whose_phone_never_registers_has_not_arrived() -> None:
    events = [event("a1", 1, "signed-in", "east"), *moved("a1", 101, 102)]

    figures = measure(window("a1"), events, [], account_of=ACCOUNTS)

    assert figures.missing == ("a1",)
    assert figures.switch_seconds is None


def test_who_never_arrives_is_named_and_leaves_the_last_share_open() -> None:
    events = [*settled("a1"), *moved("a1", 100, 101), *settled("a2"), event("a2", 100, "released", "east")]

    figures = measure(window("a1", "a2"), events, [], account_of=ACCOUNTS)

    assert figures.missing == ("a2",)
    assert figures.time_to == {63.5: None, 93.1: None, 100.0: None}


def test_who_is_moved_twice_is_named() -> None:
    back = [event("a1", 110, "released", "west"), event("a1", 111, "signed-in", "east", "ticket")]
    events = [*settled("a1"), *moved("a1", 100, 101), *back, *moved("a1", 120, 121)]

    assert measure(window("a1"), events, [], account_of=ACCOUNTS).moved_twice == ("a1",)


def test_a_session_that_lapses_is_no_second_move_but_is_named() -> None:
    again = [event("a1", 110, "lost", "west"), event("a1", 112, "signed-in", "west", "fresh")]

    figures = measure(window("a1"), [*settled("a1"), *moved("a1", 100, 101), *again], [], account_of=ACCOUNTS)

    assert figures.moved_twice == ()
    assert figures.lapsed == ("a1",)
    assert figures.time_to[100.0] == 1


def test_who_is_in_two_places_is_named() -> None:
    events = [*settled("a1"), event("a1", 101, "signed-in", "west"), event("a1", 102, "released", "east")]

    assert measure(window("a1"), events, [], account_of=ACCOUNTS).in_two_places == ("a1",)


def test_moves_before_and_after_the_window_do_not_count() -> None:
    events = [*settled("a1"), *moved("a1", 50, 51), *moved("a1", 300, 301)]

    assert measure(window("a1"), events, [], account_of=ACCOUNTS).missing == ("a1",)


def test_the_same_lines_twice_give_the_same_figures() -> None:
    events = [*settled("a1"), *moved("a1", 100, 101)]
    calls = [call("510001", 95, 105)]

    once = measure(window("a1"), events, calls, account_of=ACCOUNTS)

    assert measure(window("a1"), [*events, *reversed(events)], calls * 2, account_of=ACCOUNTS) == once


@pytest.mark.parametrize(
    ("one", "in_progress", "cut"),
    [
        pytest.param(call("510001", 95, 105), 1, 0, id="answered-before-and-ended-after-the-commit"),
        pytest.param(call("510001", 95, None, "active"), 1, 0, id="still-going-on"),
        pytest.param(call("510001", 95, 100), 0, 0, id="ended-at-the-commit"),
        pytest.param(call("510001", 101, 105), 0, 0, id="answered-after-the-commit"),
        pytest.param(call("610009", 95, 105), 0, 0, id="of-an-agent-who-does-not-move"),
        pytest.param(call("510001", 95, 101, "cut"), 1, 1, id="cut-while-moving"),
        pytest.param(call("610001", 150, 160, "cut"), 0, 1, id="cut-after-the-arrival"),
        pytest.param(call("510001", 95, 98, "cut"), 0, 0, id="cut-before-the-move"),
        pytest.param(call("610009", 95, 101, "cut"), 0, 0, id="cut-at-somebody-elses"),
    ],
)
def test_calls_of_agents_who_move_are_counted(one: Call, in_progress: int, cut: int) -> None:
    figures = measure(window("a1"), settled("a1"), [one], account_of=ACCOUNTS)

    assert (figures.calls_in_progress, figures.calls_cut) == (in_progress, cut)


def test_a_control_agent_whose_call_is_cut_has_noticed() -> None:
    fates = [("c1", 101, "cut"), ("c2", 98, "cut"), ("c3", 101, "answered")]
    calls = [replace(call(agent, 95, ended, fate), id=agent) for agent, ended, fate in fates]
    owners = {**ACCOUNTS, "c1": "c1", "c2": "c2", "c3": "c3"}

    figures = measure(window("a1"), settled("a1"), calls, account_of=owners, control=frozenset({"c1", "c2", "c3"}))

    assert figures.control_noticed == ("c1",)
    assert figures.calls_cut == 0


def test_the_newest_record_of_a_call_counts() -> None:
    calls = [call("510001", 95, None, "active"), call("510001", 95, 99.5)]

    assert measure(window("a1"), settled("a1"), calls, account_of=ACCOUNTS).calls_in_progress == 0


@pytest.mark.parametrize(
    ("seen", "noticed"),
    [
        pytest.param([], (), id="nothing"),
        pytest.param([event("c1", 150, "call", "west")], (), id="a-call-is-work-not-notice"),
        pytest.param([event("c1", 150, "lost", "west")], ("c1",), id="lost"),
        pytest.param([event("c1", 150, "released", "west")], ("c1",), id="released"),
        pytest.param([event("c1", 250, "released", "west")], (), id="released-after-the-move"),
    ],
)
def test_control_agents_who_notice_something_are_named(seen: list[AgentEvent], noticed: tuple[str, ...]) -> None:
    events = [*settled("c1", "west"), *seen]

    figures = measure(window("a1"), events, [], account_of=ACCOUNTS, control=frozenset({"c1"}))

    assert figures.control_agents == 1
    assert figures.control_noticed == noticed


@pytest.mark.parametrize(
    ("count", "percent", "rank"),
    [
        pytest.param(1000, 63.5, 635, id="published-share-of-1000"),
        pytest.param(1000, 93.1, 931, id="no-rounding-up-by-binary-fractions"),
        pytest.param(1000, 100, 1000, id="all"),
        pytest.param(3, 50, 2, id="median-of-three"),
        pytest.param(1, 95, 1, id="one"),
    ],
)
def test_nearest_rank(count: int, percent: float, rank: int) -> None:
    assert nearest_rank(list(range(1, count + 1)), percent) == rank


def test_no_values_have_no_percentile() -> None:
    assert spread([]) is None
    with pytest.raises(ValueError, match="no values"):
        nearest_rank([], 50)
