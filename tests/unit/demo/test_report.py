"""The report's keys, the table, the page and the picture, from figures made by hand."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from demo.disaster import Phases, Rescue
from demo.measure import Spread, Window, measure
from demo.page import html
from demo.pictures import switch_times
from demo.report import Move, Report, StoryLine, plain_table, rescue_table, seconds, table, to_json
from demo.timeline import AgentEvent, Call

GROUP = "callcenter/hotel-north-sales"


def a_move(agents: int = 20, arriving: int = 20, fate: str = "answered", with_calls: bool = True) -> Move:
    accounts = [f"agent{n:04d}" for n in range(agents)]
    events = [AgentEvent(1.0, 1.0, account, GROUP, "registered", "west") for account in accounts]
    for n, account in enumerate(accounts[:arriving]):
        events.append(AgentEvent(100 + n, 100 + n, account, GROUP, "released", "east"))
        events.append(AgentEvent(100.01 + n, 100.01 + n, account, GROUP, "signed-in", "west", "ticket"))
    calls = [Call("1", "8001001", fate, 90, 91, 103, "510001")]
    window = Window("sales", "west", frozenset(accounts), 99.5, 100.0, 200.0)
    figures = measure(window, events, calls, account_of={"510001": "agent0003"}, control=frozenset({"c1", "c2"}))
    return Move("skill group sales to west", "kubectl apply -f x.yaml", with_calls, agents, 99.5, 100.0, figures)


def a_report(*moves: Move) -> Report:
    return Report(
        90.0, 130.0, {"processors": "2 x <fast>"}, {"east": 1000, "west": 200}, moves, [StoryLine(91, "a <b> c")]
    )


def test_the_keys_that_others_read_are_there() -> None:
    document = json.loads(json.dumps(to_json(a_report(a_move()))))

    assert document["agents"] == 1200
    assert document["agents_by_home"] == {"east": 1000, "west": 200}
    (move,) = document["moves"]
    assert move["name"] == "skill group sales to west"
    assert move["agents"] == 20
    assert move["switch_seconds"] == {"p50": 0.01, "p95": 0.01, "max": 0.01}
    assert move["time_to"] == {"63.5": 12.01, "93.1": 18.01, "100": 19.01}
    assert (move["calls_in_progress"], move["calls_cut"]) == (1, 0)


def test_who_did_not_arrive_is_seen_in_json_and_table() -> None:
    report = a_report(a_move(arriving=19))

    (move,) = to_json(report)["moves"]
    assert move["time_to"]["100"] is None
    assert move["missing"] == {"count": 1, "accounts": ["agent0019"]}
    assert "19 of 20" in table(report)
    assert "never" in table(report)


@pytest.mark.parametrize(
    ("move", "complete"),
    [
        pytest.param(a_move(), True, id="all-arrived"),
        pytest.param(a_move(arriving=19), False, id="one-is-missing"),
        pytest.param(a_move(fate="cut"), False, id="a-call-was-cut"),
    ],
)
def test_a_move_is_complete_only_when_every_promise_held(move: Move, complete: bool) -> None:
    assert move.complete is complete


def test_the_table_stands_beside_the_published_figures() -> None:
    text = table(a_report(a_move()))

    assert re.search(r"published, 2016 .* 3 min +4 min +10 min", text)
    assert re.search(r"published, later .* 2 min", text)


def test_a_goal_that_was_missed_is_said_and_is_no_broken_promise() -> None:
    idle = a_move(with_calls=False)  # the last of them is there after 19 s
    slow = replace(idle.measures, switch_seconds=Spread(0.1, 0.62, 0.7))

    assert idle.missed == ("all there 19.0 s after the commit, the goal is 3.00 s",)
    assert replace(idle, measures=slow).missed[0] == "own gap p95 620 ms, the goal is less than 500 ms"
    assert a_move().missed == ()  # agents in a call arrive after it
    assert idle.complete
    document = to_json(a_report(idle))
    assert document["moves"][0]["goals_missed"] == list(idle.missed)
    assert document["goals"] == {"switch_seconds_p95": 0.5, "time_to_all_idle": 3.0}
    assert re.search(r"goal, idle agents .* 500 ms .* 3.00 s", table(a_report(idle)))
    assert "<td class=bad>19.0 s</td>" in html(a_report(idle), b"")


def a_rescue(last: float = 3.7, **changes: Any) -> Rescue:
    phases = Phases(0.6, 2.7, 2.8, 2.85, 2.9, last, 3.9)
    return replace(
        Rescue(1000, phases, {63.5: 3.5, 93.1: 3.6, 100.0: last}, (2.9, 3.5, last), (), (), 200, ()), **changes
    )


def test_the_disaster_has_its_key_its_table_and_its_section() -> None:
    report = replace(a_report(a_move()), rescue=a_rescue())

    assert to_json(report)["failover"] == {
        "agents": 1000,
        "detected": 0.6,
        "confirmed": 2.7,
        "committed": 2.8,
        "door_open": 2.85,
        "first_sign_in": 2.9,
        "last_sign_in": 3.7,
        "first_call": 3.9,
        "time_to": {"63.5": 3.5, "93.1": 3.6, "100": 3.7},
        "missing": {"count": 0, "accounts": []},
        "in_two_places": {"count": 0, "accounts": []},
        "control_agents": 200,
        "control_noticed": {"count": 0, "accounts": []},
    }
    assert re.search(r"last sign in +3.70 s", rescue_table(a_rescue()))
    assert "<h2>A city loses its power</h2>" in html(report, b"")
    assert "WAY_HOME" not in html(report, b""), "the way home is always played"
    assert switch_times(report.moves, report.rescue).startswith(b"\x89PNG")
    assert to_json(a_report(a_move()))["failover"] is None
    assert "loses its power" not in html(a_report(a_move()), b"")


def test_who_was_lost_or_disturbed_by_the_disaster_is_said() -> None:
    found = a_rescue(missing=("a1",), control_noticed=("c1", "c2"))

    assert not found.complete
    assert "1 agents did not come back" in rescue_table(found)
    assert "2 agents elsewhere noticed" in html(replace(a_report(a_move()), rescue=found), b"")
    assert a_rescue().missed == ""
    assert a_rescue(last=4.4).missed == "the last agent was signed in 4.40 s after the power-off, the goal is 4 s"


def test_the_page_is_self_contained_and_escapes_what_it_shows() -> None:
    page = html(a_report(a_move(), a_move(with_calls=False)), b"\x89PNG")

    assert "data:image/png;base64,iVBORw==" in page
    assert not re.search(r"(src|href)=.?https?:", page)
    assert "a &lt;b&gt; c" in page
    assert "2 x &lt;fast&gt;" in page


def test_the_picture_is_a_png_even_when_nobody_arrived() -> None:
    for moves in ([a_move(), a_move(with_calls=False)], [a_move(arriving=0)], []):
        assert switch_times(moves).startswith(b"\x89PNG\r\n")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "never"), (0.0004, "0.4 ms"), (0.0123, "12 ms"), (1.534, "1.53 s"), (14.26, "14.3 s"), (120.0, "2 min")],
)
def test_times_read_as_people_write_them(value: float | None, text: str) -> None:
    assert seconds(value) == text


def test_columns_line_up() -> None:
    lines = plain_table(("move", "n"), [("a", "1"), ("bbbbbb", "22")]).splitlines()

    assert lines == ["move     n", "----------", "a        1", "bbbbbb  22"]
