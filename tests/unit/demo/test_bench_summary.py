"""The bench's summary: median and spread, and no median that hides who never arrived."""

from demo.measure import Window, measure
from demo.report import Move
from demo.timeline import AgentEvent
from tests.bench.move import summary, table


def a_move(seconds: float, arriving: bool = True) -> Move:
    group = "callcenter/x"
    events = [
        AgentEvent(1, 1, "a1", group, "registered", "west"),
        AgentEvent(100, 100, "a1", group, "released", "east"),
    ]
    if arriving:
        events.append(AgentEvent(100 + seconds, 100 + seconds, "a1", group, "signed-in", "west", "ticket"))
    window = Window("m", "west", frozenset({"a1"}), 99.5, 100.0, 200.0)
    figures = measure(window, events, [], account_of={})
    return Move("m", "kubectl apply", False, 1, 99.5, 100.0, figures)


def test_figures_are_medians_with_least_and_most() -> None:
    document = summary([a_move(1.0), a_move(3.0), a_move(2.0)])

    assert document["figures"]["100 % signed in"] == {"median": 2.0, "least": 1.0, "most": 3.0}
    assert document["figures"]["apply to commit"]["median"] == 0.5
    assert document["incomplete"] == []
    assert "2.00 s" in table(document)


def test_a_run_in_which_somebody_never_arrived_has_no_median() -> None:
    document = summary([a_move(1.0), a_move(3.0, arriving=False)])

    assert document["figures"]["100 % signed in"]["median"] is None
    assert document["incomplete"] == ["m"]
    assert "never" in table(document)
